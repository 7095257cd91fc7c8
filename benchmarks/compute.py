"""Measures sessions on compute machines: their start, their frames, their stop, a long queue, and
what is left of the cores for their steps.

    make bench-compute          writes benchmarks/compute.md, in about seven minutes

Two web processes, two compute machines, Redis, PostgreSQL and the clients, all on one machine.
"""

import asyncio
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.cluster import FRAME_BYTES, MIB, Client, client_of, table
from benchmarks.engines import ratio
from benchmarks.servers import BareLoop
from benchmarks.step import calibrate
from development.cluster import Cluster

ROOT = Path(__file__).parent.parent
STARTS, AGES_S, QUEUED = 150, 60, 1000
SESSIONS, ROUNDS, SLICE_S, WARM_S = 8, 9, 3.0, 1.5
CORES = sorted(os.sched_getaffinity(0))
# As many on one core as SESSIONS are on two.
APART = SESSIONS // 2
# Fewer than REMOTE_FPS lets through, 15: of two clocks with one rate each waits for the other.
PER_SECOND = 14
# Run with the site's settings: a thousand sessions come to wait, and are claimed one by one.
QUEUE = f"""
import json, time
from streaming.catalog.registry import registry
from streaming.cluster import claims
from streaming.cluster.placing import _first_row, _given
from streaming.engine.simulations import Abandon
from streaming.identity import Identity
from streaming.sessions.live import Wishes
from streaming.models import StreamSession

found = registry.get("stamped")
params = {{spec.name: spec.default for spec in found.params}}
wishes = Wishes(30.0, None, Abandon.STOP, 10.0)
times = {{"enqueue": [], "look": [], "claim": []}}

def timed(name, work, *args, **options):
    began = time.perf_counter()
    result = work(*args, **options)
    times[name].append((time.perf_counter() - began) * 1000)
    return result

ids = [f"_-bench{{number}}" for number in range({QUEUED})]
for session_id in ids:
    _, row = _first_row(session_id, found, params, Identity(), wishes)
    timed("enqueue", claims.enqueue, row, session_id, queue="bench", given=_given(found, params),
          wishes=wishes, token_hash="", most_waiting=10**6)
for _ in range(50):
    timed("look", claims.waiting_in_turn, ["bench"])
claimed = [timed("claim", claims.claim, ["bench"], {{"stamped"}}).id for _ in range(200)]
StreamSession.objects.filter(pk__in=ids).delete()
print(json.dumps({{"times": times, "in_order": claimed == ids[:200]}}))
"""


async def start(client: Client) -> None:
    params = {"size": FRAME_BYTES, "per_second": PER_SECOND}
    await client.send(
        "start",
        simulation="stamped",
        engine="cluster",
        params=params,
        fps=15,
        accept=["identity"],
        abandon="stop",
    )


async def measure_starts(cluster: Cluster) -> dict[str, list[float]]:
    """From the start to the first frame, and from the stop to its receipt, in ms."""
    first, stopped = [], []
    async with client_of(cluster, "a") as client:
        for _ in range(STARTS):
            began = time.monotonic()
            await start(client)
            session = (await client.until(type="started"))["session"]
            await client.until(type="frame", session=session)
            first.append((time.monotonic() - began) * 1000)
            began = time.monotonic()
            await client.send("stop")
            await client.until(type="session", session=session, state="stopped")
            stopped.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(0.2)
    return {"start to the first frame": first, "stop to its receipt": stopped}


async def measure_ages(cluster: Cluster) -> list[float]:
    async with client_of(cluster, "a") as client:
        await start(client)
        await client.until(type="frame")
        client.ages_ms.clear()
        await client.read_for(AGES_S)
        await client.send("stop")
        await client.until(type="session", state="stopped")
        return client.ages_ms


