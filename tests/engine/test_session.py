import threading

import pytest

from streaming.engine.board import Board
from streaming.engine.errors import WrongState
from streaming.engine.session import HELD_RETRY_S, Session
from streaming.engine.simulations import describe
from streaming.engine.snapshot import Progress, State


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
        session.board.began = 1.0
        assert session.request_stop("client")
        assert session.board.stop
        session.board.taken, session.board.began = 1, 0
        session.finish()

        assert states(changes) == ["starting", "running", "stopping", "stopped"]
        receipt = changes[-1].stop
        assert (receipt.by, receipt.how, receipt.step) == ("client", "flag", 1)
        assert receipt.after_ms >= 0
        assert str(receipt).startswith("stopped in ")

    def test_names_the_step_after_which_no_other_begins(self):
        session, *_ = make_session()
        session.begin()
        place, stops = session._place, []

        def look():
            stops.append(session.board.stop)
            return place()

        session._place = look
        assert session.request_stop("client")
        assert stops[:1] == [1]

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
        kept = session.keep_frame(b"<svg/>", None, 1)
        session.request_stop("client")
        assert session.keep_frame(b"<svg>late</svg>", None, 2) is None
        assert session.frame is kept

    def test_wakes_whoever_waits_for_a_command(self):
        session, _, _ = make_session()
        session.begin()
        seen = session.board.commands
        waiting = threading.Thread(target=lambda: session.wait_for_command(seen, 3600))
        waiting.start()
        session.request_stop("client")
        waiting.join(2)
        assert not waiting.is_alive()

    def test_says_by_which_rung_it_went(self):
        session, changes, _ = make_session()
        session.begin()
        session.request_stop("client")
        session.finish("interrupt")
        assert "by interrupt" in str(changes[-1].stop)


