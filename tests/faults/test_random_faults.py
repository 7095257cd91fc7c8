"""A whole site whose parts are killed, frozen and cut off at random, while sessions run and are
watched and controlled; what its clients have seen is checked afterwards.

`FAULT_SECONDS` (60) says how long, `FAULT_SEED` what happens when: a run that fails says both.
"""

import asyncio
import json
import os
import time
from itertools import chain

import pytest

from tests.cluster import make_cluster, shell
from tests.faults import history as checks
from tests.faults.crowd import Crowd
from tests.faults.nemesis import Nemesis, plan
from tests.faults.remains import look_at, what_is_more
from tests.server import ROOT

SECONDS = float(os.environ.get("FAULT_SECONDS", "60"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
SESSIONS, VIEWERS = 20, 20
WARM_UP_S = 8.0
# From the last fault until every session has ended, and its viewers and the database know.
END_S = 20.0
# After the clients have left.
QUIET_S = 10.0
MOST_GROWTH = 1.1
# Of threads that wait for the next piece of work: asyncio's, Django's, Twisted's.
POOLS = ("asyncio", "ThreadPoolExecutor", "PoolThread")
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
@pytest.mark.timeout(SECONDS + 120)
async def test_nothing_is_lost_doubled_or_left_whatever_fails(cluster, tmp_path):
    crowd = Crowd(
        cluster, stages=SESSIONS, viewers=VIEWERS, beginnings=tmp_path / "warm-up", seed=SEED
    )
    async with crowd:
        await asyncio.sleep(WARM_UP_S)  # As much of everything as there will be.
        await end(crowd, cluster)
    fresh = {name: await quiet(part, None) for name, part in cluster.processes.items()}

    faults = plan(SEED, SECONDS, list(cluster.processes))
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
            *checks.sessions_that_are_forgotten(crowd.history, nemesis.killed),
            *checks.beginnings_of_one_session(crowd.beginnings.read_text().splitlines()),
        ]
        assert not offences, "\n".join(map(str, offences[:5]))
        for name, part in cluster.processes.items():
            after = await quiet(part, fresh[name])
            assert what_is_more(fresh[name], after, POOLS) == [], name
            assert after.memory < fresh[name].memory * MOST_GROWTH, name
        for part in cluster.processes.values():
            assert not complaints(part), part.name
    except BaseException:
        print(f"FAULT_SECONDS={SECONDS:g} FAULT_SEED={SEED}")  # noqa: T201
        print("\n".join(nemesis.log))  # noqa: T201
        raise


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


async def quiet(part, fresh):
    """Wait until a process has no more than it had before, but not for ever."""
    deadline = time.monotonic() + QUIET_S
    while True:
        remains = await asyncio.to_thread(look_at, part)
        is_calm = "pump" not in remains.tasks and not what_is_more(fresh or remains, remains, POOLS)
        if is_calm or time.monotonic() > deadline:
            return remains
        await asyncio.sleep(0.2)


def complaints(part):
    """The lines of a process's log that it should not have."""
    lines = part.log_path.read_text().splitlines()
    return [line for line in lines if any(word in line for word in BAD_WORDS)]
