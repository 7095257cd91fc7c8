"""A server that is attacked while its parts fail, and what its honest clients notice of that.

`SOAK_SECONDS` (60; as long as you like) says how long, `SOAK_SEED` who attacks and what fails when:

    SOAK_SECONDS=600 python -m pytest tests/faults/test_soak.py -n 0 -s --timeout=0
"""

import asyncio
import faulthandler
import json
import os
import re
import resource
import signal
import sqlite3
import statistics
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress
from random import Random
from types import SimpleNamespace

import psutil
import pytest

from streaming.sessions.pool import KEEP_ENDED_BYTES
from tests.attackers import KINDS, attacking
from tests.faults.honest import Honest
from tests.faults.remains import look_at
from tests.servers import ROOT, Server

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
SEED = int(os.environ.get("SOAK_SEED", "3"))
IS_LONG = SECONDS >= 300
OWNERS, VIEWERS, ATTACKERS = 10, 20, 5
CALM_S, FAULT_S, TURN_S = 5.0, 1.0, 3.0
WAIT_S, FORGOTTEN_S = 30, 90
# What honest clients may notice: so much at p99, or more where the machine is busy with others, so
# that they notice it in calm, too. A short run, beside other tests, only tells a stall: the median.
MOST_PING_S = 0.1 if IS_LONG else 0.5
LEAST_FRAMES = 0.8 if IS_LONG else 0.5
MOST_TIMES_CALM = 4
# A short run looks before what attackers have begun has ended.
MOST_GROWTH = 1.15 if IS_LONG else 1.5


@pytest.fixture
def server(tmp_path):
    server = Server(
        tmp_path,
        SIMULATIONS=str(ROOT / "tests" / "samples" / "marked.py"),
        LIVESTEP_MAX_THREAD_SESSIONS="40",
        LIVESTEP_MAX_PROCESS_SESSIONS="20",
        LIVESTEP_MAX_SESSIONS_PER_OWNER="20",
    )
    yield server
    server.process.kill()
    server.close()


# What fails, each for FAULT_S.


def fork_server(server):
    """Return the fork server, and the children that it has."""
    for process in psutil.Process(server.process.pid).children():
        with suppress(psutil.Error):
            if "streaming.engine.isolation.forking" in process.cmdline():
                return process, process.children()
    return None, []


def signalled(number, then=None, *, child=False):
    @contextmanager
    def fault(server):
        process, children = fork_server(server)
        target = (children[0] if children else None) if child else process
        with suppress(psutil.Error):
            if target is not None:
                target.send_signal(number)
        yield
        with suppress(psutil.Error):
            if target is not None and then is not None:
                target.send_signal(then)

    return fault


@contextmanager
def database_locked(server):
    path = f"{server.environment['VAR_DIR']}/db.sqlite3"
    lasting = sqlite3.connect(path, isolation_level=None, timeout=WAIT_S, check_same_thread=False)
    with closing(lasting) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def limited(kind, limit):
    @contextmanager
    def fault(server):
        process = psutil.Process(server.process.pid)
        before = resource.prlimit(process.pid, kind)
        resource.prlimit(process.pid, kind, (limit(process.pid), before[1]))
        yield
        # What was started meanwhile has it too.
        for each in (process, *process.children(recursive=True)):
            with suppress(ProcessLookupError):
                resource.prlimit(each.pid, kind, before)

    return fault


FAULTS = {
    "the fork server is stopped": signalled(signal.SIGSTOP),
    "the fork server is killed": signalled(signal.SIGKILL),
    "a child is stopped": signalled(signal.SIGSTOP, signal.SIGCONT, child=True),
    "a child is killed": signalled(signal.SIGKILL, child=True),
    "the database is locked": database_locked,
    "the disk is full": limited(resource.RLIMIT_FSIZE, lambda pid: 0),
    "descriptors run out": limited(
        resource.RLIMIT_NOFILE, lambda pid: len(os.listdir(f"/proc/{pid}/fd"))
    ),
}


async def attacked(server, random, seconds):
    """Let five attack, others every few seconds, while one thing after the other fails.

    All that takes time happens on threads, since the clients measure on this event loop.
    """
    end, kinds, faults = time.monotonic() + seconds, [], []
    while time.monotonic() < end:
        if len(kinds) < ATTACKERS:
            kinds = random.sample(KINDS, len(KINDS))
        attacks = ExitStack()
        try:
            for _ in range(ATTACKERS):
                attack = attacking(kinds.pop(), server.port)
                await asyncio.to_thread(attacks.enter_context, attack)
            turn = time.monotonic() + TURN_S
            while time.monotonic() < turn:
                faults = faults or random.sample(list(FAULTS), len(FAULTS))
                with ExitStack() as fault:
                    await asyncio.to_thread(fault.enter_context, FAULTS[faults.pop()](server))
                    await asyncio.sleep(FAULT_S)
                await asyncio.sleep(FAULT_S)
        finally:
            await asyncio.to_thread(attacks.close)


