"""Sessions on compute machines: real Celery workers, with Redis and PostgreSQL, and what becomes of
the sessions when one of the parts is gone."""

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import ConnectionClosed

from tests.live.test_cluster import ask, close_of, found, start, until
from tests.processes import SAMPLES, clients_of, fetch, make_cluster, reading, shell
from tests.servers import ROOT

pytestmark = [
    *(pytest.mark.redis, pytest.mark.postgres, pytest.mark.nginx, pytest.mark.celery),
    pytest.mark.timeout(150),  # With the start of six programs, beside other tests.
]
MARKED = str(ROOT / "tests" / "samples" / "marked.py")
ROW = (
    "from streaming.models import StreamSession as S; "
    "print(*S.objects.filter(pk='{}').values_list('state', 'epoch', 'process').get(), sep='|')"
)
KNOCK = "from streaming.runtime import runtime as r; r.broker.send('livestep', [('{}', 'x')] * {})"
PLACES = 4


@pytest.fixture(scope="module")
def cluster():
    cluster = make_cluster(
        computes=2,
        SIMULATIONS=f"{SAMPLES},{MARKED}",
        LIVESTEP_SHUTDOWN_GRACE="2",
        LIVESTEP_ABANDON_GRACE="5",
    )
    # One of the two machines does not know all that the site has.
    cluster.computes["compute2"].environment["SIMULATIONS"] = SAMPLES
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(autouse=True)
def _everything_runs(cluster):
    """Before each test, so that nothing is started for none after the last."""
    parts = (cluster.redis, cluster.postgres)
    for part in (*parts, *cluster.processes.values(), *cluster.computes.values()):
        part.resume()
        if not part.is_running:
            part.start()


@pytest.fixture
async def open_client(cluster):
    async with clients_of(cluster) as open_client:
        yield open_client


@pytest.fixture
async def run(open_client):
    """Start a session on a compute machine; gives its start, its owner, and what that is told."""
    async with AsyncExitStack() as stack:
        owners = []

        async def run(simulation="counter", process="a", **fields):
            owner = await open_client(process)
            started = await start(owner, simulation, engine="cluster", **fields)
            owners.append((owner, messages := await stack.enter_async_context(reading(owner))))
            return started, owner, messages

        yield run
        for owner, messages in owners:
            try:
                await owner.send("stop")
                await until(lambda m=messages: ended(m))
            except ConnectionClosed:
                pass


def ended(messages):
    over = ("stopped", "failed", "finished", "lost")
    return [m for m in messages if m.get("type") == "session" and m["state"] in over]


def frames(messages):
    return found(messages, type="frame")


async def running(messages):
    await until(lambda: frames(messages))


async def test_runs_there_and_is_watched_and_controlled_from_everywhere(cluster, open_client, run):
    began = time.monotonic()
    started, _owner, seen = await run()
    session = started["session"]
    await running(seen)
    assert time.monotonic() - began < 5
    states = [m["state"] for m in seen if m.get("type") == "session"]
    assert states[0] == "queued"
    row = (await asyncio.to_thread(shell, cluster, ROW.format(session))).split("|")
    assert row[:2] == ["running", "1"]
    assert row[2].startswith("compute")

    other = await open_client("b")
    watching = await other.watch(session, token=started["token"])
    assert watching["can_control"]
    assert (await other.until(type="session"))["engine"] == "cluster"
    await other.until(type="frame")
    assert (await ask(other, "pause"))["type"] == "ok"
    await other.until(type="session", state="paused")
    assert (await ask(other, "resume"))["type"] == "ok"
    assert (await ask(other, "set", params={"level": 7}))["type"] == "ok"
    await until(lambda: any(m.get("params", {}).get("level") == 7 for m in seen))
    stranger = await open_client("b")
    assert not (await stranger.watch(session))["can_control"]
    assert (await ask(stranger, "stop"))["code"] == "forbidden"
    for _ in range(3):
        status, body = await asyncio.to_thread(fetch, cluster, f"/sessions/{session}/state.json")
        assert (status, json.loads(body)["session"]) == (200, session)
    asked = time.monotonic()
    await ask(other, "stop")
    await until(lambda: ended(seen))
    assert time.monotonic() - asked < 2
    assert ended(seen)[0]["stop"]["by"] == "client"
    await until(lambda: found(seen, type="frame", final=True))
    numbers = [frame["seq"] for frame in frames(seen)]
    assert numbers == sorted(numbers)


async def test_a_client_of_the_plain_dialect_is_served_from_there_too(cluster, open_client):
    """As the whole site is, with LIVESTEP_ENGINE=cluster: here one asks for it."""
    client = await open_client("a")
    refused = await ask(client, "start", simulation="broken", engine="cluster")
    assert refused["type"] == "started"
    failed = await client.until(type="session", state="failed")
    assert "ZeroDivisionError" in failed["error"]["message"]
    assert (await ask(client, "start", simulation="finite", engine="cluster"))["type"] == "started"
    assert (await client.until(type="session", state="finished"))["step"] == 3


