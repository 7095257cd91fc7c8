"""What one connection is sent, when its client is given up, and when only the loop stood still."""

import asyncio
import time

import pytest

from streaming.delivery import window as windows
from streaming.delivery.parcel import Parcel
from streaming.delivery.window import MAX_MESSAGES_WAITING, Window
from streaming.web import pump as module
from streaming.web.livestep import LivestepConsumer
from streaming.web.pump import Pump
from streaming.web.turns import SENDS_PER_ROUND

WAIT_S = 10


class Client:
    """One that reads what is sent while it is let."""

    def __init__(self):
        self.sent, self.codes, self.given_up = asyncio.Queue(), asyncio.Queue(), False
        self.is_sent_to, self.reads = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.pump = Pump(self._send, self.codes.put, self._give_up)
        self.window = Window(self.pump.wake)

    async def _send(self, content):
        self.is_sent_to.set()
        await self.reads.wait()
        await self.sent.put(content)

    def _give_up(self):
        self.given_up = True

    async def next(self):
        return await asyncio.wait_for(self.sent.get(), WAIT_S)

    async def closed(self):
        return await asyncio.wait_for(self.codes.get(), WAIT_S)

    async def stop_reading(self):
        """Read nothing any more, and leave the pump waiting with one message."""
        self.reads.clear()
        self.is_sent_to.clear()
        self.pump.post("unread")
        await asyncio.wait_for(self.is_sent_to.wait(), WAIT_S)


@pytest.fixture
async def client():
    client = Client()
    client.pump.start()
    client.pump.serve(client.window)
    yield client
    client.pump.end()


@pytest.fixture
def impatient(monkeypatch):
    """Give a client up that has acknowledged nothing for a few milliseconds."""
    monkeypatch.setattr(windows, "STALL_S", 0.01)
    monkeypatch.setattr(windows, "ACK_TIMEOUT_S", 0.03)


async def timers_until(seconds):
    """Wait until every timer of the loop that is due by then has gone off."""
    await asyncio.sleep(seconds)


async def test_messages_go_before_frames_in_their_order(client):
    client.window.offer(Parcel(1, b"frame", False))
    client.pump.post("one")
    client.pump.post("two")
    assert [await client.next() for _ in range(3)] == ["one", "two", b"frame"]


async def test_a_client_that_acknowledges_nothing_is_given_up(client, impatient):
    client.window.offer(Parcel(1, b"frame", False))
    assert await client.closed() == 4408
    assert client.given_up
    assert client.pump.window is None


async def test_an_alarm_that_rings_late_looks_once_more_first(client, impatient, monkeypatch):
    """The loop stood still; the ack may be in the socket."""
    monkeypatch.setattr(module, "STANDSTILL_S", 0.05)
    client.window.offer(Parcel(1, b"frame", False))
    await client.next()
    time.sleep(0.2)  # It stands still, as when a step holds the interpreter.  # noqa: ASYNC251
    await asyncio.sleep(0)  # The alarm rings.
    client.pump.take_ack(1)
    await timers_until(0.1)
    assert not client.pump.is_closing
    client.window.offer(Parcel(2, b"next", False))
    assert await client.next() == b"next"


async def test_a_client_that_leaves_its_answers_unread_is_given_up(client):
    await client.stop_reading()
    for _ in range(MAX_MESSAGES_WAITING):
        client.pump.post("pong")
    assert not client.pump.is_closing
    client.pump.post("pong")
    assert await client.closed() == 4408


