"""Steps that are coroutines, in both engines."""

import threading

import pytest

from streaming.engine.snapshot import Rung, State
from tests.engine.running import Run
from tests.samples import asynchronous as samples


@pytest.fixture(params=["thread", "process"])
def run(request, fork_server):
    options = {"fork_server": fork_server} if request.param == "process" else {}
    runs = []

    def run(target, **more):
        runs.append(Run(target, **options, **more).start())
        return runs[-1]

    yield run
    for started in runs:
        started.stop()


class TestSteps:
    def test_of_a_generator_leave_its_tasks_the_loop(self, run):
        ran = run(samples.counts, params={"count": 3})
        assert ran.ended().state is State.FINISHED
        assert ran.svgs == [f"<text>{number} True</text>" for number in range(3)]

    def test_of_a_function_are_its_calls(self, run):
        samples.draws.calls = 0
        ran = run(samples.draws, params={"level": 1})
        assert ran.ended().state is State.FINISHED
        assert ran.svgs == ["<text>1</text>", "<text>2</text>"]

    def test_of_a_class_are_its_method(self, run):
        ran = run(samples.Walker)
        assert ran.ended().state is State.FINISHED
        assert ran.svgs == ["<text>1</text>", "<text>2</text>"]

    def test_fail_as_others_do(self, run):
        end = run(samples.fails).ended()
        assert "failed after step 1: ZeroDivisionError" in end.error


class TestStop:
    @pytest.mark.parametrize("target", [samples.sleeps_for_long, samples.sleeps_in_the_context])
    def test_is_heard_where_a_step_awaits(self, run, target):
        ran = run(target).until_in_step(2)
        stop = ran.stop().stop
        assert stop.how is Rung.FLAG
        assert stop.after_ms < 1500

    def test_interrupts_what_does_not_await(self, run):
        ran = run(samples.burns, stop_grace=0.1)
        ran.until(lambda: ran.session.snapshot().description == "burning")
        assert ran.stop().stop.how in (Rung.INTERRUPT, Rung.KILL)

    def test_leaves_no_thread(self, run):
        before = threading.active_count()
        run(samples.sleeps_for_long).until_in_step(2).stop()
        assert threading.active_count() <= before
