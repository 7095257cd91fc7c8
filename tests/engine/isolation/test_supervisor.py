"""The process engine: each fault of a child, and what it must not do to anybody else."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from math import isnan
from pathlib import Path

import psutil
import pytest

from streaming.engine.board import create_memory
from streaming.engine.frames import MOST_SVG_BYTES
from streaming.engine.isolation import endings
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.isolation.reading import MOST_AT_ONCE
from streaming.engine.isolation.spawning import Spawner
from streaming.engine.isolation.supervisor import Limits
from streaming.engine.pacing import BURST
from streaming.engine.snapshot import State
from streaming.sessions.pipes import Pipes
from tests.engine.running import Run, gone, is_there
from tests.samples import faults, simulations

# Steps of the samples are so quick that a clock this slow is due once.
SLOWEST = 0.001


@pytest.fixture(params=["thread", "event loop"])
def pipes(request):
    """Has an event loop read what the children send, or leaves it to the threads."""
    if request.param == "thread":
        yield None
        return
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever, name="event loop")
    running.start()
    pipes = Pipes(loop)
    yield pipes
    assert not pipes._looks, "nothing is left that it would look at"
    loop.call_soon_threadsafe(pipes.close)
    loop.call_soon_threadsafe(loop.stop)
    running.join(10)
    loop.close()


@pytest.fixture
def run(fork_server, pipes):
    """Run a simulation in a child; at the end of the test it is gone, whatever happened."""
    runs = []

    def run(target, **options):
        runs.append(Run(target, fork_server=fork_server, pipes=pipes, **options).start())
        return runs[-1]

    yield run
    for started in runs:
        pid = started.worker.pid
        started.session.request_stop("test")
        with suppress(ProcessLookupError):  # It may have ended since.
            if started.worker.is_alive and pid:
                os.kill(pid, signal.SIGKILL)
        assert started.worker.join(10)
        assert started.exited.wait(1)
        assert started.session.remote is None


def times_woken(worker):
    """How often a session's thread has been woken."""
    status = Path(f"/proc/self/task/{worker._thread.native_id}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[1])


class TestSteps:
    def test_are_taken_in_another_process_and_counted(self, run):
        ran = run(simulations.finite, params={"count": 3})
        end = ran.ended()
        assert (end.state, end.step, end.engine) == (State.FINISHED, 3, "process")
        assert [str(change.state) for change in ran.changes] == ["running", "finished"]
        assert ran.svgs[-1] == "<text>3</text>"
        assert ran.frames[-1].step == 3

    def test_draw_nothing_while_nobody_watches_but_the_last_frame(self, run):
        ran = run(simulations.finite, params={"count": 50}, watched=False)
        assert ran.ended().step == 50
        assert ran.svgs == ["<text>50</text>"]

    def test_take_live_parameters_between_them(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 2})
        ran.until(lambda: ran.frames)
        ran.session.set_params({"level": 9})
        ran.until(lambda: ran.svgs[-1].endswith(" 9 2</text>"))
        ran.session.set_fps(7)
        ran.session.set_step_rate(5.0)
        assert ran.session.snapshot().steps_per_second == 5.0
        assert ran.stop().stop.how == "flag"

    def test_report_progress_and_a_description(self, run):
        ran = run(reporting)
        end = ran.ended()
        assert (end.progress.done, end.progress.total, end.progress.text) == (2, 3, "two")
        assert end.description == "after two"

    def test_fail_with_the_authors_own_traceback(self, run):
        end = run(simulations.broken, params={"good_steps": 2}).ended()
        assert end.state is State.FAILED
        assert "after step 2: ZeroDivisionError: the secret of the author" in end.error
        assert "in broken" in end.traceback

    def test_over_the_frame_limit_are_said(self, run):
        ran = run(simulations.noisy, params={"size": 2000}, max_frame_bytes=1000)
        ran.until(lambda: ran.notices)
        assert ran.notices[0][0] == "frame_too_large"
        ran.stop()

    @pytest.mark.parametrize("size", [900_000, MOST_SVG_BYTES])
    def test_of_the_largest_frames_arrive_whole(self, run, size):
        ran = run(simulations.sized, params={"size": size})
        ran.until(lambda: len(ran.frames) >= 5)
        ran.stop()
        assert {len(frame.svg) for frame in ran.frames} == {size}

    def test_wake_no_thread_where_an_event_loop_reads(self, run, pipes):
        readers, woken = [], []

        def publish(frame):
            readers.append(threading.current_thread().name)
            if len(readers) in (100, 500):
                woken.append(times_woken(ran.worker))

        ran = run(simulations.counter, params={"level": 1, "size": 1}, publish=publish)
        ran.until(lambda: len(readers) >= 500)
        ran.stop()
        before, after = woken
        if pipes is None:
            assert set(readers) == {"step-s1"}
        else:
            assert set(readers[100:500]) == {"event loop"}
            assert after - before < 40

    def test_end_with_the_last_one_allowed(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 1}, most_steps=5, fps=SLOWEST)
        end = ran.ended()
        assert (end.state, end.step, end.stop.by) == (State.STOPPED, 5, "step_limit")
        assert ran.frames[-1].step == 5

    def test_a_change_that_no_process_can_be_given_is_said(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 4})
        ran.until(lambda: ran.session.snapshot().step >= 2)
        ran.session.set_params({"level": threading.Lock()})
        ran.until(lambda: ran.notices)
        ((code, sentence),) = ran.notices
        assert code == "params"
        assert sentence.startswith("The change does not reach the simulation: a parameter cannot")

    def test_have_one_frame_of_credit(self, run):
        """A server that does not take frames over gets one, and the steps wait with the next."""
        given, taking = threading.Event(), threading.Event()

        def publish(frame):
            given.set()
            taking.wait(10)

        ran = run(simulations.finite, params={"count": 10_000}, publish=publish)
        assert given.wait(10)
        seen = set()
        for _ in range(20):
            seen.add(ran.session.snapshot().step)
            time.sleep(0.005)
        assert max(seen) <= 3
        taking.set()
        assert ran.ended().state is State.FINISHED


