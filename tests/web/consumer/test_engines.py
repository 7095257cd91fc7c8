"""The process engine, the ladder, the queue and the limits, as a client meets them."""

import asyncio

import pytest

from streaming.catalog.registry import registry
from streaming.engine.simulations import described
from streaming.engine.worker import Worker
from streaming.sessions import live as module
from streaming.sessions import slow_steps
from tests.engine.running import gone, is_there
from tests.parts import sessions
from tests.samples import faults
from tests.samples import simulations as samples


@pytest.fixture(autouse=True)
def with_faults(monkeypatch):
    """Have the simulations that misbehave among those that can be started."""
    found = registry.get

    def find(name):
        target = getattr(faults, name, None)
        return described(target) if target else found(name)

    monkeypatch.setattr(registry, "get", find)


async def start(client, simulation, **fields):
    """Start a session and return it as the server has it."""
    started = await client.start(simulation, **fields)
    assert started["type"] == "started", started
    return sessions.get(started["session"])


async def in_step(live, number):
    while not (step := live.session.step_in_progress()) or step.number != number:
        await asyncio.sleep(0.005)
    return step


class TestProcess:
    async def test_runs_where_it_is_asked_for(self, connect):
        client = await connect()
        live = await start(client, "counter", engine="process")
        assert live.engine == "process"
        assert (await client.until(type="session", state="running"))["engine"] == "process"
        await client.frame(3)
        pid = live._worker.pid
        assert is_there(pid)
        assert (await client.ask("set", params={"level": 5}))["type"] == "ok"
        while b" 5 4<" not in client.frames[-1]["svg"]:
            await client.frame()
        assert (await client.ask("stop"))["type"] == "ok"
        end = await client.until(type="session", state="stopped")
        assert end["stop"]["how"] == "flag"
        assert await asyncio.to_thread(gone, pid)

    async def test_runs_where_the_simulation_declares_it(self, connect):
        client = await connect()
        assert (await start(client, "isolated")).engine == "process"
        assert b"isolated" in (await client.frame())["svg"]

    async def test_runs_where_the_settings_say_so(self, connect, settings):
        settings.LIVESTEP = {"ENGINE": "process"}
        client = await connect()
        assert (await start(client, "finite")).engine == "process"
        await client.until(type="session", state="finished")
        assert b"<text>3</text>" in (await client.final_frame())["svg"]

    async def test_answers_the_plain_dialect_too(self, connect_plain, settings):
        settings.LIVESTEP = {"ENGINE": "process"}
        socket = await connect_plain("?simulation=finite&count=2")
        await socket.send_to(text_data="status")
        while ">2<" not in (text := await socket.receive_from(5)):
            assert text.startswith("<svg"), text

    async def test_that_ends_by_itself_fails_the_session_and_keeps_the_picture(self, connect):
        client = await connect()
        await start(client, "exits", engine="process")
        end = await client.until(type="session", state="failed")
        assert "ended itself with exit code 3, during step 2" in end["error"]["message"]
        assert b"before" in (await client.final_frame())["svg"]

    async def test_a_step_that_never_ends_is_stopped_from_two_connections(self, connect, settings):
        settings.LIVESTEP = {"STOP_GRACE": 0.2}
        driver, other = await connect(), await connect()
        started = await driver.start("in_c", engine="process")
        live = sessions.get(started["session"])
        await driver.frame()
        await other.ask("watch", session=live.id, token=started["token"])
        await in_step(live, 2)
        assert (await driver.ask("stop"))["type"] == "ok"
        assert (await other.ask("stop"))["type"] == "ok"
        for client in (driver, other):
            end = await client.until(type="session", state="stopped")
            assert (end["stop"]["how"], end["stop"]["by"]) == ("kill", "client")
            assert b"before" in (await client.final_frame())["svg"]

    async def test_pauses_in_the_middle_of_a_step_and_says_so(self, connect):
        client = await connect()
        live = await start(client, "spins", engine="process")
        await in_step(live, 2)
        assert (await client.ask("pause"))["type"] == "ok"
        await client.until(type="session", state="paused")
        notice = await client.until(type="notice")
        assert notice["code"] == "pausing"
        assert "in the middle of step 2" in notice["message"]
        assert (await client.ask("resume"))["type"] == "ok"
        await client.until(type="session", state="running")

    async def test_shows_staff_where_its_step_is(self, connect):
        client = await connect()
        live = await start(client, "in_c", engine="process")
        await in_step(live, 2)
        assert "in in_c" in await live.stack()
        assert live.session.state == "running"


