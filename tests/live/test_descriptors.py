"""A server that has no file descriptor left for a while says so, goes on, and takes up again."""

import asyncio
import os
import resource
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from streaming.models import HEARTBEAT_S
from tests.live.clients import WAIT_S, clients_of


def descriptors_of(pid):
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def least_of(pid, seconds):
    """Return how few descriptors a server has in some time, when that has settled: the tests before
    this one may still be closing something, and the writer of rows keeps its connection for a
    while. Either would serve what is new."""
    least = None
    while True:
        counts, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            counts.append(len(descriptors_of(pid)))
            time.sleep(0.05)
        if least == min(counts):
            return least
        least = min(counts)


@contextmanager
def no_descriptor_left(server, settled_s=0.5):
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    least, deadline = least_of(pid, settled_s), time.monotonic() + WAIT_S
    try:
        is_limited = False
        while not is_limited:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            opened = descriptors_of(pid)
            if len(opened) <= least:
                # The next one would have the lowest number that is free.
                lowest = next(number for number in range(least + 1) if number not in opened)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
                # It may have taken one in between.
                is_limited = descriptors_of(pid) <= opened
                if not is_limited:
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def ask(server, path):
    try:
        with urllib.request.urlopen(server.url + path, timeout=WAIT_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("simulation", ["counter", "isolated"])
async def test_costs_only_what_is_new_and_mends_itself(server, simulation):
    async with clients_of(server) as open_client:
        owner, other = await open_client(), await open_client()
        await owner.start(simulation)
        await owner.until(type="frame")
        before = len(server.read_log())
        # Rows are written at each heartbeat.
        with no_descriptor_left(server, HEARTBEAT_S + 1):
            # Twice: what was taken the first time has been given back.
            for number in range(2):
                await other.send("start", simulation=simulation, id=f"s{number}")
                refused = await other.until(id=f"s{number}")
                assert refused["type"] == "error", refused
                assert "the server has no file descriptor left" in refused["message"]
            count = len(owner.frames)
            while len(owner.frames) < count + 5:
                await owner.until(type="frame")
        async with asyncio.timeout(WAIT_S):
            while await asyncio.to_thread(ask, server, "/readyz") != 200:
                await asyncio.sleep(0.1)
        await other.start(simulation)
        await other.until(type="frame")
        assert "Traceback" not in server.read_log()[before:]
        for client in (owner, other):
            await client.send("stop")
            await client.until(type="session", state="stopped")


@pytest.fixture
def new_server(start_server):
    """One that has shown no page yet."""
    server = start_server()
    yield server
    assert server.stop() == 0


def test_says_so_to_whoever_asks_for_its_first_page_then(new_server):
    connection = HTTPConnection("127.0.0.1", new_server.port, timeout=WAIT_S)
    connection.connect()
    with no_descriptor_left(new_server):
        connection.request("GET", "/")
        status = connection.getresponse().status
    connection.close()
    assert status in (200, 503)
    assert "Traceback" not in new_server.read_log()