def look(clients, since, counted):
    """Return what the clients have seen since then: pings in s, frames of those counted."""
    pings = [ping for client in clients for ping in client.pings]
    for client in clients:
        client.pings = []
    frames = sum(client.frames for client in counted)
    return pings, frames / (time.monotonic() - since), frames


def of_all(pings):
    return p99(pings) if IS_LONG else statistics.median(pings)


def p99(pings):
    return statistics.quantiles(pings, n=100)[98]


def in_words(pings):
    return f"{1000 * statistics.median(pings):.1f} ms (p99 {1000 * p99(pings):.1f})"


def in_mb(remains):
    return f"{remains.memory / 2**20:.0f}"


def steps_in(remains):
    """How many threads the sessions have that still run."""
    return sum("step-" in name for name in remains.threads)


def is_ready(server):
    try:
        with urllib.request.urlopen(server.url + "/readyz", timeout=WAIT_S) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        with error:
            return json.loads(error.read())["status"] == "ready"


@pytest.mark.timeout(SECONDS + 150)
async def test_honest_clients_are_served_whatever_the_others_do(server, tmp_path):
    faulthandler.cancel_dump_traceback_later()  # It takes longer than a deadlock may.
    random, beginnings = Random(SEED), tmp_path / "beginnings"
    owners = [
        Honest(server, "marked_apart" if number % 5 == 0 else "marked", f"o{number}", beginnings)
        for number in range(OWNERS)
    ]
    viewers = [
        Honest(server, "", "", beginnings, watched=owners[n % OWNERS]) for n in range(VIEWERS)
    ]
    clients = [*owners, *viewers]
    # The sessions of others end with their processes, which are made to.
    steady = [client for number, client in enumerate(clients) if number % OWNERS % 5]
    running = [asyncio.create_task(client.run()) for client in clients]
    part = SimpleNamespace(environment=server.environment, pid=server.process.pid, name="server")
    try:
        async with asyncio.timeout(WAIT_S):
            while not all(client.frames for client in clients):
                await asyncio.sleep(0.1)
        began, frames = time.monotonic(), sum(client.frames for client in steady)
        await asyncio.sleep(CALM_S)
        calm_pings, _, after = look(clients, began, steady)
        calm_rate = (after - frames) / (time.monotonic() - began)
        before = await asyncio.to_thread(look_at, part)

        began = time.monotonic()
        await attacked(server, random, SECONDS)
        pings, _, last = look(clients, began, steady)
        rate = (last - after) / (time.monotonic() - began)
        closes = Counter(code for client in clients for code in client.closes)
        print(  # noqa: T201
            f"\nping {in_words(calm_pings)} calm, {in_words(pings)} attacked; frames "
            f"{calm_rate:.1f}/s calm, {rate:.1f}/s attacked; starts "
            f"{sum(owner.starts for owner in owners)}; closed: {dict(closes)}"
        )
        assert not closes, "an honest client was cut off"
        assert rate >= LEAST_FRAMES * calm_rate

        # And everything works again.
        async with asyncio.timeout(WAIT_S):
            while not await asyncio.to_thread(is_ready, server):
                await asyncio.sleep(0.1)
            seen = [client.frames for client in clients]
            while not all(
                client.frames > frames for client, frames in zip(clients, seen, strict=True)
            ):
                await asyncio.sleep(0.1)
        after = await asyncio.to_thread(look_at, part)
        print(f"memory {in_mb(before)} → {in_mb(after)} MB")  # noqa: T201
        # Sessions that have ended stay watchable: theirs is what they may keep together.
        most = MOST_GROWTH * (before.memory + KEEP_ENDED_BYTES)
        # What attackers have left ends some time after them, and its memory is given back.
        deadline = time.monotonic() + FORGOTTEN_S
        while IS_LONG and (steps_in(after) > steps_in(before) or after.memory > most):
            assert time.monotonic() < deadline, (in_mb(after), after.threads)
            await asyncio.sleep(1)
            after = await asyncio.to_thread(look_at, part)
        print(f"later {in_mb(after)} MB")  # noqa: T201
        assert after.memory <= most
        labels = Counter(line.split()[0] for line in beginnings.read_text().splitlines())
        assert max(labels.values()) == 1, "a session has begun twice"
        # What an author's code raises is said with where: its file cannot be opened now and then.
        log = re.sub(r"failed:\n *Traceback", "", server.read_log())
        assert "Traceback" not in log
        assert "never awaited" not in log
        # Last, since a machine that is busy with others shows here first.
        assert of_all(pings) <= max(MOST_PING_S, MOST_TIMES_CALM * of_all(calm_pings))
    except BaseException:
        print(f"SOAK_SECONDS={SECONDS:g} SOAK_SEED={SEED}\n{server.read_log()[-4000:]}")  # noqa: T201
        raise
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert await asyncio.to_thread(server.stop) == 0