class TestThread:
    async def test_a_step_that_never_ends_is_interrupted(self, connect, settings):
        settings.LIVESTEP = {"STOP_GRACE": 0.2}
        client = await connect()
        live = await start(client, "spins")
        await in_step(live, 2)
        await client.ask("stop")
        end = await client.until(type="session", state="stopped")
        assert end["stop"]["how"] == "interrupt"
        assert end["stop"]["after_ms"] >= 200

    async def test_says_that_it_pauses_only_after_the_step(self, connect):
        client = await connect()
        live = await start(client, "gated")
        samples.gate.release()
        await client.frame()
        await in_step(live, 2)
        await client.ask("pause")
        notice = await client.until(type="notice")
        assert (notice["code"], "after step 2" in notice["message"]) == ("pausing", True)
        samples.gate.release()
        await client.until(type="session", state="paused")

    async def test_a_pause_that_comes_at_once_is_not_announced(self, connect, monkeypatch):
        monkeypatch.setattr(module, "PAUSING_AFTER_S", 0.05)
        client = await connect()
        await start(client, "counter")
        await client.frame()
        await client.ask("pause")
        await client.until(type="session", state="paused")
        # An alarm that was set for the pause has rung before this one.
        await asyncio.sleep(module.PAUSING_AFTER_S)
        await client.send("ping")
        while (message := await client.receive())["type"] != "pong":
            assert message["type"] != "notice", message

    async def test_a_stuck_one_keeps_its_place_until_it_ends(self, connect, settings):
        settings.LIVESTEP = {"STOP_GRACE": 0, "MAX_THREAD_SESSIONS": 1, "FPS": 0}
        one, two = await connect(), await connect()
        await start(one, "stubborn")
        await one.frame()
        assert await asyncio.to_thread(samples.entered.wait, 5)
        await one.send("stop")
        await one.until(type="session", state="stuck")
        await start(two, "finite")
        assert (await two.until(type="session"))["state"] == "queued"
        samples.release.set()
        await two.until(type="session", state="finished")


class TestWatchdog:
    async def test_says_of_a_step_that_takes_far_longer_than_usual(
        self, connect, monkeypatch, settings
    ):
        settings.LIVESTEP = {"FPS": 0}
        monkeypatch.setattr(slow_steps, "SLOW_STEP_S", 0.05)
        monkeypatch.setattr("streaming.sessions.pool.STATUS_INTERVAL_S", 0.02)
        client = await connect()
        live = await start(client, "gated")
        for _ in range(3):
            samples.gate.release()
            await client.frame()
        live.session.board.usual_s = 0.001
        notice = await client.until(type="notice")
        assert notice["code"] == "slow_step"
        assert notice["message"].startswith("Step 4 has run for 0 s, usually less than 0.01 s")
        assert live.warning.startswith("step 4 has run for ")
        late = await connect()
        await late.ask("watch", session=live.id)
        assert (await late.until(type="notice"))["code"] == "slow_step"
        samples.gate.release()
        await client.frame()
        live.session.board.usual_s = 3600.0
        live.beat(record=False)
        assert live.warning == ""
        later = await connect()
        await later.ask("watch", session=live.id)
        await later.send("ping")
        while (message := await later.receive())["type"] != "pong":
            assert message["type"] != "notice", message

    async def test_says_nothing_of_a_first_step_that_is_not_that_long(self, connect, monkeypatch):
        monkeypatch.setattr("streaming.sessions.pool.STATUS_INTERVAL_S", 0.02)
        client = await connect()
        live = await start(client, "gated")
        await in_step(live, 1)
        live.beat(record=False)
        assert live.warning == ""
        monkeypatch.setattr(slow_steps, "SLOW_FIRST_STEP_S", 0.0)
        live.beat(record=False)
        assert live.warning == "step 1 is still running, 0 s"


