"""Attacks a server, and measures what everybody else notices.

    make bench-hostile          writes benchmarks/hostile.md, in about five minutes
    python -m benchmarks.hostile --before FOLDER    the same, beside another checkout

Everything runs on one machine: the server, nginx, the attackers (tests/attackers.py) and the client
that is measured. So each attack is compared with the seconds just before it.
"""

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import platform
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from development.parts import Nginx
from tests.attackers import FLOODS, attacking

ROOT = Path(__file__).parent.parent
PING_EVERY_S, HEALTH_EVERY_S = 0.04, 0.2
CALM_S, ATTACK_S = 4.0, 6.0
# An answer that takes longer is none.
MOST_S = 10.0
RATES = {1: 500_000, 20: 1_000_000}
# What must be: others' ping at p99, their frames, /healthz.
PING_FACTOR, PING_MORE_MS, LEAST_FRAMES, MOST_HEALTH_MS = 2, 5, 0.95, 50
DESCRIPTORS, CROWD = 256, 300
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"


@dataclass
class Seen:
    """What one honest client sees for some seconds."""

    pings_ms: list[float] = field(default_factory=list)
    health_ms: list[float] = field(default_factory=list)
    frames_per_second: float = 0.0

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.pings_ms, n=100, method="inclusive")[98]


