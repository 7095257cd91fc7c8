"""Saved files, and the table of what was plotted, over HTTP."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from streaming.catalog.forms import validate_params
from streaming.catalog.registry import registry
from streaming.identity import Identity
from tests.parts import close_sessions, records, sessions

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_S = 10


@asynccontextmanager
async def ended(name):
    """Give a session that has ended."""
    simulation = registry.get(name)
    live = sessions.create(simulation, validate_params(simulation, {}), Identity())
    live.start()
    await asyncio.wait_for(live.ended.wait(), WAIT_S)
    yield live
    await close_sessions()
    assert await asyncio.to_thread(records.flush, WAIT_S)


@pytest.fixture
async def saved(tmp_path, settings):
    """A session that has saved its files, and has ended."""
    settings.LIVESTEP = {"FILES_DIR": str(tmp_path)}
    async with ended("saves") as live:
        yield live


async def body_of(response):
    return b"".join([part async for part in response.streaming_content])


@pytest.fixture
async def plotted():
    """A session that has plotted, and has ended."""
    async with ended("plotting") as live:
        yield live


class TestTable:
    ROWS = ("step,loss,accuracy,rare", "1,1.0,1.0,", "2,0.5,,2.0", f"3,{1 / 3},3.0,")

    async def test_has_all_that_was_plotted(self, plotted, async_client):
        response = await async_client.get(f"/sessions/{plotted.id}/series.csv")
        assert response.status_code == 200
        assert tuple(response.content.decode().splitlines()) == self.ROWS
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        assert response["Content-Disposition"] == 'attachment; filename="plotting-series.csv"'
        assert response["X-Content-Type-Options"] == "nosniff"

    async def test_outlives_the_process(self, plotted, async_client):
        assert await asyncio.to_thread(records.flush, WAIT_S)
        del sessions._sessions[plotted.id]
        response = await async_client.get(f"/sessions/{plotted.id}/series.csv")
        assert tuple(response.content.decode().splitlines()) == self.ROWS

    async def test_of_one_that_plots_nothing_is_not_found(self, saved, async_client):
        response = await async_client.get(f"/sessions/{saved.id}/series.csv")
        assert response.status_code == 404
        assert response.json()["message"] == "this session has plotted nothing yet"

    async def test_asks_for_a_login_where_the_site_does(self, async_client, settings):
        settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        assert (await async_client.get("/sessions/any/series.csv")).status_code == 302


class TestFile:
    async def test_is_for_keeping_and_no_page_of_ours(self, saved, async_client):
        response = await async_client.get(f"/sessions/{saved.id}/files/notes.txt")
        assert response.status_code == 200
        assert await body_of(response) == "äh".encode()
        assert response["Content-Type"] == "application/octet-stream"
        assert response["Content-Disposition"] == 'attachment; filename="notes.txt"'
        assert response["Content-Length"] == "3"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        large = await async_client.get(f"/sessions/{saved.id}/files/weights.bin")
        assert await body_of(large) == bytes(600_000)

    async def test_is_told_without_its_content_to_who_asks_for_that(self, saved, async_client):
        response = await async_client.head(f"/sessions/{saved.id}/files/weights.bin")
        assert (response["Content-Length"], response.content) == ("600000", b"")

    async def test_is_in_the_sessions_message(self, saved, async_client):
        told = (await async_client.get(f"/sessions/{saved.id}/state.json")).json()
        assert told["files"] == [
            {"name": "notes.txt", "size": 3},
            {"name": "weights.bin", "size": 600_000},
            {"name": "empty", "size": 0},
        ]

    async def test_outlives_the_process(self, saved, async_client):
        """The row says which there are, and the folder has them."""
        assert await asyncio.to_thread(records.flush, WAIT_S)
        del sessions._sessions[saved.id]
        response = await async_client.get(f"/sessions/{saved.id}/files/notes.txt")
        assert await body_of(response) == "äh".encode()

    @pytest.mark.parametrize("name", ["other", ".part", "..", "%2e%2e%2fnotes.txt", "notes.txt%00"])
    async def test_that_was_not_saved_is_not_found(self, saved, async_client, name):
        response = await async_client.get(f"/sessions/{saved.id}/files/{name}")
        assert response.status_code == 404

    async def test_that_another_machine_has_is_said(self, saved, async_client, settings, tmp_path):
        settings.LIVESTEP = {"FILES_DIR": str(tmp_path / "elsewhere")}
        response = await async_client.get(f"/sessions/{saved.id}/files/notes.txt")
        assert response.status_code == 503
        assert "this file is kept where the process" in response.json()["message"]

    async def test_asks_for_a_login_where_the_site_does(self, saved, async_client, settings):
        settings.LIVESTEP = {**settings.LIVESTEP, "LOGIN_REQUIRED": True}
        response = await async_client.get(f"/sessions/{saved.id}/files/notes.txt")
        assert response.status_code == 302

    async def test_of_an_unknown_session_is_not_found(self, async_client):
        response = await async_client.get("/sessions/nope/files/notes.txt")
        assert (response.status_code, response.json()["code"]) == (404, "unknown_session")
