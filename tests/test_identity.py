"""Looking up the users of new connections, where the database may not answer."""

import asyncio
import threading

import pytest
from django.db import DatabaseError, DataError, OperationalError

from streaming import identity as module
from streaming.identity import LOOKUP_THREADS, NO_COOKIES, Identity, Lookups
from tests.threads import full_executor

pytestmark = pytest.mark.asyncio
WAIT_S = 10


class Session(dict):
    """A login session in which nobody is logged in; the database has it."""

    def __init__(self, ask):
        self.ask = ask

    def get(self, name, default=None):
        self.ask()
        return default


def failing(error):
    def fail():
        raise error

    return Session(fail)


@pytest.fixture
def lookups():
    return Lookups()


@pytest.fixture
def black_hole():
    """A login session in a database that swallows every question, and how often it was asked."""
    release, asked = threading.Event(), []

    def ask():
        asked.append(1)
        release.wait(WAIT_S)

    session = Session(ask)
    session.asked = asked
    yield session
    release.set()


async def is_unanswered(lookups, session):
    with pytest.raises(DatabaseError, match="not answer"):
        await lookups.identity_in(session, NO_COOKIES)
    return True


class TestADatabaseThatSwallowsQuestions:
    async def test_keeps_no_crowd_waiting(self, lookups, black_hole, monkeypatch):
        monkeypatch.setattr(module, "ANSWER_S", 0.05)
        first = [is_unanswered(lookups, black_hole) for _ in range(LOOKUP_THREADS)]
        async with asyncio.timeout(WAIT_S / 2):
            assert all(await asyncio.gather(*first))
            assert all(await asyncio.gather(*(is_unanswered(lookups, black_hole) for _ in "abc")))
        assert len(black_hole.asked) == LOOKUP_THREADS

    async def test_is_asked_again_after_a_while(self, lookups, monkeypatch):
        monkeypatch.setattr(module, "AWAY_S", 0.0)
        assert await is_unanswered(lookups, failing(OperationalError("not answered")))
        assert await lookups.identity_in(Session(lambda: None), NO_COOKIES) == Identity()

    async def test_fails_at_once_those_that_wait_for_a_thread(self, lookups):
        """Their questions would fail as well, three seconds later each."""
        entered, release = threading.Semaphore(0), threading.Event()

        def ask():
            entered.release()
            release.wait(WAIT_S)
            raise OperationalError("it does not answer")

        session = Session(ask)
        crowd = [asyncio.ensure_future(is_unanswered(lookups, session)) for _ in range(40)]
        for _ in range(LOOKUP_THREADS):
            assert await asyncio.to_thread(entered.acquire, timeout=WAIT_S)
        release.set()
        async with asyncio.timeout(WAIT_S):
            assert all(await asyncio.gather(*crowd))
        assert not entered.acquire(blocking=False)


async def test_one_clients_strange_session_takes_nobody_elses_login(lookups):
    with pytest.raises(DataError):
        await lookups.identity_in(failing(DataError("a key with a NUL")), NO_COOKIES)
    assert await lookups.identity_in(Session(lambda: None), NO_COOKIES) == Identity()


async def test_a_lookup_waits_for_no_thread_of_others(lookups):
    async with full_executor(), asyncio.timeout(WAIT_S):
        assert await lookups.identity_in(Session(lambda: None), NO_COOKIES) == Identity()
