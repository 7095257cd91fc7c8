from collections import deque

import pytest

from streaming.delivery.flight import (
    MAX_BYTES_IN_FLIGHT,
    MAX_FRAMES_IN_FLIGHT,
    RETRY_S,
    InFlight,
)

SIZE = 4000


@pytest.fixture
def flight():
    return InFlight()


def fill(flight, first, now, size=SIZE):
    """Send as many frames as may be in flight; returns their numbers."""
    numbers = []
    while True:
        while flight.fits(size):
            flight.send(first + len(numbers), size, now)
            numbers.append(first + len(numbers))
        if flight.opens_at is None:
            return numbers
        now = flight.opens_at
        flight.release(now)


def burst(flight, first, begin, count, gap, delay):
    """Send some frames at equal intervals, each acknowledged as late as the others."""
    for index in range(count):
        flight.send(first + index, SIZE, begin + gap * index)
    for index in range(count):
        flight.ack(first + index, begin + gap * index + delay)


def shown(gap, delay, size=SIZE):
    """Return what a line has shown that takes a frame every so often: four bursts, so long that
    nothing of one is there when the next begins."""
    flight, seq = InFlight(), 0
    for begin in (0.0, 1.0, 2.0, 3.0):
        sent = []
        while flight.fits(size):
            seq += 1
            sent.append((seq, begin + gap * len(sent)))
            flight.send(seq, size, sent[-1][1])
        for number, at in sent:
            flight.ack(number, at + delay)
    return flight


def flow(flight, first, begin, count, gap, delay):
    """Offer frames at equal intervals; returns how many could be sent."""
    acks, sent = deque(), 0
    for seq in range(first, first + count):
        now = begin + gap * (seq - first)
        while acks and acks[0][1] <= now:
            flight.ack(*acks.popleft())
        if flight.fits(SIZE):
            flight.send(seq, SIZE, now)
            acks.append((seq, now + delay))
            sent += 1
    return sent


class TestBounds:
    def test_one_is_always_let_through(self, flight):
        assert flight.fits(2 * MAX_BYTES_IN_FLIGHT)

    def test_never_more_than_sixteen(self):
        assert len(fill(shown(0.001, 0.3), 100, 9.0)) == MAX_FRAMES_IN_FLIGHT

    def test_never_more_than_a_megabyte(self):
        size = MAX_BYTES_IN_FLIGHT // 10
        assert len(fill(shown(0.001, 0.3, size), 100, 9.0, size)) == 10


class TestTheRate:
    def test_fills_the_distance_and_one_more_is_sent(self):
        """One each 20 ms over a way of 200 ms."""
        assert len(fill(shown(0.02, 0.2), 100, 9.0)) == 11

    def test_lets_at_most_twice_as_many_in_flight_as_there_were(self, flight):
        burst(flight, 1, 0.0, 2, 0.001, 0.3)
        assert len(fill(flight, 10, 1.0)) == 4

    def test_is_not_that_of_acks_which_come_at_once(self, flight):
        """Their frames were sent 100 ms apart."""
        flight.send(1, SIZE, 0.0)
        flight.send(2, SIZE, 0.1)
        flight.ack(1, 0.3)
        flight.ack(2, 0.3)
        assert len(fill(flight, 10, 1.0)) == 3

    def test_is_of_what_was_in_flight_together(self, flight):
        """The source made a frame now and then: that does not make the line slow, nor fast."""
        for seq in range(1, 100):
            flight.send(seq, SIZE, seq)
            flight.ack(seq, seq + 0.05)
        assert len(fill(flight, 100, 100.0)) == 2

    def test_is_forgotten_when_the_line_has_become_slow(self):
        """One frame alone that took 2 s may be bad luck; a second is not."""
        flight = shown(0.001, 0.2)
        flight.send(100, SIZE, 9.0)
        flight.ack(100, 11.0)
        flight.send(110, SIZE, 11.0)
        assert flight.fits(SIZE)
        flight.ack(110, 13.0)
        assert len(fill(flight, 120, 13.0)) == 2


