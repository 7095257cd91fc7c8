import hashlib
import threading
import time

import pytest

from streaming.engine import contention
from streaming.engine.contention import (
    HELD_UP_S,
    LEAST_S,
    WAITS_ALONE_S,
    Contention,
    Use,
    use_of_this_thread,
)

TURN_S = 0.01


class Turns:
    """Turns of somebody's, on a clock of their own."""

    def __init__(self):
        self.contention, self.now = Contention(), 0.0
        self.use = Use(0.0, 0.0)

    def take(self, *, ran=0.0, queued=0.0, shared=False, seconds=TURN_S):
        """Take a turn, with parts of its time on a core and in the queue for one."""
        self.contention.begin("a", self.use, self.now, is_shared=shared)
        self.now += seconds
        self.use = Use(self.use.ran + ran * seconds, self.use.queued + queued * seconds)
        self.contention.end("a", self.use, self.now)

    @property
    def is_held_up(self):
        return self.contention.is_held_up("a", self.now)

    @property
    def waits_alone(self):
        return self.contention.waits_alone("a", self.now)


@pytest.fixture
def turns():
    return Turns()


class TestBesideOthers:
    def test_half_the_time_is_to_be_held_up(self, turns):
        turns.take(ran=0.5, shared=True)
        assert turns.is_held_up

    def test_all_the_time_is_not(self, turns):
        turns.take(ran=1.0, shared=True)
        assert not turns.is_held_up

    def test_nor_is_a_busy_core(self, turns):
        turns.take(ran=0.3, queued=0.7, shared=True)
        assert not turns.is_held_up

    def test_a_turn_that_others_come_into_counts(self, turns):
        turns.contention.begin("a", Use(0.0, 0.0), 0.0, is_shared=False)
        turns.contention.share("a")
        turns.contention.share("nobody")
        turns.contention.end("a", Use(TURN_S / 2, 0.0), TURN_S)
        turns.now = TURN_S
        assert turns.is_held_up

    def test_it_is_found_out_anew(self, turns):
        turns.take(ran=0.5, shared=True)
        turns.now += HELD_UP_S
        assert not turns.is_held_up
        turns.take(ran=0.5, shared=True)
        assert turns.is_held_up
        turns.take(ran=1.0, shared=True)
        assert not turns.is_held_up


class TestAlone:
    def test_all_the_time_leaves_what_is_known(self, turns):
        turns.take(ran=0.5, shared=True)
        turns.take(ran=1.0)
        assert turns.is_held_up

    def test_one_that_sleeps_is_held_up_by_nobody(self, turns):
        turns.take(ran=0.01, shared=True)
        assert turns.is_held_up
        turns.take(ran=0.01)
        assert not turns.is_held_up
        assert turns.waits_alone
        turns.take(ran=0.01, shared=True)
        assert not turns.is_held_up

    def test_that_is_found_out_anew(self, turns):
        turns.take(ran=0.01)
        turns.now += WAITS_ALONE_S
        assert not turns.waits_alone
        turns.take(ran=0.5, shared=True)
        assert turns.is_held_up


class TestNothingIsLearned:
    def test_from_a_turn_too_short_to_say_anything(self, turns):
        turns.take(ran=0.0, shared=True, seconds=0.9 * LEAST_S)
        assert not turns.is_held_up

    def test_where_the_system_does_not_say_what_was_used(self, turns, monkeypatch):
        monkeypatch.setattr(contention, "SCHEDULE", "/nothing/of/the/kind")
        assert use_of_this_thread() is None
        for before, after in ((None, Use(0.0, 0.0)), (Use(0.0, 0.0), None)):
            turns.contention.begin("a", before, 0.0, is_shared=True)
            turns.contention.end("a", after, TURN_S)
        assert not turns.is_held_up

    def test_from_a_turn_that_has_not_begun(self, turns):
        turns.contention.end("a", Use(0.0, 0.0), TURN_S)
        assert not turns.is_held_up


def test_nothing_is_kept_of_who_is_gone(turns):
    turns.take(ran=0.5, shared=True)
    turns.contention.begin("a", turns.use, turns.now, is_shared=True)
    turns.contention.begin("b", turns.use, turns.now, is_shared=False)
    turns.contention.end("b", turns.use, turns.now + 1)
    for who in "ab":
        turns.contention.forget(who)
    assert not any(vars(turns.contention).values())


def used_while(code):
    before, began = use_of_this_thread(), time.monotonic()
    code()
    after, wall = use_of_this_thread(), time.monotonic() - began
    return (after.ran - before.ran + after.queued - before.queued) / wall


class TestTheSystem:
    """On a machine as busy as it pleases: what a thread waits for a core is no standing still."""

    def test_counts_work_and_the_wait_for_a_core(self):
        stop = threading.Event()
        content = bytes(1024 * 1024)

        def burn():
            while not stop.is_set():
                hashlib.sha256(content).digest()  # It lets go of the interpreter.

        burners = [threading.Thread(target=burn) for _ in range(8)]
        for each in burners:
            each.start()
        try:
            assert used_while(lambda: hashlib.sha256(content * 64).digest()) > 0.9
        finally:
            stop.set()
            for each in burners:
                each.join()

    def test_counts_no_sleep(self):
        assert used_while(lambda: time.sleep(0.2)) < 0.3