def reporting(ctx):
    ctx.progress(1, 3, "one")
    yield "<svg/>"
    ctx.progress(2, 3, "two")
    ctx.describe("after two")
    yield "<svg/>"


class TestStop:
    def test_by_the_flag_between_steps(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 1})
        ran.until(lambda: ran.frames)
        end = ran.stop()
        assert (end.state, end.stop.how, end.stop.by) == (State.STOPPED, "flag", "client")
        assert end.stop.step >= 1

    def test_wakes_a_sleep_of_the_step(self, run):
        ran = run(faults.sleeps).until_in_step(2)
        assert ran.stop().stop.how == "flag"

    def test_interrupts_a_step_that_never_ends(self, run):
        ran = run(faults.spins, stop_grace=0.2).until_in_step(2)
        end = ran.stop()
        assert (end.state, end.stop.how, end.stop.step) == (State.STOPPED, "interrupt", 2)

    def test_interrupts_a_cleanup_that_never_ends(self, run):
        ran = run(faults.never_closes, stop_grace=0.2)
        ran.until(lambda: ran.frames)
        assert ran.stop().stop.how == "interrupt"

    def test_interrupts_a_picture_that_is_never_drawn(self, run):
        ran = run(faults.never_draws, stop_grace=0.2)
        ran.until(lambda: ran.session.snapshot().step == 2)
        assert ran.stop().stop.how == "interrupt"

    @pytest.mark.parametrize("target", [faults.in_c, faults.swallows])
    def test_kills_what_nothing_else_ends(self, run, target):
        ran = run(target, stop_grace=0.1).until_in_step(2)
        pid = ran.worker.pid
        end = ran.stop()
        assert (end.state, end.stop.how) == (State.STOPPED, "kill")
        assert end.stop.after_ms >= 1100
        assert gone(pid)

    def test_takes_an_error_while_being_stopped_for_a_stop(self, run, caplog):
        ran = run(faults.raises_when_stopped).until_in_step(2)
        assert ran.stop().state is State.STOPPED
        assert "raised while being stopped" in caplog.text

    def test_discards_frames_that_come_later(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 1})
        ran.until(lambda: ran.frames)
        ran.session.request_stop("client")
        kept = ran.session.frame
        ran.ended()
        assert ran.session.frame is kept

    def test_twice_is_one_stop(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 1})
        ran.until(lambda: ran.frames)
        assert ran.session.request_stop("one")
        assert not ran.session.request_stop("two")
        assert ran.ended().stop.by == "one"

    def test_during_the_start_needs_no_step(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 1})
        ran.session.request_stop("client")
        assert ran.ended().state is State.STOPPED

    def test_while_the_fork_server_loads(self, tmp_path, monkeypatch):
        """A stop does not wait for whatever is imported."""
        (tmp_path / "slow_loader.py").write_text(
            "import time\ndef load(argument):\n    time.sleep(3600)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        server = ForkServer("slow_loader")
        try:
            ran = Run(simulations.finite, fork_server=server, params={"count": 1}).start()
            while server.pid is None:
                ran.worker.join(0.001)
            ran.session.request_stop("client")
            assert ran.ended().state is State.STOPPED
        finally:
            os.kill(server.pid, signal.SIGKILL)
            server.close()

    def test_of_a_paused_one(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 1})
        ran.until(lambda: ran.frames)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        assert ran.stop().stop.how == "flag"

    def test_of_one_that_is_held_in_its_step(self, run):
        ran = run(faults.spins, stop_grace=0.2).until_in_step(2)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        assert ran.stop().stop.how == "interrupt"


