"""Several processes behind one Redis and one PostgreSQL: watched and controlled from anywhere,
and what becomes of a session when one of the parts is gone."""

import asyncio
import contextlib
import http.client
import json
import re
import socket
import time

import pytest
from websockets.exceptions import ConnectionClosed

from tests.processes import clients_of, fetch, make_cluster, reading, shell
from tests.visitor import Visitor

pytestmark = [pytest.mark.redis, pytest.mark.postgres, pytest.mark.nginx]
WAIT_S = 20
LIST = "/admin/streaming/streamsession/"
ROW = (
    "from streaming.models import StreamSession as S; "
    "print(*S.objects.filter(pk='{}').values_list('state', 'epoch').get(), sep='|')"
)


@pytest.fixture(scope="module")
def cluster():
    cluster = make_cluster(LIVESTEP_SHUTDOWN_GRACE="5", LIVESTEP_ABANDON_GRACE="2")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(autouse=True)
def _everything_runs_again(cluster):
    yield
    for part in (cluster.redis, cluster.postgres, *cluster.processes.values()):
        part.resume()
        if not part.is_running:
            part.start()


@pytest.fixture
async def open_client(cluster):
    async with clients_of(cluster) as open_client:
        yield open_client


async def start(client, simulation="counter", **fields):
    await client.send("start", simulation=simulation, **fields)
    return await client.until(type="started")


async def ask(client, type, **fields):
    await client.send(type, id="q", **fields)
    return await client.until(id="q")


def ask_process(cluster, name, path):
    """Ask one process over HTTP, past nginx. Returns status and body. Blocks."""
    with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(WAIT_S)
        connection.sock.connect(str(cluster.processes[name].socket_path))
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


async def until_heard(open_client, name):
    """Wait until a process that was just started is one of the others."""
    client = await open_client("a" if name == "b" else "b")
    deadline = time.monotonic() + WAIT_S
    while True:
        await client.send("watch", session=f"{name}-none")
        if (await client.until(type="error"))["code"] == "unknown_session":
            return
        assert time.monotonic() < deadline


async def close_of(client, never=None):
    """Return the close frame of a connection that is ended; None for one that was cut."""
    try:
        while True:
            assert (await client.receive())["type"] != never
    except ConnectionClosed as closed:
        return closed.rcvd


