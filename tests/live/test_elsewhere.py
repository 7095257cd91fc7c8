"""The site on a system that has nothing of what only Linux has, as far as tests/elsewhere takes it
away: threads as ever, and processes that are programs of their own."""

import asyncio
import os
import signal

import pytest

from development.processes import family
from tests.engine.running import gone
from tests.live.clients import clients_of
from tests.servers import ROOT, Server

FILES = [str(ROOT / "tests" / "samples" / name) for name in ("simulations.py", "faults.py")]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(
        tmp_path_factory.mktemp("elsewhere"),
        PYTHONPATH=str(ROOT / "tests" / "elsewhere"),
        SIMULATIONS=",".join(FILES),
        LIVESTEP_STOP_GRACE="0.1",
    )
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture
async def open_client(server):
    async with clients_of(server) as open_client:
        yield open_client


@pytest.mark.parametrize(
    ("simulation", "engine", "how"),
    [
        ("counter", "thread", "flag"),
        ("counter", "process", "flag"),
        ("spins", "process", "interrupt"),
        ("swallows", "process", "kill"),
    ],
)
async def test_a_session_is_seen_and_stopped(open_client, simulation, engine, how):
    client = await open_client()
    # A stop between two steps needs no interrupt. Then it is tried again.
    for _ in range(5):
        await client.start(simulation, engine=engine)
        await client.until(type="frame")
        # Those that nothing ends are in their second step then, or were held there.
        if simulation != "swallows":
            await client.send("pause")
            await client.until(type="session", state="paused")
            await client.send("resume")
            await client.until(type="session", state="running")
        await client.send("stop")
        said = await client.until(type="session", state="stopped")
        if said["stop"]["how"] == how:
            return
    raise AssertionError(said)


async def test_how_a_process_ended_is_said(open_client):
    client = await open_client()
    await client.start("exits", engine="process")
    failed = await client.until(type="session", state="failed")
    assert "ended itself with exit code 3, during step 2" in failed["error"]["message"]


async def test_processes_end_with_the_server_and_what_they_have_started_with_them(
    server, open_client, tmp_path
):
    """Last: there is no server after that."""
    client = await open_client()
    await client.start("has_a_helper", engine="process", params={"pid_file": str(tmp_path / "pid")})
    await client.until(type="frame")
    started = [process.pid for process in family(server.process.pid)[1:]]
    assert len(started) == 2
    os.kill(server.process.pid, signal.SIGKILL)
    assert await asyncio.to_thread(gone, *started)
