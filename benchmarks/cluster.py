"""Measures several processes: frames and control from one to the other, and a long run.

    make bench-cluster          writes benchmarks/cluster.md, in about eight minutes

Two processes of Livestep, Redis and PostgreSQL on one machine, and the clients beside them. What
comes from the other process is measured beside what comes from one's own, in the same run.
"""

import asyncio
import datetime
import json
import os
import platform
import re
import selectors
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, unix_connect

from benchmarks.servers import p
from benchmarks.viewers import Viewer, message, open_viewer
from development.cluster import Cluster

ROOT = Path(__file__).parent.parent
SUBPROTOCOL = "livestep.v1"
FRAME_BYTES = 20_000
AGES_S = 60
ORDERS = 400
SESSIONS, VIEWERS = 20, 200
SOAK_S, WARM_S, LOOK_S = 300, 60, 10
SOAK_FPS = 5
MIB = 1024 * 1024
NEAR, FAR = "the session's own process", "the other process"


class Client:
    """A client that acknowledges each frame, and notes how old it was when it came."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.ages_ms: list[float] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> dict[str, Any]:
        content = await self._socket.recv()
        now = time.monotonic()
        if isinstance(content, str):
            said: dict[str, Any] = json.loads(content)
            return said
        frame: dict[str, Any] = json.loads(content[: content.index(b"\n")])
        await self.send("ack", seq=frame["seq"])
        if found := re.search(rb"<desc>([\d.]+)</desc>", content):
            self.ages_ms.append((now - float(found[1])) * 1000)
        return frame

    async def until(self, **expected: Any) -> dict[str, Any]:
        while True:
            said = await self.receive()
            if said["type"] == "error":
                raise AssertionError(said["message"])
            if all(said.get(name) == value for name, value in expected.items()):
                return said

    async def read_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await self.receive()


@asynccontextmanager
async def client_of(cluster: Cluster, name: str) -> AsyncIterator[Client]:
    path = str(cluster.processes[name].socket_path)
    async with unix_connect(
        path, "ws://localhost/ws", subprotocols=[SUBPROTOCOL], max_queue=None
    ) as opened:
        client = Client(opened)
        await client.until(type="hello")
        yield client


async def start(client: Client, per_second: float) -> dict[str, Any]:
    params = {"size": FRAME_BYTES, "per_second": per_second}
    await client.send(
        "start", simulation="stamped", params=params, fps=15, accept=["identity"], abandon="stop"
    )
    return await client.until(type="started")


async def measure_ages(cluster: Cluster) -> dict[str, list[float]]:
    """Watch one session from both processes at once, at 15 frames a second."""
    async with client_of(cluster, "a") as near, client_of(cluster, "b") as far:
        session = (await start(near, 15))["session"]
        await far.send("watch", session=session, accept=["identity"])
        await asyncio.gather(near.read_for(AGES_S), far.read_for(AGES_S))
        await near.send("stop")
        await near.until(type="session", state="stopped")
        return {NEAR: near.ages_ms, FAR: far.ages_ms}


async def measure_orders(cluster: Cluster) -> dict[str, list[float]]:
    """Pause and resume in turns; how long it is from each order to its `ok`, in ms."""
    measured: dict[str, list[float]] = {NEAR: [], FAR: []}
    async with client_of(cluster, "a") as near, client_of(cluster, "b") as far:
        started = await start(near, 15)
        await far.send("watch", session=started["session"], token=started["token"])
        await far.until(type="watching")
        for number in range(ORDERS):
            for name, client in ((NEAR, near), (FAR, far)):
                began = time.monotonic()
                await client.send("pause" if number % 2 else "resume", id=f"{number}")
                await client.until(id=f"{number}", type="ok")
                measured[name].append((time.monotonic() - began) * 1000)
            # No client may send more than 30 a second for long.
            await asyncio.sleep(0.05)
        await near.send("stop")
        await near.until(type="session", state="stopped")
    return measured


@dataclass
class Watcher(Viewer):
    """One of the many: it counts what must not happen."""

    session: str = ""
    state: str = ""
    seq: int = 0
    went_back: int = 0
    has_final: bool = False
    is_gone: bool = False

    def hear(self, start: int, end: int) -> None:
        said = json.loads(bytes(self.buffer[start:end]))
        if said["type"] in ("started", "session"):
            self.session = said["session"]
            self.state = said.get("state", "")
        elif said["type"] == "error":
            raise AssertionError(said["message"])

    def take(self, start: int, end: int) -> None:
        header = json.loads(bytes(self.buffer[start : self.buffer.index(b"\n", start)]))
        self.went_back += header["seq"] < self.seq
        self.seq, self.has_final = header["seq"], header["final"]
        super().take(start, end)


class Crowd:
    """Many watchers, read on one selector."""

    def __init__(self) -> None:
        self.watchers: list[Watcher] = []
        self._selector = selectors.DefaultSelector()

    def add(self, cluster: Cluster, process: str, first: dict[str, Any]) -> Watcher:
        path = str(cluster.processes[process].socket_path)
        config = {
            "unix": path,
            "path": "/ws",
            "subprotocol": SUBPROTOCOL,
            "first": [json.dumps(first)],
            "answer": "ack",
        }
        watcher = open_viewer(config, Watcher)
        self.watchers.append(watcher)
        self._selector.register(watcher.socket, selectors.EVENT_READ, watcher)
        return watcher

    def read_until(self, condition: Any, seconds: float) -> bool:
        """Read everybody until a condition holds; False if it did not in so many seconds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            for key, _ in self._selector.select(0.05):
                self._read(key.data)
        return True

    def _read(self, watcher: Watcher) -> None:
        try:
            size = watcher.read()
        except OSError:
            size = 0
        if not size:
            watcher.is_gone = True
            self._selector.unregister(watcher.socket)

    def close(self) -> None:
        for watcher in self.watchers:
            watcher.socket.close()
        self._selector.close()


