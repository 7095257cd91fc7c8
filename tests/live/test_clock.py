"""Clocks that are set by an hour while sessions run: nobody's session ends, no connection closes,
and what has ended stays to be seen."""

import asyncio
import json
import struct
import time
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.frames import Opcode

from tests.processes import clients_of, make_cluster, reading, shell
from tests.servers import ROOT

pytestmark = [pytest.mark.redis, pytest.mark.postgres, pytest.mark.nginx]
# Of the two processes one is an hour ahead from then on, the other an hour behind.
SET_BY_S = {"a": 3600.0, "b": -3600.0}
# Longer than the others wait for a sign of life, and than the server waits until it pings.
LONG_S = 14.0
ROWS = """
import json
from streaming.models import StreamSession
rows = StreamSession.objects.all()
print(json.dumps({row.id: [row.state, row.heartbeat.timestamp()] for row in rows}))
"""


class Clock:
    """The wall clock of one process, and by how many seconds it is wrong."""

    def __init__(self, path):
        self.path = path
        self.set(0)

    def set(self, seconds):
        # In place: the process has it mapped.
        with open(self.path, "r+b" if self.path.exists() else "w+b") as file:
            file.write(struct.pack("d", seconds))


class Pinged(ClientConnection):
    """Counts the server's pings."""

    pings = 0

    def process_event(self, event):
        super().process_event(event)
        self.pings += getattr(event, "opcode", None) is Opcode.PING


@pytest.fixture(scope="module")
def cluster():
    cluster = make_cluster(LIVESTEP_ABANDON_GRACE="2")
    cluster.clocks = {name: Clock(cluster.folder / f"{name}.clock") for name in cluster.processes}
    for name, process in cluster.processes.items():
        process.environment |= {
            "CLOCK_FILE": str(cluster.clocks[name].path),
            "PYTHONPATH": str(ROOT / "tests" / "live" / "clock"),
        }
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
async def open_client(cluster):
    async with clients_of(cluster) as open_client:
        yield open_client


async def rows(cluster):
    return json.loads(await asyncio.to_thread(shell, cluster, ROWS))


async def start(client):
    await client.send("start", simulation="counter", fps=5)
    return await client.until(type="started")


async def test_clocks_that_are_set_end_nothing(cluster, open_client):
    async with AsyncExitStack() as stack:
        # One that has ended, and one in each process with a viewer in the other.
        ender = await open_client("a")
        ended = (await start(ender))["session"]
        await ender.until(type="frame")
        await ender.send("stop")
        await ender.until(type="session", state="stopped")
        sessions, seen = [], []
        for here, there in (("a", "b"), ("b", "a")):
            owner, viewer = await open_client(here), await open_client(there)
            started = await start(owner)
            await viewer.watch(started["session"], token=started["token"])
            await viewer.until(type="frame")
            sessions.append((started["session"], viewer))
            seen += [await stack.enter_async_context(reading(one)) for one in (owner, viewer)]
        idle = [
            await stack.enter_async_context(
                unix_connect(
                    str(process.socket_path),
                    "ws://localhost/ws",
                    subprotocols=["livestep.v1"],
                    ping_interval=None,
                    create_connection=Pinged,
                )
            )
            for process in cluster.processes.values()
        ]
        before = await rows(cluster)

        for name, seconds in SET_BY_S.items():
            cluster.clocks[name].set(seconds)
        set_at, pings = time.monotonic(), [connection.pings for connection in idle]
        counts = [len(messages) for messages in seen]
        await asyncio.sleep(LONG_S)  # Nothing is to happen: there is nothing to wait for.

        for connection, count in zip(idle, pings, strict=True):
            assert connection.pings > count
        after = await rows(cluster)
        for session, _ in sessions:
            states = [m["state"] for messages in seen for m in messages if m.get("state")]
            assert set(states) <= {"queued", "starting", "running"}
            assert after[session][0] == "running"
        for messages, count in zip(seen, counts, strict=True):
            new = messages[count:]
            # Five a second, each second a `session`, and no cut: nothing was said about one.
            assert sum(m["type"] == "frame" for m in new) > 3 * (time.monotonic() - set_at)
            assert not [m for m in new if m["type"] in ("notice", "error")]
        moved = {session: after[session][1] - before[session][1] for session, _ in sessions}
        for (session, _), seconds in zip(sessions, SET_BY_S.values(), strict=True):
            assert moved[session] == pytest.approx(seconds + LONG_S, abs=10)
        # What had ended is still there, from either side, and so is control.
        for name in ("a", "b"):
            late = await open_client(name)
            await late.watch(ended)
            assert (await late.until(type="session"))["state"] == "stopped"
            assert (await late.until(type="frame"))["final"]
        for (_, viewer), messages in zip(sessions, seen[1::2], strict=True):
            await viewer.send("stop")
            async with asyncio.timeout(10):
                while not any(m.get("state") == "stopped" for m in messages):
                    await asyncio.sleep(0.02)