class TestWatching:
    async def test_a_session_is_watched_from_the_other_process(self, open_client):
        owner, viewer = await open_client("a"), await open_client("b")
        session = (await start(owner))["session"]
        assert session.startswith("a-")
        async with reading(owner):
            assert not (await viewer.watch(session))["can_control"]
            state = await viewer.until(type="session")
            assert (state["session"], state["epoch"]) == (session, 1)
            first = await viewer.until(type="frame")
            later = await viewer.until(type="frame")
            assert later["seq"] > first["seq"]
            assert (await viewer.until(type="session", viewers=2))["state"] == "running"
            await owner.send("stop")
            ended = await viewer.until(type="session", state="stopped")
            assert ended["stop"]["by"] == "client"
            while not viewer.frames[-1]["final"]:
                await viewer.until(type="frame")
        assert [frame["seq"] for frame in viewer.frames] == sorted(
            frame["seq"] for frame in viewer.frames
        )

    async def test_who_comes_later_has_state_and_picture_at_once(self, open_client):
        """Of a session that makes no frame by itself: it is paused."""
        owner = await open_client("a")
        session = (await start(owner, "slow"))["session"]
        await owner.until(type="frame")
        await owner.send("pause")
        await owner.until(type="session", state="paused")
        for _ in range(2):
            viewer = await open_client("b")
            await viewer.watch(session)
            assert (await viewer.until(type="session"))["state"] == "paused"
            assert (await viewer.until(type="frame"))["seq"] >= 1
        await owner.send("stop")

    async def test_what_it_has_saved_is_given_out_by_the_other_process(self, cluster, open_client):
        owner = await open_client("a")
        session = (await start(owner, "saves"))["session"]
        told = await owner.until(type="session", state="finished")
        assert told["files"][0] == {"name": "notes.txt", "size": 3}
        path = f"/sessions/{session}/files/notes.txt"
        assert await asyncio.to_thread(ask_process, cluster, "b", path) == (200, "äh".encode())

    async def test_frames_are_no_more_than_are_asked_for(self, open_client):
        """A session that could make 60 a second is republished 15 times a second at most."""
        owner, viewer = await open_client("a"), await open_client("b")
        session = (await start(owner, fps=60))["session"]
        async with reading(owner):
            await viewer.watch(session)
            await viewer.until(type="frame")
            began, before = time.monotonic(), len(viewer.frames)
            while time.monotonic() < began + 2:
                await viewer.receive()
            rate = (len(viewer.frames) - before) / (time.monotonic() - began)
            assert 5 < rate < 16
            await owner.send("stop")

    async def test_a_viewer_elsewhere_keeps_a_session_alive_and_its_leaving_ends_it(
        self, open_client
    ):
        owner, viewer = await open_client("a"), await open_client("b")
        session = (await start(owner))["session"]
        await viewer.watch(session)
        await viewer.until(type="frame")
        await ask(owner, "leave")
        began = time.monotonic()
        while time.monotonic() < began + 3:  # Longer than its grace.
            await viewer.receive()
        await ask(viewer, "leave")
        await viewer.watch(session)
        assert (await viewer.until(type="session"))["state"] == "running"
        await ask(viewer, "leave")
        again = await open_client("a")
        deadline = time.monotonic() + WAIT_S
        while True:
            # Looking in for a moment does not count as long as its grace.
            await again.watch(session)
            state = await again.until(type="session")
            await ask(again, "leave")
            if state["state"] == "stopped":
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(2.5)
        assert state["stop"]["by"] == "abandoned"

    async def test_a_moved_viewer_sees_no_frame_go_back(self, open_client):
        owner = await open_client("a")
        session = (await start(owner))["session"]
        async with reading(owner):
            last = 0
            for name in ("a", "b", "a", "b"):
                viewer = await open_client(name)
                await viewer.watch(session)
                for _ in range(5):
                    frame = await viewer.until(type="frame")
                    assert frame["seq"] >= last
                    last = frame["seq"]
                await viewer.socket.close()
            await owner.send("stop")

    async def test_a_paused_session_is_seen_again_by_who_comes_right_back(self, open_client):
        owner, viewer = await open_client("a"), await open_client("b")
        session = (await start(owner, "slow"))["session"]
        await owner.until(type="frame")
        await owner.send("pause")
        await owner.until(type="session", state="paused")
        for _ in range(3):
            await viewer.watch(session)
            assert (await viewer.until(type="frame"))["seq"] >= 1
        await owner.send("stop")

    async def test_what_the_layer_could_not_carry_costs_nobody_anything(self, open_client):
        owner, viewer = await open_client("a"), await open_client("b")
        started = await start(owner, "counter", params={"size": 10**30})
        async with reading(owner):
            await viewer.watch(started["session"], token=started["token"])
            state = await viewer.until(type="session")
            assert state["params"]["size"] == 10**30
            assert (await ask(viewer, "set", params={"level": 10**30}))["code"] == "invalid_params"
            assert (await ask(viewer, "pause", x=10**30))["type"] == "ok"
            await viewer.until(type="session", state="paused")
            assert (await ask(viewer, "stop"))["type"] == "ok"

    async def test_a_session_that_never_was_is_unknown_everywhere(self, open_client):
        for name in ("a", "b"):
            client = await open_client(name)
            await client.send("watch", session="a-nope")
            assert (await client.until(type="error"))["code"] == "unknown_session"

    async def test_over_http_from_whichever_process(self, cluster, open_client):
        owner = await open_client("b")
        session = await start(owner, "plotting", params={"then": "wait"})
        async with reading(owner):
            page = f"/sessions/{session['session']}"
            for _ in range(4):
                # Not through nginx's routing: what follows an id's prefix is another's.
                status, body = await asyncio.to_thread(fetch, cluster, f"{page}/state.json")
                assert (status, json.loads(body)["session"]) == (200, session["session"])
                status, body = await asyncio.to_thread(fetch, cluster, f"{page}/frame.svg")
                assert (status, body[:4]) == (200, b"<svg")
                status, body = await asyncio.to_thread(fetch, cluster, f"{page}/series.csv")
                assert (status, body[:14]) == (200, b"step,loss,accu")
                status, body = await asyncio.to_thread(fetch, cluster, f"{page}/")
                assert (status, b"live-step" in body) == (200, True)
            await owner.send("stop")