async def measure_queue(cluster: Cluster) -> tuple[dict[str, list[float]], bool, list[float]]:
    """Return how long the questions to the queue took, whether claims kept its order, and how
    long a `ping` of a web process took meanwhile, in ms."""
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", QUEUE]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=cluster._environment, stdout=subprocess.PIPE
    )
    asking = asyncio.create_task(process.communicate())
    pings = []
    async with client_of(cluster, "a") as client:
        while not asking.done():
            began = time.monotonic()
            await client.send("ping", id="p")
            await client.until(id="p")
            pings.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(0.05)
    said, _ = await asking
    measured = json.loads(said)
    return measured["times"], measured["in_order"], pings


@dataclass
class Shares:
    """What sessions get of the cores, in turn with bare loops: steps a second, of all together."""

    bare: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    slowest: list[float] = field(default_factory=list)
    # Of one core, for each session that is watched: the web process, each compute machine.
    web: list[float] = field(default_factory=list)
    computes: list[float] = field(default_factory=list)


class Stepper:
    """A session of the step that the bare loops take, and how far it is."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self.step = 0

    async def start(self) -> None:
        await self._client.send(
            "start", simulation="bench", engine="cluster", fps=30, accept=["identity"]
        )
        self.step = (await self._client.until(type="frame"))["step"]
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            self.step = (await self._client.until(type="frame"))["step"]

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.send("stop")
        await self._client.until(type="session", state="stopped")


def cpu_of(pids: Iterable[int]) -> float:
    """Return how long processes, but not their children, have had a core, in s."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(each.user + each.system for each in times))


def keep_on(cores: set[int], pid: int) -> None:
    """Let a process, its threads and all below it have these cores only."""
    process = psutil.Process(pid)
    for each in (process, *process.children(recursive=True)):
        # Some end meanwhile.
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for thread in each.threads():
                os.sched_setaffinity(thread.id, cores)


async def measure_shares(
    cluster: Cluster, count: int = SESSIONS, cores: Sequence[int] = CORES
) -> Shares:
    """Let sessions step, and a loop for each core that does nothing else, in turn.

    Args:
        cluster: Whose compute machines step.
        count: Of the sessions.
        cores: What steps has these alone. If they are not all, everything else has the others,
            which a loop of the lowest priority keeps busy all the time: a core whose neighbour
            rests is faster.
    """
    found, others = Shares(), set(CORES) - set(cores)
    web = [part.pid for part in cluster.processes.values()]
    computes = [part.pid for part in cluster.computes.values()]
    keep_on(others or set(CORES), os.getpid())
    for pid in computes:
        keep_on(set(cores), pid)
    async with AsyncExitStack() as stack:
        bare = [stack.enter_context(BareLoop()) for _ in cores]
        for one in bare:
            keep_on(set(cores), one.pid)
        filling = [stack.enter_context(BareLoop()) for _ in others]
        for one in filling:
            psutil.Process(one.pid).nice(19)
        threads = stack.enter_context(ThreadPoolExecutor(len(CORES)))
        sessions = [
            Stepper(await stack.enter_async_context(client_of(cluster, "a"))) for _ in range(count)
        ]

        async def run(loops: list[BareLoop], seconds: float) -> float:
            made = [threads.submit(one.run, seconds) for one in loops]
            return sum(await asyncio.gather(*map(asyncio.wrap_future, made)))

        for _ in range(ROUNDS):
            of_bare, _ = await asyncio.gather(run(bare, SLICE_S), run(filling, SLICE_S))
            found.bare.append(of_bare)
            await asyncio.gather(*(session.start() for session in sessions))
            filled = asyncio.create_task(run(filling, WARM_S + SLICE_S))
            await asyncio.sleep(WARM_S)
            used = cpu_of(web), cpu_of(computes)
            before, began = [session.step for session in sessions], time.monotonic()
            await asyncio.sleep(SLICE_S)
            took = time.monotonic() - began
            steps = [session.step - first for session, first in zip(sessions, before, strict=True)]
            found.web.append((cpu_of(web) - used[0]) / took / count)
            found.computes.append((cpu_of(computes) - used[1]) / took / count)
            found.steps.append(sum(steps) / took)
            found.slowest.append(min(steps) / statistics.mean(steps))
            await asyncio.gather(filled, *(session.stop() for session in sessions))
    return found


