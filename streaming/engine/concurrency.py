"""How many threads had better step at once: one, or as many as there are cores.

Steps that need the interpreter get less done when several compete for it. Those that let go of it,
as NumPy and hashing do, get more done. From outside they look the same (docs/architecture.md). So
both ways are tried, now and then, and what all threads get done decides.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from statistics import median

from streaming.engine.burning import cpu_seconds

# Each way is tried for so long, one right after the other, as the speed of a machine wanders.
TRIED_S = 0.1
# By the median of so many pairs it is decided. Until there are so many, they follow each other.
PAIRS = 5
# Then it is left so for a while: where several step, a trial makes them wait for each other.
ONE_KEPT_S, SEVERAL_KEPT_S = 2.0, 10.0
# Several must get so much more done, as they make the event loop wait longer.
WORTH = 1.1


@dataclass(frozen=True, slots=True)
class Reading:
    """What each thread had used of the processors, in seconds, and when that was."""

    at: float
    used: dict[int, float]

    def rate_since(self, before: "Reading") -> float | None:
        """Return how many processors were used on average; None if not by two threads or more."""
        both = self.used.keys() & before.used.keys()
        if len(both) < 2 or self.at <= before.at:
            return None
        return sum(self.used[each] - before.used[each] for each in both) / (self.at - before.at)


class Concurrency:
    """Decides how many threads may step at once. Its user guards it with a lock.

    Args:
        cores: How many could run at once.
        used_by: Tells how much processor time a thread has used, in seconds, by its native number;
            None where that is unknown. Without it as many step as there are cores.
    """

    def __init__(
        self, cores: int, used_by: Callable[[int | None], float | None] = cpu_seconds
    ) -> None:
        self._cores, self._used_by = cores, used_by
        # How many may step at once, now.
        self.most = cores
        # How much more several have got done than one, in each of the last pairs.
        self._gains: deque[float] = deque(maxlen=PAIRS)
        self._trials = self._try_both()
        self._next_at = float("-inf")
        next(self._trials)

    def look(self, now: float, threads: Iterable[int]) -> bool:
        """Note the time and who takes part. True if from now on another number may step."""
        if now < self._next_at or self._cores == 1:
            return False
        before = self.most
        used = {each: seconds for each in threads if (seconds := self._used_by(each)) is not None}
        self._next_at = now + self._trials.send(Reading(now, used))
        return self.most != before

    def _try_both(self) -> Generator[float, Reading, None]:
        """Yield for how long to go on as it is. Is sent what the threads have used by then."""
        reading = yield 0.0
        while True:
            self.most = self._cores
            began, reading = reading, (yield TRIED_S)
            several = reading.rate_since(began)
            if several is not None and several > WORTH:
                # One thread alone cannot use more than one processor.
                self._gains.append(several)
            elif several is not None:
                self.most = 1
                began, reading = reading, (yield TRIED_S)
                if (one := reading.rate_since(began)) is not None:
                    self._gains.append(several / one if one else math.inf)
            is_worth_it = not self._gains or median(self._gains) > WORTH
            self.most = self._cores if is_worth_it else 1
            if len(self._gains) == PAIRS:
                reading = yield SEVERAL_KEPT_S if is_worth_it else ONE_KEPT_S