class TestControl:
    @pytest.fixture
    async def both(self, open_client):
        """The owner in one process, and a client in the other that shows the token."""
        owner, other = await open_client("a"), await open_client("b")
        started = await start(owner)
        async with reading(owner):
            watching = await other.watch(started["session"], token=started["token"])
            assert watching["can_control"]
            yield other
            await other.send("stop")
            await other.until(type="session", state="stopped")

    async def test_pause_step_and_resume(self, both):
        assert (await ask(both, "pause"))["type"] == "ok"
        paused = await both.until(type="session", state="paused")
        assert (await ask(both, "step", count=3))["type"] == "ok"
        stepped = await both.until(type="session", state="paused", step=paused["step"] + 3)
        assert stepped["step"] == paused["step"] + 3
        assert (await ask(both, "resume"))["type"] == "ok"
        await both.until(type="session", state="running")

    async def test_set_and_rate(self, both):
        await both.send("set", id="set", params={"level": 7})
        # From another process, the change is told to all viewers before the answer.
        missing = {"answer", "change"}
        while missing:
            message = await both.until()
            if message.get("id") == "set":
                assert message["type"] == "ok"
                missing.discard("answer")
            elif message.get("params", {}).get("level") == 7:
                missing.discard("change")
        assert (await ask(both, "rate", fps=5, steps_per_second=20))["type"] == "ok"
        assert (await both.until(type="session"))["rate"] == {"fps": 5, "steps_per_second": 20}

    async def test_what_does_not_validate_is_said_by_field(self, both):
        refused = await ask(both, "set", params={"level": 99, "size": 2})
        assert refused["code"] == "invalid_params"
        assert set(refused["fields"]) == {"size"}

    async def test_what_makes_no_sense_is_said(self, both):
        assert (await ask(both, "step"))["code"] == "wrong_state"

    async def test_a_stop_comes_with_its_receipt(self, both):
        assert (await ask(both, "stop"))["type"] == "ok"
        ended = await both.until(type="session", state="stopped")
        assert ended["stop"]["how"] == "flag"
        assert ended["stop"]["after_ms"] < 1000
        await both.send("stop")

    async def test_what_it_printed_and_where_it_failed_is_told(self, open_client):
        owner, viewer = await open_client("a"), await open_client("b")
        started = await start(owner, "talks_and_fails")
        await owner.until(type="session", state="failed")
        await viewer.watch(started["session"], token=started["token"])
        told = await ask(viewer, "status", output=True)
        assert told["output"] == ["one", "two"]
        assert told["line"]["code"] == "raise ValueError(3)"
        await viewer.watch(started["session"])
        assert (await ask(viewer, "status", output=True))["code"] == "forbidden"

    async def test_a_stranger_may_only_watch(self, open_client):
        owner, stranger = await open_client("a"), await open_client("b")
        session = (await start(owner))["session"]
        async with reading(owner):
            assert not (await stranger.watch(session, token="wrong"))["can_control"]
            for verb in ("stop", "pause", "resume"):
                assert (await ask(stranger, verb))["code"] == "forbidden"
            await owner.send("stop")

    async def test_from_the_command_line(self, cluster, open_client):
        owner = await open_client("b")
        session = (await start(owner))["session"]
        async with reading(owner) as messages:
            code = (
                "from streaming.management.commands.sessions import stop_from_command as stop; "
                f"print(stop(['{session}', 'a-nope'], 10))"
            )
            said = await asyncio.to_thread(shell, cluster, code)
            assert "by flag (command)" in said
            assert "a-nope" not in said
            await until(lambda: any(m.get("state") == "stopped" for m in messages))


@pytest.fixture(scope="module")
def boss(cluster):
    make = "from django.contrib.auth.models import User as U; U.objects.create_superuser"
    shell(cluster, f"{make}('boss', password='secret')")
    visitor = Visitor(cluster)
    visitor.log_in("boss", "secret")
    return visitor


