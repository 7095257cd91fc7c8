"""Takes a simulation's steps: the same code on a worker thread and in a child process.

What differs between the two is behind `Host`; what both are told is on the board.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from streaming.engine.context import Context
from streaming.engine.errors import InvalidFrame, StopRequested
from streaming.engine.events import Pointer
from streaming.engine.figures import vector_bytes
from streaming.engine.frames import MOST_SVG_BYTES, Drawable, deflate_for, sent_bytes, to_svg
from streaming.engine.host import Host
from streaming.engine.pacing import FrameClock, StepRate
from streaming.engine.simulations import Simulation
from streaming.engine.stopping import AuthorCode
from streaming.engine.traces import Place, place_of, trace_of
from streaming.engine.warming import is_cold, warm_up

# A step rate, or an author, may ask for more than a lock can wait; it waits again.
LONGEST_WAIT_S = 3600.0
# How much the newest step counts in what is usual.
NEWEST_STEP = 0.1

# In characters. JSON may take 12 bytes for each, and a pipe's header has 256 KB.
MAX_ERROR = 500
MAX_TRACEBACK = 20_000

# A lazy frame that is not due is drawn all the same, lest it is missing while the next step takes
# long: until that has cost so much of the longest step lately, and so much at the beginning, when
# nothing is known of the steps yet.
SPARED_SHARE, SPARED_AT_FIRST_S = 0.1, 0.05
# How often one that waits for its viewer looks whether that can take the next picture.
LOOK_AT_VIEWER_S = 0.01
# A step that takes no longer than that, or than the time between two frames, is not long.
LONG_STEP_S = 0.05

# As Python says it of an input that has ended.
NO_INPUT = "EOF when reading a line"
# Frames that need nobody to draw them.
PLAIN = (str, bytes)
# Stands for "nothing": None may be what an author gave, and is then an error to be named.
NOTHING = object()


class Turn(Enum):
    """What comes next."""

    STEP = auto()
    PAUSE = auto()
    STOP = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the steps ended. `error` is a sentence for everybody, `traceback` for staff: both are
    cut to a length that every log, row and pipe can take, whatever an exception says."""

    error: str | None = None
    traceback: str | None = None
    interrupted: bool = False
    place: Place | None = None

    def __post_init__(self) -> None:
        if self.error is not None:
            object.__setattr__(self, "error", self.error[:MAX_ERROR])
        if self.traceback is not None:
            object.__setattr__(self, "traceback", _without_middle(self.traceback))


