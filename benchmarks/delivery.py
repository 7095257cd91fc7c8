"""Measures the delivery of frames: memory, freshness, fairness, hundreds of viewers, CPU.

    make bench-delivery          writes benchmarks/delivery.md, in about eight minutes
    make bench-delivery BEFORE=PATH   the same beside an older checkout, in about fourteen

Everything runs on one machine, the compared servers side by side or in turns.
"""

import contextlib
import datetime
import json
import os
import platform
import re
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.servers import ROOT, ROOTS, free_port, livestep_process, p, serving
from benchmarks.viewers import READ_BYTES, Viewer, message, open_viewer
from tests.proxy import FaultProxy

MIB = 1024 * 1024
SUBPROTOCOL = "livestep.v1"
ROUNDS = 5
# How often an uneven loop comes by.
TIMES = 50
VIEWERS = 500
# There and back, for frames of 4 KB at 5 MB/s, and for frames of 100 KB at 400 KB/s.
LONG_LINES_MS = (20, 100, 200, 300)
SLOW_LINES_MS = (5, 200)


def start(size: int, per_second: float) -> str:
    """Return the message that starts frames of that size."""
    params = {"size": size, "per_second": per_second}
    return json.dumps(
        {"type": "start", "simulation": "stamped", "params": params, "accept": ["identity"]}
    )