class Client:
    """An honest client: one session of 30 frames a second, each acknowledged."""

    def __init__(self, url: str, socket: ClientConnection) -> None:
        self.url, self._socket = url, socket
        self._pongs: dict[str, asyncio.Future[float]] = {}
        self._frames = 0

    async def read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for content in self._socket:
                if isinstance(content, bytes):
                    self._frames += 1
                    seq = json.loads(content[: content.index(b"\n")])["seq"]
                    await self._socket.send(json.dumps({"type": "ack", "seq": seq}))
                elif (said := json.loads(content))["type"] == "pong":
                    waiting = self._pongs.pop(said["id"], None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(time.perf_counter())

    async def look(self, seconds: float) -> Seen:
        seen = Seen()
        began, frames = time.perf_counter(), self._frames
        health = asyncio.create_task(self._ask_health(seen, began + seconds))
        while time.perf_counter() < began + seconds:
            seen.pings_ms.append(await self._ping())
            await asyncio.sleep(PING_EVERY_S)
        seen.frames_per_second = (self._frames - frames) / (time.perf_counter() - began)
        await health
        return seen

    async def _ping(self) -> float:
        name = str(time.perf_counter_ns())
        pong = self._pongs[name] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            await self._socket.send(json.dumps({"type": "ping", "id": name}))
            return (await asyncio.wait_for(pong, MOST_S) - began) * 1000
        return MOST_S * 1000

    async def _ask_health(self, seen: Seen, until: float) -> None:
        while time.perf_counter() < until:
            seen.health_ms.append(await asyncio.to_thread(ask_health, self.url))
            await asyncio.sleep(HEALTH_EVERY_S)


def ask_health(url: str) -> float:
    """Return how many ms /healthz takes; MOST_S where there is no answer."""
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(url + "/healthz", timeout=MOST_S) as answer:
            answer.read()
    except OSError:
        return MOST_S * 1000
    return (time.perf_counter() - began) * 1000


@contextlib.asynccontextmanager
async def client_of(url: str):
    """Give a client whose session goes on."""
    socket_url = url.replace("http", "ws") + "/ws"
    for _ in range(50):
        try:
            opened = await connect(
                socket_url, subprotocols=["livestep.v1"], max_queue=None, ping_interval=None
            )
            break
        except InvalidStatus:  # The proxy's limit of handshakes.
            await asyncio.sleep(0.2)
    async with opened:
        client = Client(url, opened)
        await opened.send(json.dumps({"type": "start", "simulation": "counter"}))
        reading = asyncio.create_task(client.read())
        await asyncio.sleep(1)
        yield client
        reading.cancel()


def environment(folder: Path, root: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a site in a folder, which has its tables and files."""
    found = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIVESTEP_")},
        "VAR_DIR": str(folder / "var"),
        "SIMULATIONS": str(ROOT / "tests" / "samples" / "simulations.py"),
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    for step in ("migrate", "collectstatic --noinput"):
        command = [sys.executable, "manage.py", *step.split(), "--verbosity", "0"]
        subprocess.run(command, cwd=root, env=found, check=True)
    return found


@dataclass
class Place:
    url: str
    port: int
    process: int


@contextlib.contextmanager
def serving(
    root: Path, folder: Path, *arguments: str, descriptors: int = 0, **settings: str
) -> Iterator[tuple[str, int]]:
    """Serve meanwhile; gives what the server has said, and the number of its process."""

    def limit() -> None:
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "serve", *arguments],
            cwd=root, env=environment(folder, root, **settings), preexec_fn=limit,
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            said = ""
            while not said.rstrip().endswith("Ctrl+C ends it."):
                line = server.stdout.readline()
                assert line, said
                said += line
            yield said, server.pid
        finally:
            server.kill()
            server.communicate()


@contextlib.contextmanager
def direct(root: Path, descriptors: int = 0) -> Iterator[Place]:
    """A server on a port of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(root, Path(folder), "--port", "0", descriptors=descriptors) as (said, process),
    ):
        found = re.search(r"Livestep is at (http://127\.0\.0\.1:(\d+))/", said)
        assert found
        yield Place(found[1], int(found[2]), process)


@contextlib.contextmanager
def proxied(root: Path) -> Iterator[Place]:
    """A server on a socket, and nginx before it as in deploy/."""
    with tempfile.TemporaryDirectory(prefix="ls-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        path = str(folder / "a.sock")
        with serving(root, folder, "--unix-socket", path, PROXY_HEADERS="yes") as (_, process):
            nginx = Nginx(folder, ["a"])
            nginx.start()
            try:
                yield Place(nginx.url, nginx.port, process)
            finally:
                nginx.stop()


@dataclass
class Row:
    attack: str
    calm: Seen
    seen: Seen

    @property
    def frames(self) -> float:
        return self.seen.frames_per_second / self.calm.frames_per_second

    @property
    def is_met(self) -> bool:
        return (
            self.seen.p99 <= PING_FACTOR * self.calm.p99 + PING_MORE_MS
            and self.frames >= LEAST_FRAMES
            and max(self.seen.health_ms) <= MOST_HEALTH_MS
        )

    def cells(self) -> str:
        return (
            f"{self.calm.p99:.1f} → {self.seen.p99:.1f} | {self.frames:.2f} | "
            f"{max(self.calm.health_ms):.0f} → {max(self.seen.health_ms):.0f}"
        )


async def floods(place: Place) -> list[Row]:
    rows = []
    for kind in (*FLOODS, "chunks"):
        for connections, rate in RATES.items():
            async with client_of(place.url) as client:
                calm = await client.look(CALM_S)
                with attacking(kind, place.port, connections, rate):
                    await asyncio.sleep(1)
                    seen = await client.look(ATTACK_S)
            rows.append(Row(f"{kind}, {connections}", calm, seen))
            print(rows[-1].attack, rows[-1].cells(), flush=True)
            await asyncio.sleep(1)
    return rows


def kept_by(process: int) -> float:
    """Return how many MB the unlinked files of a process have."""
    found = 0
    for path in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "(deleted)" in str(path.readlink()):
                found += path.stat().st_size
    return found / 1e6


def upload(place: Place, head: bytes, piece: bytes) -> str:
    """Send a body for two seconds; say what of it was kept, and what was answered."""
    kept, began, status = 0.0, time.monotonic(), "no answer"
    with socket.create_connection(("127.0.0.1", place.port), MOST_S) as client:
        client.sendall(HEAD + head + b"\r\n\r\n")
        with contextlib.suppress(OSError):
            while time.monotonic() < began + 2:
                client.settimeout(0.001)
                with contextlib.suppress(TimeoutError):
                    status = client.recv(12).decode()[-3:] or status
                    break
                client.settimeout(2)
                client.sendall(piece)
                kept = max(kept, kept_by(place.process))
        took = time.monotonic() - began
    return f"{kept:,.0f} MB kept, {status} after {took:.2f} s"


def crowd(place: Place) -> str:
    """Open silent connections; say how /healthz does beside them."""
    silent = [socket.create_connection(("127.0.0.1", place.port), MOST_S) for _ in range(CROWD)]
    asked = [ask_health(place.url) for _ in range(10)]
    for one in silent:
        one.close()
    answered = [ms for ms in asked if ms < MOST_S * 1000]
    longest = f", the longest {max(answered):.0f} ms" if answered else ""
    return f"/healthz answered {len(answered)} of 10{longest}"


def dribble(place: Place) -> str:
    """Send a byte of a header each second; say when it is cut off."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", place.port), MOST_S) as client:
        client.sendall(HEAD + b"X-Slow: ")
        client.settimeout(1)
        while time.monotonic() < began + 30:
            try:
                if not client.recv(100):
                    break
            except TimeoutError:
                with contextlib.suppress(OSError):
                    client.sendall(b"x")
            except OSError:
                break
        else:
            return "still open after 30 s"
    return f"cut off after {time.monotonic() - began:.0f} s"


def others(root: Path) -> dict[str, str]:
    with direct(root, DESCRIPTORS) as place:
        found = {
            "a body of 100 TB is announced, and sent for 2 s": upload(
                place, b"Content-Length: 109951162777600", bytes(0x10000)
            ),
            "a body in chunks is sent for 2 s": upload(place, b"Transfer-Encoding: chunked", CHUNK),
            f"{CROWD} silent connections, {DESCRIPTORS} descriptors": crowd(place),
            "a byte of a header each second": dribble(place),
        }
    print(json.dumps(found, indent=1), flush=True)
    return found


def measure(root: Path) -> tuple[dict[str, list[Row]], dict[str, str]]:
    rows = {}
    for name, way in (("directly", direct), ("through nginx", proxied)):
        with way(root) as place:
            rows[name] = asyncio.run(floods(place))
    return rows, others(root)


def report(now: tuple, before: tuple | None) -> str:
    lines = [
        "# Hostile clients",
        "",
        f"{datetime.date.today()}, CPython {platform.python_version()}, {os.cpu_count()} cores, "
        f"load average {os.getloadavg()[1]:.0f} at the end, "
        "the attackers and the measured client on the same machine. Made by `make bench-hostile`.",
        "",
        "What another client sees, which has a session of 30 frames a second: its `ping` at p99 in "
        "ms without and beside the attack, its frames as a share of those without, and the longest "
        "`/healthz` in ms. One connection sends 0.5 MB/s, 20 send 1 MB/s together, and come back "
        "when they are cut off. Must be: ping at most 2 x and 5 ms, frames 0.95, `/healthz` 50 ms.",
        "",
    ]
    head = "| attack, connections | ping p99 | frames | /healthz | |"
    rule = "| --- | --- | --- | --- | --- |"
    if before:
        head = "| attack, connections | before: ping p99 | frames | /healthz " + head[22:]
        rule += " --- | --- | --- |"
    for name, rows in now[0].items():
        lines += [f"**{name[0].upper()}{name[1:]}**", "", head, rule]
        for number, row in enumerate(rows):
            was = f"{before[0][name][number].cells()} | " if before else ""
            met = "yes" if row.is_met else "**no**"
            lines.append(f"| {row.attack} | {was}{row.cells()} | {met} |")
        lines.append("")
    lines += ["| what was done |" + (" before |" if before else "") + " now |"]
    lines += ["| --- | --- |" + (" --- |" if before else "")]
    for name, said in now[1].items():
        was = f" {before[1][name]} |" if before else ""
        lines.append(f"| {name} |{was} {said} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path, help="a checkout to be measured beside this one")
    given = parser.parse_args()
    before = measure(given.before.resolve()) if given.before else None
    text = report(measure(ROOT), before)
    (ROOT / "benchmarks" / "hostile.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