def share_lines(shared: Shares, apart: Shares) -> list[str]:
    def middle(name: str) -> str:
        return " | ".join(
            f"{statistics.median(getattr(found, name)):.3g}" for found in (shared, apart)
        )

    ratios = " | ".join(f"{ratio(found.steps, found.bare):.2f}" for found in (shared, apart))
    return [
        "Sessions of a step of 10 ms in pure Python, each watched at one web process, in turn with "
        f"a loop for each core that does nothing else; medians of {ROUNDS} rounds. First all share "
        f"the {len(CORES)} cores. Then the compute machines, two of them all the same, have one "
        "core alone, as they have their own where they are machines, and everything else has the "
        "other:",
        "",
        f"| | {SESSIONS} sessions, {len(CORES)} cores for all | {APART} sessions, a core alone |",
        "| --- | --- | --- |",
        f"| bare loops, steps/s together | {middle('bare')} |",
        f"| sessions, steps/s together | {middle('steps')} |",
        f"| share of the bare loops | {ratios} |",
        f"| the slowest session, of the mean | {middle('slowest')} |",
        f"| both web processes, of a core for each session | {middle('web')} |",
        f"| both compute machines, without the steps, likewise | {middle('computes')} |",
    ]


def report(
    starts: dict[str, list[float]],
    ages: list[float],
    queue: tuple[dict[str, list[float]], bool, list[float]],
    shares: tuple[Shares, Shares],
    memory: float,
) -> str:
    times, in_order, pings = queue
    names = {
        "enqueue": "a session comes to wait",
        "look": "whose turn it is, of all",
        "claim": "a claim",
    }
    asked = {names[name]: values for name, values in times.items()}
    return "\n".join(
        [
            "# Compute machines",
            "",
            f"{datetime.date.today()}, Python {platform.python_version()}, {os.cpu_count()} cores; "
            "two web processes, two compute machines, Redis, PostgreSQL and the clients on the "
            "same machine. Made by `make bench-compute`.",
            "",
            "With a free place, in ms:",
            "",
            *table(starts),
            "",
            f"The age of a frame of {FRAME_BYTES:,} bytes, from a compute machine to a viewer at a "
            f"web process, in ms; {PER_SECOND} a second for {AGES_S} s:",
            "",
            *table({"the compute machine": ages}),
            "",
            f"With {QUEUED:,} sessions that wait, in ms; claims "
            f"{'keep' if in_order else 'DO NOT KEEP'} their order:",
            "",
            *table({**asked, "a `ping` of a web process meanwhile": pings}),
            "",
            *share_lines(*shares),
            "",
            f"A compute machine that runs nothing: {memory:.0f} MB.",
            "",
        ]
    )


def main() -> None:
    os.environ["STEP_ROUNDS"] = str(calibrate())
    cluster = Cluster(
        environment={
            **os.environ,
            "SIMULATIONS": str(ROOT / "benchmarks" / "simulations.py"),
            "LIVESTEP_PROCESS_ENVIRONMENT": "STEP_ROUNDS",
            "LIVESTEP_MAX_SESSIONS_PER_OWNER": str(SESSIONS),
        },
        computes=2,
        places=SESSIONS // 2,
    )
    cluster.start()
    try:
        pids = [part.pid for part in cluster.computes.values()]
        memory = max(psutil.Process(pid).memory_info().rss for pid in pids) / MIB
        starts = asyncio.run(measure_starts(cluster))
        ages = asyncio.run(measure_ages(cluster))
        queue = asyncio.run(measure_queue(cluster))
        shared = asyncio.run(measure_shares(cluster))
        apart = asyncio.run(measure_shares(cluster, APART, CORES[:1]))
        text = report(starts, ages, queue, (shared, apart), memory)
    finally:
        cluster.stop()
    (ROOT / "benchmarks" / "compute.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