@dataclass
class Reader(Viewer):
    """A viewer in this process that notes how old each frame is when it has arrived whole."""

    ages: list[float] = field(default_factory=list)
    made: list[float] = field(default_factory=list)
    session: str = ""
    ponged_at: float = 0.0

    def hear(self, start: int, end: int) -> None:
        text = bytes(self.buffer[start:end])
        if text.startswith(b'{"type":"pong"'):
            self.ponged_at = time.monotonic()
        elif text.startswith(b'{"type":"started"'):
            self.session = json.loads(text)["session"]
        elif text.startswith(b"<svg"):
            self.take(start, end)

    def take(self, start: int, end: int) -> None:
        found = re.search(rb"<desc>([\d.]+)</desc>", self.buffer[start:end])
        if found:
            self.made.append(float(found[1]))
            self.ages.append(time.monotonic() - float(found[1]))
        super().take(start, end)

    def read_for(self, seconds: float, bytes_per_second: float | None = None) -> None:
        """Read for a time, or so much of it as a slow line would carry."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                before = time.monotonic()
                size = self.read(16 * 1024 if bytes_per_second else READ_BYTES)
                if bytes_per_second:
                    time.sleep(max(0.0, size / bytes_per_second - (time.monotonic() - before)))

    def ping_for(self, seconds: float) -> list[float]:
        """Ask again and again; returns after how many milliseconds each answer came."""
        late = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            asked, self.ponged_at = time.monotonic(), 0.0
            self.socket.send(message(b'{"type":"ping"}'))
            while not self.ponged_at:
                self.read()
            late.append((self.ponged_at - asked) * 1000)
            self.read_for(0.05)
        return late


class Viewers:
    """Many viewers, in a process of their own."""

    def __init__(self, **config: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.viewers"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self._say(json.dumps(config))
        assert self._hear() == "ready\n"

    def __enter__(self) -> "Viewers":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate("")

    def begin_count(self, seconds: float) -> None:
        self._say(str(seconds))

    def end_count(self) -> dict[str, int]:
        counted: dict[str, int] = json.loads(self._hear())
        return counted

    def count(self, seconds: float) -> int:
        """Return how many frames came in that time."""
        self.begin_count(seconds)
        return self.end_count()["total"]

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def daphne(
    frame_bytes: int = 10_000, under: Sequence[str] = (), **environment: str
) -> Iterator[tuple[int, int]]:
    """The applications to compare with; gives their port and their process."""
    port = free_port()
    command = [*under, sys.executable, "-m", "daphne", "-p", str(port), "-v", "0"]
    environment = {"FRAME_BYTES": str(frame_bytes), **environment}
    with serving([*command, "benchmarks.delivery_app:application"], port, environment) as process:
        yield port, process.pid


@contextlib.contextmanager
def livestep(
    root: Path = ROOT, under: Sequence[str] = (), **settings: str
) -> Iterator[tuple[int, int]]:
    with livestep_process(root, under, **settings) as (address, pid):
        yield int(address.rsplit(":", 1)[1]), pid


def viewer(port: int, path: str = "/ws", **config: Any) -> Reader:
    config = {"port": port, "path": path, "first": [], **config}
    found = open_viewer(config, Reader)
    assert isinstance(found, Reader)
    return found


def v1(port: int, first: str, **config: Any) -> Reader:
    return viewer(port, subprotocol=SUBPROTOCOL, first=[first], answer="ack", **config)


def memory(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def growth(pid: int, seconds: float) -> float:
    """Return by how many MB a process grows at the most in that time."""
    before, most = memory(pid), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, memory(pid))
        time.sleep(0.1)
    return (most - before) / MIB


def unread() -> dict[str, float]:
    """A viewer that stops reading, 200 KB frames at 30/s for 20 s: the growth in MB."""
    size, seconds = 200_000, 20.0
    grown = {}
    for name, root in ROOTS.items():
        with livestep(root, LIVESTEP_FPS="60") as (port, pid):
            # Both have read for a while, so that what a first frame costs is not counted.
            one = v1(port, start(size, 30))
            one.read_for(3)
            grown[f"livestep.v1 {name}"] = growth(pid, seconds)
            one.socket.close()
            if root != ROOT:
                continue
            path = f"/ws?simulation=stamped&size={size}&per_second=30"
            plain = viewer(port, path, first=["start"])
            plain.read_for(3)
            grown["plain dialect"] = growth(pid, seconds)
            plain.socket.close()
    with daphne(size) as (port, pid):
        other = viewer(port, "/consumer")
        other.read_for(3)
        grown["plain Channels consumer on daphne"] = growth(pid, seconds)
    return grown


def over_a_line(root: Path, size: int, rate: int, round_trip_ms: int, seconds: float) -> Reader:
    """Read over a line of so many bytes a second, at first for 4 s that are not counted."""
    with livestep(root, LIVESTEP_FPS="30") as (port, _):
        proxy = FaultProxy(port)
        proxy.bandwidth, proxy.latency = rate, round_trip_ms / 2000
        try:
            one = v1(proxy.port, start(size, 60))
            one.read_for(4)
            one.frames, one.ages = 0, []
            one.read_for(seconds)
            one.socket.close()
        finally:
            proxy.close()
    return one


def lines() -> dict[str, dict[str, str]]:
    """Frames over long and over slow lines, for each checkout."""
    found: dict[str, dict[str, str]] = {name: {} for name in ROOTS}
    for round_trip in LONG_LINES_MS:
        for name, root in ROOTS.items():
            one = over_a_line(root, 4000, 5_000_000, round_trip, 8)
            found[name][f"long {round_trip}"] = f"{one.frames / 8:.1f}"
    for round_trip in SLOW_LINES_MS:
        for name, root in ROOTS.items():
            one = over_a_line(root, 100_000, 400_000, round_trip, 20)
            # In frame times, without the way here.
            ages = sorted((age - round_trip / 2000) * 4 for age in one.ages)
            found[name][f"slow {round_trip} p50"] = f"{statistics.median(ages):.2f}"
            found[name][f"slow {round_trip} worst"] = f"{ages[-1]:.2f}"
            found[name][f"slow {round_trip} frames"] = f"{one.frames / 20:.1f}"
    return found


def slow_line() -> dict[str, float]:
    """A reader of 400 KB/s, 100 KB frames at 30/s: the age of what it gets, in its frame times."""
    size, speed = 100_000, 400_000
    with livestep(LIVESTEP_FPS="60") as (port, _):
        one = v1(port, start(size, 30), receive_buffer=16 * 1024)
        one.read_for(12, speed)
        # The first frames fill the line before anybody can know how slow it is.
        ages = sorted(one.ages[4:])
        one.socket.close()
    return {
        "p50": statistics.median(ages) / (size / speed),
        "worst": ages[-1] / (size / speed),
        "frames": len(ages),
    }


def resumed() -> dict[str, float]:
    """A viewer that stopped reading for 10 s reads again: how soon the newest, how many old."""
    delays, stale = [], []
    for _ in range(3):
        with livestep(LIVESTEP_FPS="60") as (port, _):
            one = v1(port, start(20_000, 30))
            one.read_for(2)
            time.sleep(10)
            again, count = time.monotonic(), len(one.made)
            one.read_for(2)
            made = one.made[count:]
            # One made after it read again is the newest there could be.
            fresh = next(index for index, at in enumerate(made) if at >= again)
            arrived = made[fresh] + one.ages[count + fresh]
            delays.append((arrived - again) * 1000)
            stale.append(fresh)
            one.socket.close()
    return {"newest after ms": max(delays), "older before it": max(stale)}


def beside_a_stalled_one() -> float:
    """The frame rate of one viewer beside another that reads nothing, in parts of without it."""
    ratios = []
    with livestep(LIVESTEP_FPS="60", LIVESTEP_ABANDON="keep") as (port, _):
        one = v1(port, start(20_000, 50))
        for _ in range(ROUNDS):
            one.read_for(1)
            before = one.frames
            one.read_for(4)
            alone = one.frames - before
            watch = {"type": "watch", "session": one.session, "accept": ["identity"]}
            stalled = v1(port, json.dumps(watch), receive_buffer=4096)
            one.read_for(1)
            before = one.frames
            one.read_for(4)
            ratios.append((one.frames - before) / alone)
            stalled.socket.close()
    return statistics.median(ratios)


def crowd() -> dict[str, float]:
    """500 viewers of one session, 10 KB frames: frames per second in all, and a ping's lateness."""
    found: dict[str, float] = {}
    for name, place in (("bare ASGI, no acks", "/push"), ("a consumer each, in a group", "/group")):
        with (
            daphne() as (port, _),
            Viewers(port=port, path=place, first=[], begin="go", count=VIEWERS) as viewers,
        ):
            viewers.count(1)
            found[name] = viewers.count(8) / 8
    rounds: dict[str, list[float]] = {name: [] for name in ROOTS}
    for _ in range(3):
        for name, root in ROOTS.items():
            counted, late = crowd_of(root)
            rounds[name].append(counted["total"] / 8)
            if root == ROOT:
                found["its slowest viewer"] = counted["least"] / 8
                found["its ping p50 ms"] = float(p(late, 50))
                found["its ping p99 ms"] = float(p(late, 99))
    found |= {name: statistics.median(values) for name, values in rounds.items()}
    if "before" in rounds:
        pairs = zip(rounds["now"], rounds["before"], strict=True)
        found["of before"] = statistics.median(now / before for now, before in pairs)
    return found


