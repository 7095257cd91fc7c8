"""Clients of both dialects, on the application as the server runs it, without a server."""

import asyncio
import contextlib
import json

import pytest
from channels.testing import WebsocketCommunicator

from project.asgi import application
from streaming.layer import local_layer
from tests.frames import FrameReader
from tests.parts import close_sessions

WAIT_S = 15


class Client:
    """One WebSocket; `ack` says whether it acknowledges each frame as a page does."""

    def __init__(self, communicator, ack=True):
        self.communicator, self.acks = communicator, ack
        self.frames = []
        self._reader = FrameReader()

    async def send(self, type, **fields):
        await self.send_text(json.dumps({"type": type, **fields}))

    async def send_text(self, text):
        await self.communicator.send_to(text_data=text)

    async def receive(self):
        """Return the next JSON message; frames are kept in `frames`, and acknowledged."""
        while True:
            output = await self.communicator.receive_output(WAIT_S)
            if output["type"] == "websocket.close":
                return {"type": "closed", "code": output["code"]}
            if output.get("text") is not None:
                return json.loads(output["text"])
            await self.keep(output["bytes"])

    async def keep(self, content):
        frame = self._reader.read(content)
        self.frames.append(frame)
        if self.acks:
            await self.send("ack", seq=frame["seq"])

    async def until(self, **expected):
        """Return the first message that has the expected fields; the rest is skipped."""
        while True:
            message = await self.receive()
            if all(message.get(name) == value for name, value in expected.items()):
                return message
            assert message["type"] != "closed", message

    async def frame(self, count=1):
        """Return the frame that comes after so many more."""
        wanted = len(self.frames) + count
        while len(self.frames) < wanted:
            output = await self.communicator.receive_output(WAIT_S)
            if output.get("bytes") is not None:
                await self.keep(output["bytes"])
        return self.frames[-1]

    async def final_frame(self):
        while not (self.frames and self.frames[-1]["final"]):
            await self.frame()
        return self.frames[-1]

    async def ask(self, type, **fields):
        """Send a message with an id and return its answer."""
        await self.send(type, id="q", **fields)
        return await self.until(id="q")

    async def start(self, simulation, **fields):
        return await self.ask("start", simulation=simulation, **fields)


@pytest.fixture
async def open_socket(no_rows):
    """Open WebSockets; the test's end closes them and every session."""
    opened = []

    async def open_socket(path="/ws", subprotocols=("livestep.v1",), headers=()):
        communicator = WebsocketCommunicator(
            application,
            path,
            headers=[(b"host", b"localhost"), *headers],
            subprotocols=list(subprotocols),
        )
        connected, answer = await communicator.connect(WAIT_S)
        if connected:
            opened.append(communicator)
        return communicator if connected else None, answer

    yield open_socket
    for communicator in opened:
        # A receive that timed out has cancelled it: its test has failed, and no other should.
        with contextlib.suppress(asyncio.CancelledError):
            await communicator.disconnect()
    await close_sessions()
    assert not local_layer()._subscribers
    # Nothing of ours may go on in the loop.
    await asyncio.sleep(0)
    ours = ("pump", "sessions", "rights")
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith(ours)]
    assert not [task for task in left if not task.cancelling() and not task.done()]


@pytest.fixture
def connect(open_socket):
    """Connect a livestep.v1 client, past its `hello`."""

    async def connect(ack=True, **options):
        communicator, subprotocol = await open_socket(**options)
        assert subprotocol == "livestep.v1"
        client = Client(communicator, ack)
        client.hello = await client.receive()
        return client

    return connect


@pytest.fixture
def connect_plain(open_socket):
    async def connect_plain(query="", **options):
        communicator, subprotocol = await open_socket("/ws" + query, (), **options)
        assert subprotocol is None
        return communicator

    return connect_plain
