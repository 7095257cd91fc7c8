"""The question's three answers beside Livestep: the same step, one machine, one run.

    make bench                                          everything, about 15 minutes
    .venv/bin/python -m benchmarks.answers --quick      a look, about 4 minutes

Prints a table in Markdown; benchmarks/answers.md keeps one with its date.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.clients import LivestepClient, PlainClient, Seen
from benchmarks.servers import BareLoop, answers, livestep, p
from benchmarks.step import calibrate

ROOT = Path(__file__).parent.parent
PING_EVERY_S = 0.05


class Plan:
    """How long everything takes. A machine's speed wanders within seconds, so each contender
    runs in short slices between slices of the bare loop, and its share is their median."""

    def __init__(self, *, quick: bool) -> None:
        self.sessions = (1, 2, 8)
        self.slices = 3 if quick else 8
        self.slice_s = 1.5
        self.warm_up_s = 0.5
        self.stops = 5 if quick else 40
        self.between_stops_s = 0.2
        self.damage_sessions = 6
        self.damage_s = 5.0 if quick else 45.0


Contender = tuple[str, Callable[[], AbstractContextManager[str]], str, type[PlainClient]]
CONTENDERS: tuple[Contender, ...] = (
    ("default executor", answers, "/default-executor", PlainClient),
    ("own executor", answers, "/own-executor", PlainClient),
    ("thread", answers, "/thread", PlainClient),
    ("Livestep, plain dialect", livestep, "/ws?simulation=bench", PlainClient),
    ("Livestep, livestep.v1", livestep, "/ws", LivestepClient),
)


@dataclass
class Result:
    """What all sessions of one contender did. `shares` are of the bare loop, one for a slice."""

    seen: list[Seen]
    bare: list[float]
    rates: list[float]
    shares: list[float]


async def run(url: str, kind: type[PlainClient], count: int, plan: Plan, loop: BareLoop) -> Result:
    """Run so many sessions at once, in slices between those of the bare loop."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(kind(url, deflate=False)) for _ in range(count)]
        result = Result([client.seen for client in clients], [], [], [])
        result.bare.append(await asyncio.to_thread(loop.run, plan.slice_s))
        for _ in range(plan.slices):
            result.rates.append(await run_slice(clients, plan, pings="/ws?" not in url))
            result.bare.append(await asyncio.to_thread(loop.run, plan.slice_s))
            result.shares.append(result.rates[-1] / statistics.mean(result.bare[-2:]))
        if count == 1:
            for _ in range(plan.stops):
                await clients[0].start()
                await asyncio.sleep(plan.between_stops_s)
                await clients[0].stop()
        return result


async def run_slice(clients: list[PlainClient], plan: Plan, *, pings: bool) -> float:
    """Start every session, measure, stop them; return their frames per second together."""
    await asyncio.gather(*(client.start() for client in clients))
    await asyncio.sleep(plan.warm_up_s)
    before, began = sum(client.seen.frames for client in clients), time.perf_counter()
    while time.perf_counter() - began < plan.slice_s:
        if pings:
            await clients[0].ping()
        await asyncio.sleep(PING_EVERY_S)
    frames = sum(client.seen.frames for client in clients) - before
    rate = frames / (time.perf_counter() - began)
    await asyncio.gather(*(client.stop() for client in clients))
    return rate


async def run_for_damage(url: str, kind: type[PlainClient], plan: Plan) -> list[Seen]:
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(kind(url, deflate=True))
            for _ in range(plan.damage_sessions)
        ]
        for client in clients:
            await client.start()
        # Two threads write to one transport only when the loop has something to say, too.
        began = time.perf_counter()
        while time.perf_counter() - began < plan.damage_s:
            if "/ws?" not in url:
                await asyncio.gather(*(client.ping() for client in clients))
            await asyncio.sleep(PING_EVERY_S)
        return [client.seen for client in clients]


def print_row(name: str, count: int, result: Result) -> None:
    pings = [ms for client in result.seen for ms in client.pings_ms]
    stops = [ms for client in result.seen for ms in client.last_after_stop_ms]
    frames = [client.frames for client in result.seen]
    slowest = f"{min(frames) / max(1, sum(frames)):.2f}"
    print(
        f"| {name} | {count} | {statistics.median(result.bare):.1f} "
        f"| {statistics.median(result.rates):.1f} | {statistics.median(result.shares):.2f} "
        f"| {slowest} | {p(pings, 50)} | {p(pings, 99)} "
        f"| {p(stops, 50)} | {p(stops, 99)} | {max(stops, default=0):.1f} |",
        flush=True,
    )


def print_rates(contenders: list[Contender], plan: Plan) -> None:
    print(
        "| answer | sessions | bare loop, frames/s | frames/s, all | share of it "
        "| slowest session's part | ping p50 | p99 | last frame after stop p50 | p99 | worst |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, server, path, kind in contenders:
        for count in plan.sessions:
            with server() as address, BareLoop() as loop:
                result = asyncio.run(run(address + path, kind, count, plan, loop))
            print_row(name, count, result)


def print_damage(contenders: list[Contender], plan: Plan) -> None:
    print(f"\nFrames lost or damaged, {plan.damage_sessions} sessions at once for "
          f"{plan.damage_s:.0f} s:\n")  # fmt: skip
    print("| answer | sessions with a fault | frames | damaged | lost | connections broken |")
    print("|---|---|---|---|---|---|")
    for name, server, path, kind in contenders:
        with server() as address:
            seen = asyncio.run(run_for_damage(address + path, kind, plan))
        faulty = sum(bool(client.damaged or client.lost or client.broken) for client in seen)
        print(
            f"| {name} | {faulty} of {len(seen)} | {sum(client.frames for client in seen)} "
            f"| {sum(client.damaged for client in seen)} | {sum(client.lost for client in seen)} "
            f"| {sum(bool(client.broken) for client in seen)} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short runs, for a look")
    parser.add_argument("--only", default="", help="only the answers whose name holds this")
    parser.add_argument("--part", choices=("rates", "damage"), help="only one of the tables")
    options = parser.parse_args()
    plan = Plan(quick=options.quick)
    contenders = [entry for entry in CONTENDERS if options.only in entry[0]]
    os.environ["STEP_ROUNDS"] = str(calibrate())
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}. All times in ms.\n"
    )
    if options.part != "damage":
        print_rates(contenders, plan)
    if options.part != "rates":
        print_damage(contenders, plan)


if __name__ == "__main__":
    main()