class TestPause:
    def test_between_steps_draws_the_last_one(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 1}, fps=SLOWEST)
        ran.until(lambda: ran.frames)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        taken = ran.session.snapshot().step
        assert ran.frames[-1].step == taken
        ran.session.take_steps(2)
        ran.until(lambda: ran.changes[-1].state is State.PAUSED and ran.changes[-1].step > taken)
        assert ran.session.snapshot().step == taken + 2
        assert ran.frames[-1].step == taken + 2
        ran.session.resume()
        ran.until(lambda: ran.session.state is State.RUNNING)
        ran.stop()

    def test_in_the_middle_of_a_step_stops_the_process(self, run):
        ran = run(faults.spins).until_in_step(2)
        pid = ran.worker.pid
        ran.session.pause()
        ran.until_state(State.PAUSED)
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.001)
        assert ran.session.step_in_progress() is None
        assert "in spins" in ran.worker.stack(), "kept from before it was held"
        assert (
            "pausing",
            "Paused in the middle of step 2, which goes on from there.",
        ) in ran.notices
        ran.session.resume()
        while psutil.Process(pid).status() == psutil.STATUS_STOPPED:
            ran.worker.join(0.001)
        assert ran.session.state is State.RUNNING
        ran.stop()

    def test_in_the_middle_of_a_step_stops_its_clocks(self, run):
        """A sleep of one second is one second of the step's own time."""
        ran = run(faults.naps, watched=False).until_in_step(1)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        held_for = 1.5
        time.sleep(held_for)  # It is the time itself that is under test.
        ran.session.resume()
        end = ran.ended()
        slept = float(ran.session.frame.svg.split(b">")[2].split(b"<")[0])
        assert slept >= 1.0 + held_for - 0.1
        assert end.elapsed_ms < 1000 * (1.0 + held_for)
        assert 0.9 < ran.session.board.usual_s < 1.0 + held_for

    def test_that_is_taken_back_and_asked_for_again_at_once_holds(self, run):
        """The supervisor may see only the last of it."""
        ran = run(faults.spins).until_in_step(2)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        with ran.session._condition:
            ran.session.resume()
            ran.session.pause()
        ran.until_state(State.PAUSED)
        ran.session.take_steps(1)
        with ran.session._condition:
            ran.session.pause()
        ran.until_state(State.PAUSED)

    def test_a_single_step_ends_the_one_that_is_held(self, run):
        ran = run(faults.naps, watched=False).until_in_step(1)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        ran.session.take_steps(1)
        ran.until(lambda: ran.changes[-1].state is State.PAUSED and ran.changes[-1].step == 1)
        ran.stop()