def crowd_of(root: Path) -> tuple[dict[str, int], list[float]]:
    """Return what 500 viewers that acknowledge got in 8 s, and how late pings were answered."""
    with livestep(
        root, LIVESTEP_FPS="60", LIVESTEP_MAX_VIEWERS_PER_SESSION="1000", LIVESTEP_ABANDON="keep"
    ) as (port, _):
        driver = v1(port, start(10_000, 120))
        driver.read_for(1)
        watch = {"type": "watch", "session": driver.session, "accept": ["identity"]}
        with Viewers(
            port=port, path="/ws", subprotocol=SUBPROTOCOL, first=[json.dumps(watch)],
            answer="ack", count=VIEWERS,
        ) as viewers:  # fmt: skip
            driver.read_for(2)
            viewers.begin_count(8)
            late = driver.ping_for(8)
            counted = viewers.end_count()
        driver.socket.close()
    return counted, late


def uneven() -> dict[str, list[float]]:
    """A loop of four steps at once and a long one, which goes on for half a second: how old the
    fourth picture is when it is there, in ms."""
    found = {}
    with livestep(LIVESTEP_FPS="30", LIVESTEP_ABANDON_GRACE="0") as (port, _):
        for engine in ("thread", "process"):
            for lazy in (False, True):
                first = json.loads(start(0, 0))
                first |= {"simulation": "uneven", "engine": engine, "params": {"lazy": lazy}}
                one = v1(port, json.dumps(first))
                one.read_for((TIMES + 2) * 0.55)
                found[f"{'lazy' if lazy else 'plain'}, {engine}"] = [
                    age * 1000 for age in one.ages[:TIMES]
                ]
                one.socket.close()
    return found


