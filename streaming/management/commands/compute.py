"""`manage.py compute`: a compute machine, which runs sessions of the engine "cluster"."""

import re
import socket
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from streaming.catalog.engines import why_no_cluster
from streaming.catalog.registry import registry
from streaming.conf import PROCESS_NAME, QUEUE_NAME, conf
from streaming.engine.errors import LivestepError
from streaming.management.arguments import BAD_INPUT, bad_input
from streaming.management.base import SettingsCommand
from streaming.process import process
from streaming.server.operations import serve_operations

MOST_PLACES = 10_000


class Command(SettingsCommand):
    help = _(
        "Run sessions of the engine “cluster” on this machine, which may have nothing else of the "
        "site: no web server, no browser gets here. A Celery worker with the right options."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--queues",
            default="",
            metavar="NAME,…",
            help=_("from which queues it takes sessions (default: $LIVESTEP_QUEUE, or livestep)"),
        )
        parser.add_argument(
            "--places",
            default="",
            metavar="N",
            help=_(
                "how many sessions it runs at once (default: $LIVESTEP_MAX_PROCESS_SESSIONS, or 4 "
                "for each core)"
            ),
        )
        parser.add_argument(
            "--name",
            default="",
            metavar="NAME",
            help=_(
                "what the other processes call it (default: $LIVESTEP_PROCESS, or a random one)"
            ),
        )

        parser.add_argument(
            "--port",
            default="",
            metavar="PORT",
            help=_(
                "answer /healthz, /readyz and /metrics on this port of --host, and nothing else "
                "(default: on none)"
            ),
        )
        parser.add_argument(
            "--host", default="127.0.0.1", help=_("for --port (default: %(default)s)")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if missing := why_no_cluster():
            raise CommandError(
                _("No session can be sent here: %(missing)s.") % {"missing": missing}
            )
        if options["name"]:
            process.call(_name(options["name"]))
        queues, places = _queues(options["queues"]), _places(options["places"])
        try:
            registry.all()
        except LivestepError as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from error
        if options["port"]:
            _serve_operations(options["host"], options["port"])
        # Not above: Celery is optional.
        from streaming.server.compute import celery_app
        from streaming.server.shutdown import leave_now

        # As `celery -A project worker --pool threads --concurrency N --queues … --without-gossip
        # --without-mingle` does.
        worker = celery_app().Worker(
            hostname=f"{process.name}@{socket.gethostname()}",
            pool_cls="threads",
            concurrency=places,
            queues=queues,
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        )
        worker.start()
        leave_now(worker.exitcode or 0)


def _name(text: str) -> str:
    if not PROCESS_NAME.admits(text):
        raise bad_input(
            _("--name: expected %(expected)s, got %(text)r.")
            % {"expected": PROCESS_NAME.expected, "text": text}
        )
    return text


def _queues(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()] or [conf().QUEUE]
    for name in names:
        if not re.fullmatch(QUEUE_NAME.pattern, name):
            raise bad_input(
                _("--queues: expected names of %(expected)s, got %(text)r.")
                % {"expected": QUEUE_NAME.expected, "text": name}
            )
    return names


def _serve_operations(host: str, port: str) -> None:
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise bad_input(
            _("--port: expected a whole number from 1 to 65535, got %(text)r.") % {"text": port}
        )
    try:
        serve_operations(host, int(port))
    except OSError as error:
        raise CommandError(
            _("Cannot listen on %(host)s, port %(port)s: %(reason)s.")
            % {"host": host, "port": port, "reason": error.strerror}
        ) from error


def _places(text: str) -> int:
    if not text:
        return conf().MAX_PROCESS_SESSIONS
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PLACES:
        raise bad_input(
            _("--places: expected a whole number from 1 to %(most)d, got %(text)r.")
            % {"most": MOST_PLACES, "text": text}
        )
    return int(text)
