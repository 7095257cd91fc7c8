"""A livestep.v1 client over the `websockets` library, which is not the server's own."""

import asyncio
import json
import re
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from websockets.asyncio.client import connect

from tests.frames import FrameReader

WAIT_S = 20


class Client:
    """Acknowledges what it gets, unless told otherwise."""

    def __init__(self, socket, *, acks=True):
        self.socket, self.frames, self.acks = socket, [], acks
        self._reader = FrameReader()

    async def send(self, type, **fields):
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def receive(self):
        content = await asyncio.wait_for(self.socket.recv(), WAIT_S)
        if isinstance(content, str):
            return json.loads(content)
        frame = self._reader.read(content)
        frame["age"] = age(frame["svg"])
        self.frames.append(frame)
        if self.acks:
            await self.send("ack", seq=frame["seq"])
        return frame

    async def until(self, **expected):
        while True:
            message = await self.receive()
            if all(message.get(name) == value for name, value in expected.items()):
                return message

    async def start(self, simulation, **fields):
        await self.send("start", simulation=simulation, **fields)
        return (await self.until(type="started"))["session"]

    async def watch(self, session, **fields):
        await self.send("watch", session=session, **fields)
        return await self.until(type="watching")


@asynccontextmanager
async def clients_of(server):
    """Give what opens a client of a server, or of a proxy before it."""
    async with AsyncExitStack() as stack:

        async def open_client(query="", place=server, **options):
            address = place.socket_url + query
            socket = await stack.enter_async_context(
                connect(address, subprotocols=["livestep.v1"], max_queue=None, close_timeout=1)
            )
            assert socket.subprotocol == "livestep.v1"
            client = Client(socket, **options)
            assert (await client.receive())["type"] == "hello"
            return client

        yield open_client


@asynccontextmanager
async def stream_to(server):
    """Give a reader and a writer of a connection, which is cut after that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def age(svg):
    """How many seconds ago a frame of the sample `stamped` was made; None for any other."""
    found = re.search(rb">(\d+\.\d+)</text>", svg)
    return time.monotonic() - float(found[1]) if found else None
