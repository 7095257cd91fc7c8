import socket
import threading

import pytest

from streaming.engine.isolation import pipe
from streaming.engine.isolation.pipe import DamagedMessage, Inbox
from streaming.engine.isolation.reading import MOST_AT_ONCE, Reading

HELD = {"kind": "held"}
ENDED = {"kind": "ended"}


class Pipes:
    """Stands for the event loop: `look` is its turn."""

    def __init__(self):
        self.looks = {}

    def add(self, fd, look):
        self.looks[fd] = look
        return True

    def remove(self, fd):
        del self.looks[fd]

    def look(self):
        for look in list(self.looks.values()):
            look()


class Child:
    """Both ends of a pipe, and what became of what was sent through it."""

    def __init__(self, here, there):
        self.there = there
        self.inbox = Inbox(here, 200_000)
        self.pipes = Pipes()
        self.obeyed, self.rung = [], 0
        self.reading = Reading(self.inbox, self.pipes, self.obey, self.ring)

    def obey(self, message):
        if message[0]["kind"] not in ("frame", "held"):
            return False
        self.obeyed.append(message)
        return True

    def ring(self):
        self.rung += 1

    def send_frames(self, count, svg=b"<svg/>"):
        for step in range(1, count + 1):
            pipe.send_frame(self.there, step, svg, None)

    @property
    def steps(self):
        return [header.get("step") for header, _ in self.obeyed]

    def rest(self):
        """What the thread finds."""
        return list(self.inbox.read())


@pytest.fixture
def child():
    here, there = socket.socketpair()
    with here, there:
        child = Child(here, there)
        assert child.reading.has_come_back
        assert child.reading.lend()
        yield child


def test_a_frame_wakes_no_thread(child):
    child.send_frames(3)
    child.pipes.look()
    assert child.obeyed == [
        ({"kind": "frame", "svg": 6, "step": step}, b"<svg/>") for step in (1, 2, 3)
    ]
    assert child.rung == 0
    assert not child.reading.has_come_back
    child.pipes.look()
    assert len(child.obeyed) == 3, "it does not wait"


def test_what_the_thread_should_know_of_wakes_it(child):
    pipe.send(child.there, HELD)
    child.pipes.look()
    assert child.obeyed == [(HELD, b"")]
    assert child.rung == 1
    assert not child.reading.has_come_back


def test_what_takes_time_is_the_threads_with_all_that_follows(child):
    child.send_frames(1)
    pipe.send(child.there, ENDED, b"all")
    child.send_frames(1)
    child.pipes.look()
    assert child.steps == [1]
    assert child.reading.has_come_back
    assert child.pipes.looks == {}, "the event loop looks no more"
    assert child.rung == 1
    assert [header["kind"] for header, _ in child.rest()] == ["ended", "frame"]


def test_it_goes_on_where_the_thread_has_left_off(child):
    pipe.send(child.there, ENDED)
    child.pipes.look()
    whole = pipe.HEAD.pack(len(b'{"kind":"held"}'), 0) + b'{"kind":"held"}'
    child.there.sendall(whole[:7])
    child.rest()
    assert child.reading.lend()
    child.there.sendall(whole[7:])
    child.pipes.look()
    assert child.obeyed == [(HELD, b"")]


def test_a_child_that_says_much_at_once_is_left_to_the_thread(child):
    child.send_frames(MOST_AT_ONCE + 5)
    child.pipes.look()
    assert child.steps == list(range(1, MOST_AT_ONCE + 1))
    assert child.reading.has_come_back
    assert [header["step"] for header, _ in child.rest()] == list(
        range(MOST_AT_ONCE + 1, MOST_AT_ONCE + 6)
    )


