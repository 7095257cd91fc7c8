"""The process engine beside a bare loop, a process-per-session server and the question's answers.

    make bench-engines                                  everything, about 25 minutes
    make bench-engines BEFORE=PATH                      the same beside an older checkout
    .venv/bin/python -m benchmarks.engines --quick      a look, about 3 minutes

Prints tables in Markdown; benchmarks/engines.md keeps them with their date. The machine should be
idle: everything is measured on all of its cores.
"""

import argparse
import asyncio
import contextlib
import math
import os
import platform
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil

from benchmarks.clients import FinishingClient, LivestepClient, PlainClient, ProcessClient
from benchmarks.servers import ROOT, ROOTS, BareLoop, answers, livestep_process, p, yardstick
from benchmarks.step import calibrate
from development.processes import family, has_ended

PING_EVERY_S = 0.05
WARM_UP_S = 1.5
# With so many, the memory is told.
SESSIONS_KEPT = (1, 8, 32)
ANSWERS = ("/default-executor", "/own-executor", "/thread")


class Plan:
    """How long everything takes. The speed of a virtual machine wanders, so that what is compared
    runs in short slices, in turn, and the ratio is the median of those of each round."""

    def __init__(self, *, quick: bool) -> None:
        self.rounds = 3 if quick else 9
        self.slice_s = 1.5 if quick else 2.5
        self.stops = 10 if quick else 60
        self.starts = 5 if quick else 30
        self.endless = 1 if quick else 3
        self.damage_s = 5 if quick else 60


@dataclass
class Contender:
    name: str
    clients: list[PlainClient]
    rates: list[float] = field(default_factory=list)

    @property
    def pings(self) -> list[float]:
        return [ms for client in self.clients for ms in client.seen.pings_ms]

    @property
    def slowest(self) -> float:
        """The slowest session's frames, as a part of the mean."""
        frames = [client.seen.frames for client in self.clients]
        return min(frames) / max(1e-9, statistics.mean(frames))


@contextlib.asynccontextmanager
async def connected(
    url: str, kind: type[PlainClient], count: int
) -> AsyncIterator[list[PlainClient]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(kind(url, deflate=False)) for _ in range(count)]


async def run_slice(contender: Contender, seconds: float) -> None:
    """Start every session, measure, stop them."""
    clients = contender.clients
    await asyncio.gather(*(client.start() for client in clients))
    await asyncio.sleep(WARM_UP_S)
    before, began = sum(client.seen.frames for client in clients), time.perf_counter()
    while time.perf_counter() - began < seconds:
        await clients[0].ping()
        await asyncio.sleep(PING_EVERY_S)
    frames = sum(client.seen.frames for client in clients) - before
    contender.rates.append(frames / (time.perf_counter() - began))
    await asyncio.gather(*(client.stop() for client in clients))


async def rates(plan: Plan, count: int, kind: type[LivestepClient], *, with_answers: bool) -> None:
    cores = os.cpu_count() or 1
    async with contextlib.AsyncExitStack() as stack:
        bare = [stack.enter_context(BareLoop()) for _ in range(cores)]
        threads = stack.enter_context(ThreadPoolExecutor(cores))
        urls: list[tuple[str, str, type[PlainClient]]] = []
        if with_answers:
            address = stack.enter_context(answers())
            urls += [(path[1:].replace("-", " "), address + path, PlainClient) for path in ANSWERS]
        urls.append(("yardstick", stack.enter_context(yardstick())[0], PlainClient))
        for name, root in ROOTS.items():
            address, _ = stack.enter_context(livestep_process(root))
            engine = f"Livestep, {kind.engine} engine" + ("" if root == ROOT else f", {name}")
            urls.append((engine, address + "/ws", kind))
        contenders = [
            Contender(name, await stack.enter_async_context(connected(url, client, count)))
            for name, url, client in urls
        ]
        loop = asyncio.get_running_loop()
        bare_rates = []
        for _ in range(plan.rounds):
            made = [loop.run_in_executor(threads, one.run, plan.slice_s) for one in bare]
            bare_rates.append(sum(await asyncio.gather(*made)))
            for contender in contenders:
                await run_slice(contender, plan.slice_s)
        yard = next(each for each in contenders if each.name == "yardstick")
        print(
            f"| {cores} bare loops | {count} | {statistics.median(bare_rates):.1f} | 1.00 | | | | |"
        )
        for each in contenders:
            print(
                f"| {each.name} | {count} | {statistics.median(each.rates):.1f} "
                f"| {ratio(each.rates, bare_rates):.2f} | {ratio(each.rates, yard.rates):.2f} "
                f"| {each.slowest:.2f} | {p(each.pings, 50)} | {p(each.pings, 99)} |",
                flush=True,
            )


