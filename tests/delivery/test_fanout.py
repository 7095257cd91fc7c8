import json

import pytest

from streaming.delivery.fanout import Fanout
from streaming.delivery.framing import Encoding, ReceivedFrame
from streaming.delivery.window import PlainWindow, Window
from streaming.engine.frames import Frame

FRAME = Frame(1, 1, b"<svg>" + b"a" * 100 + b"</svg>", b"deflated")


@pytest.fixture
def demands():
    return []


@pytest.fixture
def fanout(demands):
    return Fanout("s1", lambda frames, deflate: demands.append((frames, deflate)))


def join(fanout, dialect=Encoding.DEFLATE_RAW):
    window = (PlainWindow if dialect is None else Window)(lambda: None)
    fanout.add(window, dialect)
    return window


class TestOffer:
    def test_gives_every_viewer_of_an_encoding_the_same_bytes(self, fanout):
        one, two = join(fanout), join(fanout)
        other, plain = join(fanout, Encoding.IDENTITY), join(fanout, None)
        fanout.offer(FRAME, final=False)
        sent = one.take(0.0)
        assert sent is two.take(0.0)
        assert sent.endswith(b"\ndeflated")
        assert other.take(0.0).endswith(b"\n" + FRAME.svg)
        assert plain.take(0.0) == FRAME.svg.decode()

    def test_a_large_one_is_compressed_for_all_but_the_plain_dialect(self, demands):
        fanout = Fanout("s1", lambda frames, deflate: None, most_bytes=50)
        other, plain = join(fanout, Encoding.IDENTITY), join(fanout, None)
        fanout.offer(FRAME, final=False)
        assert other.take(0.0).endswith(b"\ndeflated")
        assert plain.take(0.0) == "error: a frame of 111 bytes is too large for this dialect"

    def test_marks_the_final_frame(self, fanout):
        window = join(fanout)
        fanout.offer(FRAME, final=True)
        assert json.loads(window.take(0.0).split(b"\n")[0])["final"] is True

    def test_who_has_no_room_gets_the_newest_when_it_has(self, fanout):
        window = join(fanout)
        for seq in range(1, 6):
            fanout.offer(Frame(seq, seq, b"<svg/>"), final=False)
            window.take(0.0)
        window.ack(1, 0.0)
        assert json.loads(window.take(0.0).split(b"\n")[0])["seq"] == 5

    def test_who_waits_for_its_turn_gets_what_is_newest_then(self, fanout):
        window = join(fanout)
        for seq in (1, 2, 3):
            fanout.offer(Frame(seq, seq, b"<svg/>"), final=False)
        assert json.loads(window.take(0.0).split(b"\n")[0])["seq"] == 3

    def test_a_frame_that_many_cannot_take_is_not_offered_to_them(self, fanout, monkeypatch):
        windows = [join(fanout) for _ in range(100)]
        offered = []
        monkeypatch.setattr(Window, "offer", lambda self, parcel: offered.append(self))
        for window in windows[1:]:
            window.show(False, 0.0)
        fanout.offer(FRAME, final=False)
        assert offered == windows[:1]

    def test_the_final_frame_comes_once_there_is_room_though_it_repeats_the_last(self, fanout):
        window = join(fanout)
        fanout.offer(FRAME, final=False)
        window.take(0.0)
        fanout.offer(Frame(2, 2, b"<svg/>"), final=False)
        window.take(0.0)
        fanout.offer(Frame(2, 2, b"<svg/>"), final=True)
        assert window.take(0.0) is None
        assert not fanout.is_drained
        window.ack(2, 0.0)
        assert json.loads(window.take(0.0).split(b"\n")[0])["final"] is True
        window.ack(2, 0.0)
        assert window.take(0.0) is None
        assert fanout.is_drained

    def test_a_frame_that_comes_after_the_final_one_is_too_late(self, fanout):
        """It was under way when the session was stopped, and is the same frame."""
        window = join(fanout)
        for seq in (1, 2):
            fanout.offer(Frame(seq, seq, b"<svg/>"), final=False)
            window.take(0.0)
        fanout.offer(Frame(3, 3, b"<svg/>"), final=True)
        fanout.offer(Frame(3, 3, b"<svg/>"), final=False)
        window.ack(2, 0.0)
        assert json.loads(window.take(0.0).split(b"\n")[0])["final"] is True

    def test_with_the_last_viewer_the_newest_frame_is_given_up(self, fanout):
        window = join(fanout)
        fanout.offer(FRAME, final=False)
        fanout.remove(window)
        assert join(fanout).take(0.0) is None