async def test_so_is_one_that_leaves_too_many_bytes(client, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES_WAITING", 1000)
    await client.stop_reading()
    for _ in range(2):
        client.pump.post("x" * 500)
    assert not client.pump.is_closing
    client.pump.post("x")
    assert await client.closed() == 4408


async def test_one_that_floods_and_reads_nothing_is_closed_all_the_same(client, monkeypatch):
    """Its pump waits for it to read; every message of it is a sign of life to the server."""
    monkeypatch.setattr(module, "CLOSE_WAIT_S", 0.01)
    await client.stop_reading()
    client.pump.close(4429)
    assert client.codes.empty()
    assert await client.closed() == 4429


async def test_a_close_comes_after_what_was_posted(client):
    client.pump.post("why")
    client.pump.close(4400)
    assert await client.closed() == 4400
    assert client.sent.get_nowait() == "why"


async def test_the_end_of_a_connection_ends_its_alarm(client, monkeypatch):
    monkeypatch.setattr(module, "CLOSE_WAIT_S", 0.01)
    await client.stop_reading()
    client.pump.close(4400)
    client.pump.end()
    await timers_until(0.03)
    assert client.codes.empty()


async def test_a_hidden_viewer_is_not_timed_until_it_shows_itself(client, impatient):
    client.window.offer(Parcel(1, b"frame", False))
    await client.next()
    client.pump.show(False)
    await timers_until(0.1)
    assert not client.pump.is_closing
    client.pump.show(True)
    assert await client.closed() == 4408


async def test_a_frame_that_is_held_back_goes_out_by_itself(client, monkeypatch):
    """And not with the next ack or message, which may be long in coming."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    frame = bytes(20_000)
    client.window.offer(Parcel(1, frame, False))
    await client.next()
    clock[0] = 0.3
    client.pump.take_ack(1)
    client.window.offer(Parcel(2, frame, False))
    await client.next()
    client.window.offer(Parcel(3, frame, False))
    assert client.window.waiting_bytes, "right behind the other it would only wait"
    held = client.window.held_until - clock[0]
    assert 0 < held < 0.3
    clock[0] += held
    assert await client.next() == frame


async def test_an_ack_is_taken_before_anything_is_queued():
    consumer = LivestepConsumer()
    assert consumer.take_at_once('{"type":"ack","seq":99}')
    assert not consumer.take_at_once('{"type":"ping"}')
    assert not consumer.take_at_once('{"type":"ack","seq":' + "9" * 5000 + "}")
    assert not consumer.take_at_once(None)


async def test_others_have_their_turn_between_two_messages_of_one_client(monkeypatch):
    """A hundred kilobytes take some milliseconds, and there may be twenty of them at once."""
    consumer, turns = LivestepConsumer(), []

    async def hear(text):
        turns.append(text)

    monkeypatch.setattr(consumer, "hear", hear)
    for text in ("one", "two"):
        asyncio.get_running_loop().call_soon(turns.append, "another")
        await consumer.receive(text)
    assert turns == ["one", "another", "two", "another"]


class Wire:
    """A connection that takes what is written while it is let."""

    def __init__(self):
        self.written, self.room = [], asyncio.Event()
        self.room.set()

    def has_room(self):
        return self.room.is_set()

    async def wait_for_room(self):
        await self.room.wait()

    def write(self, content):
        self.written.append(content)


@pytest.fixture
async def wire(client):
    """That of a client whose pump has nothing to do."""
    wire = Wire()
    client.pump.use(wire)
    await asyncio.sleep(0)
    return wire


class TestAtOnce:
    async def test_a_frame_waits_for_no_task_where_there_is_room(self, client, wire):
        client.window.offer(Parcel(1, b"frame", False))
        client.window.post("message")
        assert wire.written == [b"frame", "message"]

    async def test_what_was_posted_goes_first(self, client, wire):
        client.pump.post("answer")
        client.window.offer(Parcel(1, b"frame", False))
        assert wire.written == []
        await asyncio.sleep(0)
        assert wire.written == ["answer", b"frame"]

    async def test_without_room_only_the_newest_goes_when_there_is(self, client, wire):
        wire.room.clear()
        for number in (1, 2, 3):
            client.window.offer(Parcel(number, b"frame %d" % number, False))
            await asyncio.sleep(0)
        assert wire.written == []
        wire.room.set()
        async with asyncio.timeout(WAIT_S):
            while not wire.written:
                await asyncio.sleep(0)
        assert wire.written == [b"frame 3"]

    async def test_a_line_that_is_full_of_one_frame_has_the_next_wait(self, client, wire):
        def fill(content):
            wire.written.append(content)
            wire.room.clear()

        wire.write = fill
        client.window.offer(Parcel(1, b"one", False))
        client.window.post("message")
        await asyncio.sleep(0)
        assert wire.written == [b"one"]
        wire.room.set()
        async with asyncio.timeout(WAIT_S):
            while len(wire.written) < 2:
                await asyncio.sleep(0)
        assert wire.written == [b"one", "message"]

    async def test_an_overflow_closes_the_connection_only_after_its_caller(self, client, wire):
        wire.room.clear()
        for _ in range(MAX_MESSAGES_WAITING + 1):
            client.window.post("message")
        wire.room.set()
        client.window.post("message")
        assert not client.given_up
        assert await client.closed() == 4408

    async def test_a_connection_that_is_gone_ends_the_pump_and_not_its_caller(self, client, wire):
        def fail(content):
            raise OSError("it is gone")

        wire.write = fail
        client.window.offer(Parcel(1, b"one", False))
        assert client.pump.window is None
        client.window.offer(Parcel(2, b"two", False))

    async def test_in_a_crowd_each_waits_for_its_turn(self, client, wire):
        for number in range(3 * SENDS_PER_ROUND):
            client.window.post(f"message {number}")
        assert len(wire.written) == SENDS_PER_ROUND
        async with asyncio.timeout(WAIT_S):
            while len(wire.written) < 3 * SENDS_PER_ROUND:
                await asyncio.sleep(0)
        assert wire.written == [f"message {number}" for number in range(3 * SENDS_PER_ROUND)]