class TestStuck:
    def test_keeps_the_stack_and_becomes_stopped_in_the_end(self):
        session, changes, _ = make_session()
        session.begin()
        session.board.began = 1.0
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
    def test_is_taken_back(self):
        session, changes, _ = make_session()
        session.begin()
        session.pause()
        assert session.pause_requested
        session.resume()
        assert not session.pause_requested
        assert not session.note_paused(), "what was asked for since holds"
        assert states(changes) == ["running"]

    def test_is_said_once(self):
        session, changes, _ = make_session()
        session.begin()
        session.pause()
        assert session.note_paused()
        assert not session.note_paused()
        assert states(changes) == ["running", "paused"]

    def test_single_steps_add_up(self):
        session, _, _ = make_session()
        session.begin()
        session.board.taken = 7
        session.pause()
        session.note_paused()
        session.take_steps(2)
        assert session.state is State.RUNNING
        session.board.taken = 8
        session.take_steps(2)
        assert session.board.until == 11
        session.pause()
        assert session.pause_requested, "a pause takes back the steps that are left"

    def test_does_not_count_as_time_that_it_ran(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr("streaming.engine.session.time.monotonic", lambda: now[0])
        session, _, _ = make_session()
        session.begin()
        now[0] += 2
        session.pause()
        session.note_paused()
        now[0] += 3600
        assert session.snapshot().elapsed_ms == 2000
        session.resume()
        now[0] += 1
        assert session.snapshot().elapsed_ms == 3000

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
    def test_are_counted_from_one(self):
        session, _, _ = make_session()
        assert session.keep_frame(b"<svg/>", None, 1).seq == 1
        assert session.keep_frame(b"<svg/>", None, 2).seq == 2

    def test_of_one_step_are_kept_once_and_never_after_a_later_one(self):
        session, _, _ = make_session()
        kept = session.keep_frame(b"<svg/>", None, 2)
        assert session.keep_frame(b"<svg/>", None, 2) is None
        assert session.keep_frame(b"<svg/>", None, 1) is None
        assert session.frame is kept

    def test_over_the_limit_are_counted_and_said_ever_more_rarely(self):
        session, _, notices = make_session()
        for _ in range(100):
            session.reject_frame(1_000_000, 950_000, 900_000)
        assert session.snapshot().frames_too_large == 100
        assert len(notices) == 7
        assert notices[0][0] == "frame_too_large"
        assert notices[0][1] == (
            "A frame of 1,000,000 bytes (compressed 950,000) was not sent: the limit of what is "
            "sent is 900,000 (1 so far). Draw less detail, round coordinates, or set "
            "LIVESTEP_MAX_FRAME_BYTES, a number from 1,000 to 1,044,480."
        )

    def test_that_nothing_makes_small_enough_name_no_setting(self):
        session, _, notices = make_session()
        session.reject_frame(5_000_000, 5_000_000, 900_000)
        assert "an SVG may have 4,194,304 at most" in notices[0][1]
        assert "LIVESTEP" not in notices[0][1]


class TestReports:
    def test_params_are_a_snapshot(self):
        session, _, _ = make_session()
        before, revision = session.current_params(), session.board.params_revision
        session.set_params({"level": 9})
        assert before.level == 1
        assert session.current_params().level == 9
        assert session.board.params_revision != revision

    def test_progress_takes_any_finite_number(self):
        numpy = pytest.importorskip("numpy")
        progress = Progress.of(numpy.int64(3), numpy.float64(10.0), "half")
        assert (progress.done, progress.total, progress.text) == (3, 10, "half")
        assert type(progress.done) is int
        with pytest.raises(ValueError, match="finite"):
            Progress.of(float("nan"), None, "")

    def test_a_child_that_runs_wild_may_write_any_number(self):
        session, _, _ = make_session()
        session.begin()
        for number in (float("nan"), float("inf"), -1.0, 1e300):
            session.board.taken = number
            assert session.snapshot().step == 0

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


class TestStepInProgress:
    def test_says_how_long_it_has_run_and_what_is_usual(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr("streaming.engine.session.time.monotonic", lambda: now[0])
        session, _, _ = make_session()
        session.begin()
        assert session.step_in_progress() is None
        session.board.taken, session.board.began, session.board.usual_s = 56, 99.0, 0.08
        now[0] += 11
        step = session.step_in_progress()
        assert (step.number, step.seconds, step.usual_s) == (57, 12.0, 0.08)

    def test_one_that_ends_while_it_is_looked_at_is_not_taken_for_the_next(self):
        class Moving(Board):
            """A board whose stepper ends its first step just after somebody has read its begin."""

            @property
            def began(self):
                seen = super().began
                if seen == 99.0:
                    self.began, self.taken = 0.0, 1
                return seen

            @began.setter
            def began(self, value):
                vars(Board)["began"].__set__(self, value)

        for ask in (Session.step_in_progress, lambda session: session.request_stop("client")):
            session, changes, _ = make_session()
            session.board = Moving()
            session.begin()
            session.board.began = 99.0
            assert ask(session) in (None, True)
            assert session.board.taken == 1
            assert session.step_in_progress() is None
        assert changes[-1].stop.step == 1

    def test_does_not_count_the_time_that_it_was_held(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr("streaming.engine.session.time.monotonic", lambda: now[0])
        session, _, _ = make_session()
        session.begin()
        session.board.began = 100.0
        session.board.held_since, now[0] = 101.0, 500.0
        assert session.step_in_progress().seconds == 1.0
        session.board.held_s, session.board.held_since = 399.0, 0.0
        assert session.step_in_progress().seconds == 1.0


class TestPicturesOnTheBoard:
    @pytest.fixture
    def session(self, both_sides):
        """A session whose stepper is elsewhere, and has left nothing on the board yet."""

        class Nobody:
            def ring(self):
                pass

            def refresh(self):
                pass

        session, *_ = make_session(fps=0)
        session.connect(Nobody(), both_sides[0])
        session.begin()
        session.set_demand(frames=True, deflate=False, watched=True)
        session.keep_frame(b"<svg/>", None, 4)
        return session

    def test_are_waited_for_until_the_stepper_says_that_there_is_one(self, session, both_sides):
        assert session.held_delay() is None
        both_sides[1].hold(5, "<svg>5</svg>")
        session.note_said_held()
        assert session.held_delay() == 0

    def test_that_are_just_being_written_over_are_looked_for_again(self, session, both_sides):
        """It says so once: of the next one nothing would be heard."""
        session.note_said_held()
        assert both_sides[1].held_step == 0
        assert session.held_delay() == HELD_RETRY_S
        both_sides[1].hold(6, "<svg>6</svg>")
        assert session.held_delay() == 0

    def test_that_follow_one_that_was_handed_over_are_looked_for_again_too(
        self, session, both_sides
    ):
        both_sides[1].hold(5, "<svg>5</svg>")
        session.note_said_held()
        assert session.hand_held_over(lambda held: session.keep_frame(held.svg, None, 5)) is None
        assert session.held_delay() is None
        both_sides[1].held_step = 0
        assert session.held_delay() == HELD_RETRY_S
