"""How many threads step at once: what they get done decides, however it comes about."""

from itertools import count

import pytest

from streaming.engine.concurrency import (
    ONE_KEPT_S,
    PAIRS,
    SEVERAL_KEPT_S,
    TRIED_S,
    WORTH,
    Concurrency,
)

CORES = 4
THREADS = 8
LOOK_S = 0.01


class Machine:
    """Threads that use so many processors, by how many of them step at once."""

    def __init__(self, processors_used, cores=CORES, threads=THREADS, tells=True):
        self.processors_used = processors_used
        self.threads = range(threads)
        self._used = dict.fromkeys(self.threads, 0.0)
        self.concurrency = Concurrency(cores, self._used.get if tells else lambda _: None)
        self._now = 0.0

    def run(self, seconds):
        """Let time go by; returns how much of it each number of threads could step at once."""
        shares = {}
        for _ in range(round(seconds / LOOK_S)):
            self.concurrency.look(self._now, self.threads)
            most = self.concurrency.most
            shares[most] = shares.get(most, 0) + LOOK_S / seconds
            self._now += LOOK_S
            for each in self.threads:
                self._used[each] += self.processors_used(most) * LOOK_S / len(self.threads)
        return shares

    def settle(self):
        """Let it try often enough, and once more from then on."""
        self.run(2 * (PAIRS + 1) * TRIED_S)
        return self


def needs_the_interpreter(most):
    return 0.95 if most == 1 else 0.9


def lets_go_of_it(most):
    return float(most)


def on_a_busy_core(most):
    """Two programs beside them: each thread gets as much as each of these."""
    return most / (most + 2)


def sleeps(most):
    return 0.01 * most


def test_steps_that_need_the_interpreter_are_taken_one_at_a_time():
    shares = Machine(needs_the_interpreter).settle().run(60)
    assert shares[1] > 1 - 1.5 * TRIED_S / ONE_KEPT_S


def test_steps_that_let_go_of_it_are_never_made_to_wait():
    assert Machine(lets_go_of_it).run(60) == {CORES: pytest.approx(1)}


@pytest.mark.parametrize("processors_used", [on_a_busy_core, sleeps])
def test_where_more_get_more_done_they_wait_for_each_other_in_trials_only(processors_used):
    shares = Machine(processors_used).settle().run(60)
    assert 0 < shares[1] < 1.5 * TRIED_S / SEVERAL_KEPT_S


def test_a_gain_that_is_too_small_is_not_worth_it():
    shares = Machine(lambda most: 0.9 if most == 1 else 0.9 * (WORTH - 0.01)).settle().run(20)
    assert shares[1] > 0.9


def test_other_steps_are_found_out():
    machine = Machine(needs_the_interpreter).settle()
    machine.processors_used = lets_go_of_it
    machine.run(PAIRS * (ONE_KEPT_S + 2 * TRIED_S))
    assert machine.run(20) == {CORES: pytest.approx(1)}
    machine.processors_used = needs_the_interpreter
    machine.run(PAIRS * (SEVERAL_KEPT_S + 2 * TRIED_S))
    assert machine.run(20)[1] > 0.9


def test_a_moment_in_which_the_machine_stands_still_changes_nothing():
    halts = count()

    def with_halts(most):
        """Each third trial or so falls into one, whichever way it tries."""
        return 0.0 if next(halts) % 310 < 100 else lets_go_of_it(most)

    shares = Machine(with_halts).settle().run(60)
    assert shares[CORES] > 0.95


@pytest.mark.parametrize("machine", [{"threads": 1}, {"tells": False}], ids=str)
def test_without_anything_to_compare_nobody_waits(machine):
    assert Machine(needs_the_interpreter, **machine).run(20) == {CORES: pytest.approx(1)}


def test_threads_that_use_nothing_wait_in_trials_only():
    shares = Machine(lambda _most: 0.0).settle().run(60)
    assert 0 < shares[1] < 1.5 * TRIED_S / SEVERAL_KEPT_S


def test_one_core_is_for_one_thread():
    assert Machine(lets_go_of_it, cores=1).run(10) == {1: pytest.approx(1)}


def test_a_thread_that_has_ended_is_not_counted():
    machine = Machine(lets_go_of_it).settle()
    gone = machine.threads
    machine.threads = range(2)
    for each in gone[2:]:
        machine._used.pop(each)
    assert machine.run(20) == {CORES: pytest.approx(1)}


def test_a_change_is_told():
    machine, told = Machine(needs_the_interpreter), []
    look = machine.concurrency.look

    def note(*args):
        before = machine.concurrency.most
        told.append((look(*args), machine.concurrency.most != before))

    machine.concurrency.look = note
    machine.run(2)
    assert all(said is changed for said, changed in told)
    assert (True, True) in told