class TestATrial:
    """One frame alone over a long way does not tell whether a second would wait for the first."""

    def alone(self, flight, seq, begin, delay=0.4):
        flight.send(seq, SIZE, begin)
        flight.ack(seq, begin + delay)

    def test_is_of_one_frame_at_a_time(self, flight):
        self.alone(flight, 1, 0.0)
        assert fill(flight, 10, 0.5) == [10, 11]
        flight.ack(10, 0.9)
        assert not flight.fits(SIZE), "it is not known yet what becomes of the second"

    def test_that_waited_for_nothing_leads_to_more(self, flight):
        self.alone(flight, 1, 0.0)
        burst(flight, 10, 0.5, 2, 0.03, 0.4)
        assert len(fill(flight, 20, 1.5)) == 4

    def test_that_waited_is_not_made_again_soon(self, flight):
        self.alone(flight, 1, 0.0)
        flight.send(10, SIZE, 0.5)
        flight.send(11, SIZE, 0.5)
        flight.ack(10, 0.9)
        flight.ack(11, 1.3)
        failed_at = 1.3
        self.alone(flight, 20, 2.0)
        assert fill(flight, 30, 2.5) == [30]
        flight.ack(30, 2.9)
        self.alone(flight, 40, failed_at + RETRY_S)
        assert fill(flight, 50, failed_at + RETRY_S + 1) == [50, 51]


class TestHoldingBack:
    """A line of 100 KB/s, on which a frame of 20 KB takes 200 ms, over a way of 100 ms."""

    SIZE, TIME, DELAY = 20_000, 0.2, 0.3

    def flight(self):
        """Return one that has two in flight, of which the second waits for the first."""
        flight = InFlight()
        flight.send(1, self.SIZE, 0.0)
        flight.ack(1, self.DELAY)
        both = ((2, 1.0), (3, 1.0 + self.TIME))
        for seq, at in both:
            flight.send(seq, self.SIZE, at)
        for seq, at in both:
            flight.ack(seq, at + self.DELAY)
        for seq, at in ((4, 2.0), (5, 2.0 + self.TIME / 2)):
            flight.send(seq, self.SIZE, at)
        flight.ack(4, 2.0 + self.DELAY)
        return flight

    def test_lets_a_frame_be_made_later_instead_of_waiting(self):
        flight = self.flight()
        flight.send(6, self.SIZE, 2.0 + self.DELAY)
        acked = 2.0 + self.DELAY + self.TIME
        flight.ack(5, acked)
        assert not flight.fits(self.SIZE)
        held = flight.opens_at - acked
        assert 0.3 * self.TIME < held <= 0.5 * self.TIME
        flight.release(flight.opens_at - 0.001)
        assert not flight.fits(self.SIZE)
        flight.release(flight.opens_at)
        assert flight.fits(self.SIZE)
        assert flight.opens_at is None

    def test_ends_when_nothing_is_in_flight(self):
        flight = self.flight()
        flight.ack(5, 2.0 + self.DELAY + self.TIME)
        assert flight.fits(self.SIZE)
        assert flight.opens_at is None

    def test_is_of_nothing_where_nothing_waits(self):
        flight = shown(0.02, 0.2)
        flow(flight, 100, 9.0, 50, 0.02, 0.2)
        assert flight.opens_at is None


class TestVisibility:
    def test_what_was_in_flight_while_nobody_looked_measures_no_way(self):
        """It seems to have come in no time, and all that follow to wait on the line."""
        flight = shown(0.03, 0.3)
        flight.send(100, SIZE, 9.0)
        flight.restart(100.0)
        assert flight.since == 100.0
        flight.ack(100, 100.001)
        assert flow(flight, 200, 101.0, 100, 0.03, 0.3) >= 95


class TestAcks:
    def test_one_covers_all_before_it(self):
        flight = shown(0.001, 0.3)
        fill(flight, 1000, 10.0)
        assert flight.ack(1003, 10.3)
        assert len(flight) == MAX_FRAMES_IN_FLIGHT - 4

    def test_of_what_is_not_in_flight_counts_for_nothing(self, flight):
        fill(flight, 1, 0.0)
        assert not any(flight.ack(seq, 0.1) for seq in (0, 3, -1, 10**30))
        assert len(flight) == 2

    def test_at_the_same_instant_divide_by_nothing(self, flight):
        for seq in (1, 2, 3):
            flight.send(seq, SIZE, 0.0)
        flight.ack(1, 0.0)
        flight.ack(3, 0.0)
        assert len(fill(flight, 10, 0.0)) >= 2

    def test_that_never_come_may_be_forgotten(self, flight):
        flight.send(1, SIZE, 0.0)
        flight.clear()
        assert len(flight) == 0
        assert flight.fits(SIZE)
