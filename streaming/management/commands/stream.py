"""`manage.py stream NAME`: a simulation without a server and a browser, its frames into files."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from tqdm import tqdm

from streaming.catalog.engines import local_engine_of
from streaming.catalog.fork_server import fork_server, limits
from streaming.conf import conf
from streaming.delivery import recording
from streaming.delivery.recording import TABLE, FrameFiles, Player
from streaming.engine import worker
from streaming.engine.frames import Frame, fault_of
from streaming.engine.headless import HeadlessSession
from streaming.engine.params import plain
from streaming.engine.simulations import LOCAL_ENGINES, Engine, Simulation
from streaming.engine.snapshot import Snapshot, State, StopReason
from streaming.management.arguments import (
    BY_SIGNAL,
    add_simulation_arguments,
    bad_input,
    find_simulation,
    number_of_steps,
)
from streaming.management.base import SettingsCommand

POLL_S = 0.1
# Without a terminal, a line each.
LINE_EVERY_S = 10.0
FAILED = 1


class Command(SettingsCommand):
    help = _(
        "Run a simulation without a server, for a number of steps or until it ends by itself, and "
        "write its frames into files or into a page that plays them offline. Without --out and "
        "--html it only takes the steps, and draws none but the last."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = _(
            "Exit codes: 0 it ended by itself or all steps are taken; 1 the simulation failed, "
            "drew what no browser shows, or a file could not be written; 2 bad input; 130 "
            "interrupted (Ctrl+C); 143 terminated."
        )
        add_simulation_arguments(parser)
        parser.add_argument(
            "--steps",
            type=number_of_steps,
            default=0,
            metavar="N",
            help=_("take exactly so many steps (default: until it ends by itself)"),
        )
        parser.add_argument(
            "--out",
            type=Path,
            metavar="DIR",
            help=_(
                "write each frame to DIR/NAME-000001.svg, with the number of its step, and there, "
                "too, what the simulation saves, and what it plots, as series.csv"
            ),
        )
        parser.add_argument(
            "--html",
            type=Path,
            metavar="FILE.html",
            help=_("write one page with the frames and a player that works offline"),
        )
        parser.add_argument(
            "--engine",
            choices=[str(engine) for engine in LOCAL_ENGINES],
            help=_("where the steps are taken (default: as the simulation or the site says)"),
        )
        parser.add_argument(
            "--fps",
            type=_fps,
            default=0.0,
            metavar="F",
            help=_("draw at most so many frames per second, 0 to 60 (default 0: every step)"),
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help=_("no progress; when it has ended, one JSON object on standard output"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with ExitStack() as stack:
            # What the author's code prints is no part of the answer.
            stack.enter_context(redirect_stdout(sys.stderr))
            try:
                simulation, params = find_simulation(options)
            except KeyboardInterrupt:  # Its file may load for long.
                sys.exit(BY_SIGNAL + signal.SIGINT)
            stack.callback(fork_server.close)
            stack.enter_context(_failure_said_once())
            heard = stack.enter_context(_hear_signals())
            run = Run(simulation, params, options)
            run.take_steps(heard, self._progress(simulation, options))
        if options["json"]:
            self.stdout.write(json.dumps(run.as_json(), default=str))
        else:
            for line in run.summary():
                self.stdout.write(line)
        self.stdout.flush()
        if run.has_done_nothing:
            self.stderr.write(
                _(
                    "%(name)s ended before its first step: each `yield` of a generator ends a step "
                    "and gives its picture."
                )
                % {"name": simulation.name}
            )
        self._leave(run)

    def _progress(self, simulation: Simulation, options: dict[str, Any]) -> "Progress":
        steps = options["steps"]
        if options["json"]:
            return Progress()
        if sys.stderr.isatty():
            return Bar(simulation.name, steps)
        return Lines(simulation.name, steps, self.stderr)

    def _leave(self, run: "Run") -> None:
        """Exit with the code that says how it ended."""
        said = f"{run.error or ''}\n{run.end.traceback or ''}".strip()
        if run.signal:
            if said:  # It is stuck, say.
                self.stderr.write(said)
            sys.exit(BY_SIGNAL + run.signal)
        if said:
            raise CommandError(said, returncode=FAILED)


class Progress:
    """Shows how far it is. This one shows nothing."""

    def show(self, step: int) -> None: ...

    def close(self) -> None: ...


class Bar(Progress):
    """On a terminal."""

    def __init__(self, name: str, steps: int) -> None:
        unit = " " + _("steps")
        self._bar = tqdm(total=steps or None, desc=name, unit=unit, dynamic_ncols=True)

    def show(self, step: int) -> None:
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class Lines(Progress):
    """In a log: a line now and then."""

    def __init__(self, name: str, steps: int, out: Any) -> None:
        self._name, self._steps, self._out = name, steps, out
        self._began = self._said = time.monotonic()

    def show(self, step: int) -> None:
        now = time.monotonic()
        if now - self._said < LINE_EVERY_S:
            return
        self._said = now
        facts = {
            "name": self._name,
            "step": f"{step:,}",
            "steps": f"{self._steps:,}",
            "rate": f"{step / (now - self._began):,.1f}",
        }
        text = _("%(name)s: %(step)s of %(steps)s steps, %(rate)s a second")
        endless = _("%(name)s: %(step)s steps, %(rate)s a second")
        self._out.write((text if self._steps else endless) % facts)


class Run:
    """One run, where its frames go, and how it ended."""

    def __init__(
        self, simulation: Simulation, params: dict[str, Any], options: dict[str, Any]
    ) -> None:
        self._simulation, self._params = simulation, params
        self._engine = Engine(options["engine"] or local_engine_of(simulation))
        self._steps, self._fps = options["steps"], options["fps"]
        self._out, self._html = options["out"], options["html"]
        self.signal = 0
        # Set on the worker's thread, once.
        self._disk_error: OSError | None = None
        self._broken_frame = ""
        self._files = None if self._out is None else self._open_files(self._out)
        self._player = None if self._html is None else self._open_player(self._html)
        self._outputs = [output for output in (self._files, self._player) if output is not None]
        self.end: Snapshot

    def take_steps(self, heard: list[int], progress: Progress) -> None:
        """Run it to its end, or until a signal is heard or the disk is full."""
        running = HeadlessSession(
            self._simulation,
            self._params,
            engine=self._engine,
            fork_server=fork_server,
            fps=self._fps,
            most_steps=self._steps,
            stop_grace=conf().STOP_GRACE,
            max_frame_bytes=conf().MAX_FRAME_BYTES,
            limits=limits(),
            on_frame=self._take,
            keep=self._keep,
        )
        session = running.session
        session.set_demand(frames=bool(self._outputs), deflate=False)
        with running:
            # When all steps are taken it stops itself; but the end of a generator may hang.
            while not (running.wait(POLL_S) or heard or self._why or session.stop_requested):
                progress.show(session.snapshot().step)
            self.end = running.stop(StopReason.SIGNAL if heard else self._why or StopReason.DISK)
        self._place, self._too_large = session.place, session.too_large
        progress.show(self.end.step)
        progress.close()
        if self.end.stop is not None and self.end.stop.by is StopReason.SIGNAL:
            self.signal = heard[0]
        self._series = session.series
        for output in self._outputs:
            self._guarded(output.close, self._series)

    def _take(self, frame: Frame) -> None:
        """Write a frame. Runs on the worker's thread."""
        at = time.monotonic()
        if not self._broken_frame and (fault := fault_of(frame.svg)) is not None:
            self._broken_frame = _(
                "The frame of step %(step)s is not well-formed SVG: %(fault)s."
            ) % {"step": f"{frame.step:,}", "fault": fault}
        for output in self._outputs:
            self._guarded(output.add, frame, at)

    def _keep(self, name: str, content: bytes) -> None:
        """Write a file that it saves. Runs on the worker's thread."""
        if self._files is not None:
            self._guarded(self._files.keep, name, content)

    def _guarded(self, write: Any, *arguments: Any) -> None:
        if self._disk_error is None:
            try:
                write(*arguments)
            except OSError as error:
                self._disk_error = error

    def _open_files(self, folder: Path) -> FrameFiles:
        try:
            # Absolute: the thread that writes works in the simulation's folder.
            return FrameFiles(folder.absolute(), self._simulation.name)
        except OSError as error:
            if isinstance(error, FileExistsError) and folder.is_dir():
                raise bad_input(
                    _(
                        "--out: %(folder)s has frames of %(name)s, or a series.csv, already: "
                        "name another folder, or remove them."
                    )
                    % {"folder": folder, "name": self._simulation.name}
                ) from error
            raise bad_input(
                _("--out: cannot write to %(folder)s: %(reason)s.")
                % {"folder": folder, "reason": error.strerror}
            ) from error

    def _open_player(self, path: Path) -> Player:
        about = {
            "title": str(_(self._simulation.title)),
            "simulation": self._simulation.name,
            "lang": get_language() or "en",
            "params": self._plain_params(),
            "words": player_words(),
        }
        try:
            return Player(path.absolute(), about)
        except FileExistsError as error:
            raise bad_input(
                _("--html: %(path)s is there already: name another file, or remove it.")
                % {"path": path}
            ) from error
        except OSError as error:
            raise bad_input(
                _("--html: cannot write %(path)s: %(reason)s.")
                % {"path": path, "reason": error.strerror}
            ) from error

    def _plain_params(self) -> dict[str, Any]:
        return {name: plain(value) for name, value in self._params.items()}

    @property
    def _why(self) -> StopReason | None:
        """Why it cannot go on, if it cannot."""
        if self._disk_error is not None:
            return StopReason.DISK
        return StopReason.FRAME if self._broken_frame else None

    @property
    def has_done_nothing(self) -> bool:
        """Whether it ended by itself without a step, which its author hardly meant."""
        return self.end.state is State.FINISHED and self.end.step == 0

    @property
    def error(self) -> str | None:
        """Why it failed, if it did."""
        if self.end.error is not None:
            return f"{self.end.error}\n{self._place}" if self._place else self.end.error
        if self._broken_frame:
            return self._broken_frame
        if self._disk_error is None:
            return None
        return _("A file could not be written: %(reason)s.") % {"reason": self._disk_error}

    def as_json(self) -> dict[str, Any]:
        end = self.end
        return {
            "simulation": self._simulation.name,
            "engine": str(self._engine),
            "params": self._plain_params(),
            "state": str(end.state),
            "by": end.stop.by if end.stop else None,
            "steps": end.step,
            "frames": end.seq,
            "frames_too_large": end.frames_too_large,
            "files": self._files.frames if self._files else 0,
            "saved": dict(end.files),
            "bytes": sum(output.bytes for output in self._outputs),
            "player": None if self._html is None else str(self._html),
            "frames_left_out": self._player.left_out if self._player else 0,
            "series": [line.name for line in self._series.lines()],
            "seconds": end.elapsed_ms / 1000,
            "error": self.error,
        }

    def summary(self) -> Iterator[str]:
        """Say in a few lines what was done, and how it ended."""
        end, seconds = self.end, self.end.elapsed_ms / 1000
        yield ngettext(
            "%(name)s took %(count)s step in %(seconds)s s (%(rate)s a second): %(how)s.",
            "%(name)s took %(count)s steps in %(seconds)s s (%(rate)s a second): %(how)s.",
            end.step,
        ) % {
            "name": self._simulation.name,
            "count": f"{end.step:,}",
            "seconds": f"{seconds:,.1f}",
            "rate": f"{end.step / seconds:,.1f}" if seconds else "?",
            "how": self._how(),
        }
        if self._files is not None:
            yield _written(self._files, self._out)
            if names := [line.name for line in self._series.lines()]:
                yield f"{self._out / TABLE}: {', '.join(names)}"
        if end.files:
            yield self._saved()
        if self._player is not None:
            yield _written(self._player, self._html)
            if self._player.left_out:
                yield ngettext(
                    "%(count)s frame has no room in the player, which takes %(limit)s MB.",
                    "%(count)s frames have no room in the player, which takes %(limit)s MB.",
                    self._player.left_out,
                ) % {
                    "count": f"{self._player.left_out:,}",
                    "limit": f"{recording.MAX_PLAYER_BYTES / 1000**2:,.0f}",
                }
        if self._too_large:
            yield self._too_large

    def _saved(self) -> str:
        names = ", ".join(name for name, _size in self.end.files)
        if self._files is None:
            return _("It saved %(names)s, which are not kept without --out.") % {"names": names}
        return _("%(path)s: what it saved, %(names)s") % {"path": self._out, "names": names}

    def _how(self) -> str:
        if self.signal:
            interrupted = self.signal == signal.SIGINT
            return _("it was interrupted") if interrupted else _("it was terminated")
        if self.error is not None:
            return _("it failed")
        if self.end.state is State.FINISHED:
            return _("it ended by itself")
        return _("all steps are taken")


