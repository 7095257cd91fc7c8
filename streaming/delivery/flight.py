"""The frames on their way to one viewer, and how many of them its line can carry.

Delay-based congestion control: the queue is measured as in TCP Vegas (Brakmo and Peterson 1995,
doi:10.1109/49.464716), which TigerVNC uses for the same purpose. The line is modelled as in BBR
(draft-ietf-ccwg-bbr): its lowest delay times its highest rate, both of the last seconds.
"""

from collections import deque
from dataclasses import dataclass
from math import inf

MAX_FRAMES_IN_FLIGHT = 16
MAX_BYTES_IN_FLIGHT = 1_000_000
# No frame may wait longer than this behind others.
MAX_WAIT_S = 0.1
BRIEF_S = 0.06
# The shortest delay and gap between acks that is believed.
SHORTEST_S = 0.001
# A page paints up to 16 ms after a frame has come, and networks have jitter: a shorter wait than
# FULL_S is no queue. After a wait of at most CALM_S more may be sent.
CALM_S, FULL_S = 0.01, 0.025
# A measurement counts in its own period and in the next.
PERIOD_S = 5.0
# Of the first frames on an empty line, each follows the last after this part of its time there.
PACE = 1 / 3
# Room for so much more than a whole number of frames, since the next may be larger than the last.
SLACK = 1.25
# How long after a trial that failed the next may be: each time twice as long.
RETRY_S, MAX_RETRY_S = 10.0, 80.0


@dataclass(slots=True)
class Sent:
    """A frame in flight, and what there was when it was sent.

    Args:
        since: When it was sent, or when somebody could see the viewer again.
        total: The bytes in flight, with it.
        count: The frames in flight, with it.
        is_trial: Whether it is one more than are known to fill the line.
        held: The seconds that it was held back on purpose, instead of waiting on the line.
        is_timed: Whether its delay counts. It does not if the page was hidden meanwhile.
    """

    seq: int
    size: int
    since: float
    total: int
    count: int
    is_trial: bool
    held: float
    is_timed: bool = True


@dataclass(slots=True)
class Delay:
    """The seconds from sending a frame of some size to its ack."""

    seconds: float = inf
    size: int = 0

    def of(self, size: int, rate: float) -> float:
        """Return the delay of a frame of another size: of a larger one it is longer, by the rate.
        Of a smaller one it is not shorter, since the true rate may be higher than the known one."""
        if size <= self.size or not rate:
            return self.seconds
        return self.seconds + (size - self.size) / rate


@dataclass(slots=True)
class Period:
    """What a line has shown in some seconds: its lowest delay, its highest rate."""

    lowest: Delay
    rate: float = 0.0


