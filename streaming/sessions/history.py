"""The last hour of this process: the steps and frames of its sessions, and how late its loop was.

It is written on the event loop and read on any thread. It lives in memory, and is bounded.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass

from streaming.models import HEARTBEAT_S

SAMPLE_S = 10
KEPT_S = 3600
# Two samples that follow each other are more than SAMPLE_S long together.
MAX_SAMPLES = 2 * KEPT_S // SAMPLE_S


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted between two moments of the monotonic clock, and the worst lateness."""

    began: float
    ended: float
    steps: int
    frames: int
    late: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class History:
    """Samples of the time in which sessions go on; outside of them there was nothing to count."""

    def __init__(self) -> None:
        # Guards the samples, which other threads read.
        self._lock = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._steps = self._frames = 0
        self._began = time.monotonic()

    def begin(self) -> None:
        """Begin to measure, after a time without sessions."""
        self._began = time.monotonic()

    def count(self, *, steps: int, frames: int) -> None:
        self._steps += steps
        self._frames += frames

    def sample(self, late: float) -> None:
        """Keep what was counted since the last sample, and the worst lateness meanwhile."""
        sample = Sample(self._began, time.monotonic(), self._steps, self._frames, late)
        self._began, self._steps, self._frames = sample.ended, 0, 0
        with self._lock:
            if self._samples and sample.ended - self._samples[-1].began <= SAMPLE_S:
                sample = _joined(self._samples.pop(), sample)
            self._samples.append(sample)

    def last_hour(self) -> list[Sample]:
        """Return the samples that ended within the last hour, oldest first."""
        since = time.monotonic() - KEPT_S
        with self._lock:
            return [sample for sample in self._samples if sample.ended > since]

    def clear(self) -> None:
        with self._lock:
            self._samples.clear()
        self._steps = self._frames = 0


history = History()


class Rate:
    """How fast a count has grown lately: over one heartbeat of the rows."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque(maxlen=HEARTBEAT_S + 1)

    def note(self, now: float, count: int) -> None:
        self._counts.append((now, count))

    @property
    def per_second(self) -> float | None:
        """None before there are two counts. On any thread."""
        counts = self._counts.copy()
        if len(counts) < 2:
            return None
        (began, first), (now, last) = counts[0], counts[-1]
        return (last - first) / (now - began) if now > began else None


def _joined(one: Sample, other: Sample) -> Sample:
    return Sample(
        one.began,
        other.ended,
        one.steps + other.steps,
        one.frames + other.frames,
        max(one.late, other.late),
    )
