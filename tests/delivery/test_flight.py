import pytest

from streaming.delivery.flight import MAX_BYTES_IN_FLIGHT, MAX_FRAMES_IN_FLIGHT, InFlight

SIZE = 4000


@pytest.fixture
def flight():
    return InFlight()


def fill(flight, first, now, size=SIZE):
    """Send as many frames as may be in flight; returns their numbers."""
    numbers = []
    while flight.fits(size):
        flight.send(first + len(numbers), size, now)
        numbers.append(first + len(numbers))
    return numbers


def rounds(flight, delay, count, begin=0.0, first=1, size=SIZE):
    """Fill and acknowledge that often, each frame after the same delay; returns how many fitted."""
    now, found = begin, []
    for _ in range(count):
        numbers = fill(flight, first, now, size)
        now += delay
        for seq in numbers:
            flight.ack(seq, now)
        first += len(numbers)
        found.append(len(numbers))
    return found


class TestBounds:
    def test_one_is_always_let_through(self, flight):
        assert flight.fits(2 * MAX_BYTES_IN_FLIGHT)

    def test_never_more_than_sixteen(self, flight):
        assert max(rounds(flight, 0.01, 20)) == MAX_FRAMES_IN_FLIGHT

    def test_never_more_than_a_megabyte(self, flight):
        assert rounds(flight, 0.01, 5, size=MAX_BYTES_IN_FLIGHT // 10)[-1] == 10


class TestGrowth:
    def test_twice_as_many_over_a_short_way_and_less_over_a_long_one(self, flight):
        assert rounds(flight, 0.05, 4) == [2, 4, 8, 16]
        assert rounds(InFlight(), 0.3, 6) == [2, 3, 4, 5, 6, 8]

    def test_not_while_the_source_needs_less(self, flight):
        for seq in range(1, 100):
            flight.send(seq, SIZE, seq)
            flight.ack(seq, seq + 0.05)
        assert len(fill(flight, 100, 100.0)) == 2


class TestVisibility:
    def test_what_was_in_flight_while_nobody_looked_measures_no_way(self, flight):
        """It seems to have come in no time, and all that follow to wait on the line."""
        before = rounds(flight, 0.3, 4)[-1]
        flight.send(500, SIZE, 10.0)
        flight.restart(100.0)
        assert flight.since == 100.0
        flight.ack(500, 100.001)
        assert rounds(flight, 0.3, 4, begin=101.0, first=501)[-1] > before


class TestAcks:
    def test_one_covers_all_before_it(self, flight):
        rounds(flight, 0.01, 5)
        fill(flight, 1000, 10.0)
        assert flight.ack(1003, 10.01)
        assert len(flight) == MAX_FRAMES_IN_FLIGHT - 4

    def test_of_what_is_not_in_flight_counts_for_nothing(self, flight):
        fill(flight, 1, 0.0)
        assert not any(flight.ack(seq, 0.1) for seq in (0, 3, -1, 10**30))
        assert len(flight) == 2

    def test_at_the_same_instant_divide_by_nothing(self, flight):
        assert rounds(flight, 0.0, 3)[-1] > 2

    def test_that_are_forgotten_leave_room(self, flight):
        fill(flight, 1, 0.0)
        flight.clear()
        assert len(fill(flight, 10, 0.0)) == 2
