"""Sessions on compute machines: real Celery workers, with Redis and PostgreSQL, and what becomes of
the sessions when one of the parts is gone.

The line to one machine is cut by a proxy; with FAULT_NAMESPACES=1 that machine is in a network
namespace of its own, and its wire is pulled out, which takes root:

    FAULT_NAMESPACES=1 python -m pytest tests/live/test_compute.py -k cut_off
"""

import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack
from itertools import accumulate

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from streaming.cluster.broker import Broker
from tests.live.test_cluster import ask, close_of, found, start, until
from tests.machines import (
    PLACES,
    ask_database,
    ensure_running,
    full,
    redis_of,
    row_of,
    running_machines,
)
from tests.processes import clients_of, fetch, reading

pytestmark = [
    *(pytest.mark.redis, pytest.mark.postgres, pytest.mark.nginx, pytest.mark.celery),
    pytest.mark.timeout(150),  # With the start of seven programs, beside other tests.
]
MOST_QUEUED, STARTS, WATCHED = 30, 200, 20
MOST_IDLE_BYTES = 120 * 2**20
# What Redis is frozen for.
FREEZE_S = 5
ENDED = ("stopped", "failed", "finished", "lost")
ROWS = "SELECT state, epoch, process FROM streaming_streamsession WHERE id = ANY(%s)"


@pytest.fixture(scope="module")
def site():
    with running_machines(
        LIVESTEP_SHUTDOWN_GRACE="2",
        LIVESTEP_ABANDON_GRACE="5",
        LIVESTEP_MAX_QUEUED=str(MOST_QUEUED),
    ) as site:
        yield site


@pytest.fixture
def cluster(site):
    return site[0]


@pytest.fixture
def line(site):
    return site[1]


@pytest.fixture(autouse=True)
def _everything_runs(cluster):
    """Before each test, so that nothing is started for none after the last."""
    ensure_running(cluster)


@pytest.fixture
def redis(cluster):
    with redis_of(cluster) as redis:
        yield redis


@pytest.fixture
def knock(cluster, settings):
    """Send messages by hand, as a broker that delivers one again: to a queue, for a session."""
    settings.LIVESTEP = {"BROKER_URL": cluster.redis.url}
    broker = Broker()
    yield lambda queue, session, times=1: broker.send(queue, [(session, "again")] * times)
    broker.close()


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


@pytest.fixture
def marks(tmp_path):
    """The parameters of a sample that notes each of its beginnings, and how often one has begun."""
    beginnings = tmp_path / "beginnings"

    def params(label):
        return {"params": {"label": label, "beginnings": str(beginnings)}, "fps": 5}

    def count():
        return Counter(line.split()[0] for line in beginnings.read_text().splitlines())

    params.count = count
    return params


def ended(messages):
    return [m for m in messages if m.get("type") == "session" and m["state"] in ENDED]


def frames(messages):
    return found(messages, type="frame")


async def running(messages):
    await until(lambda: frames(messages))


async def waiting(messages, position=1):
    await until(lambda: found(messages, type="session", queue_position=position))


async def taken(redis, queue="livestep"):
    """Wait until a machine has taken the last message of a queue."""
    await until(lambda: redis.llen(queue) == 0)


async def test_runs_there_and_is_watched_and_controlled_from_everywhere(cluster, open_client, run):
    began = time.monotonic()
    started, _owner, seen = await run()
    session = started["session"]
    await running(seen)
    assert time.monotonic() - began < 5
    states = [m["state"] for m in seen if m.get("type") == "session"]
    assert states[0] == "queued"
    async with asyncio.timeout(5):  # It is written beside the first frames.
        while (row := await asyncio.to_thread(row_of, cluster, session))[0] == "starting":
            await asyncio.sleep(0.05)
    state, epoch, process = row
    assert (state, epoch) == ("running", 1)
    assert process.startswith("compute")
    # One that runs nothing.
    idle = psutil.Process(cluster.computes["compute3"].pid)
    assert idle.memory_info().rss < MOST_IDLE_BYTES

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


