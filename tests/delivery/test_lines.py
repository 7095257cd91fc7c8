"""What a window makes of lines, in simulated time: the figures that every viewer is promised."""

import random
from statistics import median

import pytest

from streaming.delivery.flight import MAX_BYTES_IN_FLIGHT, MAX_FRAMES_IN_FLIGHT, MAX_WAIT_S
from tests.delivery.lines import Line, run

# 100 KB at 400 KB/s.
LARGE, SLOW = 100_000, 400_000
FRAME_TIME = LARGE / SLOW


def falls(to, begin, end):
    """A rate that falls to a fifth, and comes back."""
    return lambda now: to / 5 if begin <= now < end else to


def standstills(seed, seconds, longest):
    """About one a second, as of a busy machine: what came meanwhile comes at once."""
    chance, at, found = random.Random(seed), 0.0, []
    while at < seconds:
        begin = at + chance.expovariate(1)
        at = begin + chance.uniform(0.03, longest)
        found.append((begin, at))
    return tuple(found)


class TestALongLine:
    """5 MB/s, frames of 4 KB, 30 a second: as many come as over a short one."""

    @pytest.mark.parametrize("round_trip", [0.02, 0.1, 0.2, 0.3])
    def test_is_not_taken_for_a_slow_one(self, round_trip):
        found = run(Line(5e6, round_trip), 4000, 30)
        assert found.per_second(4, 30) >= 28
        assert max(found.waits()) == 0

    def test_has_frames_at_once(self):
        """Most of what it can carry within three round trips, all of it within three seconds."""
        found = run(Line(5e6, 0.2), 4000, 4)
        assert found.per_second(0.6, 1.0) >= 15
        assert found.per_second(3, 4) >= 28

    @pytest.mark.parametrize("jitter", [0.016, 0.03])
    def test_may_tremble(self, jitter):
        found = run(Line(5e6, 0.2, jitter=jitter), 4000, 40)
        assert found.per_second(5, 40) >= 28

    @pytest.mark.parametrize("round_trip", [0.02, 0.2, 0.3])
    def test_may_lose_packets(self, round_trip):
        """Every 5 s all that is on its way waits 0.3 s for one that was lost."""
        stalls = tuple((second, second + 0.3) for second in range(5, 60, 5))
        found = run(Line(5e6, round_trip, stalls=stalls), 4000, 60)
        assert found.per_second(10, 60) >= 27

    def test_is_full_again_soon_after_a_silence_of_two_seconds(self):
        found = run(Line(5e6, 0.3, stalls=((10, 12),)), 4000, 20)
        assert found.per_second(14, 20) >= 28

    @pytest.mark.parametrize(("before", "after"), [(0.02, 0.3), (0.1, 0.2), (0.3, 0.37)])
    def test_may_become_longer(self, before, after):
        """The lowest delay of the way before would otherwise count as a wait for ever."""
        found = run(Line(5e6, lambda now: before if now < 10 else after), 4000, 40)
        assert found.per_second(20, 40) >= 28

    def test_may_become_shorter(self):
        found = run(Line(5e6, lambda now: 0.3 if now < 10 else 0.02), 4000, 30)
        assert found.per_second(10.5, 30) >= 28

    def test_carries_frames_of_many_sizes(self):
        """A small one behind a large one is late, but not because of too many in flight."""
        found = run(Line(5e6, 0.2), lambda number: (2000, 20_000, 7000)[number % 3], 30)
        assert found.per_second(4, 30) >= 28