@dataclass(frozen=True)
class Soak:
    """What was seen of the long run; memory in MB of both processes together."""

    gone: int
    went_back: int
    without_final: int
    not_stopped: int
    frames: int
    cpu_s: float
    memory: list[float]
    before: float


def soak(cluster: Cluster) -> Soak:
    """Let 20 sessions run in two processes, each watched by ten, half of them elsewhere."""
    crowd = Crowd()
    before = memory_of(cluster)
    owners = []
    params = {"size": FRAME_BYTES, "per_second": SOAK_FPS}
    for number in range(SESSIONS):
        first = {"type": "start", "simulation": "stamped", "params": params}
        owners.append(crowd.add(cluster, "ab"[number % 2], first))
        assert crowd.read_until(lambda: owners[-1].session, 20), "a session did not start"
    for number in range(VIEWERS - SESSIONS):
        owner = owners[number % SESSIONS]
        here, there = (owner.session[0], "b" if owner.session[0] == "a" else "a")
        process = there if number % (2 * SESSIONS) < SESSIONS else here
        crowd.add(cluster, process, {"type": "watch", "session": owner.session})
        crowd.read_until(lambda: False, 0.02)
    memory, began = [], time.monotonic()
    cpu, frames = cpu_of(cluster), sum(watcher.frames for watcher in crowd.watchers)
    while time.monotonic() < began + SOAK_S:
        crowd.read_until(lambda: False, LOOK_S)
        if time.monotonic() > began + WARM_S:
            memory.append(memory_of(cluster))
    cpu = cpu_of(cluster) - cpu
    frames = sum(watcher.frames for watcher in crowd.watchers) - frames
    for owner in owners:
        owner.socket.sendall(message(b'{"type":"stop"}'))
    crowd.read_until(lambda: all(w.has_final and w.state == "stopped" for w in crowd.watchers), 20)
    watchers = crowd.watchers
    crowd.close()
    return Soak(
        gone=sum(watcher.is_gone for watcher in watchers),
        went_back=sum(watcher.went_back for watcher in watchers),
        without_final=sum(not watcher.has_final for watcher in watchers),
        not_stopped=sum(watcher.state != "stopped" for watcher in watchers),
        frames=frames,
        cpu_s=cpu,
        memory=memory,
        before=before,
    )