class TestFinishedPictures:
    """Many steps at once, then one that is long: nothing that is finished is held back."""

    STEPS = 12

    @pytest.mark.parametrize("lazy", [False, True])
    def test_come_while_the_next_step_runs(self, run, lazy):
        ran = run(faults.uneven, fps=30, params={"steps": self.STEPS, "lazy": lazy})
        ran.until(lambda: ran.frames and ran.frames[-1].step == self.STEPS)
        assert ran.until_in_step(self.STEPS + 1).session.state is State.RUNNING
        steps = [frame.step for frame in ran.frames]
        assert steps == sorted(set(steps))
        ran.stop()

    def test_come_while_the_next_step_holds_the_interpreter(self, run):
        ran = run(faults.uneven, fps=30, params={"steps": self.STEPS, "then": "in_c"})
        ran.until(lambda: ran.frames and ran.frames[-1].step == self.STEPS)
        os.kill(ran.worker.pid, signal.SIGKILL)
        ran.ended()

    @pytest.mark.parametrize("lazy", [False, True])
    def test_come_once_somebody_can_take_them(self, run, lazy):
        """All windows were full when the step ended."""
        ran = run(faults.uneven, fps=30, params={"steps": self.STEPS, "lazy": lazy}, watched=None)
        ran.until_in_step(self.STEPS + 1)
        assert ran.frames == []
        ran.session.set_demand(frames=True, deflate=True, watched=True)
        ran.until(lambda: ran.frames)
        assert [frame.step for frame in ran.frames] == [self.STEPS]
        ran.stop()

    @pytest.mark.parametrize("then", ["raise", "crash", "exit"])
    def test_are_there_before_a_failure_is_told(self, run, then):
        ran = run(faults.uneven, fps=SLOWEST, params={"steps": self.STEPS, "then": then})
        end = ran.ended()
        assert (end.state, end.frame_step) == (State.FAILED, self.STEPS)
        assert [frame.step for frame in ran.frames] == [*range(1, BURST + 1), self.STEPS]

    def test_are_there_before_a_stop_is_told(self, run):
        ran = run(faults.uneven, fps=SLOWEST, params={"steps": self.STEPS})
        ran.until_in_step(self.STEPS + 1)
        ran.session.request_stop("client")
        stopping = next(each for each in ran.changes if each.state is State.STOPPING)
        assert stopping.frame_step == self.STEPS
        ran.ended()
        assert ran.session.frame.step == self.STEPS

    def test_are_there_before_a_pause_in_the_middle_of_a_step_is_told(self, run):
        ran = run(faults.uneven, fps=SLOWEST, params={"steps": self.STEPS, "then": "spin"})
        ran.until_in_step(self.STEPS + 1)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        assert ran.changes[-1].frame_step == self.STEPS
        assert ran.frames[-1].step == self.STEPS
        ran.stop()


