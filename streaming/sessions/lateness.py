"""How late the event loop is: what everybody on this server feels when a step holds the GIL."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from streaming.metrics import EVENT_LOOP_LATENESS_SECONDS

logger = logging.getLogger(__name__)

INTERVAL_S = 0.1
LATE_S = 0.05
# A measure older than that says nothing of now.
CURRENT_S = 2.0
# How long back the worst is looked for, and how often the log says it at the most.
REMEMBERED_S = 60.0
# A thread that used less of the processor than this part of the delay did not cause it: other
# programs did, or the machine stood still.
LEAST_SHARE = 0.2


class Lateness:
    """Measures it, and warns with the names of the thread sessions that used the processor.

    Args:
        thread_sessions: Says which run now, each with the processor time that its thread has
            used, in seconds; None where the system does not say.
    """

    def __init__(self, thread_sessions: Callable[[], Mapping[str, float | None]]) -> None:
        self._thread_sessions = thread_sessions
        # What it said at the last measure.
        self._used: Mapping[str, float | None] = {}
        # When the loop was late, by how much, and what ran then.
        self._late: deque[tuple[float, float, Sequence[str]]] = deque(
            maxlen=int(REMEMBERED_S / INTERVAL_S)
        )
        self._warned_at = float("-inf")
        # The last measures, whoever made the loop late, and the worst that is not taken yet.
        self._measures: deque[tuple[float, float]] = deque(maxlen=int(CURRENT_S / INTERVAL_S))
        self._worst = 0.0

    async def measure(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            self.note(time.monotonic() - due)

    def note(self, late: float) -> None:
        """Note that the loop was so many seconds late."""
        now = time.monotonic()
        EVENT_LOOP_LATENESS_SECONDS.observe(late)
        self._measures.append((now, late))
        self._worst = max(self._worst, late)
        names = self._burning(late)
        if late <= LATE_S or not names:
            return
        self._late.append((now, late, names))
        if now - self._warned_at > REMEMBERED_S:
            self._warned_at = now
            logger.warning("%s", self.warning())

    def _burning(self, late: float) -> Sequence[str]:
        """Return the thread sessions that used enough of the processor to make the loop so late."""
        before, self._used = self._used, self._thread_sessions()
        return [
            name
            for name, used in self._used.items()
            if used is None or used - (before.get(name) or 0.0) >= late * LEAST_SHARE
        ]

    def take_worst(self) -> float:
        """Return the worst measure since this was last asked."""
        worst, self._worst = self._worst, 0.0
        return worst

    @property
    def now(self) -> float | None:
        """The worst of the last two seconds; None while nothing is measured. On any thread."""
        since = time.monotonic() - CURRENT_S
        # A copy, since the loop goes on measuring.
        return max((late for at, late in self._measures.copy() if at > since), default=None)

    def warning(self) -> str:
        """Say what was worst in the last minute, or nothing if it was good. On any thread."""
        since = time.monotonic() - REMEMBERED_S
        recent = [(late, names) for at, late, names in self._late.copy() if at > since]
        if not recent:
            return ""
        late, names = max(recent, key=lambda entry: entry[0])
        return (
            f"The event loop was {late * 1000:,.0f} ms late within the last minute, for everybody "
            f"on this server, while these ran in threads: {', '.join(names)}. The process engine "
            'keeps such steps out of the server: @simulation(engine="process") or '
            "LIVESTEP_ENGINE=process."
        )