@contextlib.asynccontextmanager
async def beside_the_yardstick(
    count: int,
) -> AsyncIterator[list[tuple[str, list[PlainClient], int]]]:
    """Give the process engine and the yardstick: name, that many clients, and process of each."""
    with livestep_process() as (ours, pid), yardstick() as (theirs, yard_pid):
        async with (
            connected(ours + "/ws", ProcessClient, count) as clients,
            connected(theirs, PlainClient, count) as plain,
        ):
            yield [
                ("Livestep, process engine", clients, pid),
                ("yardstick", plain, yard_pid),
            ]


async def shares(plan: Plan, count: int) -> None:
    """Say what a frame costs in processor time, and whose: this wanders less than the rates do."""
    async with beside_the_yardstick(count) as servers:
        costs: dict[str, list[tuple[float, float, float]]] = {"bare loops": []}
        with contextlib.ExitStack() as stack:
            bare = [stack.enter_context(BareLoop()) for _ in range(os.cpu_count() or 1)]
            loops = [psutil.Process(each.pid) for each in bare]
            for _ in range(plan.rounds):
                before = used_s(loops)
                made = [asyncio.to_thread(each.run, plan.slice_s) for each in bare]
                frames = sum(await asyncio.gather(*made)) * plan.slice_s
                costs["bare loops"].append(((used_s(loops) - before) / frames * 1000, 0.0, 0.0))
                for name, clients, pid in servers:
                    cost = await cost_of_frame(plan, clients, pid)
                    costs.setdefault(name, []).append(cost)
    for name, rows in costs.items():
        parts = " | ".join(f"{statistics.median(part):.2f}" for part in zip(*rows, strict=True))
        print(f"| {name} | {count} | {parts} |", flush=True)


async def cost_of_frame(
    plan: Plan, clients: list[PlainClient], pid: int
) -> tuple[float, float, float]:
    """Return the processor time of a frame in ms: the steps', the server's, and the clients'."""
    await asyncio.gather(*(client.start() for client in clients))
    await asyncio.sleep(WARM_UP_S)
    server, *children = family(pid)
    parts = (children, [server], [psutil.Process()])
    before = [used_s(part) for part in parts]
    frames = sum(client.seen.frames for client in clients)
    await asyncio.sleep(plan.slice_s)
    frames = sum(client.seen.frames for client in clients) - frames
    steps, servers, ours = (
        (used_s(part) - was) / frames * 1000 for part, was in zip(parts, before, strict=True)
    )
    await asyncio.gather(*(client.stop() for client in clients))
    return steps, servers, ours


def used_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def ratio(ones: list[float], others: list[float]) -> float:
    """Return the median of the rounds' ratios; infinite where the others have made nothing."""
    pairs = zip(ones, others, strict=True)
    return statistics.median(one / other if other else math.inf for one, other in pairs)


async def stops(plan: Plan, count: int) -> None:
    """Stop one session after the other while all the others go on."""
    with livestep_process() as (address, _):
        async with connected(address + "/ws", ProcessClient, count) as clients:
            await asyncio.gather(*(client.start() for client in clients))
            await asyncio.sleep(WARM_UP_S + count * 0.05)
            before, began = sum(client.seen.frames for client in clients), time.perf_counter()
            await asyncio.sleep(plan.slice_s)
            frames = sum(client.seen.frames for client in clients) - before
            step_ms = 1000 * (time.perf_counter() - began) * count / frames
            for number in range(plan.stops):
                client = clients[number % count]
                await client.stop()
                await client.start()
                await asyncio.sleep(0.1 + 2 * step_ms / 1000)
            last = [ms for client in clients for ms in client.seen.last_after_stop_ms]
            stopped = [ms for client in clients for ms in client.seen.stopped_after_ms]
            print(
                f"| {count} | {step_ms:.1f} | {p(last, 50)} | {p(last, 99)} "
                f"| {p(stopped, 50)} | {p(stopped, 99)} |",
                flush=True,
            )


