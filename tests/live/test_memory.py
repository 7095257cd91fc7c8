"""A server that gets hardly any memory for a while goes on, and then takes up again."""

import asyncio
import resource
from contextlib import contextmanager

import psutil
import pytest

from streaming.engine.errors import SHORT_OF
from tests.live.clients import WAIT_S, clients_of
from tests.live.test_descriptors import ask
from tests.processes import SAMPLES
from tests.servers import Server

# More than the system may keep the stacks of.
STARTS = 8
# Too little for a thread or a mapping, enough for an object: without any, Python itself may end, or
# wait for ever for a thread that could not begin.
LEFT_BYTES = 4 * 1024 * 1024


@pytest.fixture
def server(tmp_path):
    """One of its own, where nobody is refused for having many sessions."""
    limits = ("MAX_THREAD_SESSIONS", "MAX_PROCESS_SESSIONS", "MAX_SESSIONS_PER_OWNER")
    server = Server(
        tmp_path,
        SIMULATIONS=SAMPLES,
        **{f"LIVESTEP_{name}": str(2 * STARTS) for name in limits},
    )
    yield server
    assert server.stop() == 0


@contextmanager
def little_memory_left(server):
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    limit = psutil.Process(pid).memory_info().vms + LEFT_BYTES
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)


@pytest.mark.parametrize("simulation", ["counter", "isolated"])
async def test_costs_only_what_is_new_and_mends_itself(server, simulation):
    async with clients_of(server) as open_client:
        owner = await open_client()
        # Who starts one meanwhile may have one, and is refused another.
        *others, late = [await open_client() for _ in range(STARTS + 1)]
        await owner.start(simulation)
        await owner.until(type="frame")
        before = len(server.read_log())
        with little_memory_left(server):
            refused = [await how_it_went(other, simulation) for other in others]
            assert any(refused)
            for message in filter(None, refused):
                assert any(sentence in message for sentence in SHORT_OF.values()), message
            count = len(owner.frames)
            while len(owner.frames) < count + 5:
                await owner.until(type="frame")
        async with asyncio.timeout(WAIT_S):
            while await asyncio.to_thread(ask, server, "/readyz") != 200:
                await asyncio.sleep(0.1)
        assert not await how_it_went(late, simulation)
        assert "Traceback" not in server.read_log()[before:]


async def how_it_went(client, simulation):
    """Start a session; returns the sentence if it was refused or failed."""
    await client.send("start", simulation=simulation, id="start")
    answer = await client.until(id="start")
    if answer["type"] == "error":
        return answer["message"]
    while True:
        said = await client.receive()
        if said["type"] == "frame":
            return ""
        if said["type"] == "session" and said["state"] == "failed":
            return said["error"]["message"]
