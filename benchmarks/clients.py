"""The clients of the benchmark: one class for each dialect, with the same three verbs."""

import asyncio
import json
import time
import zlib
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.step import number_of

SILENCE_S = 0.6
SETTLE_S = 10.0


@dataclass
class Seen:
    """What one client saw."""

    frames: int = 0
    damaged: int = 0
    lost: int = 0
    pings_ms: list[float] = field(default_factory=list)
    last_after_stop_ms: list[float] = field(default_factory=list)
    stopped_after_ms: list[float] = field(default_factory=list)
    first_frame_ms: list[float] = field(default_factory=list)
    broken: str = ""


class PlainClient:
    """Speaks the question's protocol: `status`, `stop`, and an SVG in each text message."""

    asks_ping = "ping"

    def __init__(self, url: str, *, deflate: bool) -> None:
        self.url, self.seen = url, Seen()
        # permessage-deflate, which every browser offers.
        self._compression = "deflate" if deflate else None
        self._last_number = 0
        self._last_frame_at = 0.0
        self._pong = asyncio.Event()
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> "PlainClient":
        self.socket = await connect(
            self.url, subprotocols=self.subprotocols, compression=self._compression, max_size=None
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._reader.cancel()
        self.socket.transport.abort()

    subprotocols: list[str] | None = None

    async def start(self) -> None:
        self._last_number = 0
        await self.socket.send("status")

    async def ask_stop(self) -> None:
        await self.socket.send("stop")

    async def ping(self) -> None:
        self._pong.clear()
        began = time.perf_counter()
        try:
            await self.socket.send(self.asks_ping)
            async with asyncio.timeout(SETTLE_S):
                await self._pong.wait()
        except (ConnectionClosed, TimeoutError) as error:
            self.seen.broken = self.seen.broken or f"ping: {type(error).__name__}"
            return
        self.seen.pings_ms.append((time.perf_counter() - began) * 1000)

    async def stop(self) -> None:
        """Stop, and note how long after it the last frame came."""
        asked = time.perf_counter()
        try:
            await self.ask_stop()
        except ConnectionClosed as error:
            self.seen.broken = self.seen.broken or f"stop: {error}"
            return
        await self.silence(asked)
        self.seen.last_after_stop_ms.append(max(0.0, (self._last_frame_at - asked) * 1000))

    async def silence(self, since: float) -> None:
        while time.perf_counter() - max(self._last_frame_at, since) < SILENCE_S:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _read(self) -> None:
        try:
            async for content in self.socket:
                await self._take(content)
        except (ConnectionClosed, zlib.error, UnicodeDecodeError) as error:
            self.seen.broken = self.seen.broken or f"read: {error}"

    async def _take(self, content: str | bytes) -> None:
        if content == "pong":
            self._pong.set()
        else:
            self.count(str(content))

    def count(self, svg: str) -> None:
        self._last_frame_at = time.perf_counter()
        number = number_of(svg)
        if number is None:
            self.seen.damaged += 1
            return
        self.seen.frames += 1
        self.note_gap(number)

    def note_gap(self, number: int) -> None:
        if self._last_number and number != self._last_number + 1:
            self.seen.lost += 1
        self._last_number = number


class FinishingClient(PlainClient):
    """Has the yardstick let the step in progress end, as Livestep does."""

    async def ask_stop(self) -> None:
        await self.socket.send("finish")


class LivestepClient(PlainClient):
    """Speaks livestep.v1, and acknowledges each frame when it has it."""

    subprotocols = ["livestep.v1"]
    asks_ping = '{"type":"ping"}'
    simulation = "bench"
    engine = "thread"

    async def start(self) -> None:
        self._last_number = 0
        self._started_at: float | None = time.perf_counter()
        await self.socket.send(
            json.dumps({"type": "start", "simulation": self.simulation, "engine": self.engine})
        )

    async def ask_stop(self) -> None:
        self._stopped.clear()
        await self.socket.send('{"type":"stop"}')

    async def silence(self, since: float) -> None:
        async with asyncio.timeout(SETTLE_S):
            await self._stopped.wait()
        self.seen.stopped_after_ms.append((time.perf_counter() - since) * 1000)
        await asyncio.sleep(0.1)

    async def _take(self, content: str | bytes) -> None:
        if isinstance(content, str):
            message = json.loads(content)
            if message["type"] == "pong":
                self._pong.set()
            elif message["type"] == "session" and message["state"] == "stopped":
                self._stopped.set()
            elif message["type"] == "error":
                self.seen.broken = self.seen.broken or message["message"]
            return
        head, _, payload = content.partition(b"\n")
        header = json.loads(head)
        await self.socket.send(f'{{"type":"ack","seq":{header["seq"]}}}')
        if header["encoding"] == "deflate-raw":
            payload = zlib.decompress(payload, -zlib.MAX_WBITS)
        repeats = header["final"] and header["seq"] == self._last_number
        self._last_frame_at = time.perf_counter()
        if self._started_at is not None:
            self.seen.first_frame_ms.append((self._last_frame_at - self._started_at) * 1000)
            self._started_at = None
        if self.simulation != "bench":
            return
        if number_of(payload.decode()) is None:
            self.seen.damaged += 1
        elif not repeats:
            self.seen.frames += 1
            # Frames are counted when they are made; steps that nobody could see make none.
            self.note_gap(header["seq"])


class ProcessClient(LivestepClient):
    """A session in the process engine."""

    engine = "process"