def processor() -> dict[str, float]:
    """Processor time for one 10 KB frame that was sent and answered, at the same rate in both."""
    per_second, seconds = 300.0, 4.0
    rounds: dict[str, list[float]] = {"bare ASGI": [], "thread": [], "process": []}
    with (
        daphne() as (port, bare),
        livestep(LIVESTEP_FPS="0", LIVESTEP_ABANDON_GRACE="0") as (own, pid),
    ):
        asks: dict[str, Any] = {"ask": "x", "per_second": per_second}
        first = json.loads(start(10_000, per_second))
        kinds: dict[str, tuple[int, dict[str, Any]]] = {
            "bare ASGI": (bare, {"port": port, "path": "/answer", "first": ["x"], **asks})
        }
        for engine in ("thread", "process"):
            begin = json.dumps({**first, "engine": engine})
            own_config = {"port": own, "path": "/ws", "subprotocol": SUBPROTOCOL, "answer": "ack"}
            kinds[engine] = (pid, {**own_config, "first": [begin]})
        for _ in range(ROUNDS):
            for name, (process, config) in kinds.items():
                with Viewers(count=1, **config) as viewers:
                    viewers.count(1)
                    before = cpu(process)
                    frames = viewers.count(seconds)
                    rounds[name].append((cpu(process) - before) / frames * 1e6)
                time.sleep(1)  # Its session ends with it.
    found = {f"{name}, µs": statistics.median(values) for name, values in rounds.items()}
    for engine in ("thread", "process"):
        pairs = zip(rounds[engine], rounds["bare ASGI"], strict=True)
        found[engine] = statistics.median(ours / theirs for ours, theirs in pairs)
    return found


def row(measure: str, must: str, found: str, meets: bool) -> str:
    return f"| {measure} | {must} | {found} | {'yes' if meets else '**no**'} |"


def line_rows() -> list[str]:
    """The rows of long and slow lines; the figures of an older checkout in brackets."""
    found = lines()

    def both(key: str) -> str:
        before = f" ({found['before'][key]})" if "before" in found else ""
        return found["now"][key] + before

    now = {key: float(value) for key, value in found["now"].items()}
    slow = [
        f"{ms} ms: p50 {both(f'slow {ms} p50')}, worst {both(f'slow {ms} worst')}, "
        f"{both(f'slow {ms} frames')}/s"
        for ms in SLOW_LINES_MS
    ]
    return [
        row(
            "frames/s of 30, 4 KB at 5 MB/s, round trip of "
            + ", ".join(f"{ms}" for ms in LONG_LINES_MS) + " ms", "at least 28 each",
            ", ".join(both(f"long {ms}") for ms in LONG_LINES_MS),
            all(now[f"long {ms}"] >= 28 for ms in LONG_LINES_MS),
        ),
        row(
            "age of frames beyond the distance, 100 KB at 400 KB/s, in frame times of 250 ms",
            "p50 at most 1.2, worst at most 2", "; ".join(slow),
            all(
                now[f"slow {ms} p50"] <= 1.2 and now[f"slow {ms} worst"] <= 2
                for ms in SLOW_LINES_MS
            ),
        ),
    ]  # fmt: skip