class TestEndings:
    @pytest.mark.parametrize(
        ("target", "said"),
        [
            (faults.exits, "ended itself with exit code 3, during step 2"),
            (faults.is_killed, "was ended by SIGKILL from outside (killed), during step 2"),
            (faults.is_terminated, "was ended by SIGTERM (terminated), during step 2"),
            (faults.crashes, "was ended by SIGSEGV (segmentation fault), during step 2"),
            (faults.leaves, "The simulation failed after step 1: it called sys.exit(enough)"),
            (faults.cuts_a_frame_short, "ended itself with exit code 0, during step 2"),
            (faults.talks_nonsense, "sent what is no message"),
            (faults.hangs_up, "closed its connection to the server"),
            (faults.gives_half_a_frame, "sent what is no message"),
            (faults.gives_no_utf8, "sent what is no message"),
        ],
    )
    def test_are_told_apart_and_the_last_frame_stays(self, run, target, said):
        ran = run(target)
        end = ran.ended()
        assert end.state is State.FAILED
        assert said in end.error
        assert ran.svgs == ["<text>before</text>"]
        assert ran.session.frame is ran.frames[0]

    def test_over_the_memory_limit(self, run):
        end = run(faults.devours, limits=Limits(memory_bytes=512 * 1024**2)).ended()
        assert end.state is State.FAILED
        said = "MemoryError; its process may have 512 MB of memory (LIVESTEP_MAX_PROCESS_BYTES)"
        assert said in end.error
        assert "in devours" in end.traceback

    @pytest.mark.parametrize("target", [faults.devours_in_c, faults.has_a_worker_that_devours])
    def test_over_the_memory_limit_where_no_error_helps(self, run, target):
        end = run(target, limits=Limits(memory_bytes=256 * 1024**2)).ended()
        assert re.search(r"was ended: it used \d+ MB of memory, and may have 256 MB", end.error)

    def test_what_is_only_mapped_is_not_counted(self, run, tmp_path):
        ran = run(
            faults.maps, params={"path": str(tmp_path)}, limits=Limits(memory_bytes=512 * 1024**2)
        )
        assert ran.ended().state is State.FINISHED, ran.changes[-1].error

    @pytest.mark.parametrize("own_limit", [0, 512 * 1024**2])
    def test_none_come_of_limits_that_the_system_sets(self, tmp_path, own_limit):
        """A hard limit of memory, as `ulimit -v` makes it, and one of CPU time below our own."""
        program = f"""
import resource
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.isolation.supervisor import Limits
from tests.engine.running import Run
from tests.samples import simulations
resource.setrlimit(resource.RLIMIT_AS, (8 * 10**9, 8 * 10**9))
resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
server = ForkServer()
limits = Limits(memory_bytes={own_limit}, cpu_seconds=3600)
end = Run(simulations.finite, fork_server=server, params={{"count": 3}}, limits=limits).start()
print(end.ended().state, end.ended().error)
server.close()
"""
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
        )
        assert ran.stdout == "finished None\n", ran.stderr

    def test_by_a_library_that_was_used_before_the_fork_has_its_reason(self, run):
        end = run(faults.ends_as_openmp_does).ended()
        assert "was ended by SIGTERM" in end.error
        assert "OpenMP had been used before the process was made" in end.error

    def test_over_the_cpu_limit(self, run):
        end = run(faults.burns_cpu, limits=Limits(cpu_seconds=1)).ended()
        assert "used up its 1 seconds of CPU time, during step 2" in end.error

    def test_killed_for_lack_of_memory(self, run, monkeypatch):
        """Where the kernel has counted one more such kill since the child began."""
        kills = iter([7, 8])
        monkeypatch.setattr(endings, "oom_kills", lambda: next(kills))
        assert "which had no memory left" in run(faults.is_killed).ended().error

    def test_what_it_has_started_ends_with_it(self, run, tmp_path):
        path = tmp_path / "pid"
        ran = run(faults.has_a_helper, params={"pid_file": str(path)})
        ran.until(lambda: ran.frames)
        helper = int(path.read_text())
        assert is_there(helper)
        ran.stop()
        assert gone(helper)

    def test_a_closure_is_refused_with_a_sentence(self, run):
        def closure():
            yield "<svg/>"

        end = run(closure).ended()
        assert end.state is State.FAILED
        assert "at the top level of a file" in end.error

    def test_parameters_that_no_process_can_be_given(self, run):
        end = run(simulations.finite, params={"count": threading.Lock()}).ended()
        assert "cannot be given to another process" in end.error


class TestHostileChild:
    """What it writes past our own code hurts nobody but itself."""

    def test_reports_of_other_types_are_nothing(self, run):
        ran = run(faults.reports_nonsense)
        ran.session.pause()
        for step in range(1, len(faults.NONSENSE) + 2):
            ran.until_state(State.PAUSED)
            ran.session.take_steps(1)
            ran.until(lambda step=step: ran.changes[-1].step == step)
            snapshot = ran.session.snapshot()
            assert (snapshot.progress, snapshot.description) == (None, None)
        assert ran.stop().state is State.STOPPED

    def test_numbers_that_are_none_are_not_told(self, run):
        ran = run(faults.writes_nonsense, fps=30, stop_grace=0.2)
        ran.until(lambda: isnan(ran.session.board.held_s))
        snapshot = ran.session.snapshot()
        assert (snapshot.fps, snapshot.steps_per_second) == (30, None)
        assert ran.stop().state is State.STOPPED

    def test_the_end_is_the_end(self, run):
        ran = run(faults.begins_again)
        assert ran.ended().state is State.FINISHED
        assert [str(change.state) for change in ran.changes] == ["running", "finished"]

    def test_one_that_hears_no_bell_is_stopped_all_the_same(self, run):
        ran = run(faults.closes_its_bell, stop_grace=0.2)
        ran.until(lambda: ran.session.snapshot().description == "deaf")
        ran.session.set_step_rate(5.0)
        assert ran.stop().stop.how in ("interrupt", "kill")

    def test_one_that_sends_past_its_credit_holds_no_event_loop_up(self, run, pipes):
        taken, rounds = [], [0]

        def publish(frame):
            taken.append((threading.current_thread().name, rounds[0]))

        def count_rounds():
            rounds[0] += 1
            if not is_over.is_set():
                pipes._loop.call_soon(count_rounds)

        is_over = threading.Event()
        if pipes is not None:
            pipes._loop.call_soon_threadsafe(count_rounds)
        ran = run(faults.floods, publish=publish)
        ran.until(lambda: len(taken) >= 3000)
        is_over.set()
        assert ran.stop().state is State.STOPPED
        in_one_round = Counter(at for name, at in taken if name == "event loop")
        assert max(in_one_round.values(), default=0) <= MOST_AT_ONCE
        assert any(name == "step-s1" for name, _ in taken)

    def test_the_shared_memory_cannot_be_made_smaller(self):
        memory = create_memory()
        try:
            with pytest.raises(PermissionError):
                os.truncate(memory, 0)
        finally:
            os.close(memory)