class TestAdmin:
    async def test_sees_and_stops_the_sessions_of_every_process(self, open_client, boss):
        """Whichever process answers, at least one of the two is another's."""
        owners = [await open_client(name) for name in ("a", "b")]
        ids = [(await start(owner))["session"] for owner in owners]
        async with reading(owners[0]) as first, reading(owners[1]) as second:
            html = (await asyncio.to_thread(boss.get, LIST)).text
            assert all(session in html for session in ids)
            for verb, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
                for session in ids:
                    page = f"{LIST}{session}/control/"
                    said = await asyncio.to_thread(boss.post, page, command=verb)
                    assert "1 session was" in said.text
                for messages in (first, second):
                    await until(lambda m=messages, s=state: found(m, type="session", state=s))
            for messages in (first, second):
                assert found(messages, state="stopped")[-1]["stop"]["by"] == "admin"

    async def test_looks_at_a_step_of_every_process(self, open_client, boss):
        owners = [await open_client(name) for name in ("a", "b")]
        ids = [(await start(owner, "slow"))["session"] for owner in owners]
        async with reading(owners[0]), reading(owners[1]):
            for session in ids:
                page = await asyncio.to_thread(boss.get, f"{LIST}{session}/stack/")
                assert "ctx.sleep(0.25)" in page.text
            for owner in owners:
                await owner.send("stop")

    async def test_knows_the_other_processes(self, boss):
        names = set()
        for _ in range(10):
            html = (await asyncio.to_thread(boss.get, f"{LIST}dashboard/")).text
            names |= set(re.findall(r'<th scope="row">([ab])</th>', html))
        assert names == {"a", "b"}

    async def test_stops_all_of_an_owner_wherever_they_run(self, cluster, open_client, boss):
        user = "from django.contrib.auth.models import User as U; U.objects.create_user"
        await asyncio.to_thread(shell, cluster, f"{user}('ada', password='secret', is_staff=True)")
        ada = Visitor(cluster)
        await asyncio.to_thread(ada.log_in, "ada", "secret")
        cookie = {"Cookie": f"sessionid={ada.cookie('sessionid')}"}
        owners = [await open_client(name, additional_headers=cookie) for name in ("a", "b")]
        ids = [(await start(owner))["session"] for owner in owners]
        async with reading(owners[0]) as first, reading(owners[1]) as second:
            said = await asyncio.to_thread(
                boss.post, LIST, action="stop_owner", _selected_action=ids[0]
            )
            assert "2 sessions were asked to stop" in said.text
            for messages in (first, second):
                await until(lambda m=messages: found(m, type="session", state="stopped"))


async def until(condition, seconds=WAIT_S, say=()):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, say[-5:]
        await asyncio.sleep(0.02)


def found(messages, **expected):
    """The messages that have the expected fields."""
    return [m for m in messages if all(m.get(key) == value for key, value in expected.items())]


class TestAProcessThatIsGone:
    async def test_is_found_out_and_its_sessions_are_lost(self, cluster, open_client):
        owner, viewer = await open_client("a"), await open_client("b")
        session = (await start(owner, "isolated"))["session"]
        await viewer.watch(session)
        await viewer.until(type="frame")
        other = await start(await open_client("b"))
        async with reading(viewer) as messages:
            began = time.monotonic()
            await asyncio.to_thread(cluster.processes["a"].kill)
            await close_of(owner)
            await until(lambda: found(messages, code="reconnecting"))
            await until(lambda: found(messages, type="session", state="lost"))
            assert time.monotonic() - began < 25  # 15 s, and what a busy machine takes
            lost = found(messages, type="session", state="lost")[-1]
            assert (lost["epoch"], lost["stop"]) == (2, None)
            assert "start it again" in lost["error"]["message"]
            frames = found(messages, type="frame")
        row = await asyncio.to_thread(shell, cluster, ROW.format(session))
        assert row.startswith("lost|")
        # Whoever comes later is told the same, and may start it again with what it had.
        late = await open_client("b")
        assert not (await late.watch(session))["can_control"]
        told = await late.until(type="session")
        assert told["state"] == "lost"
        assert (await ask(late, "stop"))["code"] == "forbidden"
        assert (await ask(late, "pause"))["code"] == "wrong_state"
        await start(late, "isolated", params=told["params"])
        assert frames == found(frames, epoch=1)
        # The other process has lost nothing.
        await late.watch(other["session"], token=other["token"])
        assert (await late.until(type="session"))["state"] == "running"
        await late.send("stop")
        await asyncio.to_thread(cluster.processes["a"].start)

    async def test_one_that_was_only_frozen_ends_what_it_has_lost(self, cluster, open_client):
        owner, viewer = await open_client("a"), await open_client("b")
        session = (await start(owner, "stamped"))["session"]
        await viewer.watch(session)
        await viewer.until(type="frame")
        async with reading(viewer) as seen, reading(owner) as owned:
            await asyncio.to_thread(cluster.processes["a"].pause)
            await until(lambda: found(seen, type="session", state="lost"), say=seen)
            before = len(found(seen, type="frame")), len(found(owned, type="frame"))
            await asyncio.to_thread(cluster.processes["a"].resume)
            await until(lambda: found(owned, type="session", state="lost"))
            assert found(owned, type="session", state="lost")[0]["epoch"] == 2
            # What was on its way before it was frozen may still arrive; nothing new is made.
            assert len(found(owned, type="frame")) - before[1] <= 3
            assert len(found(seen, type="frame")) == before[0]
        await until_heard(open_client, "a")
        row = await asyncio.to_thread(shell, cluster, ROW.format(session))
        assert row.startswith("lost|")


