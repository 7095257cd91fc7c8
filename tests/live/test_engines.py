"""The process engine under a real server: what is left when that is killed."""

import asyncio
import json
import os
import signal

import pytest
from websockets.asyncio.client import connect

from development.processes import family
from tests.engine.running import gone, is_there
from tests.servers import ROOT, Server

WAIT_S = 20


def descendants(pid):
    """Return the processes below one."""
    return [process.pid for process in family(pid)[1:]]


@pytest.fixture
def own_server(tmp_path):
    """A server that may be killed."""
    servers = []

    def own_server(**environment):
        servers.append(Server(tmp_path, **environment))
        return servers[-1]

    yield own_server
    for server in servers:
        server.stop()


class TestKilledServer:
    async def test_leaves_no_process_behind(self, own_server):
        """Eight sessions run: one is held in the middle of its step, one is deep in C."""
        server = own_server(
            SIMULATIONS=str(ROOT / "tests" / "samples" / "faults.py"),
            LIVESTEP_MAX_PROCESS_SESSIONS="8",
        )
        sockets = []
        try:
            for name in ["in_c", *["spins"] * 7]:
                socket = await connect(server.socket_url, subprotocols=["livestep.v1"])
                sockets.append(socket)
                await say(socket, type="start", simulation=name, engine="process")
                await until(socket, b'"step":1,')
            await say(sockets[-1], type="pause")
            await until(sockets[-1], '"state":"paused"')
            pids = descendants(server.process.pid)
            assert len(pids) == 9, "the fork server, and a child for each session"
            assert all(map(is_there, pids))
            os.kill(server.process.pid, signal.SIGKILL)
            assert await asyncio.to_thread(gone, *pids)
        finally:
            for socket in sockets:
                await socket.close()


class TestOwnFile:
    async def test_runs_in_a_process(self, tmp_path):
        """A file given to `serve` is no module that a child could import by its name."""
        path = tmp_path / "my_sim.py"
        path.write_text(
            "from my_helper import PICTURE\n"
            "from streaming import simulation\n\n"
            '@simulation(engine="process")\n'
            "def mine():\n    yield PICTURE\n"
        )
        (tmp_path / "my_helper.py").write_text("PICTURE = '<svg><text>mine</text></svg>'\n")
        server = Server(tmp_path, str(path))
        try:
            async with connect(server.socket_url, subprotocols=["livestep.v1"]) as socket:
                await say(socket, type="start", simulation="mine", accept=["identity"])
                await until(socket, b"<text>mine</text>", '"state":"finished"')
        finally:
            server.stop()


def test_the_fork_server_runs_before_the_first_session(own_server):
    """The gallery has simulations that need it."""
    assert len(descendants(own_server().process.pid)) == 1


async def say(socket, **message):
    await socket.send(json.dumps(message))


async def until(socket, *parts):
    """Read until each part came, in a message of its kind; frames are acknowledged."""
    missing = set(parts)
    async with asyncio.timeout(WAIT_S):
        while missing:
            content = await socket.recv()
            if isinstance(content, bytes):
                seq = json.loads(content.partition(b"\n")[0])["seq"]
                await say(socket, type="ack", seq=seq)
            missing = {
                part for part in missing if type(part) is not type(content) or part not in content
            }
