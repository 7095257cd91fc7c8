import contextlib
import gc
import sys
import threading
import weakref

import psutil
import pytest

from streaming.engine import worker as module
from streaming.engine.board import Board
from streaming.engine.errors import StopRequested
from streaming.engine.frames import MOST_SVG_BYTES
from streaming.engine.pacing import BURST
from streaming.engine.simulations import describe
from streaming.engine.snapshot import State
from streaming.engine.stepping import Stepper
from streaming.engine.stopping import AuthorCode
from streaming.engine.worker import SWITCH_INTERVAL_S
from tests.engine.running import WAIT_S, Run
from tests.samples import faults
from tests.samples import simulations as samples

# A clock that lets a few frames through in a test, at once.
SLOWEST = 0.001
AT_ONCE = [str(step) for step in range(1, BURST + 1)]
AT_ONCE_FROM_0 = [str(step) for step in range(BURST)]


def svg(text):
    return f"<svg>{text}</svg>"


class TestEnds:
    def test_finishes_when_the_simulation_ends(self):
        run = Run(lambda: (svg(step) for step in range(3))).start()
        assert run.ended().state is State.FINISHED
        assert run.ended().step == 3
        assert run.svgs == ["0", "1", "2"]

    def test_stops_after_the_step_in_progress(self):
        """A stop asked for during a step lets that step finish and starts no other."""
        entered, release, steps = threading.Event(), threading.Event(), []

        def target():
            while True:
                steps.append(1)
                entered.set()
                release.wait(WAIT_S)
                yield svg("x")

        run = Run(target).start()
        assert entered.wait(WAIT_S)
        run.session.request_stop("client")
        release.set()
        end = run.ended()
        assert (end.state, len(steps), end.stop.step) == (State.STOPPED, 1, 1)
        assert run.frames == []

    def test_stops_within_a_step_that_checks(self):
        entered = threading.Event()

        def target(ctx):
            while True:
                entered.set()
                ctx.check()
                if ctx.stop_requested:
                    raise AssertionError("check() should have raised")
            yield

        run = Run(target).start()
        assert entered.wait(WAIT_S)
        run.session.request_stop("client")
        assert run.ended().state is State.STOPPED

    def test_stops_a_sleep(self):
        entered = threading.Event()

        def target(ctx):
            entered.set()
            ctx.sleep(3600)
            yield

        run = Run(target).start()
        assert entered.wait(WAIT_S)
        run.session.request_stop("client")
        assert run.ended().state is State.STOPPED

    def test_stop_is_not_swallowed_by_except_exception(self):
        entered = threading.Event()

        def target(ctx):
            entered.set()
            while True:
                with contextlib.suppress(Exception):
                    ctx.check()
            yield

        run = Run(target).start()
        assert entered.wait(WAIT_S)
        run.session.request_stop("client")
        assert run.ended().state is State.STOPPED

    def test_stops_a_worker_that_waits_to_hand_over(self):
        """Whoever takes no frame must not keep the session from ending."""
        handed_over, run = threading.Event(), None

        def publish(frame):
            handed_over.set()
            run.session.wait_while(lambda: True)

        run = Run(lambda: svg("x"), publish=publish)
        run.start()
        assert handed_over.wait(WAIT_S)
        run.session.request_stop("client")
        assert run.ended().state is State.STOPPED

    def test_runs_the_authors_cleanup_on_its_own_thread(self):
        cleaned, entered = [], threading.Event()

        def target():
            try:
                while True:
                    entered.set()
                    yield svg("x")
            finally:
                cleaned.append(threading.current_thread().name)

        run = Run(target).start()
        assert entered.wait(WAIT_S)
        run.session.request_stop("client")
        run.ended()
        assert cleaned == ["step-s1"]

    def test_an_error_while_being_stopped_is_a_stop(self, caplog):
        entered = threading.Event()

        def target(ctx):
            entered.set()
            while not ctx.stop_requested:
                pass
            raise ValueError("too late")
            yield

        run = Run(target).start()
        assert entered.wait(WAIT_S)
        run.session.request_stop("client")
        assert run.ended().state is State.STOPPED
        assert "raised while being stopped" in caplog.text


