"""Long and slow lines, on a real server: tests/delivery/test_lines.py has the strict figures."""

import asyncio
import time
from statistics import median

import pytest

from tests.live.clients import clients_of

MEASURE_S = 4


@pytest.fixture
async def open_client(server):
    async with clients_of(server) as open_client:
        yield open_client


async def read_for(client, seconds):
    """Return the frames that come in that time."""
    before = len(client.frames)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await client.until(type="frame")
    return client.frames[before:]


@pytest.mark.parametrize("round_trip", [0.1, 0.3])
async def test_a_long_line_shows_as_many_frames_as_a_short_one(proxy, open_client, round_trip):
    """Two viewers of one session at the same time: what the machine does to one, it does to both.
    A frame for each round trip, or two, would be a tenth or a fifth of what the near one gets."""
    proxy.latency, proxy.bandwidth = round_trip / 2, 5_000_000
    near, far = await open_client(), await open_client(place=proxy)
    session = await near.start("stamped", params={"size": 4000}, accept=["identity"])
    await far.watch(session, accept=["identity"])
    await asyncio.gather(*(read_for(client, 4) for client in (near, far)))
    counts = await asyncio.gather(*(read_for(client, MEASURE_S) for client in (near, far)))
    assert len(counts[1]) > 0.8 * len(counts[0])


async def test_a_slow_and_long_line_carries_fresh_frames(proxy, open_client):
    """400 KB/s, 200 ms there and back, 100 KB frames: each takes 0.25 s, and hardly waits."""
    proxy.latency, proxy.bandwidth = 0.1, 400_000
    client = await open_client(place=proxy)
    await client.start("stamped", params={"size": 100_000}, accept=["identity"])
    await client.until(type="frame")
    frames = await read_for(client, 3 * MEASURE_S)
    assert median(frame["age"] for frame in frames) - 0.1 < 1.6 * 0.25