async def test_those_without_a_place_wait_their_turn(cluster, open_client, run, knock, marks):
    first = await run("marked_apart", **marks("x"))
    await running(first[2])
    others = [await run(process="ab"[number % 2]) for number in range(PLACES - 1)]
    for _started, _owner, seen in others:
        await running(seen)
    late = [await run(process="ab"[number % 2]) for number in range(3)]
    for position, (_started, _owner, seen) in enumerate(late, start=1):
        await waiting(seen, position)
    # Messages that come twice, or long after, begin nothing a second time.
    await asyncio.to_thread(knock, "livestep", first[0]["session"], 6)
    # A waiting one is stopped from another process, and the others move up.
    stopped, _owner, seen = late[0]
    other = await open_client("b")
    watching = await other.watch(stopped["session"], token=stopped["token"])
    assert watching["can_control"]
    assert (await ask(other, "pause"))["code"] == "wrong_state"
    assert (await ask(other, "stop"))["type"] == "ok"
    await until(lambda: ended(seen))
    assert ended(seen)[0]["stop"]["step"] == 0
    await waiting(late[2][2], 2)
    assert not frames(late[1][2])
    await others[0][1].send("stop")
    await running(late[1][2])
    assert not frames(late[2][2])
    await others[1][1].send("stop")
    await running(late[2][2])
    assert marks.count() == {"x": 1}


async def read_rows(cluster, sessions):
    return await asyncio.to_thread(ask_database, cluster, ROWS, list(sessions))


async def test_two_hundred_starts_at_once_for_four_places(cluster, open_client, tmp_path):
    """As many as may wait run, each once and never more at a time than there are places; the
    others are refused with a sentence."""
    clients = await asyncio.gather(*(open_client("ab"[n % 2]) for n in range(STARTS)))
    notes = tmp_path / "notes"

    async def start_and_see_the_end(client):
        params = {"notes": str(notes)}
        answer = await ask(client, "start", simulation="noted", engine="cluster", params=params)
        if answer["type"] == "error":
            assert "the most allowed" in answer["message"]
            return answer["code"]
        assert (await client.until(type="session", state="finished"))["step"] == 2
        return answer["session"]

    told = Counter(await asyncio.gather(*map(start_and_see_the_end, clients)))
    refused = told.pop("too_many_sessions")
    assert len(told) == STARTS - refused >= MOST_QUEUED
    # The rows follow the messages to the viewers.
    deadline = time.monotonic() + 20
    rows = await read_rows(cluster, told)
    while any(state != "finished" for state, *_ in rows):
        rows = await read_rows(cluster, told)
        assert time.monotonic() < deadline, rows
    assert {epoch for _state, epoch, _process in rows} == {1}
    assert {process.partition(" ")[0] for *_, process in rows} == {"compute1", "compute2"}
    signs = notes.read_text()
    assert signs.count("+") == signs.count("-") == len(told)
    at_once = list(accumulate(1 if sign == "+" else -1 for sign in signs))
    assert 2 <= max(at_once) <= PLACES


async def test_a_rolling_restart_of_all_web_processes_ends_nothing(cluster, open_client, marks):
    """Whoever watches comes back through the other process, and sees the session go on in 3 s."""

    async def begin(label):
        client = await open_client("a")
        started = await start(client, "marked_crowd", engine="cluster", **marks(label))
        return client, started["session"], started["token"]

    async def move(client, session, token, other):
        """Return the client that has gone to the other process, and after how many seconds it saw
        something new."""
        before = await client.until(type="frame")
        going.append(session)
        assert (await close_of(client)).code == 1012
        closed = time.monotonic()
        moved = await open_client(other)
        assert (await moved.watch(session, token=token))["can_control"]
        while (await moved.until(type="frame"))["seq"] <= before["seq"]:
            pass
        return (moved, session, token), time.monotonic() - closed

    watched = await asyncio.gather(*(begin(f"s{number}") for number in range(WATCHED)))
    for name, other in ("a", "b"), ("b", "a"):
        going = []
        moves = [asyncio.create_task(move(*one, other)) for one in watched]
        await until(lambda: len(going) == WATCHED)  # noqa: B023
        cluster.processes[name].request_stop()
        watched, gaps = zip(*await asyncio.gather(*moves), strict=True)
        assert max(gaps) < 3
        await asyncio.to_thread(cluster.processes[name]._process.wait, 20)
        await asyncio.to_thread(cluster.processes[name].start)
    for client, _session, _token in watched:
        await client.send("stop")
        await client.until(type="session", state="stopped")
    assert marks.count() == {f"s{number}": 1 for number in range(WATCHED)}


