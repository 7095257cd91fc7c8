"""Our server with applications that raise, do not listen, push without end, or cling to life."""

import asyncio
import contextlib
import signal
import socket
import sys

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.live.clients import WAIT_S
from tests.servers import Server, clean_environment

MIB = 1024 * 1024
# Of half a gigabyte.
SLACK = 10 * MIB


class Asgi(Server):
    def __init__(self, folder):
        self.environment = clean_environment(VAR_DIR=str(folder), LIVESTEP_SHUTDOWN_GRACE="0.5")
        self.log = open(folder / "server.log", "w+")  # noqa: SIM115  # close() closes it
        self._run(sys.executable, "-m", "tests.live.asgi")
        self.port = int(self.process.stdout.readline().split()[1])
        self.url = f"ws://127.0.0.1:{self.port}"


@pytest.fixture
def asgi(tmp_path):
    server = Asgi(tmp_path)
    yield server
    server.close()


def unread(asgi, request):
    """Open a connection from which nobody reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", asgi.port))
    client.sendall(request)
    return client


def handshake(path):
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


async def echoes(asgi):
    """Whether the server still serves somebody else."""
    async with connect(f"{asgi.url}/echo") as other:
        await other.send("x")
        return await asyncio.wait_for(other.recv(), WAIT_S) == "x"


class TestAHandlerThatRaises:
    async def test_closes_its_own_socket_with_1011(self, asgi):
        async with connect(f"{asgi.url}/raises") as client:
            await client.send("x")
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), WAIT_S)
            assert client.close_code == 1011
            assert not client.close_reason
        assert await echoes(asgi)
        assert "the secret of the application" in asgi.read_log()

    async def test_a_response_that_fails_half_way_is_broken_off_and_harms_no_other(self, asgi):
        """Daphne's own would look after no application any more from then on."""
        reader, writer = await asyncio.open_connection("127.0.0.1", asgi.port)
        writer.write(b"GET /breaks HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"half" in await asyncio.wait_for(reader.read(), WAIT_S)
        writer.close()
        assert "the secret of the response" in asgi.read_log()
        await self.test_closes_its_own_socket_with_1011(asgi)

    async def test_sigterm_while_its_socket_closes(self, asgi):
        async with connect(f"{asgi.url}/raises") as client:
            await client.send("x")
            await asyncio.to_thread(asgi.wait_for_log, "the secret of the application")
            assert await asyncio.to_thread(asgi.stop, signal.SIGTERM) == 0


class TestAnApplicationThatDoesNotListen:
    async def test_its_client_is_read_no_further(self, asgi):
        assert await echoes(asgi)
        before = asgi.memory
        message = b"\x82\xfe\xff\xff\0\0\0\0" + bytes(65535)
        with unread(asgi, handshake("/deaf")) as client:
            assert client.recv(12) == b"HTTP/1.1 101"
            client.settimeout(2)
            sent = 0
            # It blocks, since the server reads nothing more: this is what shows it.
            with contextlib.suppress(TimeoutError):
                while sent < 200 * MIB:
                    await asyncio.to_thread(client.sendall, message)
                    sent += len(message)
            assert sent < 30 * MIB
            assert asgi.memory - before < SLACK
            assert await echoes(asgi)


class TestAClientThatDoesNotRead:
    @pytest.mark.parametrize(
        "request_", [handshake("/pushes"), b"GET /streams HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    )
    async def test_is_sent_no_more_than_a_buffer(self, asgi, request_):
        assert await echoes(asgi)
        before = asgi.memory
        with unread(asgi, request_):
            for _ in range(6):
                await asyncio.sleep(0.5)
                assert await echoes(asgi)
                assert asgi.memory - before < SLACK

    async def test_gets_everything_when_it_reads(self, asgi):
        request = b"GET /streams HTTP/1.0\r\nHost: localhost\r\n\r\n"

        def read_all():
            with socket.create_connection(("127.0.0.1", asgi.port)) as client:
                client.sendall(request)
                size = 0
                while size < 400 * MIB:
                    size += len(client.recv(MIB))

        await asyncio.wait_for(asyncio.to_thread(read_all), 30)


class TestAnApplicationThatClingsToLife:
    async def test_does_not_keep_the_server(self, asgi):
        async with connect(f"{asgi.url}/clings") as client:
            assert await client.recv() == "here"
            asgi.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(asgi.wait) == 0
        assert "did not end within SHUTDOWN_GRACE" in asgi.read_log()
