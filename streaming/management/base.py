"""What our commands have in common."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _


class SettingsCommand(BaseCommand):
    """Says in a sentence which setting is wrong, where Django's own ends in a traceback."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except ImproperlyConfigured as error:
            raise CommandError(
                _("The settings cannot be used: %(error)s.") % {"error": error}
            ) from error
