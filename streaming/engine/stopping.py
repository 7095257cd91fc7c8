"""The ladder of a stop: the flag, an interrupt of the author's code, the end.

The flag is the session's. What is here is the way up from it, and what keeps an interrupt
inside the code that it is meant for.
"""

import ctypes
import logging
import queue
import sys
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from streaming.engine.errors import StopInterrupted

# After the grace time, an interrupted step has this much more before it counts as stuck.
END_AFTER_GRACE_S = 1.0
# An interrupt that could not be raised just then is tried again this much later.
RETRY_S = 0.01

# Where locks are taken that the whole process shares, in Python code that cannot be interrupted
# between taking one and being sure to give it back: logging would hang for everybody.
TAKES_LOCKS = ("<frozen importlib", threading.__file__, logging.__file__, queue.__file__)

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
    """

    def __init__(self) -> None:
        # Guards the next three against `interrupt`, which comes from another thread.
        self._lock = threading.Lock()
        self._inside = False
        self._thread_id = 0
        self._asked = False
        # Whether an interrupt ended the code. Only for the thread that runs it.
        self.interrupted = False

    def __call__(self, code: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            try:
                self._enter(True)
                return code(*args, **kwargs)
            finally:
                self._enter(False)
        except StopInterrupted:
            # It may have hit the line above instead of the author's code. There is no second.
            self._enter(False)
            self.interrupted = True
            raise

    def aside(self, code: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run our own code in the middle of the author's, out of the reach of interrupts."""
        try:
            self._enter(False)
            return code(*args, **kwargs)
        finally:
            self._enter(True)

    def interrupt(self) -> bool:
        """Raise StopInterrupted in the author's code, from another thread.

        Returns:
            Whether it will arrive: False when no author code runs just now, or when it is where
            an exception would do harm.
        """
        with self._lock:
            if self._inside and not self._asked and _is_harmless(self._thread_id):
                self._asked = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread_id), ctypes.py_object(StopInterrupted)
                )
            return self._asked

    def begin_interrupt(self) -> bool:
        """Whether a signal handler, which runs on the author's own thread, is to raise
        StopInterrupted now. It must not wait for a lock that this very thread may hold."""
        is_due = self._inside and not self._asked
        self._asked = self._asked or is_due
        return is_due

    def _enter(self, inside: bool) -> None:
        # An interrupt that was sent before the lock was had arrives before this returns: the
        # interpreter looks for one after each call, such as the lock's release.
        with self._lock:
            self._thread_id = threading.get_ident()
            self._inside = inside


def _is_harmless(thread_id: int) -> bool:
    """Whether an exception may be raised where a thread is. It arrives in that very frame, since
    we hold the interpreter and the thread looks for one as soon as it has it again."""
    frame = sys._current_frames().get(thread_id)
    return frame is not None and not frame.f_code.co_filename.startswith(TAKES_LOCKS)
