import pytest

from streaming.delivery.parcel import Parcel
from streaming.delivery.window import (
    ACK_TIMEOUT_S,
    MAX_MESSAGES_WAITING,
    STALL_S,
    PlainWindow,
    Window,
)


def parcel(seq, size=10, *, final=False):
    return Parcel(seq, bytes(size), final)


@pytest.fixture
def window():
    return Window(lambda: None)


def sent(window, now=0.0):
    """Take everything that may be sent now."""
    taken = []
    while (content := window.take(now)) is not None:
        taken.append(content)
    return taken


class TestFrames:
    def test_at_first_two_are_in_flight_and_the_latest_wins(self, window):
        for seq in range(1, 10):
            window.offer(parcel(seq, size=100 - seq))
            window.take(0.0)
        assert not window.has_room
        window.ack(1, 0.0)
        assert [len(content) for content in sent(window)] == [91]

    def test_an_ack_covers_every_earlier_frame(self, window):
        for seq in (1, 2):
            window.offer(parcel(seq))
            window.take(0.0)
        window.ack(2, 0.0)
        assert window.has_room

    def test_at_most_a_megabyte_is_in_flight(self, window):
        window.offer(parcel(1, 900_000))
        window.offer(parcel(1, 900_000))
        assert len(sent(window)) == 1
        window.offer(parcel(2, 200_000))
        assert sent(window) == []
        window.ack(1, 0.0)
        assert len(sent(window)) == 1

    def test_one_larger_than_the_credit_goes_alone(self, window):
        window.offer(parcel(1, 1_040_000))
        assert len(sent(window)) == 1

    def test_an_ack_for_what_was_never_sent_is_ignored(self, window):
        for seq in (1, 2):
            window.offer(parcel(seq))
            window.take(0.0)
        for seq in (3, 10**30, -5, 0):
            window.ack(seq, 0.0)
        assert not window.has_room

    def test_an_ack_for_one_that_was_replaced_is_ignored(self, window):
        for seq in (1, 2, 3, 4):
            window.offer(parcel(seq))
            window.take(0.0)
        window.ack(1, 0.0)
        assert window.take(0.0) is not None, "2 and 4 are in flight, 3 never was"
        window.offer(parcel(5))
        window.ack(3, 0.0)
        assert window.take(0.0) is None

    def test_an_older_one_is_ignored(self, window):
        window.offer(parcel(5, 5))
        window.offer(parcel(4, 4))
        assert [len(content) for content in sent(window)] == [5]
        window.offer(parcel(5, 5))
        assert sent(window) == []


class TestFinal:
    def test_repeats_a_frame_that_was_sent(self, window):
        window.offer(parcel(1))
        assert len(sent(window)) == 1
        window.offer(parcel(1, final=True))
        assert len(sent(window)) == 1

    def test_waits_for_room_and_is_not_overtaken(self, window):
        for seq in (1, 2):
            window.offer(parcel(seq))
            window.take(0.0)
        window.offer(parcel(2, 22, final=True))
        window.offer(parcel(3, 33))
        assert sent(window) == []
        window.ack(1, 0.0)
        assert [len(content) for content in sent(window)] == [22]

    def test_is_given_once(self, window):
        window.offer(parcel(1, final=True))
        window.offer(parcel(1, final=True))
        assert len(sent(window)) == 1
        assert sent(window) == []


class TestMessages:
    def test_never_wait_for_frames(self, window):
        for seq in (1, 2, 3):
            window.offer(parcel(seq))
            window.take(0.0)
        window.post("a")
        window.post("b")
        assert sent(window) == ["a", "b"]

    def test_are_bounded_in_bytes(self, window):
        for _ in range(10):
            window.post("x" * 99_999)
        assert not window.overflowed
        window.post("x" * 99)
        assert window.overflowed
        assert len(sent(window)) == 10
        window.post("x" * 500_000)
        assert len(sent(window)) == 1

    def test_are_bounded(self, window):
        for _ in range(MAX_MESSAGES_WAITING):
            window.post("x")
        assert not window.overflowed
        window.post("x")
        assert window.overflowed
        assert len(sent(window)) == MAX_MESSAGES_WAITING


