"""When a client is given up, and when only the event loop stood still."""

import asyncio
import time

import pytest

from streaming.delivery.window import ACK_TIMEOUT_S, STALL_S, Parcel, Window
from streaming.web.consumer import STANDSTILL_S
from streaming.web.livestep import LivestepConsumer


@pytest.fixture
async def consumer(monkeypatch):
    """One whose frame was sent long ago and never acknowledged."""
    consumer = LivestepConsumer()
    consumer.closed = []

    async def close(code):
        consumer.closed.append(code)

    monkeypatch.setattr(consumer, "close", close)
    consumer._pump_task = asyncio.create_task(asyncio.Event().wait())
    consumer._window = Window(lambda: None)
    consumer._window.offer(Parcel(1, b"frame", False))
    consumer._window.take(time.monotonic() - ACK_TIMEOUT_S - 1)
    consumer._window.look(time.monotonic() - ACK_TIMEOUT_S - 1 + STALL_S)
    yield consumer
    consumer.end()


async def test_an_alarm_in_time_gives_it_up(consumer):
    consumer._ring(asyncio.get_running_loop().time())
    await consumer._pump_task
    assert consumer.closed == [4408]
    assert consumer._alarm is None


async def test_an_alarm_that_rings_late_looks_once_more_first(consumer):
    """The loop stood still; the ack may be in the socket."""
    consumer._ring(asyncio.get_running_loop().time() - STANDSTILL_S - 0.1)
    assert consumer._alarm is not None
    window = consumer._window
    assert consumer.took('{"type":"ack","seq":1}')
    assert window.look(time.monotonic()) is None
    consumer._alarm.cancel()
    consumer._ring(asyncio.get_running_loop().time())
    await asyncio.sleep(0)
    assert consumer.closed == []


async def test_a_client_that_leaves_its_answers_unread_is_given_up(consumer):
    for _ in range(64):
        consumer._post("pong")
    assert not consumer._closing
    consumer._post("pong")
    await consumer._pump_task
    assert consumer.closed == [4408]


async def test_an_ack_is_taken_before_anything_is_queued(consumer):
    assert consumer.took('{"type":"ack","seq":99}')
    assert not consumer.took('{"type":"ping"}')
    assert not consumer.took('{"type":"ack","seq":' + "9" * 5000 + "}")
    assert not consumer.took(None)


async def test_one_that_floods_and_reads_nothing_is_closed_all_the_same(consumer, monkeypatch):
    """Its pump waits for it to read; every message of it is a sign of life to the server."""
    monkeypatch.setattr("streaming.web.consumer.CLOSE_WAIT_S", 0.01)
    pump = consumer._pump_task
    consumer._close(4429)
    assert consumer.closed == []
    async with asyncio.timeout(5):
        await asyncio.gather(pump, return_exceptions=True)
        await consumer._pump_task
    assert consumer.closed == [4429]


async def test_the_end_of_a_connection_ends_its_alarm(consumer):
    consumer._close(4400)
    alarm = consumer._alarm
    consumer.end()
    assert alarm.cancelled()


async def test_a_hidden_viewer_that_shows_itself_is_timed_again(consumer):
    await consumer.hear('{"type":"visibility","visible":false}')
    assert consumer._alarm is None
    await consumer.hear('{"type":"visibility","visible":true}')
    assert consumer._alarm is not None
