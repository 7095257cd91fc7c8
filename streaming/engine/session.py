"""One run of one simulation: its state machine, its stop Event and its receipt.

Whoever controls a session calls it from any thread and never waits; its worker asks it, on
the worker's own thread, what to do next.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from streaming.engine.errors import WrongState
from streaming.engine.frames import Frame
from streaming.engine.pacing import FrameClock, StepRate
from streaming.engine.params import Params
from streaming.engine.simulations import Engine, Simulation
from streaming.engine.snapshot import Progress, Receipt, Snapshot, State

MAX_TEXT = 1000
# A step rate may ask for more than a lock can wait; it waits again.
LONGEST_WAIT_S = 3600.0


class Turn(Enum):
    """What the worker does next."""

    STEP = auto()
    PAUSE = auto()
    STOP = auto()


class Session:
    """The state of one session. Every method is safe on every thread, and none waits for long
    but `next_turn`, `hold` and `wait_for_stop`, which are the worker's.

    Args:
        session_id: An unguessable name.
        simulation: What it runs.
        params: The validated values.
        fps: Frames per second at most; 0 for no clock.
        on_change: Called with a Snapshot at each change of state, in the order of the changes.
            It is called under the lock: it must return at once and not call back.
        on_notice: Called with a code and a sentence for the viewers, under the same rule.
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
    ) -> None:
        self.id = session_id
        self.simulation = simulation
        # The engine that it really runs on.
        self.engine = Engine.THREAD
        self._on_change, self._on_notice = on_change, on_notice
        self._stop_requested = threading.Event()
        # Guards everything below; the worker sleeps on it, and each command wakes it.
        self._condition = threading.Condition()
        self._state = State.QUEUED
        self._revision = 0
        self._params = dict(params)
        self._paused = False
        # Steps that may be taken although it is paused.
        self._granted_steps = 0
        self._clock = FrameClock(fps)
        self._rate = StepRate()
        self._step = 0
        self._stepping = False
        self._frame: Frame | None = None
        self._frames_too_large = 0
        self._progress: Progress | None = None
        self._description: str | None = None
        self._error: str | None = None
        self._traceback: str | None = None
        self._receipt: Receipt | None = None
        self._stop_requested_at = 0.0
        self._started_at: float | None = None
        self._ended_at: float | None = None
        # Written by the event loop, read by the worker: single values, so no lock.
        self._frames_wanted = False
        self._deflate_wanted = False

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
    def pause_requested(self) -> bool:
        """Whether it is paused, or will be after the step in progress."""
        return self._paused

    def snapshot(self) -> Snapshot:
        with self._condition:
            return self._snapshot()

    # What a controller may do.

    def request_stop(self, by: str) -> bool:
        """Ask the worker to end; True if that is news. Frames that come later are discarded."""
        with self._condition:
            if self._state.ended or self._stop_requested.is_set():
                return False
            self._stop_requested_at = time.monotonic()
            during = self._step + 1 if self._stepping else self._step
            self._receipt = Receipt(by, how=None, after_ms=None, step=during)
            self._stop_requested.set()
            if self._state is State.QUEUED:  # There is no worker that would end it.
                self._end_stopped()
            else:
                self._change(State.STOPPING)
            self._condition.notify_all()
            return True

    def pause(self) -> None:
        """Ask for a pause after the step in progress."""
        with self._condition:
            self._refuse_if_ending("paused")
            self._paused = True
            self._granted_steps = 0
            self._condition.notify_all()

    def resume(self) -> None:
        with self._condition:
            self._refuse_if_ending("resumed")
            self._paused = False
            self._granted_steps = 0
            if self._state is State.PAUSED:
                self._change(State.RUNNING)
            self._condition.notify_all()

    def take_steps(self, count: int) -> None:
        """Take that many steps, then be paused again."""
        with self._condition:
            self._refuse_if_ending("stepped")
            if self._state is not State.PAUSED and not (self._paused and self._granted_steps):
                raise WrongState(
                    f"single steps need a paused session, and this one is {self._state}: "
                    "pause it first"
                )
            self._granted_steps += count
            if self._state is State.PAUSED:
                self._change(State.RUNNING)
            self._condition.notify_all()

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Swap validated values in; they hold from the next step on."""
        with self._condition:
            self._refuse_if_ending("changed")
            self._params = {**self._params, **params}

    def set_fps(self, fps: float) -> None:
        with self._condition:
            self._refuse_if_ending("changed")
            self._clock.fps = fps

    def set_step_rate(self, per_second: float | None) -> None:
        with self._condition:
            self._refuse_if_ending("changed")
            self._rate.per_second = per_second
            self._condition.notify_all()

    def set_demand(self, *, frames: bool, deflate: bool) -> None:
        """Say whether a viewer can take a frame now, and whether any takes deflated ones."""
        self._frames_wanted, self._deflate_wanted = frames, deflate

    def fail(self, sentence: str, traceback: str | None = None) -> None:
        """End a session that could not be started, or whose worker failed."""
        with self._condition:
            if self._state.ended:
                return
            self._error = utf8(sentence)
            self._traceback = None if traceback is None else utf8(traceback)
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
            if not self._stop_requested.is_set():
                self._started_at = time.monotonic()
                self._change(State.RUNNING)

    def next_turn(self) -> Turn:
        """Wait until the step rate allows a step, and say what to do now."""
        with self._condition:
            while True:
                if self._stop_requested.is_set():
                    return Turn.STOP
                if self._paused and not self._granted_steps:
                    return Turn.PAUSE
                delay = self._rate.delay(time.monotonic())
                if not delay:
                    return Turn.STEP
                self._condition.wait(min(delay, LONGEST_WAIT_S))

    def hold(self) -> None:
        """Be paused until resumed, stepped or stopped."""
        with self._condition:
            if self._paused and not self._granted_steps and not self._stop_requested.is_set():
                self._change(State.PAUSED)
            while self._state is State.PAUSED:
                self._condition.wait()

    def begin_step(self) -> Params:
        """Note that a step begins, and return the parameters it is to use."""
        with self._condition:
            self._stepping = True
            self._rate.took(time.monotonic())
            return Params(**self._params)

    def end_step(self, *, taken: bool) -> None:
        """Note that a step is over; it was not `taken` when it only said that no more come."""
        with self._condition:
            self._stepping = False
            if taken:
                self._step += 1
                self._granted_steps = max(0, self._granted_steps - 1)

    def frame_due(self) -> bool:
        return self._frames_wanted and self._clock.due(time.monotonic())

    @property
    def deflate_wanted(self) -> bool:
        return self._deflate_wanted

    def keep_frame(self, svg: bytes, deflated: bytes | None) -> Frame | None:
        """Make the newest frame; None after a stop was asked for."""
        with self._condition:
            if self._stop_requested.is_set():
                return None
            seq = self._frame.seq + 1 if self._frame else 1
            self._frame = Frame(seq, self._step, svg, deflated)
            self._clock.took(time.monotonic())
            return self._frame

    def reject_frame(self, size: int, limit: int) -> None:
        """Count a frame that is over the limit and not shown."""
        with self._condition:
            self._clock.took(time.monotonic())
            self._frames_too_large += 1
            # Said at the 1st, 2nd, 4th, 8th…: a notice for each would be a flood of its own.
            if self._frames_too_large.bit_count() == 1:
                self._on_notice(
                    "frame_too_large",
                    f"A frame of {size:,} bytes was not sent: the limit is {limit:,} bytes "
                    f"({self._frames_too_large} so far). Draw less detail, or round coordinates.",
                )

    def report_progress(self, done: float, total: float | None, text: str) -> None:
        progress = Progress(
            _number(done), None if total is None else _number(total), utf8(text)[:MAX_TEXT]
        )
        with self._condition:
            self._progress = progress

    def report_description(self, text: str) -> None:
        with self._condition:
            self._description = utf8(text)[:MAX_TEXT]

    def wait_for_stop(self, seconds: float) -> bool:
        """Wait that long; True as soon as stop was asked for."""
        return self._stop_requested.wait(min(seconds, threading.TIMEOUT_MAX))

    def wait_while(self, busy: Callable[[], bool]) -> None:
        """Wait until `busy` is over, which `wake` announces, or stop was asked for."""
        with self._condition:
            self._condition.wait_for(lambda: self._stop_requested.is_set() or not busy())

    def wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def finish(self) -> None:
        """Note that the worker is done: stopped if that was asked for, else finished."""
        with self._condition:
            if self._stop_requested.is_set():
                self._end_stopped()
            elif not self._state.ended:
                self._end(State.FINISHED)

    # With the lock held.

    def _refuse_if_ending(self, participle: str) -> None:
        if self._state.ended or self._stop_requested.is_set():
            raise WrongState(f"the session is {self._state} and can no longer be {participle}")

    def _end_stopped(self) -> None:
        if self._receipt is not None:
            after_ms = round((time.monotonic() - self._stop_requested_at) * 1000)
            self._receipt = replace(self._receipt, how="flag", after_ms=after_ms)
        # A stuck thread that ended after all is stopped like any other.
        self._error = self._traceback = None
        self._end(State.STOPPED)

    def _end(self, state: State) -> None:
        self._ended_at = time.monotonic()
        self._stepping = False
        self._change(state)
        self._condition.notify_all()

    def _change(self, state: State) -> None:
        self._state = state
        self._on_change(self._snapshot())

    def _snapshot(self) -> Snapshot:
        self._revision += 1
        end = self._ended_at or time.monotonic()
        elapsed = 0.0 if self._started_at is None else end - self._started_at
        return Snapshot(
            id=self.id,
            revision=self._revision,
            simulation=self.simulation.name,
            title=self.simulation.title,
            engine=self.engine,
            state=self._state,
            params=self._params,
            step=self._step,
            seq=self._frame.seq if self._frame else 0,
            frames_too_large=self._frames_too_large,
            fps=self._clock.fps,
            steps_per_second=self._rate.per_second,
            progress=self._progress,
            description=self._description,
            elapsed_ms=round(elapsed * 1000),
            stop=self._receipt,
            error=self._error,
            traceback=self._traceback,
        )


def utf8(text: str) -> str:
    """Return an author's text as one that can be sent and stored: file names, for one, may hold
    what UTF-8 has no code for."""
    return text.encode(errors="replace").decode()


def _number(value: float) -> float:
    """Return a plain number, as JSON has it, from whatever number an author reports."""
    number = value if isinstance(value, int) else float(value)
    if not math.isfinite(number):
        raise ValueError(f"ctx.progress() needs finite numbers, got {number}")
    return int(number) if isinstance(number, int) or number.is_integer() else number
