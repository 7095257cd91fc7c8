"""What our server adds to daphne, with clients that read slowly, flood, vanish, or half speak."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.live.clients import WAIT_S, age, clients_of, stream_to
from tests.servers import ROOT

MIB = 1024 * 1024
# What any traffic may cost the first time: arenas, caches, the kernel's view of both.
SLACK = 6 * MIB


@pytest.fixture
async def open_client(server):
    async with clients_of(server) as open_client:
        yield open_client


@pytest.fixture
def own_server(start_server):
    """A server that may be ended."""
    servers = []

    def own_server(**environment):
        servers.append(start_server(**environment))
        return servers[-1]

    yield own_server
    for server in servers:
        server.close()


async def close_of(client):
    """Return the code and the reason with which a client's connection ends."""
    with suppress(ConnectionClosed):
        while True:
            await client.receive()
    return client.socket.close_code, client.socket.close_reason


async def end_of(socket):
    with suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), WAIT_S)
    return socket.close_code, socket.close_reason


def half_a_request(server):
    client = socket.create_connection(("127.0.0.1", server.port))
    client.sendall(b"POST /admin/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
    return client


async def in_a_step_without_end(open_client):
    client = await open_client()
    await client.start("stubborn")
    await client.until(type="frame")
    return client


async def wait(server):
    return await asyncio.to_thread(server.wait)


class TestShutdown:
    async def test_with_fresh_sockets_and_half_uploaded_requests(self, own_server):
        server = own_server()
        async with clients_of(server) as open_client:
            driver, fresh = await open_client(), await open_client()
            await driver.start("counter")
            await driver.until(type="frame")
            async with connect(server.socket_url + "?simulation=slow") as plain:
                await plain.send("start")
                await plain.recv()
                with half_a_request(server):
                    server.process.send_signal(signal.SIGTERM)
                    told = await driver.until(type="session", state="stopped")
                    assert told["stop"]["by"] == "shutdown"
                    for client in (driver, fresh):
                        assert await close_of(client) == (1012, "server restarting")
                    assert driver.frames[-1]["final"]
                    assert (await end_of(plain))[0] == 1012
                    assert await wait(server) == 0
        assert "Traceback" not in server.read_log()
        database = Path(server.environment["VAR_DIR"]) / "db.sqlite3"
        with sqlite3.connect(database) as connection:
            states = connection.execute("SELECT state FROM streaming_streamsession").fetchall()
        connection.close()
        assert states == [("stopped",), ("stopped",)]

    async def test_ends_within_its_grace_whatever_a_step_does(self, own_server):
        server = own_server(LIVESTEP_SHUTDOWN_GRACE="1", LIVESTEP_STOP_GRACE="60")
        async with clients_of(server) as open_client:
            client = await in_a_step_without_end(open_client)
            server.process.send_signal(signal.SIGTERM)
            assert (await close_of(client))[0] == 1012
            assert await wait(server) == 0

    async def test_ends_though_forms_of_an_author_never_return(self, own_server):
        """More of them than an event loop has threads of its own."""
        path = str(ROOT / "tests" / "samples" / "endless.py")
        server = own_server(LIVESTEP_SHUTDOWN_GRACE="1", SIMULATIONS=path)
        async with clients_of(server) as open_client:
            for _ in range(min(32, (os.cpu_count() or 1) + 4) + 1):
                client = await open_client()
                await client.send("start", simulation="never_validates")
                await client.send("ping")
            # It waits behind the form; that the form is being asked is what the log says.
            await asyncio.to_thread(server.wait_for_log, "asked for ever")
            server.process.send_signal(signal.SIGTERM)
            assert await wait(server) == 0
        assert "cut off" in server.read_log()

    async def test_a_client_that_does_not_answer_the_close_is_cut(self, own_server):
        server = own_server()
        with raw_socket(server):
            server.process.send_signal(signal.SIGTERM)
            assert await wait(server) == 0

    async def test_a_second_signal_ends_it_at_once(self, own_server):
        server = own_server(LIVESTEP_STOP_GRACE="60", LIVESTEP_SHUTDOWN_GRACE="60")
        async with clients_of(server) as open_client:
            client = await in_a_step_without_end(open_client)
            server.process.send_signal(signal.SIGTERM)
            await client.until(type="session", state="stopping")
            server.process.send_signal(signal.SIGTERM)
            assert await wait(server) == -signal.SIGTERM

    async def test_a_start_meanwhile_is_refused(self, own_server):
        server = own_server(LIVESTEP_STOP_GRACE="60", LIVESTEP_SHUTDOWN_GRACE="5")
        async with clients_of(server) as open_client:
            busy, late = await in_a_step_without_end(open_client), await open_client()
            server.process.send_signal(signal.SIGTERM)
            await busy.until(type="session", state="stopping")
            await late.send("start", simulation="counter")
            assert (await late.until(type="error"))["code"] == "server_stopping"
            with pytest.raises(ConnectionRefusedError):
                await open_client()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    async def test_an_idle_one_ends_cleanly(self, own_server, number):
        assert own_server().stop(number) == 0

    async def test_by_the_end_of_its_terminal_tells_the_viewers(self, own_server):
        server = own_server()
        async with clients_of(server) as open_client:
            client = await open_client()
            await client.start("counter")
            server.process.send_signal(signal.SIGHUP)
            assert await close_of(client) == (1012, "server restarting")
            assert await wait(server) == 0

    async def test_is_no_concern_of_a_terminals_end_under_nohup(self, own_server):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            server = own_server()
        finally:
            signal.signal(signal.SIGHUP, before)
        server.process.send_signal(signal.SIGHUP)
        async with clients_of(server) as open_client:
            client = await open_client()
            await client.send("ping")
            await client.until(type="pong")
        assert server.stop() == 0


class TestInbound:
    async def test_a_hundred_megabytes_in_messages(self, server, open_client):
        before = server.memory
        client = await open_client()
        with suppress(ConnectionClosed):
            for _ in range(500):
                await client.socket.send("x" * 200_000)
        assert client.socket.close_code == 4400
        assert server.memory - before < SLACK

    async def test_a_hundred_megabytes_in_one_message(self, server, open_client):
        before = server.memory
        client = await open_client()
        with suppress(ConnectionClosed):
            await client.socket.send("x" * 100_000_000)
        assert (await close_of(client))[0] == 1009
        assert server.memory - before < SLACK

    async def test_a_hundred_megabytes_in_an_upload(self, server, open_client):
        before = server.memory
        async with stream_to(server) as (reader, writer):
            writer.write(
                b"POST /sessions/x/stop HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Length: 100000000\r\n\r\n"
            )
            for _ in range(100):
                writer.write(bytes(1_000_000))
                await writer.drain()
            status = await reader.readline()
        assert status.split()[1] in (b"403", b"404", b"413")
        assert server.memory - before < SLACK

    async def test_twenty_thousand_messages_in_a_second(self, server, open_client):
        """The flood is cut, and those beside it notice nothing."""
        before = server.memory
        flood, other = await open_client(), await open_client()
        await other.start("counter")
        with suppress(ConnectionClosed):
            for number in range(20_000):
                await flood.socket.send('{"type":"ping"}')
                if number % 50 == 0:
                    await asyncio.sleep(0)  # Or it would not read its own close.
            await close_of(flood)
        assert flood.socket.close_code == 4429
        await other.until(type="frame")
        assert server.memory - before < SLACK

    async def test_pings_without_number_whose_pongs_nobody_reads(self, server):
        before = server.memory
        ping = b"\x89\xfd" + bytes(4) + bytes(125)
        with raw_socket(server) as client:
            client.settimeout(2)
            with suppress(TimeoutError, ConnectionError):
                for _ in range(1000):
                    await asyncio.to_thread(client.sendall, ping * 500)
            assert server.memory - before < SLACK


class TestSlowReaders:
    async def test_who_stops_for_twenty_seconds_delays_and_costs_nobody(self, server, open_client):
        """One of each dialect that reads nothing, and one that only acknowledges nothing, with
        200 KB frames at 30/s, beside one that does both."""
        query = "?simulation=stamped&size=200000"
        driver = await open_client()
        session = await driver.start("stamped", params={"size": 200_000}, accept=["identity"])
        await driver.until(type="frame")
        before = server.memory
        silent = await open_client(acks=False)
        await silent.watch(session, accept=["identity"])
        with raw_socket(server, query) as plain, raw_socket(server, protocol="livestep.v1") as v1:
            plain.sendall(masked(b"start"))
            watch = {"type": "watch", "session": session, "accept": ["identity"]}
            v1.sendall(masked(json.dumps(watch).encode()))
            began = time.monotonic()
            frames = len(driver.frames)
            while time.monotonic() < began + 20:
                frame = await driver.until(type="frame")
            rate = (len(driver.frames) - frames) / (time.monotonic() - began)
            assert rate > 15
            assert server.memory - before < SLACK
            assert frame["age"] < 1
            assert (await driver.until(type="session"))["viewers"] == 1
        assert (await close_of(silent))[0] == 4408

    async def test_a_slow_line_carries_the_newest_frame(self, server, proxy, open_client):
        """400 KB/s, 100 KB frames: each takes 0.25 s, and none waited for another."""
        proxy.bandwidth = 400_000
        client = await open_client(place=proxy)
        await client.start("stamped", params={"size": 100_000}, accept=["identity"])
        while len(client.frames) < 12:
            await client.receive()
        ages = sorted(frame["age"] for frame in client.frames[4:])
        assert ages[len(ages) // 2] < 2 * 0.25 + 0.1
        steps = client.frames[-1]["step"] - client.frames[4]["step"]
        assert steps > 2 * 7, "a frame was sent for each step, and grew old"

    async def test_a_stop_is_heard_while_a_frame_is_on_its_way(self, server, proxy, open_client):
        other = await open_client()
        client = await open_client(place=proxy)
        session = await client.start("stamped", params={"size": 800_000}, accept=["identity"])
        await client.until(type="frame")
        await other.watch(session)
        proxy.bandwidth = 1000
        for _ in range(3):
            await other.until(type="frame")
        for verb in ("ping", "pause", "stop"):
            await client.send(verb)
        await other.until(type="session", state="stopped")

    async def test_a_plain_client_that_closes_and_reads_nothing_is_gone(self, server, open_client):
        """Its frames are in the way of the answer to its close."""
        watcher = await open_client()
        with raw_socket(server, "?simulation=stamped&size=800000", receive_buffer=4096) as plain:
            plain.sendall(masked(b"start"))
            await asyncio.sleep(1)  # By now its buffer is full.
            before = server.read_log().count(" stopped at step ")
            plain.sendall(b"\x88\x82" + bytes(4) + b"\x03\xe8")
            await asyncio.to_thread(server.wait_for_log, " stopped at step ", before)
        await watcher.send("ping")
        await watcher.until(type="pong")

    async def test_a_plain_client_that_reads_slowly_gets_fresh_frames(self, server, proxy):
        proxy.bandwidth = 400_000
        address = proxy.socket_url + "?simulation=stamped&size=100000"
        async with connect(address, max_queue=1) as plain:
            await plain.send("start")
            ages = [age((await plain.recv()).encode()) for _ in range(12)]
        # What the kernels of both sides hold is on its way, too: 128 KB and their buffers.
        assert ages[-1] < 2.5


class TestLines:
    async def test_a_half_open_connection_is_given_up(self, server, proxy, open_client):
        """Nobody says that it is gone: no ack for 15 s does."""
        other, client = await open_client(), await open_client(place=proxy)
        session = await client.start("counter")
        await other.watch(session)
        await client.until(type="frame")
        proxy.blackhole()
        began = time.monotonic()
        while (await other.until(type="session"))["viewers"] > 1:
            pass
        assert 14 < time.monotonic() - began < 25
        await other.send("leave")

    async def test_ten_seconds_without_a_network_are_survived(self, server, proxy, open_client):
        client = await open_client(place=proxy)
        await client.start("counter")
        await client.until(type="frame")
        proxy.blackhole()
        await asyncio.sleep(10)
        seq = client.frames[-1]["seq"]
        proxy.restore()
        # Those that were in flight, and then the newest.
        while client.frames[-1]["seq"] < seq + 3:
            await client.receive()
        frame = await client.until(type="frame")
        assert frame["step"] > 500
        await client.send("stop")
        await client.until(type="session", state="stopped")

    async def test_a_reset_ends_the_viewer_and_not_the_session(self, server, proxy, open_client):
        client, other = await open_client(place=proxy), await open_client()
        session = await client.start("counter")
        await client.until(type="frame")
        proxy.reset()
        await close_of(client)
        # Longer than the grace of 2 s of one that said goodbye; a lost one has three times that.
        await asyncio.sleep(3)
        await other.watch(session)
        assert (await other.until(type="session"))["state"] == "running"

    async def test_messages_in_slices_of_a_few_bytes(self, server, proxy, open_client):
        proxy.slices, proxy.latency = 7, 0.001
        client = await open_client(place=proxy)
        await client.start("slow")
        await client.until(type="frame")
        await client.send("stop", id="s")
        await client.until(type="ok", id="s")

    async def test_two_hundred_clients_that_come_back_at_once(self, server, proxy, open_client):
        driver = await open_client()
        session = await driver.start("slow")
        await driver.until(type="frame")
        # The driver is one of the 100 that may watch: the others are told so.
        for _ in range(2):
            clients = await asyncio.gather(*(open_client(place=proxy) for _ in range(200)))
            for client in clients:
                await client.send("watch", session=session)
            answers = await asyncio.gather(*(first_answer(client) for client in clients))
            assert answers.count("watching") == 99
            assert answers.count("too_many_sessions") == 101
            proxy.reset()
            await asyncio.gather(*(close_of(client) for client in clients))
            while (await driver.until(type="session"))["viewers"] > 1:
                pass


class TestAStandstill:
    async def test_of_two_seconds_costs_nobody_a_connection(self, server, open_client):
        """A step of a thread holds the interpreter, and with it the event loop, again and again."""
        client, other = await open_client(), await open_client()
        await client.start("stalls", params={"seconds": 2})
        while not client.frames or client.frames[-1]["step"] < 25:
            await client.receive()
        await other.send("ping")
        await other.until(type="pong")
        await client.send("stop")
        await client.until(type="session", state="stopped")


class TestFrameSizes:
    @pytest.mark.parametrize("accept", ["identity", "deflate-raw"])
    async def test_the_largest_arrive_whole_and_larger_ones_are_said(self, open_client, accept):
        client = await open_client()
        await client.start("sized", params={"size": 899_000}, accept=[accept])
        assert (await client.until(type="frame"))["size"] == 899_000
        await client.send("stop")
        await client.until(type="session", state="stopped")
        await client.start("sized", params={"size": 4_000_000}, accept=[accept])
        frame = await client.until(type="frame", size=4_000_000)
        assert frame["encoding"] == "deflate-raw"
        await client.send("stop")
        await client.until(type="session", state="stopped")
        await client.start("noisy", params={"size": 1_250_000}, accept=[accept])
        notice = await client.until(type="notice")
        assert notice["code"] == "frame_too_large"
        assert "A frame of 1,250," in notice["message"]


class TestMistakenAcks:
    async def test_an_ack_of_what_was_never_sent_moves_nothing(self, open_client):
        client = await open_client(acks=False)
        await client.start("counter")
        await client.until(type="frame", seq=1)
        for seq in (10**9, -1, 0, 2**80):
            await client.send("ack", seq=seq)
        await client.until(type="frame")
        await client.send("ping")
        # Two are in flight; a third would have come before this.
        await client.until(type="pong")
        assert len(client.frames) == 2


async def first_answer(client):
    while True:
        message = await client.receive()
        if message["type"] in ("watching", "error"):
            return message.get("code", "watching")


def raw_socket(server, query="", protocol=None, receive_buffer=None):
    """Open a WebSocket from which nobody reads."""
    offer = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", server.port))
    client.sendall(
        f"GET /ws{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{offer}"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert client.recv(1000).startswith(b"HTTP/1.1 101")
    return client


def masked(text):
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
