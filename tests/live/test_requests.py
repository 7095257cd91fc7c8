"""Requests that are too large, too slow or too many, on a real server."""

import asyncio
import contextlib
import http.client
import resource
import socket
import time
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.clients import WAIT_S, clients_of

MIB = 1024 * 1024
# Django's DATA_UPLOAD_MAX_MEMORY_SIZE.
MOST_BYTES = 2_621_440
DESCRIPTORS = 256


@pytest.fixture(scope="module")
def small_server(start_server):
    """A server with few descriptors, and its own log."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, limits[1]))
    try:
        server = start_server(LIVESTEP_STOP_GRACE="0.1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    yield server
    assert server.stop() == 0


def connect(server):
    client = socket.create_connection(("127.0.0.1", server.port), WAIT_S)
    client.settimeout(WAIT_S)
    return client


def read_all(client):
    """Return what a client is sent until the connection ends."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while data := client.recv(65536):
            answer += data
    return answer


def files_of(server):
    """Return how many bytes the unlinked files of a server have."""
    sizes = []
    for path in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "(deleted)" in str(path.readlink()) and "shm" not in str(path.readlink()):
                sizes.append(path.stat().st_size)
    return sum(sizes)


def files_are_given_back(server):
    """Whether a server has no unlinked file, or soon has none: it may hear of a reset later than
    the client does."""
    deadline = time.monotonic() + WAIT_S
    while files_of(server) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not files_of(server)


class TestLargeBodies:
    def test_that_are_announced_are_refused_before_the_first_byte(self, server):
        with connect(server) as client:
            client.sendall(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                b"Content-Length: 109951162777600\r\n\r\n"
            )
            answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"A request to this site may have 2,621,440 bytes.\n")

    def test_that_come_in_chunks_are_refused_at_the_limit(self, server):
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        with connect(server) as client:
            client.sendall(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            most = 0
            with contextlib.suppress(ConnectionError, TimeoutError):
                for _ in range(4000):
                    client.sendall(chunk)
                    most = max(most, files_of(server))
            answer = read_all(client)
        assert most <= MOST_BYTES
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
        assert files_are_given_back(server)

    def test_that_come_in_chunks_are_answered(self, server):
        """By a client that reads while it sends, as browsers do."""
        with connect(server) as client:
            client.sendall(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            with contextlib.suppress(ConnectionError):
                for _ in range(MOST_BYTES // 0x10000 + 1):
                    client.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            assert read_all(client).startswith(b"HTTP/1.1 413 ")

    def test_in_chunks_of_one_byte_are_refused_long_before(self, server):
        """Each of them costs as much as one of a kilobyte."""
        with connect(server) as client:
            client.sendall(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"1\r\nx\r\n" * 2600
            )
            assert read_all(client).startswith(b"HTTP/1.1 413 ")

    def test_of_the_size_that_is_allowed_arrive(self, server):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
        connection.request("POST", "/sessions/x/stop", bytes(MOST_BYTES))
        answer = connection.getresponse()
        assert answer.status in (403, 404)
        answer.read()
        # The connection is as good as before.
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()

    async def test_of_many_at_once_are_bounded_together(self, server):
        """A hundred halves of a request with 2 MB each; a button still works."""
        clients = [connect(server) for _ in range(60)]
        body = bytes(2 * MIB)
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2200000\r\n\r\n"

        def send(client):
            with contextlib.suppress(ConnectionError, TimeoutError):
                client.sendall(head + body)

        await asyncio.gather(*(asyncio.to_thread(send, client) for client in clients))
        assert files_of(server) <= 66 * MIB
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
        connection.request("POST", "/sessions/x/stop", b"reason=none")
        assert connection.getresponse().status in (403, 404)
        connection.close()
        for client in clients:
            client.close()
        deadline = time.monotonic() + WAIT_S
        while files_of(server) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert files_are_given_back(server)


class TestPipelinedRequests:
    def test_whose_answers_nobody_reads_are_not_collected(self, server):
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        before = server.memory
        with connect(server) as client:
            client.settimeout(2)
            with contextlib.suppress(TimeoutError, ConnectionError):
                for _ in range(1000):
                    client.sendall(request * 1000)
            assert server.memory - before < 6 * MIB

    def test_are_answered_one_after_the_other(self, server):
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        with connect(server) as client:
            client.sendall((request + b"\r\n") * 99 + request + b"Connection: close\r\n\r\n")
            assert read_all(client).count(b"HTTP/1.1 200 OK") == 100


class TestSlowRequests:
    @pytest.mark.parametrize(
        "begun",
        [b"", b"GET /he", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "],
        ids=["silent", "line", "header"],
    )
    def test_that_dribble_have_ten_seconds_for_their_header(self, server, begun):
        with connect(server) as client:
            client.sendall(begun)
            began = time.monotonic()
            client.settimeout(0.5)
            answer = b""
            while True:
                try:
                    if not (data := client.recv(65536)):
                        break
                    answer += data
                except TimeoutError:
                    assert time.monotonic() < began + 20
                    if begun:
                        client.sendall(b"x")
                except ConnectionError:
                    break
        assert 9 < time.monotonic() - began < 30
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"did not come to its end in time" in answer

    def test_a_second_request_over_the_same_connection_may_come_later(self, server):
        """A browser keeps its connection: nothing is late before the next request begins."""
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
        for pause in (0, 13, 0):
            time.sleep(pause)
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            assert (answer.status, answer.will_close) == (200, False)
            answer.read()
        connection.close()


class TestACrowd:
    async def test_of_silent_connections_locks_nobody_out(self, small_server):
        """More than there are descriptors; a session goes on, others come, /healthz answers."""
        async with clients_of(small_server) as open_client:
            client = await open_client()
            await client.start("counter")
            await client.until(type="frame")
            crowd = [connect(small_server) for _ in range(2 * DESCRIPTORS)]
            for _ in range(5):
                connection = http.client.HTTPConnection("127.0.0.1", small_server.port, timeout=5)
                connection.request("GET", "/healthz")
                assert connection.getresponse().status == 200
                connection.close()
            frames = len(client.frames)
            newcomer = await open_client()
            await newcomer.send("ping")
            await newcomer.until(type="pong")
            while len(client.frames) < frames + 30:
                await client.receive()
            for silent in crowd:
                silent.close()
        log = small_server.read_log()
        assert log.count("too many connections: one that waits") == 1
        assert "Traceback" not in log

    async def test_of_websockets_leaves_the_pages(self, small_server):
        opened = []
        async with clients_of(small_server) as open_client:
            with contextlib.suppress(InvalidStatus):
                for _ in range(DESCRIPTORS):
                    opened.append(await open_client())
            assert 50 < len(opened) < DESCRIPTORS
            connection = http.client.HTTPConnection("127.0.0.1", small_server.port, timeout=5)
            connection.request("GET", "/readyz")
            assert connection.getresponse().status == 200
            connection.close()
        assert "too many WebSockets" in small_server.read_log()