class TestFailures:
    def test_in_a_step_keep_the_last_frame(self):
        def target():
            yield svg("good")
            raise ZeroDivisionError("by zero")

        run = Run(target).start()
        end = run.ended()
        assert end.state is State.FAILED
        assert end.error == "The simulation failed after step 1: ZeroDivisionError: by zero"
        assert "in target" in end.traceback
        assert run.session.frame.svg.endswith(b">good</svg>")

    def test_in_rendering_end_the_session(self):
        def target():
            yield lambda: 1 / 0

        assert "ZeroDivisionError" in Run(target).start().ended().error

    def test_name_the_type_that_is_no_picture(self):
        def target():
            yield {"a": 1}

        end = Run(target).start().ended()
        assert end.state is State.FAILED
        assert "got dict" in end.error

    def test_none_from_a_generator_is_no_picture(self):
        def target():
            yield None

        assert "a `yield` gave None" in Run(target).start().ended().error

    def test_that_cannot_say_why_end_the_session(self):
        class SilentError(Exception):
            def __str__(self):
                raise ValueError

        def target():
            raise SilentError
            yield

        end = Run(target).start().ended()
        assert end.state is State.FAILED
        assert "SilentError" in end.error

    def test_are_said_in_text_that_can_be_sent(self):
        def target():
            raise OSError("no such file: \udcff")
            yield

        end = Run(target).start().ended()
        assert end.error.encode()
        assert end.traceback.encode()

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
    def test_of_every_kind_end_the_session_and_nothing_else(self, error):
        def target():
            raise error
            yield

        assert Run(target).start().ended().state is State.FAILED

    def test_a_stop_that_nobody_asked_for_is_the_end(self):
        def target():
            yield svg("x")
            raise StopRequested

        assert Run(target).start().ended().state is State.FINISHED


class TestFrames:
    def test_nothing_is_drawn_while_nobody_watches(self):
        drawn = []

        def target():
            for step in range(100):
                yield lambda step=step: drawn.append(step) or svg(step)

        run = Run(target, watched=False).start()
        assert run.ended().step == 100
        assert drawn == [99], "only the last, which whoever comes later will see"
        assert run.svgs == ["99"]

    def test_the_last_steps_frame_is_drawn_whatever_the_clock_says(self):
        run = Run(lambda: (svg(step) for step in range(50)), fps=SLOWEST).start()
        run.ended()
        assert run.svgs == [*AT_ONCE_FROM_0, "49"]

    def test_over_the_limit_is_dropped_and_said(self):
        def target():
            yield svg("x" * 100)
            yield svg(samples.noise(2000))

        run = Run(target, max_frame_bytes=1000).start()
        end = run.ended()
        assert (end.state, len(run.frames), end.frames_too_large) == (State.FINISHED, 1, 1)
        assert run.notices[0][0] == "frame_too_large"

    def test_counts_for_the_limit_as_it_goes_over_the_wire(self):
        """Even if nobody who watches just now takes it compressed."""
        run = Run(lambda: (svg("x" * 100_000) for _ in "1"), max_frame_bytes=1000).start()
        assert run.ended().frames_too_large == 0
        (frame,) = run.frames
        assert len(frame.svg) > 100_000
        assert len(frame.deflated) < 1000

    def test_beyond_all_bounds_is_not_even_compressed(self, monkeypatch):
        monkeypatch.setattr("streaming.engine.frames.deflate", lambda svg: pytest.fail("it does"))
        run = Run(lambda: (svg("x" * MOST_SVG_BYTES) for _ in "1")).start()
        assert (run.ended().frames_too_large, run.frames) == (1, [])

    def test_that_is_large_is_shown_while_the_next_step_runs(self):
        """It is the last of several quick ones, so that nobody has handed it over yet."""
        go_on = threading.Event()

        def target():
            for step in range(BURST + 1):
                yield svg(f"{step}" + "x" * 5000)
            go_on.wait(WAIT_S)

        run = Run(target, max_frame_bytes=1000, fps=10).start()
        run.until(lambda: run.frames[-1:] and run.frames[-1].step == BURST + 1)
        go_on.set()
        run.ended()

    def test_on_pausing_is_drawn_whatever_the_clock_says(self):
        paused = threading.Event()

        def target():
            step = 0
            while True:
                step += 1
                if step == 10:
                    run.session.pause()
                yield svg(step)

        run = Run(target, fps=SLOWEST)
        run.session._on_change = lambda change: (
            run.changes.append(change),
            change.state is State.PAUSED and paused.set(),
        )
        run.start()
        assert paused.wait(WAIT_S)
        assert run.svgs == [*AT_ONCE, "10"]
        paused.clear()
        run.session.take_steps(2)
        assert paused.wait(WAIT_S)
        assert run.svgs == [*AT_ONCE, "10", "12"]
        run.session.request_stop("client")
        run.ended()

    def test_a_lazy_frame_is_not_kept_after_the_end(self):
        """It would keep the simulation's whole state in memory for as long as the session."""

        class World:
            pass

        worlds = []

        def target():
            world = World()
            worlds.append(weakref.ref(world))
            for _ in range(3):
                yield lambda: svg(world and "x")

        run = Run(target, watched=False).start()
        run.ended()
        gc.collect()
        assert worlds[0]() is None


