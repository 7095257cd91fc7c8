"""Breaks the parts of a site, one after the other and several at once, as a seed says."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass
from random import Random

from development.parts import CHILDREN_END_S, PartFailed
from development.processes import wait_for_end

# How likely each kind is, and how many seconds it lasts: from, to.
KINDS = {
    "kill": (3, 0.0, 4.0),
    "term": (2, 0.0, 1.0),
    "freeze": (3, 1.0, 5.0),
    # Longer than anybody waits for a sign of life.
    "freeze long": (1, 13.0, 16.0),
    "kill redis": (2, 0.0, 4.0),
    "freeze redis": (2, 1.0, 5.0),
    "cut redis": (2, 0.0, 0.0),
    "kill postgres": (2, 0.0, 4.0),
    "freeze postgres": (2, 1.0, 5.0),
    "move": (3, 0.0, 0.0),
    "cut": (3, 0.0, 0.0),
}
# Between the beginnings of two faults.
PAUSE_S = (0.3, 2.0)
# A part is left alone for so long after a fault, or it would never do anything.
REST_S = 4.0
START_S, RESTART_S = 20.0, 1.0
# How many of the clients are moved or cut at once.
CLIENTS = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to a part, and is undone so many seconds later."""

    at: float
    kind: str
    target: str
    seconds: float

    @property
    def end(self):
        return self.at + self.seconds

    def __str__(self):
        return f"{self.at:7.2f} s {self.kind} {self.target} for {self.seconds:.2f} s"


def plan(seed, duration, processes):
    """Choose faults that are all undone before so many seconds: always the same of one seed."""
    random = Random(seed)
    kinds, weights = list(KINDS), [weight for weight, _, _ in KINDS.values()]
    free_from = defaultdict(float)
    faults, at = [], 0.0
    while (at := at + random.uniform(*PAUSE_S)) < duration:
        kind = random.choices(kinds, weights)[0]
        _, shortest, longest = KINDS[kind]
        target = _target(kind, random, processes)
        fault = Fault(at, kind, target, random.uniform(shortest, longest))
        if free_from[target] <= at and fault.end <= duration:
            faults.append(fault)
            free_from[target] = fault.end + (REST_S if fault.seconds or "cut" not in kind else 0)
    return faults


def _target(kind, random, processes):
    if kind in ("kill", "term", "freeze", "freeze long"):
        return random.choice(processes)
    for part in ("redis", "postgres"):
        if part in kind:
            return part
    return "clients"


class Nemesis:
    """Has the faults happen to a cluster and its clients.

    Args:
        clients: Have `move()` and `cut()`.
    """

    def __init__(self, cluster, clients, seed):
        self._cluster, self._clients, self._random = cluster, clients, Random(seed)
        # One fault at a time for each part, however long it takes to start again.
        self._locks = defaultdict(asyncio.Lock)
        self.began = time.monotonic()
        # What has happened, with its time in the run.
        self.log = []
        # What a part did that it should not have, when it was asked to end or was killed.
        self.offences = []

    async def run(self, faults):
        """Have them happen, each at its time, and everything whole again in the end."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(self.began + fault.at - time.monotonic())
                group.create_task(self._cause(fault))

    async def _cause(self, fault):
        async with self._locks[fault.target]:
            self._note(f"{fault.kind} {fault.target}")
            await getattr(self, f"_{fault.kind.split()[0]}")(fault)
            if fault.seconds:
                self._note(f"{fault.target} is whole again")

    async def _kill(self, fault):
        part = self._part(fault.target)
        is_our_own = fault.target in self._cluster.ours
        if is_our_own and (orphans := await asyncio.to_thread(_kill_first, part)):
            self.offences.append(f"{fault} has left {orphans}")
        await asyncio.to_thread(part.kill)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(_start, part)

    async def _term(self, fault):
        part = self._part(fault.target)
        await asyncio.to_thread(part.stop)
        if status := part._process.returncode:
            self.offences.append(f"{fault} has ended with {status}")
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(_start, part)

    async def _freeze(self, fault):
        part = self._part(fault.target)
        await asyncio.to_thread(part.pause)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(part.resume)

    async def _cut(self, fault):
        if fault.target == "redis":
            await asyncio.to_thread(self._cluster.redis.command, "CLIENT", "KILL", "TYPE", "normal")
            await asyncio.to_thread(self._cluster.redis.command, "CLIENT", "KILL", "TYPE", "pubsub")
            return
        for client in self._some_clients():
            client.cut()

    async def _move(self, fault):
        for client in self._some_clients():
            client.move()

    def _some_clients(self):
        return self._random.sample(self._clients, min(CLIENTS, len(self._clients)))

    def _part(self, name):
        return self._cluster.ours.get(name) or getattr(self._cluster, name)

    def _note(self, what):
        self.log.append(f"{time.monotonic() - self.began:7.2f} s {what}")


def _kill_first(part):
    """Kill the first of a part's processes; return those below it that do not end with it."""
    below = part.processes()
    os.kill(part.pid, signal.SIGKILL)
    return wait_for_end(below, CHILDREN_END_S)


def _start(part):
    """Start a part again, as systemd would: a process ends at once while its database is away."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            return part.start()
        except PartFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(RESTART_S)
