"""Clients that do nobody any harm, and note what they notice of those that do."""

import asyncio
import json
import time
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PING_EVERY_S = 0.2
FPS = 10
# A session that was ended by a fault is started again.
AGAIN_S = 0.3
OVER = ("stopped", "finished", "failed", "lost", "stuck")


class Honest:
    """Attends a session, one of its own or another's, from `run` until that is cancelled.

    Args:
        label: What its own sessions are called, with a number.
        beginnings: The file in which each beginning of one is noted.
        watched: The client whose session it watches; None: it starts its own.
    """

    def __init__(self, server, simulation, label, beginnings, watched=None):
        self._server, self._watched, self._label = server, watched, label
        self._simulation, self._beginnings = simulation, str(beginnings)
        self.session, self.starts, self.frames, self.closes = "", 0, 0, []
        self.pings = []
        self._asked, self._attending = {}, None

    async def run(self):
        while True:
            async with connect(
                self._server.socket_url, subprotocols=["livestep.v1"], max_queue=None
            ) as socket:
                await self._attend(socket)
                with suppress(ConnectionClosed):
                    await self._serve(socket)
            self.closes.append(socket.close_code)
            await asyncio.sleep(AGAIN_S)

    async def _serve(self, socket):
        pinging = asyncio.create_task(self._ping(socket))
        try:
            async for content in socket:
                if isinstance(content, bytes):
                    self.frames += 1
                    seq = json.loads(content[: content.index(b"\n")])["seq"]
                    await self._send(socket, "ack", seq=seq)
                else:
                    await self._hear(socket, json.loads(content))
        finally:
            pinging.cancel()
            if self._attending is not None:
                self._attending.cancel()

    async def _hear(self, socket, message):
        kind = message["type"]
        if kind == "pong":
            self.pings.append(time.monotonic() - self._asked.pop(message["id"]))
        elif kind == "started":
            self.session = message["session"]
        is_over = kind == "session" and message["state"] in OVER
        if is_over or (kind == "error" and message.get("id") == "attend"):
            # Meanwhile it reads on: what it does not read would look late.
            self._attending = asyncio.create_task(self._attend_again(socket))

    async def _attend_again(self, socket):
        with suppress(ConnectionClosed):
            await asyncio.sleep(AGAIN_S)
            await self._attend(socket)

    async def _attend(self, socket):
        if self._watched is not None:
            while not self._watched.session:
                await asyncio.sleep(AGAIN_S)
            session = self._watched.session
            await self._send(socket, "watch", id="attend", session=session)
            return
        self.starts += 1
        label = f"{self._label}.{self.starts}"
        params = {"label": label, "beginnings": self._beginnings}
        await self._send(
            socket, "start", id="attend", simulation=self._simulation, params=params, fps=FPS
        )

    async def _ping(self, socket):
        with suppress(ConnectionClosed):
            for number in range(10**9):
                self._asked[str(number)] = time.monotonic()
                await self._send(socket, "ping", id=str(number))
                await asyncio.sleep(PING_EVERY_S)

    async def _send(self, socket, type, **fields):
        await socket.send(json.dumps({"type": type, **fields}))
