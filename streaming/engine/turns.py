"""Turns at stepping, for the threads that share one interpreter.

Threads that all want the interpreter do not step faster than one of them, and the event loop has to
compete with each. So no more step at a time than there are cores, in turn; and of those that hold
each other up, one.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from streaming.engine.contention import Contention, Use, use_of_this_thread
from streaming.engine.cores import usable_cores

# A thread keeps its turn for so long, over several short steps, if others wait.
LEAST_S = 0.01
# Then it counts no more, although its step goes on: that may sleep, or run outside the interpreter.
MOST_S = 0.1


class Turns:
    """Lets so many threads step at once; the others wait in the order in which they came.

    On any thread. Nobody waits for one that is gone: a turn ends by itself after MOST_S.

    Args:
        most: How many step at once.
        use: Says what the thread that calls has used.
    """

    def __init__(
        self,
        most: int,
        now: Callable[[], float] = time.monotonic,
        use: Callable[[], Use | None] = use_of_this_thread,
    ) -> None:
        self._most, self._now, self._use = most, now, use
        # Guards everything below.
        self._lock = threading.Lock()
        # Who steps, since when.
        self._stepping: dict[Any, float] = {}
        # Who waits, and what wakes it.
        self._waiting: deque[tuple[Any, threading.Event]] = deque()
        self._contention = Contention()

    def take(self, who: Any, is_off: Callable[[], bool]) -> bool:
        """Wait until it may step, or is called off. False: it had to wait, and much may have
        changed."""
        with self._lock:
            since = self._stepping.get(who)
            if since is not None and (not self._waiting or self._now() - since < LEAST_S):
                return True
            learns = self._learns_of(who)
        use = self._use() if learns else None  # Without the lock, since others run meanwhile.
        with self._lock:
            now = self._now()
            self._end(who, use, now)
            self._end_long_ones(now)
            if not self._waiting and self._has_room_for(who, now):
                self._let_step(who, now)
                self._begin(who, use, now)
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
        use = self._use() if learns else None
        with self._lock:
            self._begin(who, use, self._now())
        return False

    def give_back(self, who: Any) -> None:
        """Let others step: it waits for something else, or has ended."""
        with self._lock:
            learns = who in self._stepping and self._learns_of(who)
        use = self._use() if learns else None
        with self._lock:
            if self._end(who, use, self._now()):
                self._admit(self._now())

    def forget(self, who: Any) -> None:
        """Let others step, and know nothing of it any more: it has ended."""
        self.give_back(who)
        with self._lock:
            self._contention.forget(who)

    def _learns_of(self, who: Any) -> bool:
        """Whether it matters what somebody uses: others want to step, too, and it does not sleep.
        To look costs as much as a short step."""
        others = len(self._stepping) - (who in self._stepping) + len(self._waiting)
        return others > 0 and not self._contention.waits_alone(who, self._now())

    def _has_room_for(self, who: Any, now: float) -> bool:
        is_held_up = self._contention.is_held_up
        return len(self._stepping) < self._most and not (
            is_held_up(who, now) and any(is_held_up(other, now) for other in self._stepping)
        )

    def _admit(self, now: float) -> None:
        """Wake who is next, as far as there is room."""
        self._end_long_ones(now)
        for who, admitted in tuple(self._waiting):
            if len(self._stepping) >= self._most:
                return
            if self._has_room_for(who, now):
                self._waiting.remove((who, admitted))
                self._let_step(who, now)
                admitted.set()

    def _let_step(self, who: Any, now: float) -> None:
        for other in self._stepping:
            self._contention.share(other)
        self._stepping[who] = now

    def _begin(self, who: Any, use: Use | None, now: float) -> None:
        self._contention.begin(who, use, now, is_shared=len(self._stepping) > 1)

    def _end(self, who: Any, use: Use | None, now: float) -> bool:
        self._contention.end(who, use, now)
        return self._stepping.pop(who, None) is not None

    def _end_long_ones(self, now: float) -> None:
        for who in [who for who, since in self._stepping.items() if now - since >= MOST_S]:
            del self._stepping[who]

    def _leave(self, who: Any, admitted: threading.Event) -> None:
        if (who, admitted) in self._waiting:
            self._waiting.remove((who, admitted))


turns = Turns(usable_cores())