def test_a_message_that_is_not_read_at_one_look_is_left_to_the_thread(child):
    svg = b"x" * 100_000
    sending = threading.Thread(target=pipe.send_frame, args=(child.there, 1, svg, None))
    sending.start()
    while not child.reading.has_come_back:
        child.pipes.look()
    assert child.obeyed == []
    found = child.rest()
    while not found:
        assert not child.reading.lend(), "the rest of it is the thread's, too"
        found = child.rest()
    sending.join()
    assert child.reading.lend()
    assert found == [({"kind": "frame", "svg": 100_000, "step": 1}, svg)]


def test_the_end_is_the_threads(child):
    child.send_frames(1)
    child.there.close()
    child.pipes.look()
    assert child.steps == [1]
    child.pipes.look()
    assert child.reading.has_come_back
    assert child.inbox.closed


@pytest.mark.parametrize(
    "content",
    [
        pipe.HEAD.pack(6, 0) + b"[1, 2]",
        pipe.HEAD.pack(2, 300_000),
        pipe.HEAD.pack(0, 3) + b"abc",
        pipe.HEAD.pack(2, 0) + b"{}",
    ],
)
def test_what_is_no_message_is_found_by_the_thread(child, content):
    child.send_frames(1)
    child.there.sendall(content)
    child.pipes.look()
    assert child.steps == [1]
    assert child.reading.has_come_back
    with pytest.raises((DamagedMessage, KeyError)):
        [header["kind"] for header, _ in child.rest()]


def test_a_frame_that_is_refused_is_refused_to_the_thread_too(child, monkeypatch):
    def refuse(message):
        raise DamagedMessage("a frame that is too large")

    monkeypatch.setattr(child.reading, "_obey_quickly", refuse)
    child.send_frames(1)
    child.pipes.look()
    assert child.reading.has_come_back
    assert len(child.rest()) == 1


def test_a_fault_of_ours_does_not_hold_the_next_one_up(child, monkeypatch, caplog):
    monkeypatch.setattr(child.reading, "_obey_quickly", lambda message: 1 / 0)
    child.send_frames(1)
    child.pipes.look()
    assert "could not take what a child has sent" in caplog.text
    monkeypatch.undo()
    child.reading._obey_quickly = child.obey
    child.send_frames(2)
    child.pipes.look()
    assert child.steps == [1, 2]


def test_what_comes_after_the_last_word_may_be_anything(child):
    child.reading._obey_quickly = lambda message: True  # As a supervisor does then.
    pipe.send(child.there, {})
    child.pipes.look()
    assert not child.reading.has_come_back
    assert child.rung == 1


def test_taken_back_it_is_read_by_nobody_else(child):
    look = next(iter(child.pipes.looks.values()))
    child.reading.take_back()
    child.reading.take_back()
    child.send_frames(1)
    look()  # It was under way.
    assert child.obeyed == []
    assert not child.reading.has_come_back
    assert len(child.rest()) == 1


def test_the_thread_waits_for_a_look_that_is_under_way(child):
    begun, go_on, taken_back = threading.Event(), threading.Event(), threading.Event()

    def obey(message):
        begun.set()
        assert go_on.wait(10)
        return True

    child.reading._obey_quickly = obey
    child.send_frames(1)
    looking = threading.Thread(target=child.pipes.look)
    looking.start()
    assert begun.wait(10)
    taking = threading.Thread(target=lambda: (child.reading.take_back(), taken_back.set()))
    taking.start()
    assert not taken_back.wait(0.05)
    go_on.set()
    looking.join(10)
    taking.join(10)
    assert taken_back.is_set()


@pytest.mark.parametrize("has_loop", [True, False])
def test_where_no_event_loop_reads_the_thread_does(has_loop):
    here, there = socket.socketpair()
    with here, there:
        child = Child(here, there)
        child.pipes.add = lambda fd, look: False
        if not has_loop:
            child.reading = Reading(child.inbox, None, child.obey, child.ring)
        assert not child.reading.lend()
        assert not child.reading.has_come_back
        child.reading.take_back()
        child.send_frames(1)
        assert len(child.rest()) == 1