def memory_of(cluster: Cluster) -> float:
    parts = cluster.processes.values()
    return float(sum(psutil.Process(part.pid).memory_info().rss for part in parts)) / MIB


def cpu_of(cluster: Cluster) -> float:
    """The seconds of processor that both have used, their threads and no children."""
    used = [psutil.Process(part.pid).cpu_times() for part in cluster.processes.values()]
    return float(sum(one.user + one.system for one in used))


def row(name: str, values: list[float]) -> str:
    return (
        f"| {name} | {len(values):,} | {statistics.median(values):.1f} | {p(values, 95)} | "
        f"{p(values, 99)} | {max(values):.1f} |"
    )


def table(measured: dict[str, list[float]]) -> list[str]:
    head = [
        "| from | how many | median | p95 | p99 | longest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return [*head, *(row(name, values) for name, values in measured.items())]


def report(ages: dict[str, list[float]], orders: dict[str, list[float]], seen: Soak) -> str:
    first, last = statistics.mean(seen.memory[:3]), statistics.mean(seen.memory[-3:])
    rate = seen.frames / SOAK_S
    return "\n".join(
        [
            "# Several processes",
            "",
            f"{datetime.date.today()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.0f}, two processes of Livestep with Redis, PostgreSQL and "
            "the clients on the same machine. "
            "Made by `make bench-cluster`.",
            "",
            f"The age of a frame of {FRAME_BYTES:,} bytes when it has come to its viewer, in ms; "
            f"one session at 15 frames a second, watched from both at once for {AGES_S} s:",
            "",
            *table(ages),
            "",
            "From an order (pause and resume in turns) until it is confirmed, in ms:",
            "",
            *table(orders),
            "",
            f"{SESSIONS} sessions of {FRAME_BYTES:,} bytes at {SOAK_FPS} frames a second over two "
            f"processes, {VIEWERS} viewers, half of those that only watch in the other process, "
            f"for {SOAK_S // 60} minutes:",
            "",
            "| what | measured |",
            "| --- | --- |",
            f"| frames that came to viewers | {seen.frames:,} ({rate:,.0f}/s) |",
            f"| connections that were lost | {seen.gone} |",
            f"| frames that went back | {seen.went_back} |",
            f"| viewers without the final frame | {seen.without_final} |",
            f"| viewers that were not told the end | {seen.not_stopped} |",
            f"| memory of both processes, before | {seen.before:.0f} MB |",
            f"| after {WARM_S} s with everybody | {first:.0f} MB |",
            f"| after {SOAK_S} s | {last:.0f} MB ({(last / first - 1) * 100:+.1f} %) |",
            f"| processor time per frame and viewer | {seen.cpu_s / seen.frames * 1e6:.0f} µs |",
            f"| processor time of both processes | {seen.cpu_s / SOAK_S:.2f} cores |",
            "",
        ]
    )


def main() -> None:
    cluster = Cluster(
        environment={
            **os.environ,
            "SIMULATIONS": str(ROOT / "benchmarks" / "simulations.py"),
            "LIVESTEP_MAX_THREAD_SESSIONS": str(SESSIONS),
            "LIVESTEP_MAX_SESSIONS_PER_OWNER": str(SESSIONS),
        }
    )
    cluster.start()
    try:
        ages = asyncio.run(measure_ages(cluster))
        orders = asyncio.run(measure_orders(cluster))
        text = report(ages, orders, soak(cluster))
    finally:
        cluster.stop()
    (ROOT / "benchmarks" / "cluster.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
