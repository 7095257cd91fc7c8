"""A start on a compute machine, as a client meets it while none has claimed the session."""

import asyncio

import pytest

from streaming.cluster import claims

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def can_have_machines(monkeypatch):
    monkeypatch.setattr("streaming.catalog.engines.why_no_cluster", lambda: "")


async def test_is_refused_where_there_can_be_none(connect):
    client = await connect()
    refused = await client.start("counter", engine="cluster")
    assert (refused["type"], refused["code"]) == ("error", "internal")
    assert "this site has none" in refused["message"]
    assert (await client.start("counter"))["type"] == "started"


class TestWaiting:
    @pytest.fixture(autouse=True)
    def _machines(self, can_have_machines):
        """There may be some, and none is there."""

    async def test_is_told_to_its_starter_who_may_stop_it(self, connect):
        client = await connect()
        started = await client.start("counter", engine="cluster", params={"level": 3})
        assert started["session"].startswith("_-")
        told = await client.until(type="session")
        assert (told["state"], told["epoch"], told["engine"]) == ("queued", 0, "cluster")
        assert told["params"]["level"] == 3
        assert (await client.until(type="session"))["queue_position"] == 1
        again = await client.start("counter")
        assert (again["code"], "is queued" in again["message"]) == ("wrong_state", True)
        assert (await client.ask("pause"))["code"] == "wrong_state"
        assert (await client.ask("stop"))["type"] == "ok"
        ended = await client.until(type="session", state="stopped")
        assert (ended["stop"]["by"], ended["stop"]["step"]) == ("client", 0)
        assert (await client.start("counter"))["type"] == "started"

    async def test_is_watched_by_others_who_may_not_stop_it(self, connect):
        owner, other = await connect(), await connect()
        started = await owner.start("counter", engine="cluster")
        watching = await other.ask("watch", session=started["session"])
        assert not watching["can_control"]
        assert (await other.until(type="session"))["state"] == "queued"
        assert (await other.ask("stop"))["code"] == "forbidden"
        with_token = await other.ask("watch", session=started["session"], token=started["token"])
        assert with_token["can_control"]

    async def test_of_a_plain_client(self, connect_plain, settings):
        settings.LIVESTEP = {"ENGINE": "cluster"}
        client = await connect_plain("?simulation=counter")
        await client.send_to(text_data="start")
        async with asyncio.timeout(10):
            while not (waiting := await asyncio.to_thread(claims.waiting_in_turn)):
                await asyncio.sleep(0.02)
        await client.send_to(text_data="stop")
        async with asyncio.timeout(10):
            while await asyncio.to_thread(claims.waiting_in_turn):
                await asyncio.sleep(0.02)
        assert waiting[0].simulation == "counter"
        assert await client.receive_nothing(0.05)