class TestADeploy:
    async def test_moves_the_viewers_and_ends_the_sessions_after_their_grace(
        self, cluster, open_client
    ):
        owner, viewer = await open_client("a"), await open_client("b")
        started = await start(owner)
        session = started["session"]
        await viewer.watch(session)
        await viewer.until(type="frame")
        began = time.monotonic()
        cluster.processes["a"].request_stop()
        assert (await close_of(owner)).code == 1012
        assert time.monotonic() - began < 2
        # As a page does, which nginx leads to a process that is there.
        moved = await open_client(None, f"?session={session}")
        assert (await moved.watch(session, token=started["token"]))["can_control"]
        assert (await moved.until(type="session"))["state"] == "running"
        assert (await moved.until(type="notice"))["code"] == "server_stopping"
        await moved.until(type="frame")
        ended = await moved.until(type="session", state="stopped")
        assert ended["stop"]["by"] == "shutdown"
        assert time.monotonic() - began > 4.5
        while not moved.frames[-1]["final"]:
            await moved.until(type="frame")
        await asyncio.to_thread(cluster.processes["a"]._process.wait, 20)
        assert cluster.processes["a"]._process.returncode == 0
        late = await open_client(None, f"?session={session}")
        await late.watch(session)
        assert (await late.until(type="session"))["stop"]["by"] == "shutdown"
        last = await late.until(type="frame")
        assert (last["final"], last["svg"]) == (True, moved.frames[-1]["svg"])
        await asyncio.to_thread(cluster.processes["a"].start)

    async def test_is_not_ready_before_it_is_gone(self, cluster, open_client):
        owner = await open_client("a")
        await start(owner)
        reader, writer = await asyncio.open_unix_connection(cluster.processes["a"].socket_path)

        async def readiness():
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
            return int(head.split()[1]), json.loads(await reader.readexactly(size))

        assert (await readiness())[0] == 200
        cluster.processes["a"].request_stop()
        assert (await close_of(owner)).code == 1012
        status, said = await readiness()
        assert status == 503
        assert "stopping" in json.dumps(said)
        writer.close()
        await asyncio.to_thread(cluster.processes["a"]._process.wait, 20)

    async def test_takes_no_new_sessions_meanwhile(self, cluster, open_client):
        owner = await open_client("a")
        await start(owner)
        cluster.processes["a"].request_stop()
        await owner.send("start", simulation="counter")
        await close_of(owner, never="started")
        await asyncio.to_thread(cluster.processes["a"]._process.wait, 20)
        await asyncio.to_thread(cluster.processes["a"].start)
        await until_heard(open_client, "a")


