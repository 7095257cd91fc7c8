"""Turns at stepping, for the threads that share one interpreter.

Threads that all want the interpreter do not step faster than one of them, and the event loop has
to compete with each. So they step in turn, several at a time only where that gets more done.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from streaming.engine.concurrency import Concurrency
from streaming.engine.cores import usable_cores

# A thread keeps its turn for so long, over several short steps, if others wait.
LEAST_S = 0.01
# Then it counts no more, although its step goes on: that may sleep, or run outside the interpreter.
MOST_S = 0.1


class Turns:
    """Lets so many threads step at once; the others wait in the order in which they came.

    On any thread. Nobody waits for one that is gone: a turn ends by itself after MOST_S.

    Args:
        concurrency: Says how many.
    """

    def __init__(self, concurrency: Concurrency, now: Callable[[], float] = time.monotonic) -> None:
        self._concurrency, self._now = concurrency, now
        self._lock = threading.Lock()
        # The native numbers of the threads that step or want to.
        self._threads: dict[Any, int] = {}
        # Who steps, since when.
        self._stepping: dict[Any, float] = {}
        # Who waits, and what wakes it.
        self._waiting: deque[tuple[Any, threading.Event]] = deque()

    def take(self, who: Any, is_off: Callable[[], bool]) -> bool:
        """Wait until it may step, or is called off. False: it had to wait, and much may have
        changed."""
        with self._lock:
            now = self._now()
            if self._concurrency.look(now, self._threads.values()):
                self._admit(now)
            since = self._stepping.get(who)
            if since is not None:
                if now - since < LEAST_S or self._can_go_on():
                    return True
                del self._stepping[who]
            self._threads.setdefault(who, threading.get_native_id())
            self._end_long_ones(now)
            if not self._waiting and len(self._stepping) < self._concurrency.most:
                self._stepping[who] = now
                return True
            admitted = threading.Event()
            self._waiting.append((who, admitted))
            # It may have made room for the first of them.
            self._admit(now)
        while not admitted.wait(MOST_S):
            with self._lock:
                if is_off():
                    self._leave(who, admitted)
                    return False
                self._admit(self._now())
        return False

    def give_back(self, who: Any) -> None:
        """Let others step: it waits for something else, or has ended."""
        with self._lock:
            self._threads.pop(who, None)
            if self._stepping.pop(who, None) is not None:
                self._admit(self._now())

    def _can_go_on(self) -> bool:
        """Whether whoever steps keeps nobody else from it."""
        return not self._waiting and len(self._stepping) <= self._concurrency.most

    def _admit(self, now: float) -> None:
        """Wake who is next, as far as there is room."""
        self._end_long_ones(now)
        while self._waiting and len(self._stepping) < self._concurrency.most:
            who, admitted = self._waiting.popleft()
            self._stepping[who] = now
            admitted.set()

    def _end_long_ones(self, now: float) -> None:
        if len(self._stepping) >= self._concurrency.most:
            for who in [who for who, since in self._stepping.items() if now - since >= MOST_S]:
                del self._stepping[who]

    def _leave(self, who: Any, admitted: threading.Event) -> None:
        if (who, admitted) in self._waiting:
            self._waiting.remove((who, admitted))


turns = Turns(Concurrency(usable_cores()))
