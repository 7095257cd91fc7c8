"""Takes one frame apart: what the server spends on it, until its viewer has acknowledged it.

    make bench-frame-cost              writes benchmarks/frame_cost.md, in about two minutes
    make bench-frame-cost BEFORE=PATH  the same beside an older checkout

Frames of 10 KB at 300 a second, in a thread and in a process,
each looked at by strace, perf and py-spy, one after the other, since each slows the server down.
"""

import contextlib
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.delivery import SUBPROTOCOL, Viewers, cpu, daphne, livestep, start
from benchmarks.servers import ROOT, ROOTS

SIZE, PER_SECOND = 10_000, 300.0
LOOK_S = 4.0
MOST_CALLS, MOST_FUNCTIONS = 8, 12
# The functions in which the event loop waits: they are no work.
WAITING = ("select", "poll", "epoll", "doPoll", "runUntilCurrent")
PY_SPY = str(Path(sys.executable).parent / "py-spy")
INSTRUCTIONS = ("instructions:u", "instructions:k")


@dataclass
class Cost:
    """What one frame cost."""

    cpu_us: float
    calls: Counter[str]
    # Of the program, and of the kernel for it, in thousands; None where perf cannot count them.
    instructions: tuple[float, float] | None
    # The share of the samples that each function was in, by itself.
    functions: Counter[str]


def look(pid: int, viewers: Viewers) -> Cost:
    used, frames = cpu(pid), viewers.count(LOOK_S)
    return Cost(
        (cpu(pid) - used) / frames * 1e6,
        system_calls(pid, viewers),
        instructions(pid, viewers),
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


def instructions(pid: int, viewers: Viewers) -> tuple[float, float] | None:
    events = ",".join(INSTRUCTIONS)
    command = ["perf", "stat", "-x,", "-e", events, "-p", str(pid), "--", "sleep", str(LOOK_S)]
    table, frames = beside(command, viewers)
    counted = [re.search(rf"^(\d+),,{event}", table, re.MULTILINE) for event in INSTRUCTIONS]
    if not all(counted):
        return None
    user, kernel = (int(each[1]) / frames / 1000 for each in counted if each)
    return user, kernel


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


@contextlib.contextmanager
def watched(port: int, **config: object) -> Iterator[Viewers]:
    with Viewers(port=port, count=1, **config) as viewers:
        viewers.count(2)
        yield viewers


def measure() -> dict[str, Cost]:
    found = {}
    asks = {"ask": "x", "per_second": PER_SECOND}
    with daphne(SIZE) as (port, pid), watched(port, path="/answer", first=["x"], **asks) as viewers:
        found["bare ASGI"] = look(pid, viewers)
    for name, root in ROOTS.items():
        for engine in ("thread", "process"):
            first = json.dumps({**json.loads(start(SIZE, PER_SECOND)), "engine": engine})
            with (
                livestep(root, LIVESTEP_FPS="0") as (port, pid),
                watched(
                    port, path="/ws", subprotocol=SUBPROTOCOL, answer="ack", first=[first]
                ) as viewers,
            ):
                found[f"{engine} engine" + ("" if root == ROOT else f", {name}")] = look(
                    pid, viewers
                )
    return found


def table(found: dict[str, Cost]) -> str:
    bare = found["bare ASGI"].cpu_us
    lines = [
        "| | CPU, µs | of bare | system calls | instructions, program and kernel, thousands |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, cost in found.items():
        counted = "not counted"
        if cost.instructions:
            counted = f"{cost.instructions[0]:.0f} and {cost.instructions[1]:.0f}"
        lines.append(
            f"| {name} | {cost.cpu_us:.0f} | {cost.cpu_us / bare:.2f} "
            f"| {sum(cost.calls.values()):.1f} | {counted} |"
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
    text = f"""# What a frame costs

{datetime.date.today()}, CPython {platform.python_version()}, {os.cpu_count()} cores. Made by \
`make bench-frame-cost`.

Frames of {SIZE:,} bytes at {PER_SECOND:.0f} a second to one viewer, which acknowledges each, in \
the server's process: with the thread engine stepping and drawing included. Bare ASGI is a \
consumer on daphne as it comes that answers a message with as many bytes.

{table(measure())}
"""
    (ROOT / "benchmarks" / "frame_cost.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
