"""Who is held up by others that step at the same time: threads that all want the interpreter.

Such steps are no faster side by side than one after the other, and each switch between them costs.
A step that lets go of the interpreter, as NumPy and hashes do, is not held up. What tells them
apart is the time in which a thread neither had a core nor waited for one. It is not enough to look
at how much processor time a thread got: on busy cores that is little for all.
"""

import os
import time
from dataclasses import dataclass
from math import inf
from typing import Any

# The part of a turn from which on a thread counts as held up by the others, of those that want the
# interpreter about a half; and from which on one that is alone waits for something else.
HELD_UP, WAITS = 0.15, 0.3
# A shorter turn says nothing.
LEAST_S = 0.005
# What is known holds for so long. Then it is found out anew, by one turn beside another, or alone.
HELD_UP_S, WAITS_ALONE_S = 10.0, 30.0
SCHEDULE = "/proc/thread-self/schedstat"


@dataclass(frozen=True, slots=True)
class Use:
    """For how long a thread has had a core, and has waited for one, in seconds."""

    ran: float
    queued: float


def use_of_this_thread() -> Use | None:
    """Return what this thread has used until now; None where the system does not say."""
    try:
        file = os.open(SCHEDULE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _, queued, _ = os.read(file, 100).split()
        finally:
            os.close(file)
    except (OSError, ValueError):
        return None
    # What the file says of the first is late by up to a tick of the kernel's.
    return Use(time.thread_time(), int(queued) / 1e9)


@dataclass(slots=True)
class _Turn:
    since: float
    use: Use | None
    is_shared: bool


class Contention:
    """Learns from each turn at stepping. Not for several threads at once."""

    def __init__(self) -> None:
        self._turns: dict[Any, _Turn] = {}
        # Who was held up beside others, and when; who waits for something else when it is alone.
        self._held_up: dict[Any, float] = {}
        self._waits_alone: dict[Any, float] = {}

    def begin(self, who: Any, use: Use | None, now: float, *, is_shared: bool) -> None:
        """Note that a turn begins; `is_shared` if others have one now."""
        self._turns[who] = _Turn(now, use, is_shared)

    def share(self, who: Any) -> None:
        """Note that somebody else has a turn at the same time."""
        if (turn := self._turns.get(who)) is not None:
            turn.is_shared = True

    def end(self, who: Any, use: Use | None, now: float) -> None:
        """Learn from a turn that ends, if there was one."""
        turn = self._turns.pop(who, None)
        if turn is None or turn.use is None or use is None or now - turn.since < LEAST_S:
            return
        busy = use.ran - turn.use.ran + use.queued - turn.use.queued
        stood_still = 1 - busy / (now - turn.since)
        if not turn.is_shared:
            if stood_still > WAITS:  # It sleeps, or waits for a file.
                self._waits_alone[who] = now
                self._held_up.pop(who, None)
        elif stood_still <= HELD_UP:
            self._held_up.pop(who, None)
        elif not self.waits_alone(who, now):
            self._held_up[who] = now

    def waits_alone(self, who: Any, now: float) -> bool:
        """Whether somebody is known to stand still when nobody holds it up, too."""
        return now - self._waits_alone.get(who, -inf) < WAITS_ALONE_S

    def is_held_up(self, who: Any, now: float) -> bool:
        """Whether somebody is known to be held up by others of which that is known, too."""
        return now - self._held_up.get(who, -inf) < HELD_UP_S

    def forget(self, who: Any) -> None:
        """Know nothing of somebody any more."""
        for known in (self._turns, self._held_up, self._waits_alone):
            known.pop(who, None)