class TestDamaged:
    def test_a_frame_that_cannot_be_inflated_is_passed_over(self, fanout, caplog):
        """It came from another process, and only the plain dialect needs it inflated."""
        window, plain = join(fanout), join(fanout, None)
        fanout.offer(ReceivedFrame(1, 1, 40, b"\xff\xff", is_deflated=True), final=False)
        assert plain.take(0.0) is None
        assert "session s1: a frame that cannot be inflated" in caplog.text
        fanout.offer(Frame(2, 2, b"<svg/>"), final=False)
        assert plain.take(0.0) == "<svg/>"
        assert window.take(0.0) is not None


class TestDemand:
    def test_is_there_while_any_viewer_has_room(self, fanout, demands):
        one, two = join(fanout), join(fanout, Encoding.IDENTITY)
        assert demands[-1] == (True, True)
        fanout.offer(FRAME, final=False)
        assert demands[-1] == (False, True), "both slots are full"
        two.take(0.0)
        assert demands[-1] == (True, True)
        fanout.remove(two)
        assert demands[-1] == (False, True)
        one.take(0.0)
        assert demands[-1] == (True, True)
        fanout.remove(one)
        assert demands[-1] == (False, False)

    def test_a_viewer_whose_window_is_full_asks_for_nothing_until_it_acks(self, fanout, demands):
        window = join(fanout)
        for seq in (1, 2):
            fanout.offer(Frame(seq, seq, b"<svg/>"), final=False)
            window.take(0.0)
        assert demands[-1] == (False, True)
        window.ack(1, 0.0)
        assert demands[-1] == (True, True)

    def test_a_viewer_that_takes_each_frame_at_once_asks_for_frames_all_the_time(
        self, fanout, demands
    ):
        taken = []
        window = Window(lambda: taken.append(window.take(0.0)))
        fanout.add(window, Encoding.DEFLATE_RAW)
        for seq in range(1, 10):
            fanout.offer(Frame(seq, seq, b"<svg/>"), final=False)
            window.ack(seq, 0.0)
        assert len(taken) == 9
        assert demands == [(True, True)]

    def test_so_does_one_that_takes_at_once_what_was_there_before_it(self, fanout, demands):
        join(fanout)
        fanout.offer(Frame(1, 1, b"<svg/>"), final=False)
        taken = []
        window = Window(lambda: taken.append(window.take(0.0)))
        fanout.add(window, Encoding.DEFLATE_RAW)
        window.ack(1, 0.0)
        fanout.offer(Frame(2, 2, b"<svg/>"), final=False)
        seqs = [json.loads(frame.split(b"\n")[0])["seq"] for frame in taken]
        assert seqs == [1, 2]

    def test_a_hidden_viewer_asks_for_nothing(self, fanout, demands):
        window = join(fanout)
        window.show(False, 0.0)
        assert demands[-1] == (False, True)

    def test_the_plain_dialect_wants_nothing_deflated(self, fanout, demands):
        join(fanout, None)
        assert demands[-1] == (True, False)


class TestPost:
    def test_plain_viewers_get_only_their_line(self, fanout):
        window, plain = join(fanout), join(fanout, None)
        fanout.post("message", None, 1)
        fanout.post("failed", "error: failed", 2)
        assert (window.take(0.0), window.take(0.0)) == ("message", "failed")
        assert (plain.take(0.0), plain.take(0.0)) == ("error: failed", None)

    def test_a_notice_does_not_make_a_change_old(self, fanout):
        window = join(fanout)
        fanout.post("a notice", None, None)
        fanout.post("a change", None, 1)
        assert (window.take(0.0), window.take(0.0)) == ("a notice", "a change")

    def test_a_viewer_never_sees_the_session_go_back(self, fanout):
        """A message that was under way when somebody came is older than what they were told."""
        window = join(fanout)
        fanout.tell(window, "running", 3)
        fanout.post("starting", None, 2)
        fanout.post("running", None, 3)
        fanout.post("running again", None, 4)
        fanout.post("the same once more", None, 4)
        assert (window.take(0.0), window.take(0.0), window.take(0.0)) == (
            "running",
            "running again",
            None,
        )

    def test_how_it_is_now_is_told_though_nothing_has_changed(self, fanout):
        window, plain = join(fanout), join(fanout, None)
        fanout.tell_all("step 7", 3)
        fanout.tell_all("step 8", 3)
        assert (window.take(0.0), window.take(0.0)) == ("step 7", "step 8")
        fanout.post("what was told already", None, 3)
        assert window.take(0.0) is None
        assert plain.take(0.0) is None


def test_removing_twice_does_nothing(fanout):
    window = join(fanout)
    fanout.remove(window)
    fanout.remove(window)
    assert len(fanout) == 0
