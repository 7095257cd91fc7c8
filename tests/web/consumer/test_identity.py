"""What becomes of an open connection when its user logs out, is deactivated, or loses a right."""

import asyncio
import json
import threading

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.db import DatabaseError, transaction
from django.test import Client as HttpClient
from django.test import RequestFactory
from django.utils import timezone

from streaming.identity import BROWSER_COOKIE, identities_of, login_name
from streaming.sessions.records import Records
from streaming.web import consumer as consumers
from streaming.web import rights as rights_module
from streaming.web.livestep import LivestepConsumer
from tests.parts import bus, rights, sessions
from tests.threads import full_executor

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_S = 20
CONTROL = "control_streamsession"


class Login:
    """A user who is logged in with a browser."""

    def __init__(self, user):
        self.user = user
        self.browser = HttpClient()
        self.browser.force_login(user)
        self.key = self.browser.session.session_key

    @property
    def headers(self):
        known = [(name, morsel.value) for name, morsel in self.browser.cookies.items()]
        cookies = dict(known) | {"sessionid": self.key}
        return [(b"cookie", "; ".join(map("=".join, cookies.items())).encode())]


def make_user(name, *permissions, **fields):
    user = get_user_model().objects.create_user(name, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def log_in(name, *permissions, **fields):
    return Login(make_user(name, *permissions, **fields))


@database_sync_to_async
def in_thread(function, *args, **kwargs):
    return function(*args, **kwargs)


async def closed(client):
    """Return the error that is said, and the code of the close that follows it."""
    error = await client.until(type="error")
    assert "id" not in error
    return error["message"], (await client.receive())["code"]


async def is_served(client):
    return (await client.ask("ping"))["type"] == "pong"


def change(user, **fields):
    for name, value in fields.items():
        setattr(user, name, value)
    user.save()


def say_logout(login):
    """Let Django say that a login ends. It is deleted after that, on a busy server much later."""
    request = RequestFactory().get("/")
    request.session = login.browser.session
    user_logged_out.send(type(login.user), request=request, user=login.user)


def change_password(user):
    user.set_password("another")
    user.save()


class TestALogin:
    async def test_that_ends_closes_its_connections_with_4401(self, connect):
        login = await in_thread(log_in, "ada", is_staff=True)
        elsewhere = await in_thread(Login, login.user)
        stranger = await in_thread(log_in, "bob")
        one, two = await connect(headers=login.headers), await connect(headers=login.headers)
        others = [
            await connect(headers=headers) for headers in (elsewhere.headers, stranger.headers)
        ]
        visitor = await connect()
        response = await in_thread(login.browser.post, "/admin/logout/")
        assert response.status_code == 200
        for client in (one, two):
            assert await closed(client) == ("this login has ended", 4401)
        for client in (*others, visitor):
            assert await is_served(client)

    @pytest.mark.parametrize(
        "end",
        [
            lambda user: change(user, is_active=False),
            lambda user: user.delete(),
            change_password,
        ],
        ids=["deactivated", "deleted", "password"],
    )
    async def test_whose_user_changes_ends_in_every_browser(self, connect, end):
        login = await in_thread(log_in, "ada")
        elsewhere = await in_thread(Login, login.user)
        clients = [await connect(headers=each.headers) for each in (login, elsewhere)]
        await in_thread(end, login.user)
        for client in clients:
            assert await closed(client) == ("this login has ended", 4401)

    async def test_that_ends_shows_no_frame_more(self, connect):
        login = await in_thread(log_in, "ada", is_staff=True)
        client, viewer = await connect(headers=login.headers), await connect()
        session = (await client.start("counter"))["session"]
        await client.frame()
        await in_thread(login.browser.post, "/admin/logout/")
        await closed(client)
        assert sessions.get(session).viewers == 0
        await viewer.ask("watch", session=session)
        await viewer.frame(3)
        assert client.communicator.output_queue.empty()

    async def test_that_ends_leaves_its_session_to_the_abandon_policy(self, connect, settings):
        settings.LIVESTEP = {"ABANDON_GRACE": 0}
        login = await in_thread(log_in, "ada", is_staff=True)
        client = await connect(headers=login.headers)
        session = (await client.start("counter"))["session"]
        await in_thread(login.browser.post, "/admin/logout/")
        await closed(client)
        live = sessions.get(session)
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        assert live.session.snapshot().stop.by == "abandoned"

    async def test_that_ends_is_said_in_the_plain_dialect(self, connect_plain):
        login = await in_thread(log_in, "ada")
        client = await connect_plain(headers=login.headers)
        await in_thread(change, login.user, is_active=False)
        assert await client.receive_from(WAIT_S) == "error: this login has ended"
        assert (await client.receive_output(WAIT_S))["code"] == 4401

    async def test_that_ends_is_found_though_the_threads_of_the_event_loop_are_busy(self, connect):
        login = await in_thread(log_in, "ada")
        client = await connect(headers=login.headers)
        async with full_executor():
            await in_thread(change, login.user, is_active=False)
            assert await closed(client) == ("this login has ended", 4401)

    async def test_that_ends_while_its_start_is_validated_starts_nothing(
        self, connect, monkeypatch
    ):
        entered, release = threading.Event(), threading.Event()

        def validate(simulation, params):
            entered.set()
            release.wait(WAIT_S)
            return {}

        monkeypatch.setattr("streaming.web.livestep.validate_params", validate)
        login = await in_thread(log_in, "ada")
        client = await connect(headers=login.headers)
        await client.send("start", simulation="counter")
        await asyncio.to_thread(entered.wait, WAIT_S)
        await asyncio.to_thread(change, login.user, is_active=False)
        assert await closed(client) == ("this login has ended", 4401)
        release.set()
        await client.communicator.disconnect()
        assert sessions.all() == []

    @pytest.mark.parametrize("is_plain", [False, True])
    async def test_that_ends_while_the_row_is_written_leaves_a_session_that_never_ran(
        self, connect, connect_plain, monkeypatch, is_plain
    ):
        is_writing, is_written = asyncio.Event(), asyncio.Event()

        async def settle(self, session_id):
            is_writing.set()
            await is_written.wait()

        monkeypatch.setattr(Records, "settle", settle)
        # It is not left to the grace of one that is never started.
        monkeypatch.setattr("streaming.sessions.abandonment.FIRST_GRACE_S", 3600)
        login = await in_thread(log_in, "ada")
        if is_plain:
            socket = await connect_plain("?simulation=counter", headers=login.headers)
            await socket.send_to(text_data="start")
        else:
            client = await connect(headers=login.headers)
            socket = client.communicator
            await client.send("start", simulation="counter", abandon="keep")
        await asyncio.wait_for(is_writing.wait(), WAIT_S)
        await in_thread(change, login.user, is_active=False)
        assert "login has ended" in (await socket.receive_output(WAIT_S))["text"]
        assert (await socket.receive_output(WAIT_S))["code"] == 4401
        is_written.set()
        (live,) = sessions.all()
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        snapshot = live.session.snapshot()
        assert (snapshot.stop.by, snapshot.step, live.viewers) == ("abandoned", 0, 0)
        assert not live.holds_thread
        await socket.disconnect()
        assert socket.output_queue.empty()

    async def test_that_ends_unheard_is_found_within_a_minute(self, connect, monkeypatch):
        """Its row is deleted, as by another program."""
        monkeypatch.setattr(rights_module, "RECHECK_S", 0.05)
        login = await in_thread(log_in, "ada")
        client = await connect(headers=login.headers)
        await in_thread(Session.objects.all().delete)
        assert await closed(client) == ("this login has ended", 4401)

    async def test_that_expires_ends(self, connect, monkeypatch):
        monkeypatch.setattr(rights_module, "RECHECK_S", 0.05)
        login = await in_thread(log_in, "ada")
        client = await connect(headers=login.headers)
        assert await is_served(client)
        await in_thread(Session.objects.update, expire_date=timezone.now())
        assert await closed(client) == ("this login has ended", 4401)

    async def test_that_goes_on_is_left_alone_by_the_minutely_look(self, connect, monkeypatch):
        looked = asyncio.Event()
        loop = asyncio.get_running_loop()

        def look(keys):
            loop.call_soon_threadsafe(looked.set)
            return identities_of(keys)

        monkeypatch.setattr(rights_module, "RECHECK_S", 0.01)
        monkeypatch.setattr(rights_module, "identities_of", look)
        login = await in_thread(log_in, "ada")
        client = await connect(headers=login.headers)
        for _ in range(3):
            looked.clear()
            await asyncio.wait_for(looked.wait(), WAIT_S)
        assert await is_served(client)

    async def test_that_is_seen_again_leaves_its_user_alone(self, connect):
        """What every login writes, `last_login`, changes no right."""
        login = await in_thread(log_in, "ada")
        await connect(headers=login.headers)
        before = rights.changes
        await in_thread(Login, login.user)
        await asyncio.sleep(0)
        assert rights.changes == before

    async def test_that_has_ended_before_it_was_looked_up_is_not_missed(self, connect, monkeypatch):
        """The user is deactivated between the look and the entry among the open connections."""
        identify_scope = consumers.identify_scope
        login = await in_thread(log_in, "ada")

        async def identify(scope):
            identity = await identify_scope(scope)
            before = rights.changes
            bus.start()
            await in_thread(change, login.user, is_active=False)
            async with asyncio.timeout(WAIT_S):
                while rights.changes == before:  # it has no event
                    await asyncio.sleep(0)
            return identity

        monkeypatch.setattr(consumers, "identify_scope", identify)
        client = await connect(headers=login.headers)
        assert await closed(client) == ("this login has ended", 4401)

    @pytest.mark.parametrize("then", ["visitor", "nobody", "nobody, in plain"])
    async def test_that_has_ended_lets_nobody_back_in_before_it_is_deleted(
        self, connect, connect_plain, settings, then
    ):
        """Django says that it ends, and then deletes it: a page that was told is back between."""
        login = await in_thread(log_in, "ada", is_staff=True)
        client = await connect(headers=login.headers)
        session = (await client.start("counter"))["session"]
        await in_thread(say_logout, login)
        assert await closed(client) == ("this login has ended", 4401)
        settings.LIVESTEP = {"LOGIN_REQUIRED": then != "visitor"}
        if then == "visitor":
            back = await connect(headers=login.headers)
            assert not (await back.ask("watch", session=session))["can_control"]
        elif then == "nobody":
            back = await connect(headers=login.headers)
            assert await closed(back) == ("log in to use this site", 4401)
        else:
            back = await connect_plain(headers=login.headers)
            assert await back.receive_from(WAIT_S) == "error: log in to use this site"

    async def test_that_goes_on_is_let_in_after_another_has_ended(self, connect):
        login = await in_thread(log_in, "ada")
        elsewhere = await in_thread(Login, login.user)
        client = await connect(headers=elsewhere.headers)
        await in_thread(say_logout, elsewhere)
        await closed(client)
        driver = await connect(headers=login.headers)
        session = (await driver.start("counter"))["session"]
        again = await connect(headers=login.headers)
        assert (await again.ask("watch", session=session))["can_control"]

    async def test_whose_end_is_taken_back_goes_on(self, connect):
        login = await in_thread(log_in, "ada")
        client = await connect(headers=login.headers)

        def deactivate_and_fail():
            with transaction.atomic():
                change(login.user, is_active=False)
                raise ZeroDivisionError

        before = rights.changes
        with pytest.raises(ZeroDivisionError):
            await in_thread(deactivate_and_fail)
        assert await is_served(client)
        assert rights.changes == before

    async def test_is_the_only_way_to_what_its_user_has_started(self, connect):
        """The browser is the same; who sits there may not log in as that user any more."""
        login = await in_thread(log_in, "ada")
        await in_thread(login.browser.get, "/simulations/counter/")
        assert BROWSER_COOKIE in login.browser.cookies
        client = await connect(headers=login.headers)
        session = (await client.start("counter"))["session"]
        await in_thread(change, login.user, is_active=False)
        await closed(client)
        visitor = await connect(headers=login.headers)
        assert not (await visitor.ask("watch", session=session))["can_control"]


@pytest.fixture
def rechecked(monkeypatch):
    """Set when a connection was told who its user is now."""
    rechecked = asyncio.Event()
    recheck = LivestepConsumer.recheck

    def recheck_and_tell(consumer, identity):
        recheck(consumer, identity)
        rechecked.set()

    monkeypatch.setattr(LivestepConsumer, "recheck", recheck_and_tell)
    return rechecked


class TestARight:
    async def controls(self, connect, login):
        """Return a client that controls another's session by its user's right to control all."""
        driver, client = await connect(), await connect(headers=login.headers)
        session = (await driver.start("counter"))["session"]
        assert (await client.ask("watch", session=session))["can_control"]
        return client, driver

    @pytest.mark.parametrize("lost", ["permission", "staff", "group", "group's", "groups", "all"])
    async def test_that_is_lost_closes_with_4403_who_controls_by_it(self, connect, lost):
        by_group = lost.startswith("group")
        login = await in_thread(log_in, "eve", *([] if by_group else [CONTROL]), is_staff=True)
        group = await in_thread(Group.objects.create, name="operators")
        permission = await in_thread(Permission.objects.get, codename=CONTROL)
        if by_group:
            await in_thread(group.permissions.add, permission)
            await in_thread(login.user.groups.add, group)
        client, driver = await self.controls(connect, login)
        match lost:
            case "permission":
                await in_thread(login.user.user_permissions.remove, permission)
            case "staff":
                await in_thread(change, login.user, is_staff=False)
            case "group":
                await in_thread(login.user.groups.clear)
            case "group's":
                await in_thread(group.permissions.remove, permission)
            case "groups":
                await in_thread(group.delete)
            case "all":
                await in_thread(permission.user_set.clear)
        assert await closed(client) == ("you may not control this session any more", 4403)
        assert (await driver.ask("pause"))["type"] == "ok"

    async def test_that_is_lost_leaves_whoever_controls_without_it(self, connect, rechecked):
        login = await in_thread(log_in, "eve", CONTROL, is_staff=True)
        client = await connect(headers=login.headers)
        await client.start("counter")
        foreign = (await (await connect()).start("slow"))["session"]
        await in_thread(login.user.user_permissions.clear)
        await asyncio.wait_for(rechecked.wait(), WAIT_S)
        assert (await client.ask("pause"))["type"] == "ok"
        assert not (await client.ask("watch", session=foreign))["can_control"]

    async def test_that_is_lost_leaves_whoever_attends_nothing(self, connect, rechecked):
        login = await in_thread(log_in, "eve", CONTROL, is_staff=True)
        client = await connect(headers=login.headers)
        await in_thread(login.user.user_permissions.clear)
        await asyncio.wait_for(rechecked.wait(), WAIT_S)
        assert await is_served(client)

    async def test_that_is_gained_counts_at_once(self, connect, rechecked):
        login = await in_thread(log_in, "eve", is_staff=True)
        driver, client = await connect(), await connect(headers=login.headers)
        session = (await driver.start("counter"))["session"]
        assert not (await client.ask("watch", session=session))["can_control"]
        assert (await client.ask("pause"))["code"] == "forbidden"
        permission = await in_thread(Permission.objects.get, codename=CONTROL)
        await in_thread(login.user.user_permissions.add, permission)
        await asyncio.wait_for(rechecked.wait(), WAIT_S)
        assert (await client.ask("pause"))["type"] == "ok"


class TestReading:
    async def test_each_user_is_read_once(self, django_assert_num_queries):
        def read():
            login = log_in("eve", CONTROL, is_staff=True)
            keys = [login.key, Login(login.user).key, Login(login.user).key]
            # Three login sessions, one user, its own permissions, those of its groups.
            with django_assert_num_queries(6):
                return identities_of(keys)

        found = await in_thread(read)
        assert [identity.controls_all for identity in found.values()] == [True] * 3

    async def test_writes_nothing(self, django_assert_num_queries):
        """A login that holds no more is for the next request to flush, with its cookie."""

        def read():
            login = log_in("ada")
            change_password(login.user)
            assert identities_of([login.key]) == {login.key: None}
            return Session.objects.filter(pk=login.key).exists()

        assert await in_thread(read)

    @pytest.mark.parametrize("fallback", [False, True])
    async def test_an_older_secret_key_counts_as_long_as_it_may(self, settings, fallback):
        def read():
            login = log_in("ada")
            if fallback:
                settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
            # Hashes are of the user's password and the key, with which the row is signed, too.
            settings.SECRET_KEY = "another"
            return identities_of([login.key])[login.key]

        assert (await in_thread(read) is not None) == fallback

    async def test_what_is_no_login_is_none(self):
        assert await in_thread(identities_of, ["nope"]) == {"nope": None}

    async def test_a_database_that_does_not_answer_closes_nobody(
        self, connect, monkeypatch, caplog
    ):
        failures = iter([DatabaseError("gone away")] * 2)

        def read(keys):
            for error in failures:
                raise error
            return identities_of(keys)

        monkeypatch.setattr(rights_module, "identities_of", read)
        monkeypatch.setattr(rights_module, "RETRY_S", 0.01)
        login = await in_thread(log_in, "ada")
        client = await connect(headers=login.headers)
        await in_thread(change, login.user, is_active=False)
        # It is asked until it answers.
        assert await closed(client) == ("this login has ended", 4401)
        assert caplog.text.count("the users of the open connections cannot be read") == 1


class TestWhatIsTold:
    async def test_no_login_sessions_key(self, connect, monkeypatch, caplog):
        """Whoever has it is that user: it must not be read in Redis, nor in the log."""
        caplog.set_level("DEBUG")
        told = []
        monkeypatch.setattr(
            bus, "_handle", lambda message: (told.append(message), rights.hear(message))
        )
        login = await in_thread(log_in, "ada", is_staff=True)
        client = await connect(headers=login.headers)
        await in_thread(login.browser.post, "/admin/logout/")
        await closed(client)
        ends = [message for message in told if message["session"] is not None]
        assert [message["session"] for message in ends] == [login_name(login.key)]
        assert login.key not in json.dumps(told)
        assert login.key not in caplog.text

    async def test_by_another_process_is_heard(self, connect):
        login = await in_thread(log_in, "ada")
        client = await connect(headers=login.headers)
        message = {"user": str(login.user.pk), "session": login_name(login.key)}
        rights.hear({"kind": "identity", "from": "b", **message})
        assert await closed(client) == ("this login has ended", 4401)

    async def test_a_visitor_who_logs_out_is_no_news(self):
        bus.start()
        before = rights.changes
        await in_thread(lambda: HttpClient().logout())
        await asyncio.sleep(0)
        assert rights.changes == before


async def test_the_task_lives_as_long_as_anybody_is_logged_in(connect):
    def tasks():
        return [task for task in asyncio.all_tasks() if task.get_name() == "rights"]

    visitor = await connect()
    assert tasks() == []
    login = await in_thread(log_in, "ada")
    one, two = await connect(headers=login.headers), await connect(headers=login.headers)
    (task,) = tasks()
    await one.communicator.disconnect()
    assert tasks() == [task]
    await two.communicator.disconnect()
    await asyncio.wait([task], timeout=WAIT_S)
    assert task.cancelled()
    assert not rights._watched
    assert await is_served(visitor)
