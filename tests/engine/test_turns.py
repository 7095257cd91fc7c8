import threading
import time

import pytest

from streaming.engine.turns import LEAST_S, MOST_S, Turns


def wait_until(is_so):
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


class Concurrency:
    """So many may step at once until another number is said."""

    most = 2

    def __init__(self):
        self._looked = self.most

    def look(self, _now, _threads):
        before, self._looked = self._looked, self.most
        return before != self.most


@pytest.fixture
def concurrency():
    return Concurrency()


@pytest.fixture
def turns(concurrency, clock):
    return Turns(concurrency, clock)


class Stepping:
    """Threads that ask for their turn, by name."""

    def __init__(self, turns):
        self.turns, self.admitted, self._off = turns, [], set()
        self._threads = []

    def ask(self, who):
        thread = threading.Thread(target=self._take, args=(who,))
        self._threads.append(thread)
        thread.start()
        wait_until(lambda: who in self.admitted or who in [each for each, _ in self.turns._waiting])

    def call_off(self, who):
        self._off.add(who)

    def _take(self, who):
        self.turns.take(who, lambda: who in self._off)
        self.admitted.append(who)

    def join(self):
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def stepping(turns):
    stepping = Stepping(turns)
    yield stepping
    stepping.join()


def take(turns, who):
    return turns.take(who, lambda: False)


class TestRoom:
    def test_is_for_so_many_at_once(self, turns, stepping):
        assert take(turns, "a")
        assert take(turns, "b")
        stepping.ask("c")
        assert stepping.admitted == []
        turns.give_back("a")
        wait_until(lambda: stepping.admitted == ["c"])

    def test_is_given_in_the_order_of_asking(self, turns, stepping):
        take(turns, "a"), take(turns, "b")
        for who in "cde":
            stepping.ask(who)
        for count, who in enumerate("abc", 1):
            turns.give_back(who)
            wait_until(lambda count=count: len(stepping.admitted) == count)
        assert stepping.admitted == ["c", "d", "e"]

    def test_is_not_made_by_who_has_none(self, turns, stepping):
        take(turns, "a"), take(turns, "b")
        stepping.ask("c")
        turns.give_back("nobody")
        assert stepping.admitted == []
        turns.give_back("b")


class TestAnotherNumber:
    def test_that_is_less_makes_those_who_step_wait_for_each_other(
        self, turns, concurrency, clock, stepping
    ):
        take(turns, "a"), take(turns, "b")
        concurrency.most = 1
        clock.seconds = LEAST_S
        stepping.ask("a")
        assert stepping.admitted == []
        stepping.ask("b")
        wait_until(lambda: stepping.admitted == ["a"])
        turns.give_back("a")
        wait_until(lambda: stepping.admitted == ["a", "b"])

    def test_that_is_less_lets_two_take_turns_of_whom_none_has_waited(
        self, turns, concurrency, clock, stepping
    ):
        take(turns, "a"), take(turns, "b")
        concurrency.most = 1
        clock.seconds = LEAST_S / 2
        assert take(turns, "a")
        clock.seconds = LEAST_S
        stepping.ask("a")
        assert len(turns._stepping) == 1
        turns.give_back("b")

    def test_that_is_more_lets_others_begin_at_once(self, turns, concurrency, stepping):
        concurrency.most = 1
        take(turns, "a")
        stepping.ask("b")
        concurrency.most = 2
        assert take(turns, "a")
        wait_until(lambda: stepping.admitted == ["b"])


class TestATurn:
    def test_lasts_over_many_steps_where_nobody_waits(self, turns, clock):
        for _ in range(3):
            assert take(turns, "a")
            clock.seconds += 1

    def test_lasts_over_short_steps_although_others_wait(self, turns, clock, stepping):
        take(turns, "a"), take(turns, "b")
        stepping.ask("c")
        clock.seconds = 0.9 * LEAST_S
        assert take(turns, "a")
        assert stepping.admitted == []
        turns.give_back("a")

    def test_goes_to_the_next_after_that_and_comes_again(self, turns, clock, stepping):
        take(turns, "a"), take(turns, "b")
        stepping.ask("c")
        clock.seconds = LEAST_S
        stepping.ask("a")
        wait_until(lambda: stepping.admitted == ["c"])
        turns.give_back("c")
        wait_until(lambda: stepping.admitted == ["c", "a"])

    def test_of_a_step_that_is_long_counts_no_more(self, turns, clock, stepping):
        """It may sleep, or wait for the others."""
        take(turns, "a"), take(turns, "b")
        stepping.ask("c")
        clock.seconds = MOST_S
        wait_until(lambda: stepping.admitted == ["c"])
        # And is given back without harm.
        turns.give_back("a")
        turns.give_back("c")

    def test_that_had_to_be_waited_for_is_told(self, turns, clock):
        take(turns, "a"), take(turns, "b")
        clock.seconds = MOST_S
        assert take(turns, "c")
        clock.seconds = 2 * MOST_S
        take(turns, "d"), take(turns, "e")
        told = []
        thread = threading.Thread(target=lambda: told.append(take(turns, "f")))
        thread.start()
        wait_until(lambda: turns._waiting)
        turns.give_back("e")
        thread.join(10)
        assert told == [False]


def test_who_is_to_stop_waits_no_longer(turns, stepping):
    take(turns, "a"), take(turns, "b")
    stepping.ask("c")
    stepping.ask("d")
    stepping.call_off("c")
    wait_until(lambda: stepping.admitted == ["c"])
    # And takes nobody's place.
    turns.give_back("a")
    wait_until(lambda: stepping.admitted == ["c", "d"])