class TestQueue:
    async def test_tells_the_position_and_moves_up(self, connect, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1}
        clients = [await connect() for _ in range(3)]
        first = await start(clients[0], "counter")
        for client, position in zip(clients[1:], (1, 2), strict=True):
            await start(client, "counter")
            await client.until(type="session", state="queued", queue_position=position)
        await clients[0].ask("stop")
        running = await clients[1].until(type="session", state="running")
        assert running["queue_position"] is None
        assert (await clients[2].until(type="session", queue_position=1))["state"] == "queued"
        assert not first.holds_thread or await asyncio.to_thread(first.join, 5)

    async def test_one_that_waits_can_be_stopped(self, connect, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1}
        one, two, three = [await connect() for _ in range(3)]
        await start(one, "counter")
        live = await start(two, "counter", engine="thread")
        assert await live.stack() == "It has not started yet.\n"
        await start(three, "counter")
        assert (await two.ask("stop"))["type"] == "ok"
        end = await two.until(type="session", state="stopped")
        assert (end["step"], end["queue_position"]) == (0, None)
        assert (await three.until(type="session", queue_position=1))["state"] == "queued"

    async def test_one_that_waits_for_nobody_leaves_it(self, connect, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1, "ABANDON_GRACE": 0}
        one, two, three = [await connect() for _ in range(3)]
        await start(one, "counter")
        live = await start(two, "counter")
        await start(three, "counter")
        await two.communicator.disconnect()
        await asyncio.wait_for(live.ended.wait(), 5)
        assert live.session.snapshot().stop.by == "abandoned"
        await three.until(type="session", queue_position=1)

    async def test_is_bounded_with_a_sentence(self, connect, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1, "MAX_QUEUED": 1}
        clients = [await connect() for _ in range(3)]
        await start(clients[0], "counter")
        await start(clients[1], "counter")
        error = await clients[2].start("counter")
        assert error["code"] == "too_many_sessions"
        assert "1 more wait, the most allowed" in error["message"]

    async def test_threads_do_not_wait_for_processes(self, connect, settings):
        settings.LIVESTEP = {"MAX_PROCESS_SESSIONS": 1, "MAX_THREAD_SESSIONS": 1}
        one, two, three = [await connect() for _ in range(3)]
        await start(one, "counter", engine="process")
        await start(two, "counter", engine="process")
        assert (await two.until(type="session"))["state"] == "queued"
        await start(three, "counter")
        await three.until(type="session", state="running")

    async def test_a_failed_start_gives_its_place_back(self, connect, settings, monkeypatch):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1}
        one, two = await connect(), await connect()
        begin = Worker.start

        def no_thread(self):
            monkeypatch.setattr(Worker, "start", begin)
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(Worker, "start", no_thread)
        await start(one, "counter")
        end = await one.until(type="session", state="failed")
        assert "no more processes or threads" in end["error"]["message"]
        await start(two, "finite")
        await two.until(type="session", state="finished")


class TestLimits:
    @pytest.mark.parametrize("engine", ["thread", "process"])
    async def test_of_steps(self, connect, settings, engine):
        settings.LIVESTEP = {"MAX_STEPS": 5}
        client = await connect()
        await start(client, "counter", engine=engine)
        end = await client.until(type="session", state="stopped")
        assert (end["stop"]["by"], end["step"]) == ("step_limit", 5)
        assert (await client.final_frame())["step"] == 5

    async def test_of_time(self, connect, settings):
        settings.LIVESTEP = {"MAX_RUN_SECONDS": 0.1}
        client = await connect()
        await start(client, "counter")
        end = await client.until(type="session", state="stopped")
        assert end["stop"]["by"] == "time_limit"
        assert end["elapsed_ms"] >= 100

    async def test_of_time_does_not_count_the_pause(self, connect, settings):
        settings.LIVESTEP = {"MAX_RUN_SECONDS": 0.2}
        client = await connect()
        live = await start(client, "counter")
        await client.ask("pause")
        await client.until(type="session", state="paused")
        await asyncio.sleep(0.4)  # Longer than it may run: it is the time that is under test.
        assert live.session.state == "paused"
        await client.ask("resume")
        assert (await client.until(type="session", state="stopped"))["stop"]["by"] == "time_limit"