class InFlight:
    """The frames on their way to one viewer: as many as fill the line, and no more.

    The delay of a frame, from sending it to its ack, has three parts: the round trip with the
    painting, the time that its bytes take on the line, and its wait behind other frames. Only the
    wait is a queue. The lowest delay of the last 5 to 10 s stands for the first two parts, and a
    delay beyond it is the wait.

    The lowest delay times the rate fills the line. One frame more finds out when the rate rises.
    The rate is how fast the acks of frames that were in flight together follow each other.

    A frame that would wait on the line is better made later: it is held back for as long as the one
    before it has waited. So a line that holds no whole number of frames has no queue either.

    For one thread only. Time is passed in, in seconds.
    """

    def __init__(self) -> None:
        self._frames: deque[Sent] = deque()
        self._bytes = self._last_size = 0
        # How many bytes may be in flight, and how many more to try whether they wait.
        self._most = self._trial = 0.0
        # When the last ack came, and when its frame had been sent.
        self._acked_at = self._acked_since = 0.0
        self._period, self._before = Period(Delay()), Period(Delay())
        self._period_ends = -inf
        # Bytes a second: the highest rate of both periods.
        self._rate = 0.0
        # Of the last frame that was sent alone.
        self._alone = Delay()
        # What was acknowledged and may be replaced later: when, how many bytes, and after how long.
        self._held: deque[tuple[float, int, float]] = deque()
        self._held_bytes = 0
        # For how long the next frame was held back.
        self._hold = 0.0
        # When the next may follow the last one, and whether it may by now.
        self._next_at, self._is_next_due = -inf, True
        # Whether the next one has to go alone, to measure the delay without a queue.
        self._is_draining = False
        # Whether the last ack was late. The next then seems to follow it too fast.
        self._was_late = False
        # How many frames in a row, sent alone, took far longer than the lowest delay.
        self._risen = 0
        # The late acks in a row: how many, the shortest wait, since when, how many bytes.
        self._late, self._least_wait, self._late_since, self._late_bytes = 0, inf, 0.0, 0
        self._retry_at, self._patience = -inf, RETRY_S

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def since(self) -> float:
        """Since when the oldest has been on its way."""
        return self._frames[0].since

    def fits(self, size: int) -> bool:
        """Whether another frame may follow those in flight.

        The line is asked for room for a frame as large as the last one. Otherwise a frame that is a
        little larger would be drawn, would not fit, and would grow old while it waits.
        """
        if not self._frames:
            return True
        return (
            not self._is_draining
            and len(self._frames) < MAX_FRAMES_IN_FLIGHT
            and self._bytes + size <= MAX_BYTES_IN_FLIGHT
            and self._is_next_due
            and self._bytes + self._held_bytes + self._last_size <= self._most + self._trial
        )

    @property
    def opens_at(self) -> float | None:
        """When `release` is to be called, since there may be more room then; None: never."""
        if not self._frames:
            return None
        held_until = self._held[0][0] if self._held else inf
        opens_at = min(held_until, inf if self._is_next_due else self._next_at)
        return None if opens_at == inf else opens_at

    def release(self, now: float) -> None:
        """Let go of what was held back until now."""
        self._is_next_due = self._is_next_due or now >= self._next_at
        while self._held and self._held[0][0] <= now:
            _, size, self._hold = self._held.popleft()
            self._held_bytes -= size

    def send(self, seq: int, size: int, now: float) -> None:
        if not self._most:
            self._most = self._trial = SLACK * size
        if not self._frames:
            self._is_draining = False
        self._bytes += size
        self._last_size = size
        is_trial = bool(self._frames) and self._bytes > self._most
        if is_trial:
            self._trial = 0.0
        held, self._hold = self._hold, 0.0
        sent = Sent(seq, size, now, self._bytes, len(self._frames) + 1, is_trial, held)
        self._frames.append(sent)
        if sent.count <= 2 and size > self._rate * BRIEF_S > 0:
            # Right behind this one, the next would wait for all of it.
            self._next_at, self._is_next_due = now + PACE * size / self._rate, False

    def ack(self, seq: int, now: float) -> bool:
        """Note that a frame and all before it are painted. False: it is not in flight."""
        frames = self._frames
        if not frames or (frames[0].seq != seq and all(sent.seq != seq for sent in frames)):
            return False
        sent = frames.popleft()
        size = sent.size
        while sent.seq != seq:
            sent = frames.popleft()
            size += sent.size
        self._bytes -= size
        if sent.is_timed:
            wait = self._learn(sent, size, now)
            self._hold_back(sent, size, wait, now)
        self._acked_at, self._acked_since = now, sent.since
        return True

    def clear(self) -> None:
        """Forget what is in flight."""
        self._frames.clear()
        self._bytes = 0
        self._drop_held()

    def restart(self, now: float) -> None:
        """Count the time of the frames in flight from now on: the page was hidden."""
        for sent in self._frames:
            sent.since = now
            sent.is_timed = False

    def _hold_back(self, sent: Sent, acked: int, wait: float, now: float) -> None:
        """Hold the next frame back for as long as this one has waited, here and on the line."""
        longest = sent.size / self._rate if self._rate else 0.0
        hold = min(max(0.0, sent.held + wait - FULL_S), longest)
        self._held.append((now + hold, acked, hold))
        self._held_bytes += acked
        self.release(now)
        if not self._frames:
            self._drop_held()

    def _drop_held(self) -> None:
        """Hold nothing back: nothing is in flight that anything could wait for."""
        self._held.clear()
        self._held_bytes, self._hold, self._is_next_due = 0, 0.0, True

    def _learn(self, sent: Sent, acked: int, now: float) -> float:
        """Learn from the ack of a frame; returns how long it has waited behind others."""
        if now >= self._period_ends:
            self._turn(now)
        delay = max(now - sent.since, SHORTEST_S)
        distance = self._distance(sent.size)
        wait = max(0.0, delay - distance)
        is_late = wait > FULL_S and wait > self._tolerance(sent.size)
        if sent.count == 1:
            self._learn_alone(sent.size, delay, distance, now)
            self._learn_rate(acked / delay)
        elif not (is_late or self._was_late):
            # Acks may come at once although their frames did not.
            gap = max(now - self._acked_at, sent.since - self._acked_since, SHORTEST_S)
            self._learn_rate(acked / gap)
        self._was_late = is_late
        if delay < self._period.lowest.seconds:
            self._period.lowest = Delay(delay, sent.size)
        if is_late and sent.count > 1:
            self._note_wait(sent, acked, wait, delay, now)
            return wait
        self._late = 0
        is_full = sent.total + sent.size > self._most
        if sent.is_trial or (is_full and (sent.held + wait <= CALM_S or sent.count == 1)):
            self._grow(sent, min(delay, self._distance(sent.size)), now)
        return wait

    def _learn_rate(self, rate: float) -> None:
        if rate > self._period.rate:
            self._period.rate = rate
            self._rate = max(self._rate, rate)

    def _learn_alone(self, size: int, delay: float, distance: float, now: float) -> None:
        """Note the delay of a frame that was sent alone, where the lowest was `distance`."""
        has_fallen = delay < distance - MAX_WAIT_S
        self._alone.seconds, self._alone.size = delay, size
        self._risen = self._risen + 1 if delay - distance > MAX_WAIT_S else 0
        if self._risen == 1:
            # It may be a lost packet, or a busy machine: a second frame has to confirm it.
            self._is_draining = True
        elif self._risen:
            # The line is slower or longer now, and what was measured before is void.
            self._period, self._before = Period(Delay()), Period(Delay())
            self._rate = self._most = 0.0
        if has_fallen or self._risen > 1:
            # The line has changed: a trial that failed before may succeed now.
            self._retry_at, self._patience, self._risen = now, RETRY_S, 0

    def _distance(self, size: int) -> float:
        """Return the delay that a frame of that size has without a queue."""
        return min(self._lowest(size), self._alone.of(size, self._rate))

    def _lowest(self, size: int) -> float:
        """Return the lowest delay of both periods, for a frame of that size."""
        rate = self._rate
        return min(self._period.lowest.of(size, rate), self._before.lowest.of(size, rate))

    def _tolerance(self, size: int) -> float:
        """Return the longest wait that is no queue: a quarter of a frame's own time on the line."""
        return max(FULL_S, size / self._rate / 4 if self._rate else 0.0)

    def _turn(self, now: float) -> None:
        """Begin a period, and forget the last but one."""
        # The lowest delay rises with a queue that never empties, and with a longer route.
        size = self._period.lowest.size
        distance = self._alone.of(size, self._rate)
        self._is_draining = self._lowest(size) > distance + self._tolerance(size)
        self._before, self._period = self._period, Period(Delay())
        self._period_ends = now + PERIOD_S
        self._rate = self._before.rate

    def _fill(self, rate: float, distance: float, size: int) -> float:
        """Return the bytes that fill a line, with one frame more unless it would wait too long."""
        full = min(rate * distance + SLACK * size, rate * (distance + MAX_WAIT_S))
        return max(full, (1 + SLACK) * size) if size <= rate * BRIEF_S else full

    def _grow(self, sent: Sent, distance: float, now: float) -> None:
        """Allow as many bytes in flight as the line has proved to carry, or try one frame more."""
        known = sent.total + (SLACK - 1) * sent.size if sent.is_trial else 0.0
        most = self._fill(self._rate, distance, sent.size)
        # At most twice as many: two acks in a row may mislead.
        self._most = max(self._most, known, min(most, sent.total + SLACK * sent.total))
        # Where one frame more might wait too long, only a trial can tell. It is not worth one when
        # more is in flight already than a line of that rate holds.
        is_to_try = (
            now >= self._retry_at
            and sent.total + sent.size > self._most
            and SLACK * sent.size > MAX_WAIT_S * self._rate
            and sent.total <= SLACK * self._rate * distance
            and not any(other.is_trial for other in self._frames)
        )
        self._trial = SLACK * sent.size if is_to_try else 0.0

    def _note_wait(self, sent: Sent, acked: int, wait: float, delay: float, now: float) -> None:
        if not self._late:
            self._least_wait, self._late_since, self._late_bytes = inf, self._acked_at, 0
        self._late += 1
        self._least_wait = min(self._least_wait, wait)
        self._late_bytes += acked
        # One late ack among many is jitter. A queue makes all of them late.
        if self._late >= sent.count or sent.is_trial:
            self._shrink(sent, delay - wait, now)
            self._late = 0

    def _shrink(self, sent: Sent, distance: float, now: float) -> None:
        """Allow no more than fills the line. A line with a queue is full, so its rate is known."""
        rate = self._late_bytes / max(now - self._late_since, SHORTEST_S)
        self._period.rate, self._before.rate, self._rate = rate, 0.0, rate
        # A lost packet makes many late at once, so go no lower than to a half.
        most = max(self._fill(rate, distance, sent.size), sent.total / 2)
        self._most = min(most, sent.total if sent.is_trial else self._most)
        self._trial = 0.0
        if (sent.is_trial or self._least_wait > MAX_WAIT_S) and self._most < sent.total:
            self._retry_at = now + self._patience
            self._patience = min(2 * self._patience, MAX_RETRY_S)
            # It may be a longer route instead: a frame that goes alone will show it.
            self._is_draining = True