class TestRedis:
    @pytest.fixture
    async def watched(self, open_client):
        """A session with a viewer in each process; gives what they hear, and the one elsewhere."""
        owner, viewer = await open_client("a"), await open_client("b")
        started = await start(owner)
        await viewer.watch(started["session"], token=started["token"])
        await viewer.until(type="frame")
        async with reading(owner) as near, reading(viewer) as far:
            yield near, far, viewer, owner
            await owner.send("stop")
            await until(lambda: found(near, type="session", state="stopped"))

    async def test_killed_and_restarted(self, cluster, watched):
        near, far, viewer, _ = watched
        await asyncio.to_thread(cluster.redis.kill)
        await until(lambda: found(far, code="reconnecting"))
        before = len(found(near, type="frame"))
        await until(lambda: len(found(near, type="frame")) > before + 10)
        await viewer.send("pause", id="p")
        await asyncio.to_thread(cluster.redis.start)
        began, count = time.monotonic(), len(found(far, type="frame"))
        await until(lambda: len(found(far, type="frame")) > count)
        assert time.monotonic() - began < 3
        await until(lambda: found(far, id="p"))
        assert found(far, id="p")[0]["type"] == "ok"
        await until(lambda: found(near, type="session", state="paused"))

    async def test_frozen_for_five_seconds(self, cluster, watched):
        near, far, viewer, _ = watched
        await asyncio.to_thread(cluster.redis.pause)
        before = len(found(near, type="frame"))
        await viewer.send("stop", id="s")
        await asyncio.sleep(5)  # The fault itself.
        assert len(found(near, type="frame")) > before + 30
        await asyncio.to_thread(cluster.redis.resume)
        resumed = time.monotonic()
        await until(lambda: found(far, id="s"))
        assert found(far, id="s")[0]["type"] == "ok"
        await until(lambda: found(far, type="session", state="stopped"))
        await until(lambda: found(far, type="frame", final=True))
        assert time.monotonic() - resumed < 3

    async def test_cuts_off_who_reads_too_slowly(self, cluster, watched):
        """As it does when the output buffer of a subscription is full."""
        _, far, viewer, _ = watched
        await asyncio.to_thread(cluster.redis.command, "CLIENT", "KILL", "TYPE", "pubsub")
        await viewer.send("pause", id="p")
        await until(lambda: found(far, id="p"))
        assert found(far, id="p")[0]["type"] == "ok"
        await viewer.send("resume")
        began, count = time.monotonic(), len(found(far, type="frame"))
        await until(lambda: len(found(far, type="frame")) > count)
        assert time.monotonic() - began < 3

    async def test_out_of_memory(self, cluster, watched):
        _, far, viewer, _ = watched
        await asyncio.to_thread(cluster.redis.command, "CONFIG", "SET", "maxmemory", "1")
        try:
            count = len(found(far, type="frame"))
            await until(lambda: len(found(far, type="frame")) > count + 10)
            await viewer.send("pause", id="p")
            await until(lambda: found(far, id="p"))
        finally:
            await asyncio.to_thread(cluster.redis.command, "CONFIG", "SET", "maxmemory", "0")


class TestPostgres:
    async def test_stopped_and_started(self, cluster, open_client):
        owner = await open_client("a")
        session = (await start(owner))["session"]
        await owner.until(type="frame")
        stopper = await open_client("b")
        ending = (await start(stopper))["session"]
        await stopper.until(type="frame")
        await asyncio.to_thread(cluster.postgres.kill)
        # What runs goes on, and can be stopped.
        count = len(owner.frames)
        while len(owner.frames) < count + 30:
            await owner.until(type="frame")
        await stopper.send("stop")
        await stopper.until(type="session", state="stopped")
        # What is new is refused, and soon.
        began = time.monotonic()
        refused = None
        while refused is None:
            await stopper.send("start", simulation="counter", id="s")
            answer = await stopper.until(id="s")
            if answer["type"] == "error":
                refused = answer
            else:
                await stopper.send("stop")
                await stopper.until(type="session", state="stopped")
            assert time.monotonic() - began < WAIT_S
        assert "the database does not answer" in refused["message"]
        await asyncio.to_thread(cluster.postgres.start)
        deadline = time.monotonic() + WAIT_S
        while not (await asyncio.to_thread(shell, cluster, ROW.format(ending))).startswith("stop"):
            assert time.monotonic() < deadline
        # Nobody was given up: nobody could have said that he lives.
        await owner.send("status")
        assert (await owner.until(type="session"))["state"] == "running"
        await owner.send("stop")
        await owner.until(type="session", state="stopped")
        deadline = time.monotonic() + WAIT_S
        while not (await asyncio.to_thread(shell, cluster, ROW.format(session))).startswith("stop"):
            assert time.monotonic() < deadline
