"""Beside hostile clients everybody else is served. `make bench-hostile` has the exact figures."""

import asyncio
import json
import statistics
import time
import urllib.request
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streaming.server.receiving import FRAME_BURST, FRAMES_PER_SECOND
from tests.attackers import FLOODS, attacking
from tests.live.clients import WAIT_S, clients_of, stream_to

# Far from what an attack came to before (10 s for a ping and /healthz, half a frame a second), and
# from what other programs on this machine can do to it.
MOST_PING_S = 0.1
MOST_HEALTHZ_S = 5
LEAST_FRAMES_PER_SECOND = 10


@pytest.fixture
async def open_client(server):
    async with clients_of(server) as open_client:
        yield open_client


class TestFloodOfFrames:
    @pytest.mark.parametrize("connections", [1, 20])
    @pytest.mark.parametrize("kind", FLOODS)
    async def test_is_noticed_by_nobody_else(self, server, open_client, kind, connections):
        client = await open_client()
        await client.start("counter")
        await client.until(type="frame")
        with attacking(kind, server.port, connections, 1_000_000):
            await asyncio.to_thread(server.wait_for_log, "more WebSocket frames than it may")
            pings, frames, began = [], len(client.frames), time.monotonic()
            health = asyncio.create_task(asyncio.to_thread(ask_health, server))
            for number in range(60):
                asked = time.monotonic()
                await client.send("ping", id=str(number))
                await client.until(type="pong", id=str(number))
                pings.append(time.monotonic() - asked)
                await asyncio.sleep(0.03)
            rate = (len(client.frames) - frames) / (time.monotonic() - began)
            assert await health < MOST_HEALTHZ_S
        assert statistics.median(pings) < MOST_PING_S
        assert rate > LEAST_FRAMES_PER_SECOND

    @pytest.mark.parametrize("frame", ["ping", "ack"])
    async def test_is_told_and_cut(self, server, frame):
        async with connect(server.socket_url, subprotocols=["livestep.v1"]) as client:
            await flood(client, frame)
            said = [json.loads(text) async for text in ended(client)]
        assert client.close_code == 4429
        assert said[-1]["code"] == "too_many_messages"
        assert said[-1]["message"] == "too much came from you at once"

    async def test_is_told_in_the_plain_dialect_too(self, server):
        async with connect(server.socket_url) as client:
            await flood(client, "ping")
            assert [text async for text in ended(client)][-1] == (
                "error: too much came from you at once"
            )
        assert client.close_code == 4429

    async def test_before_the_handshake_is_answered_is_not_collected(self, server):
        """All of it waits in the sockets, and is then a flood as any other."""
        before = server.memory
        async with stream_to(server) as (reader, writer):
            writer.write(HANDSHAKE + b"\x89\x80\0\0\0\0" * 100_000)
            with suppress(ConnectionError):
                async with asyncio.timeout(WAIT_S):
                    while await reader.read(1 << 16):
                        pass
        assert server.memory - before < 6_000_000

    async def test_is_not_what_a_busy_client_sends_after_a_standstill(self, open_client):
        client = await open_client(acks=False)
        for seq in range(int(FRAME_BURST) - 10):
            await client.send("ack", seq=seq)
        for number in range(5):
            await client.send("ping", id=str(number))
            await client.until(type="pong", id=str(number))

    async def test_is_not_what_a_busy_client_sends_all_the_time(self, open_client):
        """60 acks, 60 movements of a pointer, 30 messages a second: for longer than any burst."""
        client = await open_client(acks=False)
        began = time.monotonic()
        for number in range(int(2 * FRAME_BURST)):
            await client.send("ack", seq=number)
            await asyncio.sleep(began + number / 150 - time.monotonic())
        await client.send("ping")
        await client.until(type="pong")
        assert FRAMES_PER_SECOND >= 150

    async def test_is_not_what_acknowledges_frames_however_many_come(self, start_server):
        """Without a frame clock they come as fast as they are acknowledged."""
        server = start_server(LIVESTEP_FPS="0")
        async with clients_of(server) as open_client:
            client = await open_client()
            await client.start("sized")
            began = time.monotonic()
            while len(client.frames) < 3 * FRAME_BURST:
                await client.until(type="frame")
            assert len(client.frames) > FRAMES_PER_SECOND * (time.monotonic() - began) + FRAME_BURST
        assert server.stop() == 0


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def flood(client, frame):
    with suppress(ConnectionClosed):
        for _ in range(int(3 * FRAME_BURST)):
            if frame == "ping":
                await client.ping()
            else:
                await client.send('{"type":"ack","seq":1}')
            await asyncio.sleep(0)  # Or it would not read why it is closed.


async def ended(client):
    """Give what a client was sent until its connection ended."""
    with suppress(ConnectionClosed):
        while True:
            yield await asyncio.wait_for(client.recv(), WAIT_S)


def ask_health(server):
    """Return how many seconds /healthz takes at most, of ten times."""
    worst = 0.0
    for _ in range(10):
        began = time.monotonic()
        urllib.request.urlopen(server.url + "/healthz", timeout=WAIT_S).read()
        worst = max(worst, time.monotonic() - began)
    return worst
