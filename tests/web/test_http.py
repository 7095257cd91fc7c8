"""A session over HTTP: its newest frame, its state, and its stop."""

import asyncio
import json

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient

from streaming.catalog.forms import validate_params
from streaming.catalog.registry import registry
from streaming.delivery.window import Window
from streaming.engine.snapshot import State
from streaming.identity import BROWSER_COOKIE, Identity, browser_of
from streaming.web import mistakes
from tests.parts import close_sessions, records, sessions
from tests.samples import simulations as samples

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_S = 10


@pytest.fixture
async def run(no_rows):
    def run(name, owner=None, **given):
        simulation = registry.get(name)
        live = sessions.create(simulation, validate_params(simulation, given), owner or Identity())
        live.start()
        return live

    yield run
    await close_sessions()
    # Or a row would be written into the next test's database.
    assert await asyncio.to_thread(records.flush, WAIT_S)


def cookie_of(client):
    return client.cookies[BROWSER_COOKIE].value


@pytest.fixture
async def browser():
    """A browser that keeps its cookies."""
    client = AsyncClient(enforce_csrf_checks=True)
    await client.get("/simulations/counter/")
    client.identity = Identity(browser=browser_of(None, {BROWSER_COOKIE: cookie_of(client)}))
    return client


async def picture(client, live):
    """Ask until there is a frame; asking has one made."""
    async with asyncio.timeout(WAIT_S):
        while True:
            response = await client.get(f"/sessions/{live.id}/frame.svg")
            if response.status_code != 404:
                return response
            await asyncio.sleep(0.01)