class Stepper:
    """The loop: waits for its turn, takes a step, draws when a frame is due."""

    def __init__(
        self,
        simulation: Simulation,
        host: Host,
        author: AuthorCode,
        *,
        max_frame_bytes: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._simulation, self._host, self._author = simulation, host, author
        self._board = host.board
        self._max_frame_bytes = max_frame_bytes
        self._now = now
        self._clock = FrameClock(self._board.fps)
        self._rate = StepRate()
        self._context = Context(self, host, author)
        self._context.folder = simulation.folder
        self._params_revision = 0.0
        # Where the author's code failed, as long as its generator waits there.
        self._failed_at: Place | None = None
        # What the last step gave, until it is handed over.
        self._undrawn: Drawable = NOTHING
        # How large a figure would be without the pixels in it, as it was said.
        self._figure_bytes = 0
        # Whether it was said that a picture lies on the board, since the last one was handed over.
        self._has_noted_held = False
        # Whether it was said that the simulation asks for events.
        self._has_noted_input = False
        # The step of the last frame that went out, whoever handed it over.
        self._shown = 0.0
        # The seconds that may still be spent on drawing lazy frames that are not due.
        self._spared_s = SPARED_AT_FIRST_S

    def run(self) -> Outcome:
        """Take every step, and say how it ended. Nothing that author code raises gets out."""
        outcome = self._guarded(self._take_steps)
        # The newest picture is out before anybody is told of the end.
        drawn = self._guarded(self._draw)
        # A lazy frame holds the simulation's whole state.
        self._undrawn = NOTHING
        return outcome if outcome.error else drawn

    def _guarded(self, code: Callable[[], None]) -> Outcome:
        try:
            code()
        except StopRequested:
            pass
        except BaseException as error:  # noqa: BLE001
            # The top of a thread or a process: SystemExit, too, ends here.
            sentence = _sentence(error, int(self._board.taken))
            place = self._failed_at or place_of(error, self._simulation.target)
            return Outcome(sentence, trace_of(error), self._author.interrupted, place)
        finally:
            self._board.began = 0
        return Outcome(interrupted=self._author.interrupted)

    @property
    def stop_requested(self) -> bool:
        return bool(self._board.stop)

    def frame_due(self) -> bool:
        board, clock = self._board, self._clock
        if not board.frames_wanted:
            return False
        if clock.fps != board.fps:
            # A rate that was just raised must not wait for a date that the slow one set.
            clock = self._clock = FrameClock(board.fps)
        if not clock.due(self._now()):
            return False
        if board.shown > self._shown:
            # Somebody else handed one over since.
            self._note_shown(board.shown, board.shown_at)
            return clock.due(self._now())
        return True

    def sleep(self, seconds: float) -> None:
        """Sleep on the step's own clock, but raise StopRequested at once when that is asked for."""
        end = self._now() + seconds
        while True:
            seen = self._board.commands
            if self._board.stop:
                raise StopRequested
            left = end - self._now()
            if left <= 0:
                return
            self._host.wait(seen, min(left, LONGEST_WAIT_S))

    def events(self) -> list[Pointer]:
        """Return what the driver did on the picture since this was asked last."""
        if not self._has_noted_input:
            self._has_noted_input = True
            self._host.note_input()
        taken = self._board.events_taken
        if self._board.events_given == taken:
            return []
        waiting = [each for each in self._board.read_events() if each[0] > taken]
        if waiting:
            self._board.events_taken = waiting[-1][0]
        return [event for _, event in waiting]

    def _take_steps(self) -> None:
        self._host.began()
        if is_cold(self._simulation):
            self._author(warm_up, self._simulation)
        steps = self._simulation.steps(self._context)
        try:
            while (turn := self._next_turn()) is not Turn.STOP:
                if turn is Turn.PAUSE:
                    self._hold()
                elif not self._take_step(steps):
                    return
        except Exception as error:
            self._failed_at = place_of(error, self._simulation.target, steps)
            raise
        finally:
            # A generator's own `finally` is author code, too.
            self._author(steps.close)  # type: ignore[attr-defined]  # they are all generators

    def _next_turn(self) -> Turn:
        """Wait until the step rate allows a step, and say what to do now."""
        board = self._board
        while True:
            seen = board.commands
            if board.stop:
                return Turn.STOP
            taken = board.taken
            if taken >= board.until:
                return Turn.PAUSE
            if taken >= board.most_steps:
                self._draw()
                self._host.reached_most_steps()
                self._host.wait(seen, LONGEST_WAIT_S)
                continue
            if self._waits_for_viewer():
                self._host.wait(seen, LOOK_AT_VIEWER_S)
                continue
            self._rate.per_second = board.steps_per_second or None
            delay = self._rate.delay(self._now())
            if not delay:
                if self._host.take_turn():
                    return Turn.STEP
                continue
            if board.watched and delay > self._clock.interval:
                self._draw()  # There is time for it.
            self._host.wait(seen, min(delay, LONGEST_WAIT_S))

    def _waits_for_viewer(self) -> bool:
        """Whether the last step's picture has to be shown before the next step; shows it once that
        is due."""
        board = self._board
        if not self._simulation.every_frame or not board.watched or board.shown >= board.taken:
            return False
        if self.frame_due():
            self._draw()
            return False
        return self._undrawn is not NOTHING

    def _hold(self) -> None:
        """Be paused until something is asked for."""
        self._draw()
        seen = self._board.commands
        if self._board.taken >= self._board.until and not self._board.stop:
            self._host.paused()
            self._host.wait(seen, LONGEST_WAIT_S)

    def _take_step(self, steps: Iterator[Drawable]) -> bool:
        """Take one step and show what it gave; False when the simulation has ended."""
        board = self._board
        self._swap_params()
        number = board.taken + 1
        began = board.began = self._now()
        self._rate.took(began)
        try:
            self._undrawn = self._author(next, steps)
            # At once: a stop that comes in between would name the step before.
            board.began, board.taken = 0, number
        except StopIteration:
            return False
        finally:
            board.began = 0
            # Of a step that failed, too.
            if self._context.plots.row:
                self._host.plot(int(number), self._context.plots.take())
        self._note_duration(self._now() - began, number)
        self._show(number)
        return True

    def _swap_params(self) -> None:
        revision = self._board.params_revision
        if revision != self._params_revision and (params := self._host.params()) is not None:
            self._params_revision = revision
            self._context.params = params

    def _note_duration(self, seconds: float, taken: float) -> None:
        usual_s = self._board.usual_s
        # The mean of the first few, then one that follows the newest.
        self._board.usual_s = usual_s + (seconds - usual_s) * max(NEWEST_STEP, 1 / taken)
        if seconds > LONG_STEP_S and seconds > self._clock.interval:
            self._spared_s = max(self._spared_s, SPARED_SHARE * seconds)

    def _show(self, step: float) -> None:
        """Hand over what the step gave, or leave it on the board until it is due."""
        if self.frame_due():
            self._draw()
            return
        if not isinstance(self._undrawn, PLAIN):
            if self._spared_s <= 0 or not self._board.watched or self._board.stop:
                return
            self._draw_early()
            if self.frame_due():
                self._draw()
                return
        self._board.hold(int(step), self._undrawn)
        if not self._has_noted_held:
            self._has_noted_held = True
            self._host.note_held()

    def _draw_early(self) -> None:
        began = self._now()
        drawable, self._undrawn = self._undrawn, NOTHING
        self._undrawn = self._author(to_svg, drawable)
        self._spared_s -= self._now() - began

    def _draw(self) -> None:
        """Hand over what the last step gave, unless that was done or nobody may see it any more."""
        if self._undrawn is NOTHING or self._board.stop:
            return
        drawable, self._undrawn = self._undrawn, NOTHING
        step = self._board.taken
        if self._board.shown >= step:
            return
        svg = self._author(to_svg, drawable)
        self._note_shown(step, self._now())
        if self._figure_bytes != (size := vector_bytes()):
            self._figure_bytes = size
            self._host.note_pixels(size)
        most = self._max_frame_bytes
        deflated = deflate_for(svg, most, wanted=bool(self._board.deflate_wanted))
        sent = sent_bytes(svg, deflated)
        if len(svg) > MOST_SVG_BYTES or sent > most:
            self._host.reject_frame(len(svg), sent)
        else:
            self._host.give_frame(svg, deflated)

    def _note_shown(self, step: float, at: float) -> None:
        self._shown = step
        self._has_noted_held = False
        self._clock.took(at)
        self._board.due_at = self._clock.due_at


def _sentence(error: BaseException, steps_taken: int) -> str:
    """Say for everybody what went wrong; the traceback is for staff and the log."""
    try:
        what = str(error)
    except Exception:  # noqa: BLE001  # Author code, too: it may fail to say what it is.
        what = "it cannot say why"
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({what}); a simulation ends with `return`"
    elif isinstance(error, EOFError) and what == NO_INPUT:
        what = "it called input(), and nobody is at a keyboard here; ask with a parameter"
    elif type(error).__name__ == "BdbQuit":
        what = "it has a breakpoint(), and there is no debugger here"
    elif not isinstance(error, InvalidFrame):
        what = f"{type(error).__name__}: {what}".removesuffix(": ")
    when = f"after step {steps_taken}" if steps_taken else "before its first step ended"
    return f"The simulation failed {when}: {what[:MAX_ERROR]}"


def _without_middle(text: str) -> str:
    """Keep both ends of a text: where an error came from, and what it was."""
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2 - 50
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"