async def stops_at_once(plan: Plan, count: int) -> None:
    """Stop all sessions at once, and note when the last of their processes has ended."""
    async with beside_the_yardstick(count) as servers, contextlib.AsyncExitStack() as stack:
        address, pid = stack.enter_context(yardstick())
        finishing = await stack.enter_async_context(connected(address, FinishingClient, count))
        servers.append(("yardstick, whose steps may end", finishing, pid))
        took: dict[str, list[float]] = {name: [] for name, *_ in servers}
        for _, clients, _ in servers:  # So that what lasts longer than they do is there.
            await clients[0].start()
            await asyncio.sleep(WARM_UP_S)
            await clients[0].stop()
        for _ in range(plan.rounds):
            for name, clients, pid in servers:
                others = set(family(pid))
                await asyncio.gather(*(client.start() for client in clients))
                await asyncio.sleep(WARM_UP_S + count * 0.05)
                children = [each for each in family(pid) if each not in others]
                asked = time.perf_counter()
                await asyncio.gather(*(client.ask_stop() for client in clients))
                while any(map(runs, children)):  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
                took[name].append((time.perf_counter() - asked) * 1000)
                await asyncio.sleep(0.5)
    for name, times in took.items():
        print(
            f"| {name} | {count} | {statistics.median(times):.0f} | {max(times):.0f} |", flush=True
        )


async def endless(plan: Plan, simulation: str, engine: str) -> None:
    with livestep_process() as (address, _):
        kind = type("Endless", (LivestepClient,), {"simulation": simulation, "engine": engine})
        async with connected(address + "/ws", kind, 1) as (client,):
            for _ in range(plan.endless):
                await client.start()
                while not client.seen.first_frame_ms:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)
                await client.stop()
                client.seen.first_frame_ms.clear()
            times = client.seen.stopped_after_ms
            print(
                f"| {simulation} | {engine} | {len(times)} | {max(times) / 1000:.2f} |", flush=True
            )


async def first_frames(plan: Plan) -> None:
    with livestep_process() as (address, _):
        async with connected(address + "/ws", ProcessClient, 1) as (client,):
            for _ in range(plan.starts + 1):
                await client.start()
                await asyncio.sleep(0.5)
                await client.stop()
            warm = client.seen.first_frame_ms[1:]
            print(
                f"| from `start` to the first frame, warm, a 10 ms step included, ms "
                f"| p50 {p(warm, 50)}, p99 {p(warm, 99)} |",
                flush=True,
            )


async def memory() -> None:
    ising = type("Ising", (ProcessClient,), {"simulation": "ising"})
    with livestep_process() as (address, pid):
        async with connected(address + "/ws", ising, max(SESSIONS_KEPT)) as clients:
            print_memory("process sessions of `ising`", await sizes(clients, pid))
    with yardstick() as (address, pid):
        async with connected(address, PlainClient, max(SESSIONS_KEPT)) as clients:
            print_memory("sessions of the yardstick", await sizes(clients, pid))


async def sizes(clients: list[PlainClient], pid: int) -> list[float]:
    """Return what the server takes with all its processes, in MB, with each session more."""
    found = []
    for client in clients:
        await client.start()
        await asyncio.sleep(1.5)
        found.append(sum(map(pss, family(pid))))
    return found


def print_memory(what: str, found: list[float]) -> None:
    for count in SESSIONS_KEPT:
        print(f"| memory of the server with {count} {what}, PSS, MB | {found[count - 1]:.0f} |")
    more = (found[-1] - found[1]) / (len(found) - 2)
    print(f"| memory of one more of the {what}, PSS, MB | {more:.1f} |", flush=True)


