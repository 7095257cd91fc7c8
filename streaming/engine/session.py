"""One run of one simulation: its state machine, its stop Event and its receipt.

Whoever controls a session calls it from any thread and never waits. Whoever steps for it is
told by its board, and reports here.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from streaming.engine.board import FOREVER, MOST_STEPS, Board
from streaming.engine.errors import InvalidFrame, WrongState, shortage
from streaming.engine.events import Pointer, Waiting
from streaming.engine.frames import (
    LEAST_FRAME_BYTES,
    MOST_FRAME_BYTES,
    MOST_SVG_BYTES,
    Frame,
    to_svg,
)
from streaming.engine.output import RecentLines
from streaming.engine.params import Params, without_content
from streaming.engine.saved import SavedFiles
from streaming.engine.series import Series
from streaming.engine.simulations import Engine, Simulation
from streaming.engine.snapshot import (
    Progress,
    Receipt,
    Rung,
    Snapshot,
    State,
    StopReason,
    shortened,
    utf8,
)
from streaming.engine.traces import Place

# A picture that is due is left to the stepper for so long: a quick one comes by and has a newer.
LEFT_TO_STEPPER_S = 0.005
# Whatever a child says of when the next frame is due.
LONGEST_HOLD_S = 3600.0
# A picture that cannot be shown, or is just being written, is looked at again after so long.
HELD_RETRY_S = 0.05
# The code of a notice.
FRAME_TOO_LARGE = "frame_too_large"


class Remote(Protocol):
    """A worker whose steps are taken in another process. Both are called under the lock."""

    def ring(self) -> None:
        """Have the other process, and the thread that waits for it, look at the board."""

    def refresh(self) -> None:
        """Bring what the other process reported last."""


@dataclass(frozen=True, slots=True)
class Held:
    """A finished picture that nobody has handed over yet."""

    step: int
    svg: bytes


@dataclass(frozen=True, slots=True)
class StepInProgress:
    """A step that has not ended yet. `usual_s` is 0 while nothing is known of it."""

    number: int
    seconds: float
    usual_s: float


class Session:
    """The state of one session. Every method is safe on every thread, and none waits for long
    but `wait_for_command` and `wait_while`, which are the worker's.

    Args:
        session_id: An unguessable name.
        simulation: What it runs.
        params: The validated values.
        fps: Frames per second at most; 0 for no clock.
        on_change: Called with a Snapshot at each change of state, in the order of the changes.
            It is called under the lock: it must return at once and not call back.
        on_notice: Called with a code and a sentence for the viewers, under the same rule.
        engine: Where its steps are taken.
        most_steps: After so many it stops; 0 for no limit.
        files: What it saves; by default nothing of it is kept.
        on_plotted: Called when there are new points in the series: once, until `expect_plots`. On
            the worker's thread.
    """

    def __init__(
        self,
        session_id: str,
        simulation: Simulation,
        params: Mapping[str, Any],
        *,
        fps: float,
        on_change: Callable[[Snapshot], None],
        on_notice: Callable[[str, str], None],
        engine: Engine = Engine.THREAD,
        most_steps: int = 0,
        files: SavedFiles | None = None,
        on_plotted: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = session_id
        self.simulation = simulation
        self.engine = engine
        # What it printed last, and where in the author's code it failed.
        self.output = RecentLines()
        self.files = files or SavedFiles()
        self.place: Place | None = None
        # What it has plotted. Its worker's thread adds.
        self.series = Series()
        # Set by its worker: a frame of which more would be sent is not shown.
        self.max_frame_bytes = 0
        # Set when a finished picture may have become due, or the stop was asked for.
        self.held_news = threading.Event()
        # Set by a worker whose steps are taken in another process.
        self.remote: Remote | None = None
        self._on_change, self._on_notice = on_change, on_notice
        self._on_plotted = on_plotted
        # Whether it was said that there are new points. Set by the worker after it has added
        # them, and taken back by the reader before it reads: nothing is missed.
        self._has_said_plotted = False
        self._stop_requested = threading.Event()
        # Guards everything below, the board's session side too; the worker sleeps on it, and
        # each command wakes it.
        self._condition = threading.Condition()
        self.board = Board()
        self.board.set_up(fps=fps, most_steps=most_steps)
        self.params_revision = self.board.params_revision = 1
        self._state = State.QUEUED
        self._revision = 0
        self._params = dict(params)
        # Here and on the board: what is told of a session is not what a child may have written.
        self._fps = fps
        self._steps_per_second = simulation.steps_per_second
        self.board.steps_per_second = simulation.steps_per_second or 0
        self._frame: Frame | None = None
        # Whether the stepper says so when it leaves a picture on the board: once after each frame
        # that it has handed over itself.
        self._will_say_held = True
        # Whether it has, since that frame.
        self._has_said_held = False
        self._frames_too_large = 0
        # Of the newest of these: its size, how much of it would be sent, and the limit of that.
        self._rejected = (0, 0, 0)
        self._files_not_kept = 0
        # Whether the viewers know that a part of a figure is drawn as pixels.
        self._has_pixels = False
        self._progress: Progress | None = None
        self._description: str | None = None
        self._error: str | None = None
        self._traceback: str | None = None
        self._receipt: Receipt | None = None
        # Whether the simulation asks for what the driver does on the picture.
        self._takes_input = False
        self._events = Waiting()
        self._stop_requested_at = 0.0
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._paused_at = 0.0
        self._paused_s = 0.0

    # What anybody may ask.

    @property
    def state(self) -> State:
        return self._state

    @property
    def frame(self) -> Frame | None:
        """The newest frame; after a stop was asked for it stays what it is."""
        return self._frame

    @property
    def stop_requested(self) -> bool:
        return self._stop_requested.is_set()

    @property
    def stop_waited(self) -> float:
        """The seconds since the stop was asked for."""
        return time.monotonic() - self._stop_requested_at

    @property
    def pause_requested(self) -> bool:
        """Whether it is paused, or will be after the step in progress."""
        with self._condition:
            return self._must_pause()

    def snapshot(self) -> Snapshot:
        with self._condition:
            return self._snapshot()

    def step_in_progress(self) -> StepInProgress | None:
        """Return the step that is being taken, or None between steps and while paused."""
        with self._condition:
            taken, began = self._place()
            if self._state not in (State.RUNNING, State.STOPPING, State.STUCK) or not began > 0:
                return None
            now = self.board.held_since or time.monotonic()
            seconds = max(0.0, now - self.board.held_s - began)
            return StepInProgress(taken + 1, seconds, self.board.usual_s)

    def step_seconds(self) -> float:
        """Return how long a step takes now: the last ones on average, or the one in progress if
        that is longer. 0 while nothing is known of either."""
        with self._condition:
            step = self.step_in_progress()
            # A child that has run wild may have written anything, but not run for longer than this.
            return min(self._elapsed(), max(self.board.usual_s, step.seconds if step else 0.0))

    # What a controller may do.

    def request_stop(self, by: StopReason) -> bool:
        """Ask the worker to end; True if that is news. Frames that come later are discarded."""
        with self._condition:
            if self._state.ended or self._stop_requested.is_set():
                return False
            # What is finished by now is shown, and nothing later.
            self.keep_held()
            self._stop_requested_at = time.monotonic()
            # Before the look at the step in progress: another would begin in between.
            self.board.stop = 1
            taken, began = self._place()
            self._receipt = Receipt(by, how=None, after_ms=None, step=taken + (began > 0))
            self._stop_requested.set()
            self.held_news.set()
            if self._state is State.QUEUED:  # There is no worker that would end it.
                self._end_stopped(Rung.FLAG)
            else:
                self._change(State.STOPPING)
            self._tell()
            return True

    def pause(self) -> None:
        """Ask for a pause after the step in progress."""
        with self._condition:
            self._refuse_if_ending("paused")
            self.board.until = 0
            self._tell()

    def resume(self) -> None:
        with self._condition:
            self._refuse_if_ending("resumed")
            self.board.until = FOREVER
            if self._state is State.PAUSED:
                self._change(State.RUNNING)
            self._tell()

    def take_steps(self, count: int) -> None:
        """Take that many steps, then be paused again."""
        with self._condition:
            self._refuse_if_ending("stepped")
            is_stepping = self._taken() < self.board.until < FOREVER
            if self._state is not State.PAUSED and not is_stepping:
                raise WrongState(
                    f"single steps need a paused session, and this one is {self._state}: "
                    "pause it first"
                )
            self.board.until = count + (self.board.until if is_stepping else self._taken())
            if self._state is State.PAUSED:
                self._change(State.RUNNING)
            self._tell()

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Swap validated values in; they hold from the next step on."""
        with self._condition:
            self._refuse_if_ending("changed")
            if self._params == {**self._params, **params}:
                return
            self._params = {**self._params, **params}
            self._revision += 1
            self.params_revision += 1
            if self.remote is None:
                self.board.params_revision = self.params_revision
            else:
                self.remote.ring()

    def point(self, event: Pointer) -> None:
        """Take what the driver did on the picture, if the simulation asks for that."""
        with self._condition:
            if self._takes_input and not self._state.ended and not self._stop_requested.is_set():
                self.board.write_events(self._events.add(event, self.board.events_taken))

    def set_fps(self, fps: float) -> None:
        with self._condition:
            self._refuse_if_ending("changed")
            self._fps = self.board.fps = fps
            self._revision += 1

    def set_step_rate(self, per_second: float | None) -> None:
        with self._condition:
            self._refuse_if_ending("changed")
            self._steps_per_second = per_second
            self._revision += 1
            self.board.steps_per_second = per_second or 0
            self._tell()

    def set_demand(self, *, frames: bool, deflate: bool, watched: bool | None = None) -> None:
        """Say whether a viewer can take a frame now, and whether any takes deflated ones.

        Args:
            watched: Whether anybody would see a frame, perhaps later; None is the same as `frames`.
        """
        with self._condition:
            board = self.board
            is_news = frames and not board.frames_wanted
            board.frames_wanted, board.deflate_wanted = frames, deflate
            board.watched = frames if watched is None else watched
            if is_news and self.held_delay() is not None:
                self.note_held()

    def fail(self, sentence: str, traceback: str | None = None, place: Place | None = None) -> None:
        """End a session that could not be started, or whose worker failed."""
        with self._condition:
            if self._state.ended:
                return
            self._error = utf8(sentence)
            self._traceback = None if traceback is None else utf8(traceback)
            self.place = place
            self._end(State.FAILED)

    def mark_stuck(self, stack: str) -> None:
        """Give up waiting for a worker that does not end; keep the stack of its thread."""
        with self._condition:
            if self._state is not State.STOPPING or self._receipt is None:
                return
            self._traceback = stack
            self._error = (
                f"The step in progress (step {self._receipt.step}) does not end. "
                "A thread cannot be killed; it holds its place until it returns."
            )
            self._end(State.STUCK)

    def lose(self, sentence: str) -> None:
        """Give the session up, since another has taken it for lost. Its worker ends unheard."""
        with self._condition:
            if self._state.is_over:
                return
            if not self._stop_requested.is_set():
                self._stop_requested_at = time.monotonic()
                self._stop_requested.set()
                self.board.stop = 1
                self.held_news.set()
            self._receipt, self._traceback, self._error = None, None, sentence
            self._end(State.LOST)
            self._tell()

    # What the worker asks and reports.

    def leave_queue(self) -> bool:
        """Be about to start; False when it was stopped in the queue."""
        with self._condition:
            if self._state is not State.QUEUED:
                return False
            self._change(State.STARTING)
            return True

    def begin(self) -> None:
        with self._condition:
            is_about_to = self._state in (State.QUEUED, State.STARTING)
            if is_about_to and not self._stop_requested.is_set():
                self._started_at = time.monotonic()
                self._change(State.RUNNING)

    def connect(self, remote: Remote, board: Board) -> None:
        """Have the steps taken elsewhere, told by a board that is shared with there."""
        with self._condition:
            revision = board.params_revision
            board.copy_from(self.board)
            board.params_revision = revision
            self.remote, self.board = remote, board

    def disconnect(self) -> None:
        """Keep what the shared board says last, and let go of it."""
        with self._condition:
            if self.remote is not None:
                try:
                    self.remote.refresh()
                finally:
                    board = Board()
                    board.copy_from(self.board)
                    self.remote, self.board = None, board

    def current_params(self) -> Params:
        with self._condition:
            return Params(**self._params)

    def note_paused(self) -> bool:
        """Be paused, unless something else was asked for since; True if it is news."""
        with self._condition:
            if self._state is not State.RUNNING or not self._must_pause():
                return False
            self._change(State.PAUSED)
            return True

    def keep_frame(self, svg: bytes, deflated: bytes | None, step: int) -> Frame | None:
        """Make the newest frame; None after a stop was asked for, and for a step that is not later
        than that of the newest."""
        with self._condition:
            seq, newest = (self._frame.seq, self._frame.step) if self._frame else (0, 0)
            if self._stop_requested.is_set() or step <= newest:
                return None
            self._frame = Frame(seq + 1, step, svg, deflated)
            self._will_say_held, self._has_said_held = True, False
            self.board.shown_at = self._steps_clock()
            self.board.shown = step
            return self._frame

    def keep_held(self) -> Frame | None:
        """Make the finished picture that nobody has handed over yet the newest frame, now; None if
        there is none. Nothing is compressed, so that one which has to be stays where it is. On any
        thread."""
        with self._condition:
            held = None if self._stop_requested.is_set() else self.held()
            if held is None or len(held.svg) > self.max_frame_bytes:
                return None
            frame = self.keep_frame(held.svg, None, held.step)
            self._will_say_held = False
            return frame

    def held(self) -> Held | None:
        """Return the finished picture that nobody has handed over yet, if there is one."""
        with self._condition:
            found = self.board.read_held()
        if found is None or found[0] <= (self._frame.step if self._frame else 0):
            return None
        try:
            svg = to_svg(found[1])
        except InvalidFrame:
            # The stepper says so when it is due there: it fails the session.
            return None
        return Held(found[0], svg) if len(svg) <= MOST_SVG_BYTES else None

    def hand_held_over(self, publish: Callable[[Held], None]) -> float | None:
        """Publish the finished picture if it is due, for whoever does that beside the stepper.

        Returns:
            The seconds after which to look again, or None for when there is news.
        """
        delay = self.held_delay()
        if delay != 0:
            return delay
        held = self.held()
        if held is None:
            return HELD_RETRY_S
        publish(held)
        self._will_say_held = False
        return None

    def held_delay(self) -> float | None:
        """Return the seconds until a finished picture may be handed over by somebody else than the
        stepper; None while there is none, which will be said, and while nobody can take it."""
        with self._condition:
            board = self.board
            if not board.frames_wanted or self._stop_requested.is_set():
                return None
            step = board.read_held_step()
            is_newer = step > (self._frame.step if self._frame else 0)
            # One that was said, and is not there, is being written over just now: of the next one
            # nothing is said.
            is_written = not step and (self._has_said_held or not self._will_say_held)
            if self._will_say_held and not (is_newer or is_written):
                return None
            due_in = board.due_at + LEFT_TO_STEPPER_S - self._steps_clock()
            if due_in > 0:
                # Whatever a child has written there: no clock waits for longer.
                return min(due_in, LONGEST_HOLD_S)
            if is_written:
                return HELD_RETRY_S
            return 0.0 if is_newer else None

    def note_said_held(self) -> None:
        """Note that the stepper has said that there is a finished picture."""
        with self._condition:
            self._has_said_held = True

    def note_held(self) -> None:
        """Have whoever hands finished pictures over look for one. On any thread."""
        with self._condition:
            self.held_news.set()
            if self.remote is not None:
                self.remote.ring()

    def reject_frame(self, size: int, sent: int, limit: int) -> None:
        """Count a frame that is over the limit and not shown.

        Args:
            size: The SVG's length in bytes.
            sent: How many of them would go over the wire, of which there may be `limit`.
        """
        with self._condition:
            self._frames_too_large += 1
            self._rejected = (size, sent, limit)
            self._revision += 1
            # Said at the 1st, 2nd, 4th, 8th…: a notice for each would be a flood of its own.
            if self._frames_too_large.bit_count() == 1:
                self._on_notice(FRAME_TOO_LARGE, self.too_large)

    @property
    def too_large(self) -> str:
        """What there is to say of the frames that were over a limit; "" if none was."""
        count = self._frames_too_large
        return _of_large_frame(*self._rejected, count) if count else ""

    def note_pixels(self, vector_bytes: int) -> None:
        """Tell the viewers, once, that a part of a figure is drawn as pixels."""
        with self._condition:
            if not self._has_pixels:
                self._has_pixels = True
                self._on_notice(
                    "pixels",
                    "matplotlib draws the heaviest part of this picture as pixels: as lines and "
                    f"areas it would take {vector_bytes:,} bytes. To choose yourself, draw what "
                    "should be pixels with rasterized=True, or yield the text of savefig().",
                )

    def report_progress(self, progress: Progress | None) -> None:
        with self._condition:
            if progress != self._progress:
                self._progress = progress
                self._revision += 1

    def report_description(self, text: str | None) -> None:
        description = None if text is None else shortened(text)
        with self._condition:
            if description != self._description:
                self._description = description
                self._revision += 1

    def save(self, name: str, content: bytes) -> None:
        """Save a file; the viewers are told if it cannot be kept. On the thread that saves.

        Raises:
            ValueError: If it may not be saved.
        """
        self._saving(name, partial(self.files.save, name, content))

    def save_part(self, name: str, part: bytes, *, is_last: bool) -> None:
        """Take the next part of a file, and save it once it is whole, as `save` does."""
        self._saving(name, partial(self.files.take, name, part, is_last=is_last))

    def _saving(self, name: str, save: Callable[[], None]) -> None:
        try:
            save()  # Not under the lock: a disk may be slow.
            failed = ""
        except OSError as error:
            failed = f"The file {name} could not be kept: {shortage(error)}."
        with self._condition:
            self._revision += 1
            self._files_not_kept += bool(failed)
            # Said at the 1st, 2nd, 4th, 8th…, as of frames that are too large.
            if failed and self._files_not_kept.bit_count() == 1:
                self._on_notice("file_not_kept", failed)

    def plot(self, step: int, row: Mapping[str, float]) -> None:
        """Add what a step has plotted. On the worker's thread."""
        self.series.add(step, row)
        if not self._has_said_plotted:
            self._has_said_plotted = True
            self._on_plotted()

    def expect_plots(self) -> None:
        """Have the next new points told. Called before the series is read, on any thread."""
        self._has_said_plotted = False

    def note_input(self) -> None:
        """Note that the simulation asks for what the driver does on the picture, and tell it."""
        with self._condition:
            if self._state is State.RUNNING and not self._takes_input:
                self._takes_input = True
                self._change(self._state)

    def notify(self, code: str, sentence: str) -> None:
        """Tell the viewers something that is no error of theirs."""
        with self._condition:
            self._on_notice(code, sentence)

    def wait_for_command(self, seen: float, seconds: float) -> None:
        """Wait that long, but not once `board.commands` is no longer what was seen."""
        with self._condition:
            self._condition.wait_for(lambda: self.board.commands != seen, seconds)

    def wait_while(self, busy: Callable[[], bool]) -> None:
        """Wait until `busy` is over, which `wake` announces, or stop was asked for."""
        with self._condition:
            self._condition.wait_for(lambda: self._stop_requested.is_set() or not busy())

    def wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def finish(self, how: Rung = Rung.FLAG) -> None:
        """Note that the worker is done: stopped if that was asked for, else finished."""
        with self._condition:
            if self._state is State.LOST:
                return
            if self._stop_requested.is_set():
                self._end_stopped(how)
            elif not self._state.ended:
                self._end(State.FINISHED)

    # With the lock held.

    def _place(self) -> tuple[int, float]:
        """Return how many steps were taken, and when the next one began: 0 between steps."""
        began = self.board.began
        taken = self._taken()
        # The stepper goes on meanwhile: what it began before may be what it has taken since.
        return taken, began if self.board.began == began else 0.0

    def _taken(self) -> int:
        """The steps taken; a child that has run wild may have written anything."""
        taken = self.board.taken
        return int(taken) if 0 <= taken < MOST_STEPS else 0

    def _steps_clock(self) -> float:
        """The time on the clock of the steps, which stands still while a child is held."""
        return time.monotonic() - self.board.held_s

    def _must_pause(self) -> bool:
        return self.board.taken >= self.board.until

    def _tell(self) -> None:
        """Have the stepper, wherever it is, look at the board."""
        self.board.commands += 1
        self._condition.notify_all()
        if self.remote is not None:
            self.remote.ring()

    def _refuse_if_ending(self, participle: str) -> None:
        if self._state.ended or self._stop_requested.is_set():
            raise WrongState(f"the session is {self._state} and can no longer be {participle}")

    def _end_stopped(self, how: Rung) -> None:
        if self._receipt is not None:
            after_ms = round(self.stop_waited * 1000)
            self._receipt = replace(self._receipt, how=how, after_ms=after_ms)
        # A stuck thread that ended after all is stopped like any other.
        self._error = self._traceback = None
        self._end(State.STOPPED)

    def _end(self, state: State) -> None:
        self._ended_at = time.monotonic()
        if state.is_over:
            # It is kept for an hour, and nobody reads its files any more.
            self._params = {name: without_content(value) for name, value in self._params.items()}
        self._change(state)
        self._condition.notify_all()

    def _change(self, state: State) -> None:
        if self._state is State.PAUSED:
            self._paused_s += time.monotonic() - self._paused_at
        if state is State.PAUSED:
            self._paused_at = time.monotonic()
        self._state = state
        self._revision += 1
        self._on_change(self._snapshot())

    def _elapsed(self) -> float:
        """The seconds since the first step began, without those spent paused."""
        if self._started_at is None:
            return 0.0
        paused = self._state is State.PAUSED
        end = self._paused_at if paused else self._ended_at or time.monotonic()
        return end - self._started_at - self._paused_s

    def _snapshot(self) -> Snapshot:
        if self.remote is not None:
            self.remote.refresh()
        return Snapshot(
            id=self.id,
            revision=self._revision,
            simulation=self.simulation.name,
            title=self.simulation.title,
            engine=self.engine,
            state=self._state,
            params=self._params,
            step=self._taken(),
            seq=self._frame.seq if self._frame else 0,
            frame_step=self._frame.step if self._frame else 0,
            frames_too_large=self._frames_too_large,
            fps=self._fps,
            steps_per_second=self._steps_per_second,
            progress=self._progress,
            description=self._description,
            takes_input=self._takes_input,
            printed=self.output.count,
            files=tuple(self.files.sizes.items()),
            elapsed_ms=round(self._elapsed() * 1000),
            stop=self._receipt,
            error=self._error,
            traceback=self._traceback,
        )


def _of_large_frame(size: int, sent: int, limit: int, count: int) -> str:
    """Say that a frame is too large, how often that was so, and what to do."""
    if size > MOST_SVG_BYTES:
        return (
            f"A frame of {size:,} bytes was not sent: an SVG may have {MOST_SVG_BYTES:,} at most "
            f"({count} so far). Draw less detail, or round coordinates."
        )
    compressed = f" (compressed {sent:,})" if sent < size else ""
    return (
        f"A frame of {size:,} bytes{compressed} was not sent: the limit of what is sent is "
        f"{limit:,} ({count} so far). Draw less detail, round coordinates, or set "
        f"LIVESTEP_MAX_FRAME_BYTES, "
        f"a number from {LEAST_FRAME_BYTES:,} to {MOST_FRAME_BYTES:,}."
    )
