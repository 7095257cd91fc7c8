"""`manage.py doctor ADDRESS`: a site from outside, through its proxies."""

from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from streaming.management.arguments import bad_input
from streaming.management.base import SettingsCommand
from streaming.management.examination import examine


class Command(SettingsCommand):
    help = _(
        "Try a site as a browser does, through its proxies: pages, scripts and WebSocket. It says "
        "what came, what was expected, and which setting has to be another."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = _("Exit codes: 0 all is well; 1 something is wrong; 2 bad input.")
        parser.add_argument(
            "address", metavar="ADDRESS", help=_("of the gallery, such as https://lab.example/")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        address = options["address"]
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise bad_input(
                _("expected an address such as https://lab.example/, got %(address)r")
                % {"address": address}
            )
        problems = 0
        for finding in examine(address):
            said = finding.problem or _("good")
            self.stdout.write(f"{finding.subject}: {said}")
            if finding.problem:
                problems += 1
                if finding.advice:
                    self.stdout.write(f"    {finding.advice}")
        if problems:
            raise CommandError(_("Something between a browser and the site is wrong."))