async def test_whatever_becomes_of_the_broker_those_that_wait_run(cluster, run, redis):
    at_work = [await run(process="ab"[number % 2]) for number in range(PLACES)]
    for _started, _owner, seen in at_work:
        await running(seen)

    async def make_room():
        _started, owner, seen = at_work.pop(0)
        await owner.send("stop")
        await until(lambda: ended(seen))

    async def next_runs(session):
        await running(session[2])
        assert (await asyncio.to_thread(row_of, cluster, session[0]["session"]))[1] == 1
        at_work.append(session)

    # Restarted, with a message that waits.
    late = await run()
    await waiting(late[2])
    await until(lambda: redis.llen("livestep"))
    await asyncio.to_thread(cluster.redis.kill)
    await asyncio.to_thread(cluster.redis.start)
    await make_room()
    await next_runs(late)

    # Flushed.
    late = await run(process="b")
    await waiting(late[2])
    redis.flushall()
    await make_room()
    await next_runs(late)

    # At its limit of memory: with a message that waits, and when one is to be sent.
    late = await run()
    await waiting(late[2])
    await until(lambda: redis.llen("livestep"))
    with full(redis):
        later = await run(process="b")
        await waiting(later[2], 2)
        await make_room()
        await next_runs(late)
        await make_room()
        assert not frames(later[2])
    await next_runs(later)

    # Made a replica, which takes nothing from anybody else.
    late = await run()
    await waiting(late[2])
    redis.replicaof("127.0.0.1", "1")
    await make_room()
    assert not frames(late[2])
    redis.replicaof("NO", "ONE")
    await next_runs(late)

    # Frozen, while somebody starts one.
    await make_room()
    await asyncio.to_thread(cluster.redis.pause)
    late = await run()
    await asyncio.sleep(FREEZE_S)  # The fault itself.
    await asyncio.to_thread(cluster.redis.resume)
    await next_runs(late)


async def test_a_message_is_no_session(cluster, run, redis, knock):
    """Two machines that take one at once do not both run it, and one of a machine that could not
    claim it is sent again."""
    postgres = cluster.postgres
    for fail, mend, times in (
        (postgres.pause, postgres.resume, 2),
        (postgres.kill, postgres.start, 1),
    ):
        with full(redis):  # Or a machine would have the message at once.
            one = await run()
            await asyncio.to_thread(fail)
        # Both machines wait for a message, and Redis serves them in turn.
        await asyncio.to_thread(knock, "livestep", one[0]["session"], times)
        await taken(redis)
        await asyncio.to_thread(mend)
        await running(one[2])
        assert (await asyncio.to_thread(row_of, cluster, one[0]["session"]))[1] == 1


async def test_who_placed_it_and_who_took_it_are_lost_before_the_claim(
    cluster, open_client, run, redis, knock, marks
):
    with full(redis):
        first = await run("marked_crowd", "b", **marks("taken"))
        await asyncio.to_thread(cluster.postgres.pause)
    await asyncio.to_thread(knock, "crowd", first[0]["session"])
    # The machine has the message, and waits for the database.
    await taken(redis, "crowd")
    await asyncio.to_thread(cluster.computes["compute3"].kill)
    await asyncio.to_thread(cluster.postgres.resume)
    # No machine of this queue is there.
    started, _owner, _seen = await run("marked_crowd", "a", **marks("placed"))
    viewer = await open_client("b")
    assert (await viewer.watch(started["session"], token=started["token"]))["can_control"]
    await asyncio.to_thread(cluster.processes["a"].kill)
    redis.delete("crowd")
    await asyncio.to_thread(cluster.computes["compute3"].start)
    await running(first[2])
    await viewer.until(type="frame")
    await viewer.send("stop")
    await viewer.until(type="session", state="stopped")
    assert marks.count() == {"taken": 1, "placed": 1}