async def test_those_without_a_place_wait_their_turn(cluster, open_client, run, tmp_path):
    params = {"label": "x", "beginnings": str(tmp_path / "beginnings")}
    first = await run("marked_apart", params=params)
    await running(first[2])
    others = [await run(process="ab"[number % 2]) for number in range(PLACES - 1)]
    for _started, _owner, seen in others:
        await running(seen)
    waiting = [await run(process="ab"[number % 2]) for number in range(3)]
    for position, (_started, _owner, seen) in enumerate(waiting, start=1):
        await until(lambda s=seen, p=position: found(s, type="session", queue_position=p))
    # Messages that come twice, or long after, begin nothing a second time.
    await asyncio.to_thread(shell, cluster, KNOCK.format(first[0]["session"], 6))
    # A waiting one is stopped from another process, and the others move up.
    stopped, _owner, seen = waiting[0]
    other = await open_client("b")
    watching = await other.watch(stopped["session"], token=stopped["token"])
    assert watching["can_control"]
    assert (await ask(other, "pause"))["code"] == "wrong_state"
    assert (await ask(other, "stop"))["type"] == "ok"
    await until(lambda: ended(seen))
    assert ended(seen)[0]["stop"]["step"] == 0
    await until(lambda: found(waiting[2][2], type="session", queue_position=2))
    assert not frames(waiting[1][2])
    await others[0][1].send("stop")
    await running(waiting[1][2])
    assert not frames(waiting[2][2])
    await others[1][1].send("stop")
    await running(waiting[2][2])
    assert len((tmp_path / "beginnings").read_text().splitlines()) == 1


async def test_a_restart_of_every_web_process_ends_nothing(cluster, open_client, run):
    started, _owner, _seen = await run()
    session = started["session"]
    for name, other in ("a", "b"), ("b", "a"):
        viewer = await open_client(name)
        await viewer.watch(session)
        before = await viewer.until(type="frame")
        cluster.processes[name].request_stop()
        assert (await close_of(viewer)).code == 1012
        closed = time.monotonic()
        moved = await open_client(other)
        assert (await moved.watch(session, token=started["token"]))["can_control"]
        while (await moved.until(type="frame"))["seq"] <= before["seq"]:
            pass
        assert time.monotonic() - closed < 3
        await asyncio.to_thread(cluster.processes[name]._process.wait, 20)
        await asyncio.to_thread(cluster.processes[name].start)
    await moved.send("stop")
    await moved.until(type="session", state="stopped")


@pytest.mark.parametrize("fault", ["flushed", "database"])
async def test_a_message_that_is_lost_is_sent_again(cluster, run, fault):
    """Redis has lost it; or the machine that took it could not claim."""
    for machine in cluster.computes.values():
        machine.pause()
    await asyncio.sleep(1.5)  # Until Redis gives nothing more to those that had asked for it.
    _started, _owner, seen = await run()
    await until(lambda: cluster.redis.command("LLEN", "livestep").startswith(b":1"))
    if fault == "flushed":
        assert cluster.redis.command("FLUSHALL").startswith(b"+OK")
        for machine in cluster.computes.values():
            machine.resume()
    else:
        await asyncio.to_thread(cluster.postgres.kill)
        for machine in cluster.computes.values():
            machine.resume()
        await until(lambda: cluster.redis.command("LLEN", "livestep").startswith(b":0"))
        await asyncio.to_thread(cluster.postgres.start)
    await running(seen)


async def test_a_machine_that_is_asked_to_end(cluster, open_client, run, tmp_path):
    """It takes nothing more, lets sessions go on for their grace, and stops them in order. What
    waits stays where it was, and runs where there is a place."""
    sessions = [await run() for _ in range(PLACES)]
    for _started, _owner, seen in sessions:
        await running(seen)
    waiting = await run()
    await until(lambda: found(waiting[2], type="session", queue_position=1))
    began = time.monotonic()
    cluster.computes["compute1"].request_stop()
    told = []
    for _ in range(2):  # Its places.
        await until(lambda: len(told_of_the_end(sessions)) == 2)
        told = told_of_the_end(sessions)
    assert time.monotonic() - began < 2
    for seen in told:
        await until(lambda s=seen: ended(s))
        assert ended(seen)[0]["stop"]["by"] == "shutdown"
        await until(lambda s=seen: found(s, type="frame", final=True))
    assert time.monotonic() - began > 1.5
    assert await asyncio.to_thread(cluster.computes["compute1"]._process.wait, 20) == 0
    assert not ended(waiting[2])
    # Nobody who is left knows that one.
    params = {"label": "x", "beginnings": str(tmp_path / "beginnings")}
    unknown = await run("marked_apart", params=params)
    await until(lambda: found(unknown[2], type="notice", code="waiting"))
    assert "knows marked_apart" in found(unknown[2], code="waiting")[0]["message"]
    left = next(one for one in sessions if one[2] not in told)
    await left[1].send("stop")
    await running(waiting[2])
    assert not frames(unknown[2])
    await asyncio.to_thread(cluster.computes["compute1"].start)
    await running(unknown[2])


def told_of_the_end(sessions):
    return [seen for _started, _owner, seen in sessions if found(seen, code="server_stopping")]


async def test_a_machine_that_is_killed_and_one_that_is_frozen(cluster, open_client, run):
    """Their sessions are lost, and never seen twice; meanwhile new ones wait."""
    sessions = [await run() for _ in range(PLACES)]
    for _started, _owner, seen in sessions:
        await running(seen)
    began = time.monotonic()
    await asyncio.to_thread(cluster.computes["compute1"].kill)
    await asyncio.to_thread(cluster.computes["compute2"].pause)
    waiting = await run()
    await until(lambda: found(waiting[2], type="notice", code="waiting"))
    assert "No compute machine is there" in found(waiting[2], code="waiting")[0]["message"]
    for _started, _owner, seen in sessions:
        await until(lambda s=seen: found(s, type="session", state="lost"))
        assert found(seen, type="session", state="lost")[-1]["epoch"] == 2
    assert time.monotonic() - began < 15
    counts = [len(frames(seen)) for _started, _owner, seen in sessions]
    await asyncio.to_thread(cluster.computes["compute2"].resume)
    await running(waiting[2])
    assert [len(frames(seen)) for _started, _owner, seen in sessions] == counts
    for started, _owner, _seen in sessions:
        row = await asyncio.to_thread(shell, cluster, ROW.format(started["session"]))
        assert row.startswith("lost|2")
        break
