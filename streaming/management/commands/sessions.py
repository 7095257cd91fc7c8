"""`manage.py sessions`: what goes on, and the end of what is only history."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from streaming import human
from streaming.models import StreamSession

BAD_INPUT = 2
DEFAULT_DAYS = 30
MOST_DAYS = 36_500


class Command(BaseCommand):
    help = _("List the active sessions, or delete those that ended long ago.")

    def add_arguments(self, parser: CommandParser) -> None:
        subcommands = parser.add_subparsers(dest="subcommand", required=True)
        subcommands.add_parser("list", help=_("list the active sessions of every process"))
        prune = subcommands.add_parser(
            "prune", help=_("delete the rows of sessions that ended long ago")
        )
        prune.add_argument(
            "--days",
            default=str(DEFAULT_DAYS),
            help=_("keep those that ended in so many last days (default: %(default)s)"),
        )
        prune.add_argument(
            "--dry-run", action="store_true", help=_("only say how many would be deleted")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["subcommand"] == "list":
                self._list()
            else:
                self._prune(_days(options["days"]), dry_run=options["dry_run"])
        except DatabaseError as error:
            raise CommandError(
                _("The database cannot be used (%(error)s): try manage.py migrate.")
                % {"error": error}
            ) from error

    def _list(self) -> None:
        # A process that is no more has left its sessions as they were.
        StreamSession.objects.mark_lost()
        rows = list(StreamSession.objects.active())
        for row in rows:
            self.stdout.write(
                f"{row.pk}  {row.get_state_display()}  {row.simulation}  {row.engine}  "
                f"{row.owner}  "
                + _("%(steps)s steps, %(time)s, in %(process)s")
                % {
                    "steps": human.count(row.step),
                    "time": human.duration(timezone.now() - row.started),
                    "process": row.process,
                }
            )
        if not rows:
            self.stdout.write(_("No session is active."))

    def _prune(self, days: int, *, dry_run: bool) -> None:
        # What a process that is no more has left is history, too.
        StreamSession.objects.mark_lost()
        old = StreamSession.objects.ended_before(timezone.now() - timedelta(days=days))
        count = old.count() if dry_run else old.delete()[0]
        if dry_run:
            sentence = ngettext(
                "%(count)d session would be deleted.",
                "%(count)d sessions would be deleted.",
                count,
            )
        else:
            sentence = ngettext(
                "%(count)d session was deleted.", "%(count)d sessions were deleted.", count
            )
        self.stdout.write(sentence % {"count": count})


def _days(text: str) -> int:
    try:
        days = int(text)
    except ValueError:
        days = -1
    if not 0 <= days <= MOST_DAYS:
        raise CommandError(
            _("--days: expected a whole number from 0 to %(most)d, got %(text)r.")
            % {"most": MOST_DAYS, "text": text},
            returncode=BAD_INPUT,
        )
    return days
