"""A whole site whose parts are killed, frozen and cut off at random, while sessions run and are
watched and controlled; what its clients have seen is checked afterwards.

`FAULT_SECONDS` (20) says how long, `FAULT_SEED` what happens when, `FAULT_COMPUTES` (1) how many
compute machines there are, too: a run that fails says all of it.
"""

import asyncio
import faulthandler
import json
import os
import time
from collections import defaultdict
from itertools import chain

import pytest

from tests.faults import history as checks
from tests.faults.crowd import Crowd
from tests.faults.nemesis import Nemesis, plan
from tests.faults.remains import Remains, look_at, what_is_more
from tests.processes import make_cluster, shell
from tests.servers import ROOT

SECONDS = float(os.environ.get("FAULT_SECONDS", "20"))
SEED = int(os.environ.get("FAULT_SEED", "3"))
# Connections to the broker that kombu keeps, of which a calm process may not have needed all.
KEPT = 2
COMPUTES = int(os.environ.get("FAULT_COMPUTES", "1"))
SESSIONS, VIEWERS = 20, 20
WARM_UP_S = 6.0
# From the last fault until every session has ended, and its viewers and the database know.
END_S = 20.0
# After the clients have left.
QUIET_S = 10.0
LOOKS, LOOK_S = 8, 0.25
MOST_GROWTH = 1.1
# Of threads that wait for the next piece of work: asyncio's, Django's, Twisted's, and those that
# wait for the broker and for the queue in the database.
POOLS = ("asyncio", "ThreadPoolExecutor", "PoolThread", "broker", "placing")
ROWS = """
import json
from streaming.models import StreamSession
print(json.dumps({row.id: [row.state, row.epoch] for row in StreamSession.objects.all()}))
"""
# What the log must not hold.
BAD_WORDS = ("Traceback", "never awaited", "never retrieved", "exception", "Exception")


@pytest.fixture
def cluster():
    cluster = make_cluster(
        computes=COMPUTES,
        SIMULATIONS=str(ROOT / "tests" / "samples" / "marked.py"),
        LIVESTEP_SHUTDOWN_GRACE="3",
        LIVESTEP_ABANDON_GRACE="3",
        LIVESTEP_MAX_THREAD_SESSIONS="20",
        LIVESTEP_MAX_PROCESS_SESSIONS="20",
    )
    cluster.start()
    yield cluster
    for part in cluster.parts:
        part.resume()
    cluster.stop()


@pytest.mark.redis
@pytest.mark.postgres
@pytest.mark.nginx
@pytest.mark.celery
@pytest.mark.timeout(SECONDS + 180)
async def test_nothing_is_lost_doubled_or_left_whatever_fails(cluster, tmp_path):
    faulthandler.cancel_dump_traceback_later()  # It takes longer than a deadlock may.
    few = await undisturbed(cluster, tmp_path / "few", stages=6, seconds=1)
    many = await undisturbed(cluster, tmp_path / "many", stages=SESSIONS, seconds=WARM_UP_S)

    faults = plan(SEED, SECONDS, list(cluster.ours))
    crowd = Crowd(
        cluster, stages=SESSIONS, viewers=VIEWERS, beginnings=tmp_path / "beginnings", seed=SEED
    )
    nemesis = Nemesis(cluster, crowd.clients, SEED)
    try:
        async with crowd:
            await nemesis.run(faults)
            rows = await end(crowd, cluster)
            attending = crowd.attending
        offences = [
            *chain.from_iterable(check(crowd.history) for check in checks.CHECKS),
            *checks.last_frames_that_are_not_final(crowd.history, attending),
            *checks.ends_that_the_database_has_otherwise(crowd.history, attending, rows),
            *checks.beginnings_of_one_session(crowd.beginnings.read_text().splitlines()),
        ]
        assert not offences, "\n".join(map(str, offences[:5]))
        # Who has seen little has proved little.
        frames = sum(one.what == "frame" for one in crowd.history)
        assert frames > SESSIONS * SECONDS, f"only {frames} frames were seen"
        assert not nemesis.offences
        for name, part in cluster.ours.items():
            after = await quiet(part, few[name])
            more = what_is_more(few[name], after, POOLS, KEPT)
            assert not more, "\n".join([f"{name} has more than before:", *more])
            growth = after.memory / many[name].memory
            assert growth < MOST_GROWTH, f"{name} has {growth:.2f} times the memory"
            lines = complaints(part)
            assert not lines, "\n".join([f"{name} has logged:", *lines])
    except BaseException:
        print(f"FAULT_SECONDS={SECONDS:g} FAULT_SEED={SEED} FAULT_COMPUTES={COMPUTES}")  # noqa: T201
        print("\n".join(nemesis.log))  # noqa: T201
        raise


async def undisturbed(cluster, beginnings, *, stages, seconds):
    """Have sessions for a while without a fault; returns what each process has afterwards."""
    crowd = Crowd(cluster, stages=stages, viewers=stages, beginnings=beginnings, seed=SEED)
    async with crowd:
        await asyncio.sleep(seconds)
        await end(crowd, cluster)
    looks = defaultdict(list)
    for _ in range(LOOKS):
        await asyncio.sleep(LOOK_S)
        for name, part in cluster.ours.items():
            looks[name].append(await asyncio.to_thread(look_at, part))
    # What comes and goes by itself, such as a look into the database, is not what stays.
    return {name: min(seen, key=Remains.count) for name, seen in looks.items()}


async def end(crowd, cluster):
    """Have every session ended, and wait until all know it; returns the rows."""
    crowd.is_ending.set()
    deadline = time.monotonic() + END_S
    while not crowd.is_over:
        late = [client for client in crowd.clients if not client.has_seen_the_end]
        assert time.monotonic() < deadline, "\n".join(
            ["these have not seen the end:", *(crowd.story_of(client) for client in late)]
        )
        await asyncio.sleep(0.1)
    while True:
        rows = json.loads(await asyncio.to_thread(shell, cluster, ROWS))
        late = [f"{key} ({state})" for key, (state, _) in rows.items() if state not in checks.ENDED]
        if not late:
            return rows
        assert time.monotonic() < deadline, f"these rows have not ended: {', '.join(late)}"


async def quiet(part, before):
    """Return what a process has once that is no more than before, or after too long a time."""
    deadline = time.monotonic() + QUIET_S
    while True:
        remains = await asyncio.to_thread(look_at, part)
        if not what_is_more(before, remains, POOLS, KEPT) or time.monotonic() > deadline:
            return remains
        await asyncio.sleep(LOOK_S)


def complaints(part):
    """The lines of a process's log that it should not have."""
    lines = part.log_path.read_text().splitlines()
    return [line for line in lines if any(word in line for word in BAD_WORDS)]
