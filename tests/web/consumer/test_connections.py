"""However a connection ends, nothing of it is counted any more."""

import asyncio

import pytest

from streaming.web.connections import HANDSHAKE_BURST, connections

WAIT_S = 20


@pytest.fixture(autouse=True)
def _nothing_left():
    assert not len(connections)
    yield
    assert not len(connections)
    assert not connections._by_address
    assert not connections._by_owner


@pytest.fixture
def visitor(monkeypatch):
    """The test's communicator says no address; let it be one of the net."""
    monkeypatch.setattr("streaming.web.consumer.address_of", lambda scope: "192.0.2.7")
    yield "192.0.2.7"
    connections._handshakes._allowances.clear()


class TestAnEnd:
    async def test_by_the_client(self, visitor, connect):
        client = await connect()
        assert connections._by_address == {visitor: 1}
        await client.communicator.disconnect()

    async def test_by_a_cancellation(self, visitor, connect):
        client = await connect()
        client.communicator.future.cancel()
        await asyncio.wait([client.communicator.future], timeout=WAIT_S)

    async def test_by_a_refusal(self, visitor, open_socket):
        assert (await open_socket(headers=[(b"origin", b"http://evil.test")]))[0] is None
        assert (await open_socket(subprotocols=["mqtt"]))[0] is None
        assert (await open_socket("/other"))[0] is None

    @pytest.mark.parametrize("failing", ["identify_scope", "accepted_language"])
    async def test_by_an_error_of_ours(self, visitor, open_socket, monkeypatch, failing):
        def fail(scope):
            raise ZeroDivisionError

        monkeypatch.setattr(f"streaming.web.consumer.{failing}", fail)
        # Channels' communicator looks for the error only when it has waited for so long.
        monkeypatch.setattr("tests.web.consumer.conftest.WAIT_S", 0.5)
        with pytest.raises(ZeroDivisionError):
            await open_socket()

    async def test_while_its_user_is_looked_up(self, visitor, open_socket, monkeypatch):
        entered = asyncio.Event()

        async def hang(scope):
            entered.set()
            await asyncio.Event().wait()

        monkeypatch.setattr("streaming.web.consumer.identify_scope", hang)
        opening = asyncio.create_task(open_socket())
        await asyncio.wait_for(entered.wait(), WAIT_S)
        assert connections._by_address == {visitor: 1}
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.wait(left, timeout=WAIT_S)


class TestRefusals:
    async def test_of_one_connection_too_many(self, visitor, connect, settings):
        settings.LIVESTEP = {"MAX_CONNECTIONS_PER_ADDRESS": 1}
        await connect()
        refused = await connect()
        error = await refused.receive()
        assert error["code"] == "too_many_sessions"
        assert "close one of them first" in error["message"]
        assert await refused.receive() == {"type": "closed", "code": 4429}
        assert connections._by_address == {visitor: 1}

    async def test_of_a_plain_client(self, visitor, connect_plain, settings):
        settings.LIVESTEP = {"MAX_CONNECTIONS_PER_ADDRESS": 1}
        await connect_plain()
        refused = await connect_plain()
        assert (await refused.receive_from(WAIT_S)).startswith("error: 1 connections are open")
        assert (await refused.receive_output(WAIT_S))["code"] == 4429

    async def test_of_one_handshake_too_many(self, visitor, open_socket):
        for _ in range(HANDSHAKE_BURST):
            connections.admits(visitor, asyncio.get_running_loop().time())
        assert (await open_socket())[0] is None