def player_words() -> dict[str, str]:
    """Return the words of the player's page."""
    return {
        "play": _("Play"),
        "pause": _("Pause"),
        "previous": _("Previous frame"),
        "next": _("Next frame"),
        "speed": _("Speed"),
        "step": _("Step"),
        "frame": _("Frame"),
        "parameters": _("Parameters"),
        "lines": _("Lines"),
        "logarithmic": _("Logarithmic"),
        "empty": _("This recording has no frames."),
        "broken": _("This frame is no SVG that can be shown."),
    }


def _written(output: FrameFiles | Player, path: Path) -> str:
    return ngettext(
        "%(path)s: %(count)s frame, %(bytes)s bytes",
        "%(path)s: %(count)s frames, %(bytes)s bytes",
        output.frames,
    ) % {"path": path, "count": f"{output.frames:,}", "bytes": f"{output.bytes:,}"}


def _fps(text: str) -> float:
    try:
        fps = float(text)
    except ValueError:
        fps = -1.0
    if not 0 <= fps <= 60:
        raise argparse.ArgumentTypeError(
            _("expected a number from 0 to 60, got %(text)r") % {"text": text}
        )
    return fps


@contextmanager
def _hear_signals() -> Iterator[list[int]]:
    """Note Ctrl+C and SIGTERM in a list, instead of what they do else."""
    heard: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: heard.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _failure_said_once() -> Iterator[None]:
    """Keep the worker from logging what the command says itself, with the trace."""
    worker.logger.disabled = True
    try:
        yield
    finally:
        worker.logger.disabled = False
