"""`manage.py sessions`: what goes on, its end, and the end of what is only history."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from streaming.admin import human
from streaming.cluster import leases
from streaming.cluster.orders import receipt
from streaming.conf import conf
from streaming.engine.errors import ClientError
from streaming.engine.snapshot import StopReason
from streaming.management.arguments import bad_input
from streaming.management.base import SettingsCommand
from streaming.models import StreamSession
from streaming.process import is_placed, process
from streaming.runtime import runtime
from streaming.sessions.control import STAFF, Caller

logger = logging.getLogger(__name__)

# The rungs above STOP_GRACE, and the way there and back.
STOP_TIMEOUT_S = 5.0
DEFAULT_DAYS = 30
MOST_DAYS = 36_500


class Command(SettingsCommand):
    help = _("List the active sessions, stop some, or delete those that ended long ago.")

    def add_arguments(self, parser: CommandParser) -> None:
        subcommands = parser.add_subparsers(dest="subcommand", required=True)
        subcommands.add_parser("list", help=_("list the active sessions of every process"))
        stop = subcommands.add_parser(
            "stop",
            help=_("stop sessions, in whichever process they are"),
            epilog=_(
                "Exit codes: 0 stopped, or there was nothing to stop; 1 a process does not answer; "
                "2 bad input."
            ),
        )
        which = stop.add_mutually_exclusive_group(required=True)
        which.add_argument("ids", nargs="*", metavar="ID", default=[], help=_("sessions, by id"))
        which.add_argument("--all", action="store_true", help=_("every active session"))
        which.add_argument("--owner", metavar="NAME", help=_("every active session of a user"))
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
            match options["subcommand"]:
                case "list":
                    self._list()
                case "stop":
                    self._stop(_chosen(options["ids"], options["owner"]))
                case _:
                    self._prune(_days(options["days"]), dry_run=options["dry_run"])
        except DatabaseError as error:
            raise CommandError(
                _("The database cannot be used (%(error)s). Is it there, and migrated?")
                % {"error": error}
            ) from error

    def _list(self) -> None:
        # A process that is no more has left its sessions as they were.
        leases.give_up_lost()
        rows = list(StreamSession.objects.active())
        for row in rows:
            self.stdout.write(
                f"{row.pk}  {row.get_state_display()}  {row.simulation}  {row.engine}  "
                f"{row.owner}  "
                + _("%(steps)s steps, %(time)s, in %(process)s")
                % {
                    "steps": human.count(row.step),
                    "time": human.duration(timezone.now() - row.started),
                    "process": row.process or _("no process yet"),
                }
            )
        if not rows:
            self.stdout.write(_("No session is active."))

    def _stop(self, rows: list[StreamSession]) -> None:
        if not rows:
            self.stdout.write(_("No session is active."))
            return
        going = [row.pk for row in rows if row.ended is None]
        answers = stop_from_command(going, conf().STOP_GRACE + STOP_TIMEOUT_S) if going else {}
        for row in rows:
            if row.ended is not None:
                answer = row.stop_receipt or _("has ended already")
            else:
                answer = answers.get(row.pk) or _("its process does not answer")
            self.stdout.write(f"{row.pk}  {answer}")
        if unanswered := len(going) - sum(map(bool, answers.values())):
            raise CommandError(
                ngettext(
                    "%(count)d session was not stopped: its process does not answer.",
                    "%(count)d sessions were not stopped: their processes do not answer.",
                    unanswered,
                )
                % {"count": unanswered}
            )

    def _prune(self, days: int, *, dry_run: bool) -> None:
        # What a process that is no more has left is history, too.
        leases.give_up_lost()
        old = StreamSession.objects.ended_before(timezone.now() - timedelta(days=days))
        # With a session go its last frame and lines, which are no sessions.
        count = old.count() if dry_run else old.delete()[1].get(StreamSession._meta.label, 0)
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


def _chosen(ids: list[str], owner: str | None) -> list[StreamSession]:
    """Return the sessions that were named, each once; without ids the active ones."""
    if not process.has_others:
        raise bad_input(
            _(
                "Without REDIS_URL a command cannot reach the server: stop the session in the "
                "admin, or on its own page."
            )
        )
    if ids:
        known = StreamSession.objects.in_bulk(ids)
        for session_id in ids:
            if session_id not in known:
                raise bad_input(
                    _("There is no session %(id)r: `manage.py sessions list` has the ids.")
                    % {"id": session_id}
                )
        return list(known.values())
    if owner is not None and not StreamSession.objects.filter(owner=owner).exists():
        raise bad_input(
            _(
                "No session of %(owner)r is known, active or ended: `manage.py sessions list` "
                "names the owners."
            )
            % {"owner": owner}
        )
    leases.give_up_lost()
    active = StreamSession.objects.active()
    return list(active if owner is None else active.filter(owner=owner))


def stop_from_command(ids: list[str], timeout_s: float) -> dict[str, str]:
    """Stop sessions of running servers.

    Returns:
        How each was stopped, by its id, but for those whose process did not answer.
    """
    return asyncio.run(_stop_each(ids, timeout_s))


async def _stop_each(ids: list[str], timeout_s: float) -> dict[str, str]:
    # With a server's settings this process must not pass for that server.
    process.is_guest = True
    runtime.bus.start()
    try:
        said = await asyncio.gather(*(_stop_one(session_id, timeout_s) for session_id in ids))
    finally:
        await runtime.bus.stop()
    return {pk: sentence for pk, sentence in zip(ids, said, strict=True) if sentence}


async def _stop_one(session_id: str, timeout_s: float) -> str:
    caller = Caller(STAFF, by=StopReason.COMMAND)
    try:
        if is_placed(session_id):
            if await runtime.placing.end_waiting(session_id, caller.by):
                return _("stopped while it waited")
            stored = await runtime.directory.archive.read(session_id)
            runtime.owners.note(session_id, stored.process)
        status = await runtime.orders.order(
            session_id, {"type": "stop"}, caller, wait_s=timeout_s / 2, answer_s=timeout_s / 2
        )
    except ClientError as error:
        logger.warning("session %s could not be stopped: %s", session_id, error)
        return ""
    return receipt(status)


def _days(text: str) -> int:
    try:
        days = int(text)
    except ValueError:
        days = -1
    if not 0 <= days <= MOST_DAYS:
        raise bad_input(
            _("--days: expected a whole number from 0 to %(most)d, got %(text)r.")
            % {"most": MOST_DAYS, "text": text}
        )
    return days