class TestOutput:
    def test_of_megabytes_neither_blocks_the_step_nor_fills_the_log(self, run, caplog):
        caplog.set_level(logging.INFO)
        ran = run(faults.prints)
        ran.until(lambda: len(ran.frames) >= 3)
        ran.stop()
        lines = [record for record in caplog.records if " prints: " in record.message]
        assert 0 < len(lines) < 500
        assert "more lines" in caplog.text

    def test_last_words_are_kept_for_staff(self, run, caplog):
        caplog.set_level(logging.INFO)
        end = run(speaks_and_dies).ended()
        assert end.traceback == "the last words\n"
        assert "session s1 prints: the last words" in caplog.text


def speaks_and_dies():
    yield "<svg/>"
    print("the last words")  # noqa: T201
    os._exit(1)


class TestStack:
    @pytest.mark.parametrize("target", [faults.spins, faults.in_c, faults.sleeps])
    def test_is_shown_while_it_goes_on(self, run, target):
        ran = run(target, stop_grace=0.0).until_in_step(2)
        for _ in range(2):
            # A step is said to have begun just before the author's code has.
            ran.until(lambda: f"in {target.__name__}" in ran.worker.stack().splitlines()[0])
            assert "faults.py" in ran.worker.stack()
        assert ran.session.state is State.RUNNING
        ran.stop()
        assert ran.worker.stack() == "The process has ended.\n"

    def test_may_be_asked_for_before_the_process_can_tell_it(self, run):
        """The signal that asks for it would end the process."""
        for _ in range(20):
            ran = run(simulations.endless)
            ran.until(lambda ran=ran: ran.worker._supervisor is not None)
            assert ran.worker.stack()
            ran.until_state(State.RUNNING)
            ran.stop()

    def test_may_be_asked_for_while_a_process_of_its_own_is_started(self):
        ran = Run(simulations.endless, fork_server=Spawner()).start()
        ran.until(lambda: ran.worker._supervisor is not None)
        assert ran.worker.stack() == "The process is being started.\n"
        ran.until_state(State.RUNNING)
        assert ran.stop().state is State.STOPPED


class TestLeavesNothing:
    def test_two_hundred_starts_and_stops(self, fork_server):
        here, there = psutil.Process(), psutil.Process(fork_server.pid)

        def census():
            return threading.active_count(), here.num_fds(), there.num_fds(), there.children()

        def resident():
            return [process.memory_info().rss for process in (here, there)]

        def once():
            ran = Run(simulations.counter, fork_server=fork_server, params={"level": 1, "size": 1})
            ran.start().until(lambda: ran.frames)
            assert ran.stop().state is State.STOPPED
            ran.ended()

        for _ in range(20):
            once()
        before = settled(census)
        memory = resident()
        for _ in range(200):
            once()
        assert settled(census, before) == before
        for bytes_before, bytes_after in zip(memory, resident(), strict=True):
            assert bytes_after - bytes_before < 8 * 1024**2


