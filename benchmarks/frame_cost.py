"""Takes one frame apart: what the server spends on it, until its viewer has acknowledged it.

    make bench-frame-cost              writes benchmarks/frame_cost.md, in about six minutes
    make bench-frame-cost BEFORE=PATH  the same beside an older checkout, in about ten

Frames of 10 KB at 300 a second, in a thread, in a process, and of a process of another server,
looked at by strace and py-spy, one after the other, since each slows the server down; and at 30 a
second by callgrind, under which everything takes fifty times as long.
"""

import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.delivery import SUBPROTOCOL, Viewers, cpu, daphne, livestep, start, v1
from benchmarks.servers import ROOT, ROOTS
from development.parts import Redis

SIZE, PER_SECOND = 10_000, 300.0
LOOK_S = 4.0
MOST_CALLS, MOST_FUNCTIONS = 8, 12
# The functions in which the event loop waits: they are no work.
WAITING = ("select", "poll", "epoll", "doPoll", "runUntilCurrent")
PROGRAMS = ("strace", "valgrind", "redis-server")
PY_SPY = str(Path(sys.executable).parent / "py-spy")
SLOWLY = 30.0
# Python asks the C library for each object, so that what it allocates can be counted.
COUNTABLE = {"PYTHONMALLOC": "malloc"}
ALLOCATORS = ("malloc", "calloc", "realloc")
# What is measured: the processes by what they are called, and the viewer. It is given how many
# frames a second there are to be, a command that runs the servers, and more for their environment.
Served = AbstractContextManager[tuple[dict[str, int], Viewers]]
Serve = Callable[[float, Sequence[str], dict[str, str]], Served]


@dataclass
class Cost:
    """What one frame cost."""

    cpu_us: float
    calls: Counter[str]
    # The share of the samples that each function was in, by itself.
    functions: Counter[str]
    # Those of the program, in thousands, without the kernel's.
    instructions: float = 0.0
    allocations: float = 0.0


def look(pid: int, viewers: Viewers) -> Cost:
    used, frames = cpu(pid), viewers.count(LOOK_S)
    return Cost(
        (cpu(pid) - used) / frames * 1e6,
        system_calls(pid, viewers),
        functions(pid, viewers),
    )


def beside(command: list[str], viewers: Viewers) -> tuple[str, int]:
    """Run a command that looks at the server for a while; returns what it said, and the frames."""
    viewers.begin_count(LOOK_S)
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.stdout + said.stderr, viewers.end_count()["total"]


def system_calls(pid: int, viewers: Viewers) -> Counter[str]:
    command = ["timeout", "-s", "INT", str(LOOK_S), "strace", "-f", "-c", "-p", str(pid)]
    table, frames = beside(command, viewers)
    found = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$", table, re.MULTILINE)
    return Counter({name: int(calls) / frames for calls, name in found if name != "total"})  # type: ignore[misc]


def functions(pid: int, viewers: Viewers) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stacks")
        command = [PY_SPY, "record", "--pid", str(pid), "--duration", str(int(LOOK_S)),
                   "--rate", "500", "--gil", "--format", "raw", "--output", str(path)]  # fmt: skip
        beside(command, viewers)
        lines = path.read_text().splitlines() if path.exists() else []
    seen: Counter[str] = Counter()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        name, _, place = stack.split(";")[-1].partition(" (")
        if name not in WAITING:
            seen[f"`{name}`, {place.split(':')[0].removesuffix(')')}"] += int(samples)
    total = sum(seen.values())
    return Counter({name: count / total for name, count in seen.items()})  # type: ignore[misc]


def count_work(pid: int, viewers: Viewers, folder: Path) -> tuple[float, float]:
    """Return the instructions of a frame, in thousands, and its allocations, under callgrind."""
    order(pid, "-i", "on")
    frames = viewers.count(LOOK_S)
    order(pid, "-i", "off")
    order(pid, "-d")
    instructions, allocations = read_profile((folder / f"{pid}.1").read_text())
    return instructions / frames / 1000, allocations / frames


def order(pid: int, *words: str) -> None:
    command = ["callgrind_control", *words, str(pid)]
    subprocess.run(command, capture_output=True, check=True)


def read_profile(profile: str) -> tuple[int, int]:
    """Return the instructions and the allocations of a profile in callgrind's format, in which a
    name stands at its first place only, and has a number after that."""
    names: dict[str, str] = {}
    called, instructions, allocations = "", 0, 0
    for line in profile.splitlines():
        if found := re.match(r"(c?)fn=\((\d+)\)(?: (\w+))?", line):
            callee, number, name = found.groups()
            if name:
                names[number] = name
            if callee:
                called = names.get(number, "")
        elif line.startswith("calls=") and called in ALLOCATORS:
            allocations += int(line[len("calls=") :].split()[0])
        elif line.startswith("totals:"):
            instructions = int(line.split()[1])
    return instructions, allocations


@contextlib.contextmanager
def watched(port: int, **config: object) -> Iterator[Viewers]:
    with Viewers(port=port, count=1, **config) as viewers:
        viewers.count(2)
        yield viewers