class TestVisibility:
    def test_a_hidden_viewer_gets_messages_but_no_frame(self, window):
        window.show(False, 0.0)
        window.offer(parcel(1))
        window.post("x")
        assert not window.has_room
        assert sent(window) == ["x"]
        window.show(True, 0.0)
        assert len(sent(window)) == 1

    def test_no_timer_runs_against_a_hidden_viewer(self, window):
        window.offer(parcel(1))
        window.take(100.0)
        assert window.look(101.0) == STALL_S - 1
        window.show(False, 101.0)
        assert window.look(500.0) is None
        window.show(True, 500.0)
        assert window.look(500.0) == STALL_S

    def test_a_stalled_viewer_that_shows_itself_again_begins_anew(self, window):
        window.offer(parcel(1))
        window.take(0.0)
        window.look(STALL_S)
        window.show(False, 10.0)
        window.show(True, 100.0)
        assert not window.stalled
        assert window.look(100.0) == STALL_S

    def test_a_window_may_begin_hidden(self):
        assert not Window(lambda: None, visible=False).has_room


class TestReading:
    def test_the_time_runs_from_the_oldest_frame_in_flight(self, window):
        window.offer(parcel(1))
        window.take(10.0)
        window.offer(parcel(2))
        window.take(12.0)
        assert window.look(12.0) == STALL_S - 2
        window.ack(1, 12.0)
        assert window.look(12.0) == STALL_S

    def test_nothing_in_flight_is_nothing_to_look_for(self, window):
        assert window.look(0.0) is None

    def test_after_five_seconds_nothing_more_is_sent_until_an_ack(self, window):
        window.offer(parcel(1))
        window.take(0.0)
        assert window.look(4.9) == pytest.approx(0.1)
        assert window.has_room
        assert window.look(STALL_S) == ACK_TIMEOUT_S - STALL_S
        assert window.stalled
        assert not window.has_room
        window.offer(parcel(2))
        assert sent(window, 6.0) == []
        window.post("x")
        assert sent(window, 6.0) == ["x"]
        window.ack(1, 7.0)
        assert not window.stalled
        assert len(sent(window, 7.0)) == 1

    def test_that_it_stalls_is_told_to_whoever_counts_room(self, window):
        told = []
        window.offer(parcel(1))
        window.take(0.0)
        window.on_room = lambda: told.append(window.has_room)
        window.look(STALL_S)
        assert told == [False]

    def test_after_fifteen_seconds_it_is_given_up(self, window):
        window.offer(parcel(1))
        window.take(0.0)
        window.look(STALL_S)
        assert window.look(ACK_TIMEOUT_S - 1) == 1
        assert window.look(ACK_TIMEOUT_S) == 0


class TestPlainWindow:
    def test_needs_no_acks_and_sends_each_frame_once(self):
        window = PlainWindow(lambda: None)
        for seq in (1, 2, 3, 4):
            window.offer(Parcel(seq, "<svg/>", False))
            assert window.take(0.0) == "<svg/>"
        window.offer(Parcel(4, "<svg/>", True))
        assert window.take(0.0) is None
        assert window.has_room
        assert window.look(1000.0) is None


def test_whatever_may_be_sent_now_is_told():
    changes = []
    window = Window(lambda: changes.append(1))
    for seq in (1, 2, 3):
        window.offer(parcel(seq))
        window.take(0.0)
    window.post("x")
    window.show(True, 0.0)
    assert len(changes) == 5
    window.ack(1, 0.0)
    assert len(changes) == 6, "the third waits for this"
    sent(window)
    window.ack(3, 0.0)
    assert len(changes) == 6, "nothing waits"
