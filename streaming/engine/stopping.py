"""The ladder of a stop: the flag, an interrupt of the author's code, the end.

The flag is the session's. What is here is the way up from it, and what keeps an interrupt
inside the code that it is meant for.
"""

import ctypes
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from streaming.engine import figures
from streaming.engine.errors import StopInterrupted

# After the grace time, an interrupted step has this much more before it counts as stuck.
END_AFTER_GRACE_S = 1.0
# An interrupt that could not be raised just then is tried again this much later.
RETRY_S = 0.01

# How often the author's thread looks, on its way out, whether another has done asking. That takes
# microseconds, unless it has to wait for the interpreter.
ASKING_POLL_S = 0.0001
JUMPS = 10

# Where locks are taken that the whole process shares, in Python code that cannot be interrupted
# between taking one and being sure to give it back: logging would hang for everybody.
TAKES_LOCKS = (
    "<frozen importlib",
    threading.__file__,
    logging.__file__,
    queue.__file__,
    figures.__file__,
)

P = ParamSpec("P")
T = TypeVar("T")


class Ladder:
    """Goes from one rung to the next as time passes; the time is passed in.

    Args:
        stop_grace: Seconds that a step may take to end by itself.
        interrupt: Interrupts the author's code; False when none was running just then.
        end: Does what is left to do: kills a child, or gives a thread up.
    """

    def __init__(
        self, stop_grace: float, interrupt: Callable[[], bool], end: Callable[[], None]
    ) -> None:
        self._grace = stop_grace
        self._interrupt, self._end = interrupt, end
        self._has_interrupted = self._has_ended = False

    def climb(self, waited: float) -> float | None:
        """Do what is due `waited` seconds after the stop was asked for.

        Returns:
            The seconds after which to climb again, or None from the last rung.
        """
        if self._has_ended:
            return None
        last = self._grace + END_AFTER_GRACE_S
        if waited >= last:
            self._has_ended = True
            self._end()
            return None
        if waited < self._grace:
            return self._grace - waited
        if not self._has_interrupted:
            self._has_interrupted = self._interrupt()
        return last - waited if self._has_interrupted else min(RETRY_S, last - waited)


class AuthorCode:
    """Runs the author's code, so that an interrupt can hit that and nothing else.

    An interrupt is raised once at the most. One that arrives as the code returns is absorbed
    here: whoever called sees it as `StopInterrupted` all the same, and never later.

    There is no lock: an exception that arrives between taking one and being sure to give it back
    would leave it taken for ever. Each of the three marks is written by one thread only, but for
    `_asked`, and the thread that runs the code waits on its way out while another is asking.
    """

    def __init__(self) -> None:
        self._inside = False
        self._thread_id = 0
        # Whether another thread is just looking whether to interrupt, and whether one has.
        self._asking = self._asked = False
        # Whether an interrupt ended the code. Only for the thread that runs it.
        self.interrupted = False

    def __call__(self, code: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            try:
                self._enter()
                return code(*args, **kwargs)
            finally:
                self._leave()
        except StopInterrupted:
            # It may have hit the line above instead of the author's code. There is no second.
            self._leave()
            self.interrupted = True
            raise

    def aside(self, code: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run our own code in the middle of the author's, out of the reach of interrupts."""
        try:
            self._leave()
            return code(*args, **kwargs)
        finally:
            self._enter()

    def interrupt(self) -> bool:
        """Raise StopInterrupted in the author's code, from another thread: always the same one.

        Returns:
            Whether it will arrive: False when no author code runs just now, or when it is where
            an exception would do harm.
        """
        self._asking = True
        try:
            if self._inside and not self._asked and _is_harmless(self._thread_id):
                self._asked = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread_id), ctypes.py_object(StopInterrupted)
                )
            return self._asked
        finally:
            self._asking = False

    @property
    def is_inside(self) -> bool:
        """Whether the author's code runs. For a signal handler on the thread that runs it."""
        return self._inside

    def begin_interrupt(self) -> bool:
        """Whether a signal handler, which runs on the author's own thread, is to raise
        StopInterrupted now."""
        is_due = self._inside and not self._asked
        self._asked = self._asked or is_due
        return is_due

    def _enter(self) -> None:
        self._thread_id = threading.get_ident()
        self._inside = True

    def _leave(self) -> None:
        """Be out of reach: what was sent before has arrived when this returns."""
        self._inside = False
        while self._asking:
            time.sleep(ASKING_POLL_S)
        if self._asked:
            # The interpreter looks for an exception that was sent at each jump back.
            for _ in range(JUMPS):
                pass


def _is_harmless(thread_id: int) -> bool:
    """Whether an exception may be raised where a thread is. It arrives in that very frame, since
    we hold the interpreter and the thread looks for one as soon as it has it again."""
    frame = sys._current_frames().get(thread_id)
    return frame is not None and not frame.f_code.co_filename.startswith(TAKES_LOCKS)