@contextlib.contextmanager
def bare(
    per_second: float, under: Sequence[str], environment: dict[str, str]
) -> Iterator[tuple[dict[str, int], Viewers]]:
    config = {"path": "/answer", "first": ["x"], "ask": "x", "per_second": per_second}
    with (
        daphne(SIZE, under, **environment) as (port, pid),
        watched(port, **config) as viewers,
    ):
        yield {"bare ASGI": pid}, viewers


@contextlib.contextmanager
def with_engine(
    engine: str, root: Path, per_second: float, under: Sequence[str], environment: dict[str, str]
) -> Iterator[tuple[dict[str, int], Viewers]]:
    with (
        livestep(root, under, LIVESTEP_FPS="0", **environment) as (port, pid),
        watched(port, **acknowledging(started(engine, per_second))) as viewers,
    ):
        yield {f"{engine} engine": pid}, viewers


@contextlib.contextmanager
def remote(
    root: Path, per_second: float, under: Sequence[str], environment: dict[str, str]
) -> Iterator[tuple[dict[str, int], Viewers]]:
    """Serve the frames of a session that another server has, which keeps it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        redis = Redis(Path(folder))
        stack.callback(redis.stop)
        redis.start()
        shared = {
            "REDIS_URL": redis.url,
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "SECRET_KEY": "the same for both, and known to nobody else",
            "LIVESTEP_FPS": "0",
            "LIVESTEP_ABANDON": "keep",
            "LIVESTEP_REMOTE_FPS": "60",
            **environment,
        }
        near, owner = stack.enter_context(livestep(root, under, **shared))
        far, server = stack.enter_context(livestep(root, under, **shared))
        driver = v1(near, started("process", per_second))
        driver.read_for(1)
        driver.socket.close()
        watch = json.dumps({"type": "watch", "session": driver.session, "accept": ["identity"]})
        viewers = stack.enter_context(watched(far, **acknowledging(watch)))
        yield {"another's: its own server": owner, "another's: the viewer's": server}, viewers


def started(engine: str, per_second: float) -> str:
    return json.dumps({**json.loads(start(SIZE, per_second)), "engine": engine})


def acknowledging(first: str) -> dict[str, object]:
    return {"path": "/ws", "subprotocol": SUBPROTOCOL, "answer": "ack", "first": [first]}


def contenders() -> Iterator[tuple[str, Serve]]:
    """Yield what is measured, with what is added to its name."""
    yield "", bare
    for name, root in ROOTS.items():
        which = "" if root == ROOT else f", {name}"
        for engine in ("thread", "process"):
            yield which, partial(with_engine, engine, root)
        yield which, partial(remote, root)


def measure() -> dict[str, Cost]:
    found = {}
    for which, serve in contenders():
        with serve(PER_SECOND, (), {}) as (pids, viewers):
            for name, pid in pids.items():
                found[name + which] = look(pid, viewers)
        with tempfile.TemporaryDirectory() as folder:
            callgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no")
            under = (*callgrind, f"--callgrind-out-file={folder}/%p")
            with serve(SLOWLY, under, COUNTABLE) as (pids, viewers):
                for name, pid in pids.items():
                    cost = found[name + which]
                    cost.instructions, cost.allocations = count_work(pid, viewers, Path(folder))
    return found


def table(found: dict[str, Cost]) -> str:
    least = found["bare ASGI"].cpu_us
    lines = [
        "| | CPU, µs | of bare | system calls | instructions, thousands | allocations |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, cost in found.items():
        lines.append(
            f"| {name} | {cost.cpu_us:.0f} | {cost.cpu_us / least:.2f} "
            f"| {sum(cost.calls.values()):.1f} | {cost.instructions:.0f} | {cost.allocations:.0f} |"
        )
    lines += ["", "System calls for one frame:", ""]
    for name, cost in found.items():
        calls = ", ".join(f"{call} {n:.2f}" for call, n in cost.calls.most_common(MOST_CALLS))
        lines.append(f"- {name}: {calls}")
    for name, cost in found.items():
        lines += ["", f"{name}: where its Python is, in parts of its work", ""]
        lines += [
            f"- {share:.3f} {function}"
            for function, share in cost.functions.most_common(MOST_FUNCTIONS)
        ]
    return "\n".join(lines)


def main() -> None:
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        raise SystemExit(f"This needs {' and '.join(missing)}: install what is missing first.")
    text = f"""# What a frame costs

{datetime.date.today()}, CPython {platform.python_version()}, {os.cpu_count()} cores. Made by \
`make bench-frame-cost`.

Frames of {SIZE:,} bytes at {PER_SECOND:.0f} a second to one viewer, which acknowledges each, in \
the server's process: with the thread engine stepping and drawing included. Bare ASGI is a \
consumer on daphne as it comes that answers a message with as many bytes. Another server's frames \
come over Redis: what they cost there, and in the viewer's server.

Instructions are the program's own, without the kernel's; allocations are calls of the C library, \
which Python makes for each object here. Both were counted at {SLOWLY:.0f} frames a second, with \
whatever a server does meanwhile.

{table(measure())}
"""
    (ROOT / "benchmarks" / "frame_cost.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
