"""The session that everybody sees on the first page."""

import asyncio

import pytest

from streaming.catalog.registry import registry
from streaming.runtime import runtime
from tests.parts import sessions


@pytest.fixture(autouse=True)
def shown(settings):
    settings.LIVESTEP = {
        "DEFAULT_SIMULATION": "counter",
        "MAX_THREAD_SESSIONS": 1,
        "ABANDON_GRACE": 0.05,
    }


async def watch(client):
    return await client.ask("watch", session="shared")


async def test_is_one_for_all_and_takes_no_place(connect):
    clients = [await connect() for _ in range(3)]
    answers = await asyncio.gather(*map(watch, clients))
    assert {answer["type"] for answer in answers} == {"watching"}
    assert not any(answer["can_control"] for answer in answers)
    [session] = {answer["session"] for answer in answers}
    for client in clients:
        assert (await client.frame())["session"] == session
    assert sessions.places_taken("thread") == 0
    said = await clients[0].ask("status")
    assert (said["viewers"], said["rate"]["steps_per_second"]) == (3, 20)
    assert (await clients[0].ask("stop"))["code"] == "forbidden"


async def test_ends_when_nobody_looks_and_begins_again(connect):
    client = await connect()
    first = (await watch(client))["session"]
    await client.ask("leave")
    await asyncio.wait_for(sessions.get(first).ended.wait(), 10)
    assert sessions.get(first).status()["stop"]["by"] == "abandoned"
    second = (await watch(client))["session"]
    assert second != first
    assert (await client.frame())["session"] == second


async def test_makes_room_as_soon_as_the_places_are_taken(connect):
    looker, driver = await connect(), await connect()
    await watch(looker)
    assert (await driver.start("counter"))["type"] == "started"
    stopped = await looker.until(type="session", state="stopped")
    assert stopped["stop"]["by"] == "busy"
    refused = await watch(looker)
    assert refused["code"] == "unknown_session"
    assert "while the server is busy" in refused["message"]
    await driver.ask("stop")
    await driver.until(type="session", state="stopped")
    while runtime.pool.is_full:
        await asyncio.sleep(0.005)
    assert (await watch(looker))["type"] == "watching"


async def test_is_not_of_a_file_unless_a_setting_names_it(connect, settings, monkeypatch, tmp_path):
    """A file that somebody serves may hold a run of hours."""
    monkeypatch.setattr(registry, "added_files", [tmp_path / "training.py"])
    settings.LIVESTEP = {}
    client = await connect()
    refused = await watch(client)
    assert refused["code"] == "unknown_session"
    assert not sessions.all()


async def test_begins_though_its_first_visitor_goes_while_its_row_is_written(connect, monkeypatch):
    is_writing, is_written = asyncio.Event(), asyncio.Event()

    async def settle(live):
        is_writing.set()
        await is_written.wait()

    monkeypatch.setattr(sessions, "settle", settle)
    first = asyncio.create_task(runtime.showcase.session())
    await asyncio.wait_for(is_writing.wait(), 10)
    first.cancel()
    await asyncio.wait([first], timeout=10)
    second = await connect()
    session = (await watch(second))["session"]
    is_written.set()
    assert (await second.frame())["session"] == session
