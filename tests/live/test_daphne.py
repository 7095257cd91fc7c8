"""Real servers and a WebSocket client that is not their own library."""

import asyncio
import urllib.error
import urllib.request

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.live.clients import WAIT_S, clients_of


@pytest.fixture(params=["server", "plain_daphne"])
def site(request):
    """Our server, and daphne as it comes: everything here works on both."""
    return request.getfixturevalue(request.param)


@pytest.fixture
async def open_client(site):
    async with clients_of(site) as open_client:
        yield open_client


class TestLivestep:
    async def test_runs_watches_and_stops(self, open_client):
        driver, viewer = await open_client(), await open_client()
        await driver.send("start", simulation="ising", params={"size": 32}, id="a")
        session = (await driver.until(type="started", id="a"))["session"]
        await viewer.send("watch", session=session)
        for client in (driver, viewer):
            frame = await client.until(type="frame")
            assert frame["svg"].startswith(b"<svg xmlns=")
        await driver.send("stop")
        for client in (driver, viewer):
            await client.until(type="session", state="stopped")
            while not client.frames[-1]["final"]:
                await client.receive()

    async def test_hears_everything_while_a_pure_python_step_burns(self, open_client):
        client = await open_client()
        await client.send("start", simulation="ising", params={"size": 256})
        await client.until(type="frame")
        for n in range(20):
            await client.send("ping", id=str(n))
            await client.until(type="pong", id=str(n))
        await client.send("stop", id="s")
        await client.until(type="ok", id="s")
        await client.until(type="session", state="stopped")

    async def test_the_status_comes_once_a_second(self, open_client):
        client = await open_client()
        await client.send("start", simulation="counter")
        steps = [(await client.until(type="session", state="running"))["step"] for _ in range(4)]
        assert steps[-1] > 100

    async def test_a_watch_after_the_driver_has_gone(self, open_client):
        """A reload: the session lives on, and the new connection has its picture at once."""
        driver = await open_client()
        await driver.send("start", simulation="counter")
        session = (await driver.until(type="started"))["session"]
        await driver.until(type="frame")
        await driver.socket.close()
        viewer = await open_client(f"?session={session}")
        await viewer.send("watch", session=session)
        await viewer.until(type="frame")
        assert (await viewer.until(type="session"))["state"] == "running"

    async def test_a_stuck_step_is_said(self, open_client):
        client = await open_client()
        await client.send("start", simulation="stubborn")
        await client.until(type="frame")
        # A second later it is well inside of the step that does not end.
        await client.until(type="session", step=1)
        await client.send("stop")
        await client.until(type="session", state="stuck")
        await client.send("start", simulation="finite", id="again")
        await client.until(id="again", type="started")


class TestPlain:
    async def test_the_questions_own_client_works_unchanged(self, site):
        async with connect(site.socket_url + "?simulation=slow") as socket:
            for _ in range(3):
                await socket.send("status")
                for _ in range(2):
                    assert (await asyncio.wait_for(socket.recv(), WAIT_S)).startswith("<svg")
                await socket.send("stop")
                late = 0
                try:
                    while True:
                        await asyncio.wait_for(socket.recv(), 0.6)
                        late += 1
                except TimeoutError:
                    pass
                assert late <= 1

    async def test_the_default_is_the_first_in_the_file(self, site):
        async with connect(site.socket_url) as socket:
            await socket.send("start")
            assert ">1 1 4<" in await asyncio.wait_for(socket.recv(), WAIT_S)


class TestHandshake:
    async def refused(self, site, **options):
        with pytest.raises(InvalidStatus) as caught:
            await connect(site.socket_url, **options)
        return caught.value.response.status_code

    async def test_a_foreign_origin_gets_403(self, site):
        assert await self.refused(site, origin="http://evil.test") == 403
        assert await self.refused(site, origin=f"https://127.0.0.1:{site.port}") == 403
        assert await self.refused(site, origin="null") == 403

    async def test_the_sites_own_origin_is_accepted(self, site):
        async with connect(site.socket_url, origin=site.url):
            pass

    async def test_unknown_subprotocols_are_refused(self, site):
        assert await self.refused(site, subprotocols=["mqtt"]) == 403

    async def test_a_message_over_a_mebibyte_drops_only_its_own_connection(self, site, open_client):
        other = await open_client()
        async with connect(site.socket_url) as socket:
            await socket.send("x" * (1024 * 1024 + 1))
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), WAIT_S)
        await other.send("ping")
        await other.until(type="pong")


class TestPages:
    def get(self, site, path):
        return urllib.request.urlopen(site.url + path, timeout=WAIT_S)

    def test_the_static_files_are_served_under_hashed_names(self, site):
        html = self.get(site, "/simulations/ising/").read().decode()
        address = html.split('type="module" src="')[1].split('"')[0]
        assert address.count(".") >= 2
        script = self.get(site, address)
        assert "immutable" in script.headers["Cache-Control"]
        imported = script.read().decode().split('from "./')[1].split('"')[0]
        assert imported != "live-step-client.js", "the import was not rewritten to its hashed name"
        assert self.get(site, f"/static/streaming/{imported}").status == 200

    def test_an_unknown_page_says_so_without_a_trace(self, site):
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.get(site, "/sessions/nope/")
        body = caught.value.read().decode()
        caught.value.close()
        assert caught.value.code == 404
        assert "it never was, or it ended too long ago" in body
        assert "Traceback" not in body


async def test_nothing_was_logged_as_an_error(site):
    """Last in its file: whatever the tests above did to the server, it had it in hand."""
    log = site.read_log()
    # A stuck step is logged as one, with its stack; so is nothing else.
    errors = [line for line in log.splitlines() if " ERROR " in line and "is stuck" not in line]
    assert errors == []
    assert "never awaited" not in log