def one_step():
    yield svg("1")


class TestWhatIsNotTheAuthors:
    """Our own code around the steps fails: the session ends all the same."""

    def test_is_a_failure_of_the_server(self, monkeypatch, caplog):
        monkeypatch.setattr(module, "free_from_the_server", lambda: 1 / 0)
        end = Run(one_step).start().ended()
        assert (end.state, end.error) == (
            State.FAILED,
            "The server failed at running this session.",
        )
        assert "session s1 lost its worker" in caplog.text

    def test_while_it_is_stopped_is_a_stop(self, monkeypatch):
        entered, go_on = threading.Event(), threading.Event()

        def fail():
            entered.set()
            go_on.wait(WAIT_S)
            raise OSError

        monkeypatch.setattr(module, "free_from_the_server", fail)
        run = Run(one_step).start()
        assert entered.wait(WAIT_S)
        run.session.request_stop("client")
        go_on.set()
        assert run.ended().state is State.STOPPED

    def test_a_pyplot_that_another_session_imports_just_now(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", object())
        monkeypatch.delitem(sys.modules, "matplotlib._pylab_helpers", raising=False)
        assert Run(one_step).start().ended().state is State.FINISHED

    @pytest.mark.parametrize("when", ["before", "during"])
    def test_a_working_directory_that_is_gone(self, tmp_path, monkeypatch, when):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        monkeypatch.setattr(module, "folder_of", lambda name: tmp_path)
        if when == "before":
            gone.rmdir()
        run = Run(one_step, publish=lambda frame: when == "during" and gone.rmdir())
        assert run.start().ended().state is State.FINISHED
        assert not gone.exists()


class TestLadder:
    def test_interrupts_a_step_that_never_ends(self):
        run = Run(faults.spins, stop_grace=0.2).start().until_in_step(2)
        end = run.stop()
        assert (end.state, end.stop.how, end.stop.step) == (State.STOPPED, "interrupt", 2)
        assert end.stop.after_ms >= 200
        assert run.svgs == ["<text>before</text>"]

    def test_does_not_interrupt_a_step_that_ends_in_time(self):
        run = Run(faults.raises_when_stopped).start().until_in_step(2)
        assert run.stop().stop.how == "flag"

    def test_interrupts_a_cleanup_that_never_ends(self):
        """`generator.close()` runs author code, too."""
        run = Run(faults.never_closes, stop_grace=0.2).start()
        run.until(lambda: run.frames)
        assert run.stop().stop.how == "interrupt"

    def test_interrupts_a_picture_that_is_never_drawn(self):
        run = Run(faults.never_draws, stop_grace=0.2).start()
        run.until(lambda: run.frames and run.session.snapshot().step == 2)
        assert run.stop().stop.how == "interrupt"

    def test_is_not_swallowed_by_except_exception(self):
        entered = threading.Event()

        def target():
            while True:
                with contextlib.suppress(Exception):
                    entered.set()
                    while True:
                        entered.is_set()
            yield

        run = Run(target, stop_grace=0.1).start()
        assert entered.wait(WAIT_S)
        assert run.stop().stop.how == "interrupt"

    def test_what_swallows_everything_is_stuck_with_its_stack_until_it_ends(self):
        entered, release = threading.Event(), threading.Event()

        def a_step_that_hangs():
            while not release.is_set():
                with contextlib.suppress(BaseException):
                    while not release.is_set():
                        entered.set()
            yield svg("x")

        run = Run(a_step_that_hangs, stop_grace=0.1).start()
        assert entered.wait(WAIT_S)
        stuck = run.stop()
        assert stuck.state is State.STUCK
        assert "in a_step_that_hangs" in stuck.traceback
        assert not run.exited.is_set(), "its place is taken"
        release.set()
        assert run.ended().state is State.STOPPED
        assert run.exited.wait(WAIT_S)

    def test_a_call_into_c_that_holds_the_gil_ends_by_itself(self):
        """Nothing in the process runs meanwhile; what a thread cannot do it does not claim."""
        run = Run(faults.briefly_in_c, stop_grace=0.0).start().until_in_step(1)
        assert run.stop().state is State.STOPPED

    def test_a_sleep_of_the_step_is_left_at_once(self):
        run = Run(faults.sleeps).start().until_in_step(2)
        end = run.stop()
        assert (end.stop.how, end.state) == ("flag", State.STOPPED)


def plain(text):
    return svg(text)


def lazy(text):
    return lambda: svg(text)


@pytest.mark.parametrize("form", [plain, lazy])
class TestFinishedPictures:
    """Many steps at once, then one that is long: nothing that is finished is held back."""

    STEPS = 12

    @pytest.fixture
    def go_on(self):
        go_on = threading.Event()
        yield go_on
        go_on.set()

    @pytest.fixture
    def uneven(self, form, go_on):
        self.in_long_step = threading.Event()

        def target():
            for step in range(1, self.STEPS + 1):
                yield form(step)
            self.in_long_step.set()
            assert go_on.wait(WAIT_S)

        return target

    def test_come_while_the_next_step_runs(self, uneven, go_on):
        run = Run(uneven, fps=30).start()
        assert self.in_long_step.wait(WAIT_S)
        run.until(lambda: run.svgs and run.svgs[-1] == str(self.STEPS))
        assert run.session.step_in_progress().number == self.STEPS + 1
        assert [frame.step for frame in run.frames] == sorted({frame.step for frame in run.frames})
        go_on.set()
        assert run.ended().state is State.FINISHED
        assert run.svgs[-1] == str(self.STEPS)

    def test_come_once_somebody_can_take_them(self, uneven, go_on):
        """All windows were full when the step ended."""
        run = Run(uneven, fps=30, watched=None).start()
        assert self.in_long_step.wait(WAIT_S)
        assert run.svgs == []
        run.session.set_demand(frames=True, deflate=True, watched=True)
        run.until(lambda: run.svgs)
        assert run.svgs == [str(self.STEPS)]
        go_on.set()
        run.ended()

    def test_are_there_before_a_failure_is_told(self, form):
        def target():
            for step in range(1, self.STEPS + 1):
                yield form(step)
            raise ZeroDivisionError

        run = Run(target, fps=SLOWEST)
        told = []
        run.session._on_change = lambda change: (
            run.changes.append(change),
            told.append((change.state, change.seq, change.frame_step)),
        )
        run.start().ended()
        assert run.svgs == [*AT_ONCE, str(self.STEPS)]
        assert told[-1] == (State.FAILED, BURST + 1, self.STEPS)

    def test_are_there_before_a_stop_is_told(self, uneven, go_on):
        run = Run(uneven, fps=SLOWEST).start()
        assert self.in_long_step.wait(WAIT_S)
        run.session.request_stop("client")
        stopping = run.changes[-1]
        assert (stopping.state, stopping.frame_step) == (State.STOPPING, self.STEPS)
        go_on.set()
        run.ended()
        assert run.session.frame.step == self.STEPS

    def test_are_what_a_stuck_session_shows(self, form):
        release = threading.Event()

        def target():
            for step in range(1, self.STEPS + 1):
                yield form(step)
            while not release.is_set():
                with contextlib.suppress(BaseException):
                    release.wait(WAIT_S)

        run = Run(target, fps=SLOWEST, stop_grace=0.0).start().until_in_step(self.STEPS + 1)
        stuck = run.stop()
        assert (stuck.state, stuck.frame_step) == (State.STUCK, self.STEPS)
        release.set()
        run.ended()

    def test_are_there_before_a_step_that_the_step_rate_holds(self, form):
        run = Run(lambda: (form(step) for step in range(self.STEPS)), fps=1, watched=None)
        run.session.set_step_rate(1e-4)
        run.start().until(lambda: run.svgs)
        assert run.svgs == ["0"]
        run.stop()


class TestHeldPictures:
    def test_that_are_none_are_not_shown_and_fail_the_session_where_it_draws_them(self):
        in_long_step, go_on = threading.Event(), threading.Event()

        def target():
            for step in range(1, BURST + 1):
                yield svg(step)
            yield "no picture"
            in_long_step.set()
            assert go_on.wait(WAIT_S)

        run = Run(target, fps=60).start()
        assert in_long_step.wait(WAIT_S)
        assert run.session.held() is None
        go_on.set()
        end = run.ended()
        assert "must hold an <svg> element" in end.error
        assert run.svgs == AT_ONCE

    def test_over_the_limit_are_not_shown(self):
        session = Run(lambda: svg("x"), max_frame_bytes=1000).session
        session.board.hold(1, svg("x" * 2000))
        assert session.keep_held() is None, "that would have to be compressed"
        session.board.hold(2, svg("x"))
        assert session.keep_held().step == 2

    def test_lazy_ones_are_drawn_early_for_a_tenth_of_the_longest_step_at_the_most(self):
        drawn, now = [], [0.0]

        def target():
            while True:
                for _ in range(100):
                    yield (
                        lambda: (
                            (drawn.append(now[0]), now.__setitem__(0, now[0] + 0.3)) and "<svg/>"
                        )
                    )
                now[0] += 10.0

        board = Board()
        board.set_up(fps=30, most_steps=250)
        board.watched = 1
        stepper = Stepper(
            describe(target, name="uneven"), NobodysHost(board), AuthorCode(),
            max_frame_bytes=1000, now=lambda: now[0],
        )  # fmt: skip
        stepper.run()
        # Once at the beginning, four times after each of the two long steps, and the last one.
        assert len(drawn) == 1 + 4 + 4 + 1

    def test_the_thread_that_hands_them_over_ends_with_a_step_that_does_not(self):
        release = threading.Event()

        def target():
            for step in range(2 * BURST):
                yield svg(step)
            while not release.is_set():
                with contextlib.suppress(BaseException):
                    release.wait(WAIT_S)

        run = Run(target, fps=30, stop_grace=0.0).start()
        run.until(lambda: run.frames and run.frames[-1].step == 2 * BURST)
        (second,) = [each for each in threading.enumerate() if each.name == "step-s1-held"]
        assert run.stop().state is State.STUCK
        second.join(WAIT_S)
        assert not second.is_alive()
        release.set()
        run.ended()

    def test_one_that_somebody_else_has_handed_over_counts_for_the_clock(self):
        board = Board()
        board.set_up(fps=30, most_steps=0)
        board.frames_wanted = 1
        stepper = Stepper(
            describe(lambda: svg("x"), name="sample"), NobodysHost(board), AuthorCode(),
            max_frame_bytes=1000, now=lambda: 100.0,
        )  # fmt: skip
        for step in range(1, BURST + 1):
            assert stepper.frame_due()
            board.shown, board.shown_at = step, 100.0
        assert not stepper.frame_due()

    def test_one_that_was_handed_over_in_a_long_step_does_not_count_after_it(self):
        board, now = Board(), [100.0]
        board.set_up(fps=30, most_steps=0)
        board.frames_wanted = 1
        stepper = Stepper(
            describe(lambda: svg("x"), name="sample"), NobodysHost(board), AuthorCode(),
            max_frame_bytes=1000, now=lambda: now[0],
        )  # fmt: skip
        board.shown, board.shown_at, now[0] = 4, 100.0, 115.0
        for step in range(5, 5 + BURST):
            assert stepper.frame_due()
            board.shown, board.shown_at = step, 115.0
        assert not stepper.frame_due()


class NobodysHost:
    """Where frames are taken and nothing is asked for."""

    def __init__(self, board):
        self.board = board

    def __getattr__(self, name):
        return lambda *args: None

    def reached_most_steps(self):
        self.board.stop = 1

    def take_turn(self):
        return True


class TestLimits:
    def test_the_last_step_allowed_is_drawn_and_then_it_stops(self):
        run = Run(lambda: svg("x"), most_steps=9, fps=SLOWEST).start()
        end = run.ended()
        assert (end.state, end.step, end.stop.by) == (State.STOPPED, 9, "step_limit")
        assert [frame.step for frame in run.frames] == [*range(1, BURST + 1), 9]


class TestThread:
    def test_the_switch_interval_is_short_while_sessions_run_and_restored(self):
        before, seen = sys.getswitchinterval(), []
        first = threading.Event()

        def target():
            seen.append(sys.getswitchinterval())
            first.set()
            yield svg("x")

        run = Run(target).start()
        assert first.wait(WAIT_S)
        run.ended()
        assert seen == [pytest.approx(SWITCH_INTERVAL_S)]
        assert sys.getswitchinterval() == pytest.approx(before)

    def test_shows_where_it_is(self):
        entered, release = threading.Event(), threading.Event()

        def a_step_that_hangs():
            entered.set()
            release.wait(WAIT_S)
            yield svg("x")

        run = Run(a_step_that_hangs).start()
        assert entered.wait(WAIT_S)
        assert "in a_step_that_hangs" in run.worker.stack()
        release.set()
        run.ended()
        assert run.worker.stack() == "The thread has ended.\n"


class TestLeavesNothing:
    def test_two_hundred_starts_and_stops(self):
        def once():
            run = Run(lambda: svg("x")).start()
            run.until(lambda: run.frames)
            assert run.stop().state is State.STOPPED
            run.ended()

        for _ in range(20):
            once()
        here = psutil.Process()
        threads, descriptors = threading.active_count(), here.num_fds()
        memory = here.memory_info().rss
        for _ in range(200):
            once()
        assert threading.active_count() == threads
        assert here.num_fds() == descriptors
        assert here.memory_info().rss - memory < 8 * 1024**2


class TestEveryFrame:
    """A simulation with every_frame waits for its viewer."""

    @pytest.fixture(params=["thread", "process"])
    def run(self, request, fork_server):
        options = {"fork_server": fork_server} if request.param == "process" else {}
        runs = []

        def run(**more):
            runs.append(Run(samples.leisurely, params={"count": 30}, **options, **more))
            runs[-1].session.set_step_rate(None)
            return runs[-1].start()

        yield run
        for started in runs:
            started.stop()

    def test_is_shown_however_slow_the_frame_clock_is(self, run):
        ran = run(fps=60)
        assert ran.ended().state is State.FINISHED
        assert [frame.step for frame in ran.frames] == list(range(1, 31))

    def test_waits_for_a_viewer_that_can_take_none_now(self, run):
        ran = run(watched=None).until_state(State.RUNNING)
        ran.session.set_demand(frames=False, deflate=False, watched=True)
        ran.until(lambda: ran.session.snapshot().step >= 1)
        ran.until(lambda: not ran.session.step_in_progress())
        assert ran.session.snapshot().step == 1
        ran.session.set_demand(frames=True, deflate=False)
        assert ran.ended().state is State.FINISHED
        assert [frame.step for frame in ran.frames] == list(range(1, 31))

    def test_waits_for_nobody_where_nobody_watches(self, run):
        ran = run(watched=False)
        assert ran.ended().state is State.FINISHED
        assert len(ran.frames) == 1