class TestFrame:
    async def test_who_asks_gets_one_though_nobody_watches(self, run, async_client):
        live = run("counter")
        response = await picture(async_client, live)
        assert response.content.startswith(b"<svg")
        assert response["Content-Type"] == "image/svg+xml"

    async def test_is_harmless_when_it_is_opened_as_a_page(self, run, async_client):
        response = await picture(async_client, run("counter"))
        policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        assert response["Content-Security-Policy"] == policy
        assert response["X-Content-Type-Options"] == "nosniff"

    async def test_the_same_frame_is_not_sent_twice(self, run, async_client):
        live = run("finite")
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        first = await async_client.get(f"/sessions/{live.id}/frame.svg")
        again = await async_client.get(
            f"/sessions/{live.id}/frame.svg", headers={"if-none-match": first["ETag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        # The browser takes these over for the picture that it has kept.
        for name in ("Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"):
            assert again[name] == first[name]
        other = await async_client.get(
            f"/sessions/{live.id}/frame.svg", headers={"if-none-match": '"1-0"'}
        )
        assert other.status_code == 200

    async def test_while_it_goes_on_each_answer_is_newer(self, run, async_client):
        live = run("counter")
        first = await picture(async_client, live)
        async with asyncio.timeout(WAIT_S):
            while (await picture(async_client, live))["ETag"] == first["ETag"]:
                pass

    async def test_asking_makes_frames_only_for_a_while(self, run, async_client, monkeypatch):
        monkeypatch.setattr("streaming.sessions.live.GLANCE_S", 0.05)
        live = run("counter")
        await picture(async_client, live)
        await asyncio.sleep(0.1)
        assert not live.session.board.frames_wanted

    async def test_it_takes_nothing_from_a_viewer_that_can_take_one(
        self, run, async_client, monkeypatch
    ):
        monkeypatch.setattr("streaming.sessions.live.GLANCE_S", 0.01)
        live = run("gated")
        window = Window(lambda: None)
        live.attach(window, None)
        live.glance()
        await asyncio.sleep(0.05)
        assert "glance" not in live._timers
        assert live.session.board.frames_wanted
        live.detach(window)
        assert not live.session.board.frames_wanted

    async def test_before_the_first_frame_it_says_so(self, run, async_client):
        live = run("gated")
        response = await async_client.get(f"/sessions/{live.id}/frame.svg")
        assert response.status_code == 404
        assert "no frame yet" in response.json()["message"]
        samples.gate.release()

    async def test_an_unknown_session_is_said(self, async_client):
        response = await async_client.get("/sessions/nope/frame.svg")
        assert response.status_code == 404
        assert response.json()["code"] == "unknown_session"


class TestCards:
    async def test_have_the_newest_frame_of_a_visitors_own_session_and_of_no_other(
        self, run, browser, async_client
    ):
        live = run("finite", browser.identity)
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        assert await asyncio.to_thread(records.flush, WAIT_S)
        picture = f'<img src="/sessions/{live.id}/frame.svg"'
        assert picture in (await browser.get("/")).content.decode()
        assert picture not in (await async_client.get("/")).content.decode()


class TestState:
    async def test_is_the_session_message(self, run, async_client):
        live = run("finite")
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        response = await async_client.get(f"/sessions/{live.id}/state.json")
        assert response["Content-Type"] == "application/json"
        assert response["Cache-Control"] == "no-store"
        content = response.json()
        assert content == json.loads(json.dumps(live.status()))
        assert (content["type"], content["state"], content["step"]) == ("session", "finished", 3)

    async def test_an_unknown_session_is_said(self, async_client):
        response = await async_client.get("/sessions/nope/state.json")
        assert (response.status_code, response.json()["type"]) == (404, "error")

    @pytest.mark.parametrize("what", ["frame.svg", "state.json"])
    async def test_both_only_answer_to_reading(self, run, async_client, what):
        assert (await async_client.post(f"/sessions/{run('counter').id}/{what}")).status_code == 405

    @pytest.mark.parametrize("what", ["frame.svg", "state.json"])
    async def test_both_ask_for_a_login_where_the_site_does(
        self, run, async_client, settings, what
    ):
        live = run("counter")
        settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        response = await async_client.get(f"/sessions/{live.id}/{what}")
        assert response.status_code == 302


class TestStop:
    async def test_who_holds_the_token(self, run):
        live = run("counter")
        client = AsyncClient(enforce_csrf_checks=True)
        response = await client.post(
            f"/sessions/{live.id}/stop", headers={"authorization": f"Bearer {live.token}"}
        )
        assert response.status_code == 200
        assert response.json()["type"] == "session"
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        assert live.session.state is State.STOPPED

    @pytest.mark.parametrize("given", ["Bearer wrong", "Bearer", "Basic eDp5", "Bearer \xff"])
    async def test_another_token_is_refused(self, run, given):
        live = run("counter")
        response = await AsyncClient().post(
            f"/sessions/{live.id}/stop", headers={"authorization": given}
        )
        assert response.status_code == 403
        assert response.json()["code"] == "forbidden"
        assert "Authorization: Bearer" in response.json()["message"]
        assert not live.session.stop_requested

    async def test_its_owner_with_the_csrf_token(self, run, browser):
        live = run("counter", browser.identity)
        browser.cookies["csrftoken"] = token = "x" * 32
        response = await browser.post(f"/sessions/{live.id}/stop", headers={"x-csrftoken": token})
        assert response.status_code == 200
        await asyncio.wait_for(live.ended.wait(), WAIT_S)

    async def test_its_owner_without_the_csrf_token_is_refused(self, run, browser):
        """Another site's page could have sent it."""
        live = run("counter", browser.identity)
        response = await browser.post(f"/sessions/{live.id}/stop")
        assert response.status_code == 403
        assert "expected a CSRF token" in response.json()["message"]
        assert not live.session.stop_requested

    async def test_anybody_else_is_refused(self, run, async_client):
        live = run("counter", Identity(browser="other"))
        response = await async_client.post(f"/sessions/{live.id}/stop")
        assert response.status_code == 403
        assert "only who started" in response.json()["message"]
        assert not live.session.stop_requested

    async def test_staff_with_the_permission(self, run, async_client):
        live = run("counter", Identity(browser="other"))

        def staff():
            user = User.objects.create_user("grace", is_staff=True)
            user.user_permissions.add(Permission.objects.get(codename="control_streamsession"))
            return user

        await async_client.aforce_login(await sync_to_async(staff)())
        assert (await async_client.post(f"/sessions/{live.id}/stop")).status_code == 200
        await asyncio.wait_for(live.ended.wait(), WAIT_S)

    async def test_again_after_its_end_changes_nothing(self, run):
        live = run("finite")
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        response = await AsyncClient().post(
            f"/sessions/{live.id}/stop", headers={"authorization": f"Bearer {live.token}"}
        )
        assert response.json()["state"] == "finished"

    async def test_an_unknown_session_is_said(self, async_client):
        response = await async_client.post("/sessions/nope/stop")
        assert (response.status_code, response.json()["code"]) == (404, "unknown_session")

    async def test_only_a_post_stops(self, run, async_client):
        live = run("counter")
        assert (await async_client.get(f"/sessions/{live.id}/stop")).status_code == 405
        assert not live.session.stop_requested


class TestWithoutUpgrade:
    """A WebSocket's handshake of which a proxy has taken Upgrade and Connection away."""

    def test_is_said_to_the_client_and_once_in_the_log(self, client, caplog):
        mistakes._warn_of_proxy.cache_clear()
        for _ in range(2):
            response = client.get("/ws", headers={"Sec-WebSocket-Key": "x"})
            assert response.status_code == 426
            assert "a proxy in front of this site takes the headers" in response.content.decode()
        (line,) = [one for one in caplog.messages if "without Upgrade" in one]
        assert "from 127.0.0.1" in line
        assert "proxy_set_header Upgrade $http_upgrade" in line

    def test_a_visitor_who_types_the_address_is_no_proxy(self, client, caplog):
        mistakes._warn_of_proxy.cache_clear()
        assert client.get("/ws").status_code == 426
        assert not [one for one in caplog.messages if "without Upgrade" in one]