def table() -> str:
    long_and_slow = line_rows()
    unread_mb, line, again = unread(), slow_line(), resumed()
    beside, many, spent = beside_a_stalled_one(), crowd(), processor()
    late = uneven()
    ours = many["now"]
    of_bare = ours / many["bare ASGI, no acks"]
    of_group = ours / many["a consumer each, in a group"]
    plain = unread_mb["plain Channels consumer on daphne"]
    rows = [
        *long_and_slow,
        row(
            "server memory, a viewer that stops reading, 200 KB frames at 30/s for 20 s, v1",
            "at most +2 MB", f"+{unread_mb['livestep.v1 now']:.1f} MB "
            + (f"({unread_mb['livestep.v1 before']:+.1f} MB); " if "before" in ROOTS else "")
            + f"a plain Channels consumer on daphne: +{plain:.0f} MB",
            unread_mb["livestep.v1 now"] <= 2,
        ),
        row(
            "the same, plain dialect", "at most +4 MB", f"+{unread_mb['plain dialect']:.1f} MB",
            unread_mb["plain dialect"] <= 4,
        ),
        row(
            "age of the frame that a reader of 400 KB/s gets, 100 KB frames",
            "at most 2 x its frame time of 250 ms",
            f"p50 {line['p50']:.2f} x, worst {line['worst']:.2f} x of {line['frames']:.0f} frames",
            line["worst"] <= 2,
        ),
        row(
            "a viewer that stopped reading for 10 s reads again: a frame made since then",
            "after at most 150 ms, behind at most 2 older",
            f"after {again['newest after ms']:.0f} ms, behind {again['older before it']:.0f} "
            "(worst of 3)", again["newest after ms"] <= 150 and again["older before it"] <= 2,
        ),
        row(
            "frame rate of another viewer beside a stalled one", "at least 0.98 of without it",
            f"{beside:.3f} (median of {ROUNDS})", beside >= 0.98,
        ),
        *(
            row(
                f"four steps at once, then a long one; {name}: the fourth picture",
                f"within 100 ms, {TIMES} times of {TIMES}",
                f"{len(ages)} times, p50 {p(ages, 50)} ms, worst {max(ages):.0f} ms",
                len(ages) == TIMES and max(ages) <= 100,
            )
            for name, ages in late.items()
        ),
        row(
            f"{VIEWERS} viewers of one session, 10 KB frames: frames/s in all",
            "at least 0.2 of bare ASGI without acks",
            f"{ours:,.0f} of {many['bare ASGI, no acks']:,.0f}: {of_bare:.2f}", of_bare >= 0.2,
        ),
        *(
            [
                row(
                    "the same beside the code before", "not less, by more than the noise of 5 %",
                    f"{ours:,.0f} ({many['before']:,.0f}): {many['of before']:.2f} (median of 3 in "
                    "turns)", many["of before"] >= 0.95,
                )
            ]
            if "before" in ROOTS
            else []
        ),
        row(
            "the same", "at least 2 x a consumer in the group for each viewer",
            f"of {many['a consumer each, in a group']:,.0f}: {of_group:.1f} x; slowest viewer "
            f"{many['its slowest viewer']:.0f}/s, mean {ours / VIEWERS:.0f}/s", of_group >= 2,
        ),
        row(
            "`ping` meanwhile", "p99 at most 100 ms",
            f"p50 {many['its ping p50 ms']:.0f} ms, p99 {many['its ping p99 ms']:.0f} ms",
            many["its ping p99 ms"] <= 100,
        ),
        *(
            row(
                f"server CPU for a delivered and acknowledged 10 KB frame, {engine} engine, 300/s",
                "at most 2.5 x bare ASGI",
                f"{spent[f'{engine}, µs']:.0f} µs of {spent['bare ASGI, µs']:.0f} µs: "
                f"{spent[engine]:.2f} x (median of {ROUNDS})", spent[engine] <= 2.5,
            )
            for engine in ("thread", "process")
        ),
    ]  # fmt: skip
    return "\n".join(["| measure | must reach | found | |", "| --- | --- | --- | --- |", *rows])


BESIDE = "Figures in brackets are of an older checkout, in the same run and in turns.\n\n"


def main() -> None:
    text = f"""# Delivery

{datetime.date.today()}, {platform.python_implementation()} {platform.python_version()}, \
{os.cpu_count()} cores. Made by `make bench-delivery`.

{table()}

{BESIDE if "before" in ROOTS else ""}Lines are those of tests/proxy.py.
The bare ASGI application, the group consumer and the plain consumer are in
benchmarks/delivery_app.py and run on daphne as it comes. Clients are raw sockets in a process of
their own (benchmarks/viewers.py). CPU is the whole server process at 300 frames/s of 10 KB in
both: with the thread engine that includes drawing and stepping, whose step does nothing but wait;
with the process engine it includes reading the child's pipe.
"""
    (ROOT / "benchmarks" / "delivery.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