class TestASlowLine:
    """The bytes of a large frame take their time, which is no wait for others."""

    @pytest.mark.parametrize("round_trip", [0.005, 0.1, 0.2, 0.3])
    def test_shows_frames_that_are_as_fresh_as_they_can_be(self, round_trip):
        """Although two of them do not fill the line exactly, and three would queue."""
        ages = run(Line(SLOW, round_trip), LARGE, 60).ages(1)
        assert median(ages) <= 1.1 * FRAME_TIME
        assert max(ages) <= 1.85 * FRAME_TIME

    @pytest.mark.parametrize("round_trip", [0.005, 0.2])
    def test_is_used(self, round_trip):
        """0.9 of what it can carry: it is empty while the next step is awaited, if it is short."""
        assert run(Line(SLOW, round_trip), LARGE, 60).per_second(2, 60) >= 0.9 / FRAME_TIME

    @pytest.mark.parametrize("round_trip", [0.005, 0.1, 0.2, 0.3])
    @pytest.mark.parametrize("size", [4000, 20_000, LARGE])
    def test_lets_no_frame_wait_long_but_when_it_is_tried(self, round_trip, size):
        waits = run(Line(SLOW, round_trip), size, 60, fps=60).waits(2)
        late = [wait for wait in waits if wait > MAX_WAIT_S]
        assert len(late) <= 0.12 * len(waits)

    def test_that_was_fast_until_now_is_noticed_at_once(self):
        """1 MB/s to 200 KB/s and back: frames of 20 KB, a fifth of a second long."""
        found = run(Line(falls(1e6, 20, 40), 0.2), 20_000, 60)
        assert found.per_second(5, 20) >= 28
        assert max(found.waits(22, 40)) <= 2 * MAX_WAIT_S
        assert median(found.ages(22, 40)) <= 1.2 * 0.1
        assert found.per_second(22, 40) >= 8
        assert found.per_second(42, 60) >= 28

    @pytest.mark.parametrize("round_trip", [0.005, 0.2])
    def test_may_be_slow_for_large_frames_and_come_back(self, round_trip):
        found = run(Line(falls(SLOW, 20, 40), round_trip), LARGE, 70)
        slow, again = found.ages(24, 40), found.ages(43, 70)
        assert median(slow) <= 1.2 * 5 * FRAME_TIME
        assert max(slow) <= 2 * 5 * FRAME_TIME
        assert median(again) <= 1.2 * FRAME_TIME
        assert max(again) <= 2 * FRAME_TIME
        assert found.per_second(43, 70) >= 0.9 / FRAME_TIME

    def test_gets_one_at_a_time_when_frames_become_large(self):
        """After many small ones in flight: so many large ones would be seconds old."""
        found = run(Line(SLOW, 0.1), lambda number: 4000 if number < 300 else LARGE, 30)
        assert found.per_second(4, 9) >= 28
        assert max(found.waits(11, 30)) <= FRAME_TIME

    @pytest.mark.parametrize("seed", range(3))
    def test_is_not_taken_for_a_fast_one_after_a_standstill(self, seed):
        """Acks that come at once, or late, say little of the line."""
        found = run(Line(SLOW, 0.005, stalls=standstills(seed, 60, 0.3)), LARGE, 60)
        ages = found.ages(4)
        assert median(ages) <= 1.2 * FRAME_TIME
        assert max(ages) <= 2.5 * FRAME_TIME
        assert found.per_second(4, 60) >= 0.8 / FRAME_TIME

    def test_of_a_page_that_paints_slowly_has_no_queue_there(self):
        found = run(Line(5e7, 0.02, paint=0.1), 4000, 30)
        assert found.per_second(2, 30) >= 9.5
        assert max(found.ages(2)) <= 0.3


class TestBounds:
    @pytest.mark.parametrize("size", [100, 4000, 200_000, 900_000])
    def test_a_reader_that_stops_costs_at_most_a_megabyte(self, size):
        found = run(Line(5e7, 0.3, reads_until=8), size, 30, fps=60)
        assert found.most_bytes <= MAX_BYTES_IN_FLIGHT
        assert max(frame.in_flight for frame in found.frames) <= MAX_FRAMES_IN_FLIGHT

    def test_the_shortest_way_has_only_a_few_in_flight(self):
        """Or one that stops reading would have to read them all before it sees the newest."""
        found = run(Line(5e7, 0.001), 20_000, 30)
        assert max(frame.in_flight for frame in found.frames) == 1