async def damage(plan: Plan) -> None:
    with livestep_process() as (address, _):
        async with connected(address + "/ws", ProcessClient, 8) as clients:
            await asyncio.gather(*(client.start() for client in clients))
            await asyncio.sleep(plan.damage_s)
            seen = [client.seen for client in clients]
            print(
                f"| frames lost, damaged, of; 8 sessions, {plan.damage_s} s "
                f"| {sum(each.lost for each in seen)}, {sum(each.damaged for each in seen)}, "
                f"{sum(each.frames for each in seen):,} |",
                flush=True,
            )


async def left_behind() -> None:
    with livestep_process() as (address, pid):
        async with connected(address + "/ws", ProcessClient, 8) as clients:
            await asyncio.gather(*(client.start() for client in clients))
            await asyncio.sleep(2)
            children = family(pid)[1:]
            os.kill(pid, signal.SIGKILL)
            killed = time.perf_counter()
            while any(map(runs, children)) and time.perf_counter() - killed < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            took = (time.perf_counter() - killed) * 1000
            left = sum(map(runs, children))
            print(
                f"| processes left after SIGKILL of the server, of {len(children)}; until they "
                f"were gone, ms | {left}; {took:.0f} |",
                flush=True,
            )


def pss(process: psutil.Process) -> float:
    """Return what memory a process takes, its part of what is shared included, in MB."""
    return float(process.memory_full_info().pss) / 1024**2


def runs(process: psutil.Process) -> bool:
    return not has_ended(process)


def print_head() -> None:
    print("| | sessions | frames/s, all | of the bare loops | of the yardstick "
          "| slowest session, of the mean | ping p50, ms | p99 |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")


def print_rates(plan: Plan) -> None:
    print_head()
    asyncio.run(rates(plan, 2, ProcessClient, with_answers=False))
    asyncio.run(rates(plan, 8, ProcessClient, with_answers=True))
    asyncio.run(rates(plan, 32, ProcessClient, with_answers=False))


def print_shares(plan: Plan) -> None:
    print("\n| processor time of a frame, ms | sessions | steps | server | clients |")
    print("|---|---|---|---|---|")
    for count in (2, 8):
        asyncio.run(shares(plan, count))


def print_threads(plan: Plan) -> None:
    print()
    print_head()
    for count in (1, 8, 32):
        asyncio.run(rates(plan, count, LivestepClient, with_answers=True))


def print_stops(plan: Plan) -> None:
    print("\n| process sessions | a step's wall time, ms | last frame after stop p50 | p99 "
          "| `stopped` p50 | p99 |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for count in (1, 8, 32):
        asyncio.run(stops(plan, count))
    print("\n| stopped at once | sessions | the last process has ended after, ms | longest |")
    print("|---|---|---|---|")
    for count in (8, 32):
        asyncio.run(stops_at_once(plan, count))
    print("\n| a step that never returns | engine | stops | longest, s |")
    print("|---|---|---|---|")
    for simulation, engine in (("spins", "thread"), ("spins", "process"), ("in_c", "process")):
        asyncio.run(endless(plan, simulation, engine))


def print_rest(plan: Plan) -> None:
    print("\n| | |")
    print("|---|---|")
    asyncio.run(first_frames(plan))
    asyncio.run(memory())
    asyncio.run(damage(plan))
    asyncio.run(left_behind())


PARTS: dict[str, Callable[[Plan], None]] = {
    "rates": print_rates,
    "shares": print_shares,
    "threads": print_threads,
    "stops": print_stops,
    "rest": print_rest,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short runs, for a look")
    parser.add_argument("--part", choices=PARTS, help="only one of the tables")
    options = parser.parse_args()
    os.environ["STEP_ROUNDS"] = str(calibrate())
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}.\n"
    )
    for name in _chosen(options.part):
        PARTS[name](Plan(quick=options.quick))


def _chosen(part: str | None) -> Iterator[str]:
    return iter([part] if part else PARTS)


if __name__ == "__main__":
    main()
