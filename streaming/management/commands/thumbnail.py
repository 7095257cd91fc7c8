"""`manage.py thumbnail NAME`: the picture of a simulation's card in the gallery, and its loop."""

import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from signal import SIGINT
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from streaming.catalog.engines import engine_of
from streaming.catalog.fork_server import fork_server, limits
from streaming.catalog.thumbnails import LOOP, STILL, folder_for
from streaming.conf import conf
from streaming.delivery.loop import FewFrames, loop_of
from streaming.engine.headless import HeadlessSession
from streaming.engine.simulations import Simulation
from streaming.management.arguments import (
    BY_SIGNAL,
    add_simulation_arguments,
    find_simulation,
    number_of_steps,
)
from streaming.management.base import SettingsCommand

STEPS = 100
# A simulation whose steps take long is not run to the last of them.
MOST_S = 60.0


class Command(SettingsCommand):
    help = _(
        "Draw the picture of a simulation's card in the gallery, and the short loop that it plays "
        "while somebody points at it: NAME.svg and NAME.loop.svg, in the folder thumbnails beside "
        "its file, or among the static files of its app."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = _("Exit codes: 0 drawn; 1 it failed, or drew nothing; 2 bad input.")
        add_simulation_arguments(parser)
        parser.add_argument(
            "--steps",
            type=number_of_steps,
            default=STEPS,
            metavar="N",
            help=_("take so many steps, or as many as a minute allows (default: %(steps)d)")
            % {"steps": STEPS},
        )
        parser.add_argument(
            "--out", type=Path, metavar="DIR", help=_("the folder for both pictures")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with ExitStack() as stack:
                # What the author's code prints is no part of the answer.
                stack.enter_context(redirect_stdout(sys.stderr))
                simulation, params = find_simulation(options)
                stack.callback(fork_server.close)
                frames = _drawn(simulation, params, options["steps"])
        except KeyboardInterrupt:
            sys.exit(BY_SIGNAL + SIGINT)
        folder = options["out"] or folder_for(simulation)
        for kind, svg in ((STILL, frames[-1] + b"\n"), (LOOP, loop_of(frames))):
            path = folder / f"{simulation.name}{kind}"
            _write(path, svg)
            self.stdout.write(
                _("%(path)s: %(bytes)s bytes") % {"path": path, "bytes": f"{len(svg):,}"}
            )


def _drawn(simulation: Simulation, params: dict[str, Any], steps: int) -> list[bytes]:
    few = FewFrames()
    running = HeadlessSession(
        simulation,
        params,
        engine=engine_of(simulation),
        fork_server=fork_server,
        most_steps=steps,
        stop_grace=conf().STOP_GRACE,
        max_frame_bytes=conf().MAX_FRAME_BYTES,
        limits=limits(),
        on_frame=lambda frame: few.add(frame.svg),
    )
    with running:
        running.wait(MOST_S)
        end = running.stop()
    if end.error is not None:
        raise CommandError(end.error)
    if not few.frames:
        too_large = running.session.too_large
        raise CommandError(too_large or _("It has drawn nothing that could be shown."))
    return few.frames


def _write(path: Path, svg: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(svg)
    except OSError as error:
        raise CommandError(
            _("%(path)s could not be written: %(reason)s.")
            % {"path": path, "reason": error.strerror}
        ) from error