def settled(census, expected=None):
    """Return a census once it stands still: the fork server lets go a moment after we do."""
    deadline, last = time.monotonic() + 5, None
    while time.monotonic() < deadline:
        last, before = census(), last
        if last in (expected, before):
            break
        time.sleep(0.02)
    return last


class TestServerKilled:
    def test_takes_every_child_with_it(self, tmp_path):
        """One of them held in its step, one deep in C, and a helper that one has started."""
        program = """
import sys, time
from streaming.engine.isolation.forkserver import ForkServer
from tests.engine.running import Run
from tests.samples import faults, simulations
server = ForkServer()
runs = [Run(faults.spins, fork_server=server).start() for _ in range(6)]
runs.append(Run(faults.in_c, fork_server=server).start())
helped = Run(faults.has_a_helper, fork_server=server, params={"pid_file": sys.argv[1]}).start()
for run in runs:
    run.until_in_step(2)
helped.until(lambda: helped.frames)
runs[0].session.pause()
runs[0].until_state("paused")
print(server.pid, *(run.worker.pid for run in [*runs, helped]), flush=True)
time.sleep(3600)
"""
        pid_file = tmp_path / "pid"
        server = subprocess.Popen(
            [sys.executable, "-c", program, str(pid_file)], stdout=subprocess.PIPE, text=True
        )
        try:
            pids = [int(pid) for pid in server.stdout.readline().split()]
            assert len(pids) == 9
            pids.append(int(pid_file.read_text()))
            assert all(map(is_there, pids))
            while psutil.Process(pids[1]).status() != psutil.STATUS_STOPPED:
                time.sleep(0.001)
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
        assert gone(*pids)


class TestServersSecrets:
    """What another process of the same user, such as a child, can read of the server."""

    @pytest.mark.parametrize("file", ["environ", "maps", "auxv"])
    def test_in_its_environment_and_memory_are_out_of_reach(self, file):
        program = f"""
import ctypes, os, subprocess
from streaming.engine.isolation import forkserver
if os.geteuid() == 0:  # The kernel refuses root nothing.
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    ctypes.CDLL(None).prctl(forkserver.PR_SET_DUMPABLE, 1, 0, 0, 0)  # As after its start.
def read():
    return subprocess.run(["cat", f"/proc/{{os.getpid()}}/{file}"], capture_output=True).returncode
before = read()
try:
    forkserver.ForkServer().start()
except Exception:
    pass  # That user may not be able to run Python.
print(before, read())
"""
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
        )
        assert ran.stdout == "0 1\n", ran.stderr


class TestChild:
    def test_sees_no_secret_and_gives_way(self, fork_server, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgres://user:secret@host/db")
        server = ForkServer()
        try:
            ran = Run(looks, fork_server=server).start()
            ran.ended()
            seen = json.loads(ran.frames[0].svg.split(b">")[1].split(b"<")[0])
            assert "secret" not in json.dumps(seen["environment"])
            assert seen["environment"]["OMP_NUM_THREADS"] == "1"
            assert seen["nice"] >= 10
            assert seen["batch"]
            assert seen["group"] == seen["pid"]
            assert seen["ignores_ctrl_c"]
            assert seen["oom"] == "500"
            # Three standard ones, pipe, bell, memory, stack, and the folder that is being read.
            # A newer libffi keeps its own file open, too.
            assert len([one for one in seen["descriptors"] if ".so." not in one]) <= 8
        finally:
            server.close()

    def test_has_random_numbers_of_its_own(self, run):
        drawn = []
        for _ in range(3):
            ran = run(draws_lots)
            ran.ended()
            drawn.append(ran.svgs[0])
        assert len(set(drawn)) == 3


def draws_lots():
    import random

    yield f"<svg>{random.random()}</svg>"


def looks():
    yield (
        "<svg>"
        + json.dumps(
            {
                "environment": dict(os.environ),
                "nice": os.nice(0),
                "batch": os.sched_getscheduler(0) == os.SCHED_BATCH,
                "pid": os.getpid(),
                "group": os.getpgid(0),
                "ignores_ctrl_c": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
                # psutil does not read it.
                "oom": Path("/proc/self/oom_score_adj").read_text().strip(),
                "descriptors": list(map(os.path.realpath, Path("/proc/self/fd").iterdir())),
            }
        )
        + "</svg>"
    )
