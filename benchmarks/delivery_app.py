"""What Livestep's delivery is measured against, as ASGI applications for daphne.

/push     bare ASGI: sends the same bytes to every socket, round after round, without acks
/answer   bare ASGI: answers each message with the same bytes
/group    Channels: one consumer in a group for each viewer, and somebody who sends to the group
/consumer Channels: a consumer that sends a frame 30 times a second, whoever reads it
"""

import asyncio
import os
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.conf import settings

SIZE = int(os.environ.get("FRAME_BYTES", "10000"))
FRAME = b'{"seq":1,' + bytes(SIZE - 9)
PER_SECOND = 30

settings.configure(
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    DATABASES={},
)

sends: list[Any] = []
tasks: list[asyncio.Task[None]] = []


def keep_going(work: Any) -> None:
    """Have somebody do it, once."""
    if not tasks:
        tasks.append(asyncio.create_task(work()))


async def push_to_all() -> None:
    while True:
        for send in list(sends):
            await send({"type": "websocket.send", "bytes": FRAME})
        await asyncio.sleep(0)


async def send_to_group() -> None:
    layer = get_channel_layer()
    assert layer is not None
    while True:
        await layer.group_send("viewers", {"type": "frame", "bytes": FRAME})
        await asyncio.sleep(0)


class GroupConsumer(AsyncWebsocketConsumer):
    groups = ["viewers"]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        keep_going(send_to_group)  # All are there: one has said so.

    async def frame(self, event: dict[str, Any]) -> None:
        await self.send(bytes_data=event["bytes"])


class PacedConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        while True:
            await self.send(bytes_data=FRAME)
            await asyncio.sleep(1 / PER_SECOND)


async def push(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    sends.append(send)
    while (await receive())["type"] != "websocket.disconnect":
        keep_going(push_to_all)  # All are there: one has said so.
    sends.remove(send)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "bytes": FRAME})


PLACES: dict[str, Any] = {
    "/push": push,
    "/answer": answer,
    "/group": GroupConsumer.as_asgi(),
    "/consumer": PacedConsumer.as_asgi(),
}


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await PLACES[scope["path"]](scope, receive, send)
