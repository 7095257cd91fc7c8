"""The limits of connections and handshakes, on a real server."""

import asyncio
import http.client
import socket
import struct
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streaming.web.connections import HANDSHAKE_BURST
from tests.live.clients import WAIT_S


@pytest.fixture(scope="module")
def behind_proxy(start_server):
    """A server that is told by a proxy who its clients are; the test is the proxy."""
    server = start_server(
        PROXY_HEADERS="yes",
        LIVESTEP_MAX_CONNECTIONS_PER_ADDRESS="3",
        LIVESTEP_REQUESTS_PER_SECOND="5",
        LIVESTEP_ABANDON_GRACE="1",
    )
    yield server
    assert server.stop() == 0


def visit(server, address, **options):
    headers = {"X-Forwarded-For": address}
    return connect(
        server.socket_url, additional_headers=headers, subprotocols=["livestep.v1"], **options
    )


class TestOnTheServer:
    async def test_one_address_too_often_is_told_and_closed(self, behind_proxy):
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(visit(behind_proxy, "192.0.2.1"))
            fourth = await stack.enter_async_context(visit(behind_proxy, "192.0.2.1"))
            assert '"hello"' in await fourth.recv()
            assert "3 connections are open from your address" in await fourth.recv()
            with pytest.raises(ConnectionClosed):
                await fourth.recv()
            assert fourth.close_code == 4429
            another = await stack.enter_async_context(visit(behind_proxy, "192.0.2.2"))
            assert '"hello"' in await another.recv()
            await another.send('{"type":"ping"}')
            assert '"pong"' in await another.recv()

    async def test_a_reset_connection_gives_its_place_back(self, behind_proxy):
        for _ in range(4):
            async with visit(behind_proxy, "192.0.2.3") as client:
                assert '"hello"' in await client.recv()
                raw = client.transport.get_extra_info("socket")
                # To close it so is to reset it.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.transport.abort()
        async with asyncio.timeout(WAIT_S):
            while True:
                async with visit(behind_proxy, "192.0.2.3") as client:
                    await client.recv()
                    await client.send('{"type":"ping"}')
                    if '"pong"' in await client.recv():
                        return

    async def test_a_flood_of_handshakes_is_refused_and_others_are_served(self, behind_proxy):
        statuses = []
        for _ in range(HANDSHAKE_BURST + 50):
            try:
                async with visit(behind_proxy, "192.0.2.4"):
                    statuses.append(101)
            except InvalidStatus as error:
                statuses.append(error.response.status_code)
        assert statuses[:HANDSHAKE_BURST] == [101] * HANDSHAKE_BURST
        assert 403 in statuses
        async with visit(behind_proxy, "192.0.2.5") as another:
            assert '"hello"' in await another.recv()

    async def test_without_a_proxy_a_clients_own_word_counts_for_nothing(self, server):
        """Nor does the address of the proxy that says nothing: all its visitors would share it."""
        headers = {"X-Forwarded-For": "192.0.2.9"}
        async with AsyncExitStack() as stack:
            for _ in range(HANDSHAKE_BURST + 20):
                await stack.enter_async_context(
                    connect(server.socket_url, additional_headers=headers)
                )

    async def test_a_flood_of_requests_gets_429_and_others_their_pages(self, behind_proxy):
        def ask(connection, address):
            connection.request("GET", "/healthz", headers={"X-Forwarded-For": address})
            with connection.getresponse() as response:
                response.read()
            return response.status

        def flood(own_address):
            connection = http.client.HTTPConnection("127.0.0.1", behind_proxy.port, timeout=WAIT_S)
            try:
                statuses = [ask(connection, own_address) for _ in range(120)]
                return statuses, ask(connection, "192.0.2.9")
            finally:
                connection.close()

        statuses, other = await asyncio.to_thread(flood, "192.0.2.8")
        assert statuses[:100] == [200] * 100
        assert 429 in statuses
        assert other == 200
        assert "more requests than it may" in behind_proxy.read_log()