async def test_a_machine_that_is_asked_to_end(cluster, run, marks):
    """It takes nothing more, lets sessions go on for their grace, and stops them in order. What
    waits stays where it was, and runs where there is a place."""
    # Nobody else knows the first three.
    kinds = ("marked_apart", "marked_apart", "marked_deaf")
    goes_on, paused, deaf = [await run(kind, **marks(f"s{n}")) for n, kind in enumerate(kinds)]
    for _started, _owner, seen in (goes_on, paused, deaf):
        await running(seen)
    await paused[1].send("pause")
    await until(lambda: found(paused[2], type="session", state="paused"))
    elsewhere = await run()
    await running(elsewhere[2])
    late = await run()
    await waiting(late[2])
    began = time.monotonic()
    cluster.computes["compute1"].request_stop()
    told = [seen for _started, _owner, seen in (goes_on, paused, deaf)]
    await until(lambda: all(found(seen, code="server_stopping") for seen in told))
    assert time.monotonic() - began < 2
    hows = []
    for seen in told:
        await until(lambda s=seen: ended(s))
        stop = ended(seen)[0]["stop"]
        assert stop["by"] == "shutdown"
        hows.append(stop["how"])
        await until(lambda s=seen: found(s, type="frame", final=True))
    assert hows == ["flag", "flag", "kill"]
    assert time.monotonic() - began > 1.5
    assert await asyncio.to_thread(cluster.computes["compute1"]._process.wait, 20) == 0
    assert not ended(late[2])
    # Nobody who is left knows that one.
    unknown = await run("marked_apart", **marks("x"))
    await until(lambda: found(unknown[2], type="notice", code="waiting"))
    assert "knows marked_apart" in found(unknown[2], code="waiting")[0]["message"]
    await elsewhere[1].send("stop")
    await running(late[2])
    assert not frames(unknown[2])
    await asyncio.to_thread(cluster.computes["compute1"].start)
    await running(unknown[2])


async def test_a_machine_that_is_killed_frozen_or_cut_off(cluster, line, run, marks):
    """Their sessions are lost, and never seen twice; meanwhile new ones wait."""
    sessions = [await run() for _ in range(PLACES)]
    sessions.append(await run("marked_crowd", "b", **marks("cut")))
    for _started, _owner, seen in sessions:
        await running(seen)
    began = time.monotonic()
    line.cut()
    await asyncio.to_thread(cluster.computes["compute1"].kill)
    await asyncio.to_thread(cluster.computes["compute2"].pause)
    late = [await run(), await run("marked_crowd", **marks("later"))]
    for _started, _owner, seen in late:
        await until(lambda s=seen: found(s, type="notice", code="waiting"))
        assert "No compute machine is there" in found(seen, code="waiting")[0]["message"]
    for _started, _owner, seen in sessions:
        await until(lambda s=seen: found(s, type="session", state="lost"))
        assert found(seen, type="session", state="lost")[-1]["epoch"] == 2
    assert time.monotonic() - began < 25  # 15 s, and what a busy machine takes
    counts = [len(frames(seen)) for _started, _owner, seen in sessions]
    await asyncio.to_thread(cluster.computes["compute2"].resume)
    line.mend()
    for _started, _owner, seen in late:
        await running(seen)
    assert [len(frames(seen)) for _started, _owner, seen in sessions] == counts
    session = sessions[0][0]["session"]
    assert (await asyncio.to_thread(row_of, cluster, session))[:2] == ("lost", 2)
    assert marks.count() == {"cut": 1, "later": 1}
