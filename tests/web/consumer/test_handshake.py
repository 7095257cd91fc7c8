"""Who may open `/ws`, and who is recognised."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import Client as HttpClient

from streaming.identity import BROWSER_COOKIE, BROWSER_KEY
from streaming.layer import local_layer

LOGIN_WALL = "django.contrib.auth.middleware.LoginRequiredMiddleware"


class TestHandshake:
    async def test_the_subprotocol_chooses_the_dialect(self, open_socket):
        assert (await open_socket(subprotocols=["livestep.v1"]))[1] == "livestep.v1"
        assert (await open_socket(subprotocols=["other", "livestep.v1"]))[1] == "livestep.v1"
        assert (await open_socket(subprotocols=[]))[1] is None

    async def test_only_unknown_subprotocols_are_refused(self, open_socket):
        assert (await open_socket(subprotocols=["livestep.v2", "mqtt"]))[0] is None

    @pytest.mark.parametrize("path", ["/", "/ws/", "/wsx", "/other"])
    async def test_no_other_address_is_a_socket(self, open_socket, path):
        assert (await open_socket(path))[0] is None

    async def test_the_session_in_the_query_is_only_a_hint(self, open_socket):
        assert (await open_socket("/ws?session=nowhere"))[0]

    async def test_a_foreign_origin_is_refused(self, open_socket):
        assert (await open_socket(headers=[(b"origin", b"http://evil.test")]))[0] is None
        assert (await open_socket(headers=[(b"origin", b"null")]))[0] is None
        assert (await open_socket(headers=[(b"origin", b"http://localhost")]))[0]


def page_cookie():
    """Visit a page, and return the header of the cookie that it gave."""
    response = HttpClient().get("/simulations/counter/")
    value = response.cookies[BROWSER_COOKIE].value
    return [(b"cookie", f"{BROWSER_COOKIE}={value}".encode())]


def cookie(key):
    return [(b"cookie", f"sessionid={key}".encode())]


def browser_session():
    store = SessionStore()
    store[BROWSER_KEY] = "browser-1"
    store.save()
    return store.session_key


def login_session(name, *permissions, **fields):
    user = get_user_model().objects.create_user(name, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = HttpClient()
    client.force_login(user)
    return client.session.session_key


@pytest.mark.django_db(transaction=True)
class TestOwners:
    async def can_control(self, connect, one, other):
        driver = await connect(headers=one)
        viewer = await connect(headers=other)
        session = (await driver.start("counter"))["session"]
        return (await viewer.ask("watch", session=session))["can_control"]

    async def test_the_same_browser_controls(self, connect):
        key = await in_thread(browser_session)
        assert await self.can_control(connect, cookie(key), cookie(key))

    async def test_the_same_browser_controls_by_the_cookie_of_a_page(self, connect):
        one, other = [await in_thread(page_cookie) for _ in range(2)]
        assert await self.can_control(connect, one, one)
        assert not await self.can_control(connect, one, other)
        assert not await Session.objects.aexists()

    async def test_two_clients_without_cookies_are_not_the_same(self, connect):
        assert not await self.can_control(connect, [], [])

    async def test_the_same_user_controls(self, connect):
        key = await in_thread(login_session, "ada")
        assert await self.can_control(connect, cookie(key), cookie(key))

    async def test_another_user_does_not(self, connect):
        one, other = await in_thread(login_session, "ada"), await in_thread(login_session, "bob")
        assert not await self.can_control(connect, cookie(one), cookie(other))

    async def test_staff_with_the_permission_controls(self, connect):
        key = await in_thread(login_session, "eve", "control_streamsession", is_staff=True)
        assert await self.can_control(connect, [], cookie(key))

    async def test_staff_without_it_does_not(self, connect):
        key = await in_thread(login_session, "eve", is_staff=True)
        assert not await self.can_control(connect, [], cookie(key))

    async def test_sessions_of_an_owner_are_bounded(self, connect, settings):
        settings.LIVESTEP = {"MAX_SESSIONS_PER_OWNER": 1}
        key = await in_thread(browser_session)
        one, two, stranger = (
            await connect(headers=cookie(key)),
            await connect(headers=cookie(key)),
            await connect(),
        )
        await one.start("counter")
        error = await two.start("counter")
        assert error["code"] == "too_many_sessions"
        assert "stop one of them first" in error["message"]
        assert (await stranger.start("counter"))["type"] == "started"

    @pytest.mark.parametrize("how", ["LIVESTEP", "MIDDLEWARE"])
    async def test_a_site_for_users_sends_others_away(self, connect, settings, how):
        if how == "LIVESTEP":
            settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        else:
            # Which every page goes through, but no WebSocket.
            settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_WALL]
        stranger = await connect()
        assert (await stranger.receive())["code"] == "forbidden"
        assert (await stranger.receive()) == {"type": "closed", "code": 4401}
        user = await connect(headers=cookie(await in_thread(login_session, "ada")))
        assert (await user.ask("ping"))["type"] == "pong"


async def in_thread(function, *args, **kwargs):
    from channels.db import database_sync_to_async

    return await database_sync_to_async(function)(*args, **kwargs)


async def test_a_consumer_opens_no_channel_that_nobody_sends_to(connect):
    channels = set(local_layer().channels)
    await connect()
    assert set(local_layer().channels) == channels
