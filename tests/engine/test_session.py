import threading

import pytest

from streaming.engine.errors import WrongState
from streaming.engine.session import Session, Turn
from streaming.engine.simulations import describe
from streaming.engine.snapshot import State


def make_session(fps=30.0):
    changes, notices = [], []
    session = Session(
        "s1",
        describe(lambda level=1: "<svg/>", name="sample"),
        {"level": 1},
        fps=fps,
        on_change=changes.append,
        on_notice=lambda *notice: notices.append(notice),
    )
    return session, changes, notices


def states(changes):
    return [str(change.state) for change in changes]


class TestStop:
    def test_asks_for_the_end_with_a_receipt(self):
        session, changes, _ = make_session()
        session.leave_queue()
        session.begin()
        session.begin_step()
        assert session.request_stop("client")
        assert session.next_turn() is Turn.STOP
        session.end_step(taken=True)
        session.finish()

        assert states(changes) == ["starting", "running", "stopping", "stopped"]
        receipt = changes[-1].stop
        assert (receipt.by, receipt.how, receipt.step) == ("client", "flag", 1)
        assert receipt.after_ms >= 0
        assert str(receipt).startswith("stopped in ")

    def test_is_idempotent(self):
        session, changes, _ = make_session()
        session.begin()
        assert session.request_stop("client")
        assert not session.request_stop("admin")
        session.finish()
        assert not session.request_stop("admin")
        assert changes[-1].stop.by == "client"
        assert states(changes).count("stopping") == 1

    def test_works_while_queued(self):
        session, changes, _ = make_session()
        session.request_stop("client")
        assert not session.leave_queue()
        assert states(changes) == ["stopped"]
        assert "before the first step" in str(changes[-1].stop)

    def test_discards_the_frames_that_come_later(self):
        session, _, _ = make_session()
        session.begin()
        kept = session.keep_frame(b"<svg/>", None)
        session.request_stop("client")
        assert session.keep_frame(b"<svg>late</svg>", None) is None
        assert session.frame is kept

    def test_wakes_a_paused_worker(self):
        session, _, _ = make_session()
        session.begin()
        session.pause()
        holding = threading.Thread(target=session.hold)
        holding.start()
        session.request_stop("client")
        holding.join(2)
        assert not holding.is_alive()

    def test_wakes_a_worker_that_waits_for_its_step_rate(self):
        session, _, _ = make_session()
        session.begin()
        session.set_step_rate(0.001)
        session.begin_step()
        turns = []
        waiting = threading.Thread(target=lambda: turns.append(session.next_turn()))
        waiting.start()
        session.request_stop("client")
        waiting.join(2)
        assert turns == [Turn.STOP]

    def test_wakes_a_worker_whose_next_step_is_in_ten_thousand_years(self):
        """More than a lock can wait for."""
        session, _, _ = make_session()
        session.begin()
        session.set_step_rate(1e-320)
        session.begin_step()
        turns = []
        waiting = threading.Thread(target=lambda: turns.append(session.next_turn()))
        waiting.start()
        assert not session.wait_for_stop(0.05)
        session.request_stop("client")
        waiting.join(2)
        assert turns == [Turn.STOP]
        assert session.wait_for_stop(1e300)


class TestStuck:
    def test_keeps_the_stack_and_becomes_stopped_in_the_end(self):
        session, changes, _ = make_session()
        session.begin()
        session.begin_step()
        session.request_stop("client")
        session.mark_stuck("the stack")
        assert changes[-1].state is State.STUCK
        assert changes[-1].state.ended
        assert changes[-1].traceback == "the stack"
        assert "step 1" in changes[-1].error

        session.finish()
        assert changes[-1].state is State.STOPPED
        assert changes[-1].error is None

    def test_is_only_for_a_session_that_is_stopping(self):
        session, changes, _ = make_session()
        session.begin()
        session.mark_stuck("the stack")
        assert states(changes) == ["running"]


class TestPause:
    def test_gives_a_turn_to_pause_and_takes_it_back(self):
        session, changes, _ = make_session()
        session.begin()
        session.pause()
        assert session.next_turn() is Turn.PAUSE
        session.resume()
        assert session.next_turn() is Turn.STEP
        assert states(changes) == ["running"]

    def test_single_steps_are_counted(self):
        session, _, _ = make_session()
        session.begin()
        session.pause()
        holding = threading.Thread(target=session.hold)
        holding.start()
        while session.state is not State.PAUSED:
            holding.join(0.001)
        session.take_steps(2)
        holding.join(2)
        turns = []
        for _ in range(3):
            turns.append(session.next_turn())
            session.begin_step()
            session.end_step(taken=True)
        assert turns == [Turn.STEP, Turn.STEP, Turn.PAUSE]

    def test_a_single_step_needs_a_paused_session(self):
        session, _, _ = make_session()
        session.begin()
        with pytest.raises(WrongState, match="running: pause it first"):
            session.take_steps(1)

    @pytest.mark.parametrize("command", ["pause", "resume"])
    def test_an_ended_session_takes_no_commands(self, command):
        session, _, _ = make_session()
        session.begin()
        session.finish()
        with pytest.raises(WrongState, match="finished"):
            getattr(session, command)()


class TestFrames:
    def test_are_due_only_when_somebody_can_take_one(self):
        session, _, _ = make_session(fps=0)
        assert not session.frame_due()
        session.set_demand(frames=True, deflate=False)
        assert session.frame_due()

    def test_are_counted_from_one(self):
        session, _, _ = make_session()
        assert session.keep_frame(b"<svg/>", None).seq == 1
        assert session.keep_frame(b"<svg/>", None).seq == 2

    def test_over_the_limit_are_counted_and_said_ever_more_rarely(self):
        session, _, notices = make_session()
        for _ in range(100):
            session.reject_frame(1_000_000, 900_000)
        assert session.snapshot().frames_too_large == 100
        assert len(notices) == 7
        assert notices[0][0] == "frame_too_large"
        assert "1,000,000" in notices[0][1]


class TestReports:
    def test_params_hold_from_the_next_step_on(self):
        session, _, _ = make_session()
        before = session.begin_step()
        session.set_params({"level": 9})
        assert before.level == 1
        assert session.begin_step().level == 9

    def test_progress_takes_any_finite_number(self):
        numpy = pytest.importorskip("numpy")
        session, _, _ = make_session()
        session.report_progress(numpy.int64(3), numpy.float64(10.0), "half")
        progress = session.snapshot().progress
        assert (progress.done, progress.total, progress.text) == (3, 10, "half")
        assert type(progress.done) is int
        with pytest.raises(ValueError, match="finite"):
            session.report_progress(float("nan"), None, "")

    def test_a_failure_keeps_the_traceback_apart_from_the_sentence(self):
        session, changes, _ = make_session()
        session.begin()
        session.fail("It failed.", "Traceback…")
        assert (changes[-1].state, changes[-1].error, changes[-1].traceback) == (
            State.FAILED, "It failed.", "Traceback…",
        )  # fmt: skip

    def test_revisions_count_the_changes(self):
        session, changes, _ = make_session()
        session.leave_queue()
        session.begin()
        assert [change.revision for change in changes] == [1, 2]
