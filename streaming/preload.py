"""What the fork server loads before it forks: Django, the installed apps, every simulation.

And what it forgets: a simulation needs neither the site's key nor its database.
"""

from pathlib import Path
from typing import Any, TypedDict

import django
from django.conf import settings
from django.views.debug import SafeExceptionReporterFilter

from streaming.registry import registry

NO_SECRET = "not-a-secret"
# Where passwords stand inside of something larger.
HOLDING_SECRETS: dict[str, Any] = {
    "DATABASES": {"default": {"ENGINE": "django.db.backends.dummy"}},
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
    "CHANNEL_LAYERS": {},
}


class Argument(TypedDict):
    """What the server says of itself."""

    settings: str
    files: list[str]


def load(argument: Argument) -> None:
    """Import everything that a session may need. Called in the fork server only.

    Raises:
        Exception: Whatever the settings or a simulation's module raise.
    """
    _forget_secrets()
    django.setup()
    for path in argument["files"]:
        registry.add_file(Path(path))
    registry.all()


def _forget_secrets() -> None:
    for name in dir(settings):
        value = getattr(settings, name, None)
        # As Django's own error page recognises them.
        if isinstance(value, str) and SafeExceptionReporterFilter.hidden_settings.search(name):
            setattr(settings, name, NO_SECRET)
    settings.SECRET_KEY_FALLBACKS = []
    for name, harmless in HOLDING_SECRETS.items():
        setattr(settings, name, harmless)
