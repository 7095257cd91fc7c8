"""Lines for the plain `Window`, in simulated time: no socket, no thread, no sleep.

A session draws a frame at each tick of its clock if the window has room for it then, as the engine
does for its only viewer. The line carries frames one after the other; the viewer acknowledges each
when it has come.
"""

import heapq
import random
from dataclasses import dataclass, field
from itertools import count

from streaming.delivery.parcel import Parcel
from streaming.delivery.window import Window


@dataclass
class Line:
    """A line between a server and a viewer.

    Args:
        rate: Bytes a second, or a function of the time.
        round_trip: Seconds there and back for a frame without size, or a function of the time.
        jitter: Most seconds that a frame comes late, by chance; but in their order.
        stalls: Pairs of when nothing comes any more, and when it does again: lost packets.
        paint: Seconds that a frame takes to be painted, one after the other.
        reads_until: When the viewer stops reading.
    """

    rate: object
    round_trip: object = 0.02
    jitter: float = 0.0
    stalls: tuple = ()
    paint: float = 0.0
    reads_until: float = float("inf")

    def __post_init__(self):
        self._random = random.Random(1)
        self._free_at = self._arrived_at = self._painted_at = 0.0

    def rate_at(self, now):
        return self.rate(now) if callable(self.rate) else self.rate

    def round_trip_at(self, now):
        return self.round_trip(now) if callable(self.round_trip) else self.round_trip

    def carry(self, size, now):
        """Return when a frame that is sent now is painted, and when its ack is back."""
        at, left = max(now, self._free_at), size
        while left > 0:  # By the millisecond: the rate may change meanwhile.
            carried = self.rate_at(at) / 1000
            at += min(1.0, left / carried) / 1000
            left -= carried
        self._free_at = at
        way = self.round_trip_at(now) / 2
        arrived = at + way + self._random.uniform(0, self.jitter)
        for begin, end in self.stalls:
            if begin <= arrived < end:
                arrived = end
        self._arrived_at = max(self._arrived_at, arrived)
        self._painted_at = max(self._painted_at, self._arrived_at) + self.paint
        return self._painted_at, self._painted_at + way


@dataclass
class Seen:
    """A frame as the viewer saw it: when it was made and painted; how many were in flight."""

    made: float
    painted: float
    distance: float
    in_flight: int
    # What it had to wait for others on the line.
    wait: float


@dataclass
class Run:
    """What came of it."""

    frames: list[Seen] = field(default_factory=list)
    # The most bytes that the server had sent and nobody had acknowledged.
    most_bytes: int = 0

    def per_second(self, begin, end):
        return sum(begin <= frame.painted < end for frame in self.frames) / (end - begin)

    def ages(self, begin=0.0, end=float("inf")):
        """How old frames were when they were painted, beyond the distance, from the youngest."""
        shown = (frame for frame in self.frames if begin <= frame.painted < end)
        return sorted(frame.painted - frame.made - frame.distance / 2 for frame in shown)

    def waits(self, begin=0.0, end=float("inf")):
        return sorted(frame.wait for frame in self.frames if begin <= frame.made < end)


def run(line, size, seconds, fps=30, window=None):
    """Have a window feed a line for so long; `size` may be a function of the frame's number, which
    returns its size, or the parcel."""
    window = window or Window(lambda: None)
    found, numbers, order = Run(), count(1), count()
    in_flight = {}
    events = [(0.0, next(order), "tick", 0)]

    def note_held(now):
        if (until := window.held_until) is not None and until > now:
            heapq.heappush(events, (until, next(order), "release", until))

    while events:
        now, _, kind, seq = heapq.heappop(events)
        if kind == "ack":
            for number in [number for number in in_flight if number <= seq]:
                del in_flight[number]
            window.ack(seq, now)
            note_held(now)
            continue
        if kind == "release":
            window.release(now)
            note_held(now)
            continue
        if now < seconds:
            heapq.heappush(events, (now + 1 / fps, next(order), "tick", 0))
        if window.has_room:
            number = next(numbers)
            given = size(number) if callable(size) else size
            is_parcel = isinstance(given, Parcel)
            window.offer(given if is_parcel else Parcel(number, bytes(given), False))
        if (payload := window.take(now)) is None:
            continue
        wait = max(0.0, line._free_at - now)
        painted, acked = line.carry(len(payload), now)
        note_held(now)
        in_flight[number] = len(payload)
        found.most_bytes = max(found.most_bytes, sum(in_flight.values()))
        if painted < line.reads_until:
            distance = line.round_trip_at(now)
            found.frames.append(Seen(now, painted, distance, len(in_flight), wait))
            heapq.heappush(events, (acked, next(order), "ack", number))
    return found
