"""Questions that come again and again, on a thread with a connection of its own."""

import asyncio
import threading
from unittest.mock import Mock

import pytest
from django.db import OperationalError

from streaming.cluster import database
from streaming.cluster.database import KEPT_S, DatabaseThread

pytestmark = pytest.mark.asyncio


@pytest.fixture
def ended(monkeypatch):
    """The threads whose connections were ended, by their names."""
    names = []

    class Connections:
        def all(self, initialized_only):
            return []

        def close_all(self):
            names.append(threading.current_thread().name)

    monkeypatch.setattr(database, "connections", Connections())
    return names


@pytest.fixture
def thread():
    thread = DatabaseThread("questions")
    yield thread
    thread.close()


async def where(thread):
    return await thread.ask(lambda: threading.current_thread())


class TestConnection:
    async def test_all_questions_go_over_one_and_none_waits_on_the_loops_threads(
        self, thread, ended
    ):
        first, *others = [await where(thread) for _ in range(3)]
        assert first.name.startswith("questions")
        assert others == [first, first]
        assert ended == []

    async def test_it_is_another_one_after_an_error(self, thread, ended):
        def fail():
            raise OperationalError("it has gone away")

        with pytest.raises(OperationalError):
            await thread.ask(fail)
        assert ended == ["questions_0"]
        assert await thread.ask(lambda: 2) == 2

    async def test_one_that_the_database_has_cut_costs_no_question(self, thread, monkeypatch):
        used = Mock(connection=object(), **{"is_usable.return_value": True})
        cut = Mock(connection=object(), **{"is_usable.return_value": False})
        unused = Mock(connection=None)
        monkeypatch.setattr(
            database, "connections", Mock(**{"all.return_value": (used, cut, unused)})
        )
        assert await thread.ask(lambda: cut.close.called)
        assert not used.close.called
        assert not unused.is_usable.called

    async def test_an_old_one_is_ended_at_the_next_question(self, thread, ended, monkeypatch):
        await where(thread)
        now = database.time.monotonic() + KEPT_S + 1
        monkeypatch.setattr(database.time, "monotonic", lambda: now)
        await where(thread)
        await where(thread)
        assert ended == ["questions_0"]

    async def test_an_old_one_is_ended_where_nobody_asks_any_more(self, thread, ended, monkeypatch):
        thread.end_old_connection()
        await where(thread)
        thread.end_old_connection()
        assert ended == []
        now = database.time.monotonic() + KEPT_S + 1
        monkeypatch.setattr(database.time, "monotonic", lambda: now)
        thread.end_old_connection()
        thread.end_old_connection()
        monkeypatch.undo()
        # After what was to be done before it.
        await thread.ask(lambda: None)
        assert ended == ["questions_0"]


class TestEnd:
    async def test_the_thread_and_its_connection_end(self, thread, ended):
        asked = await where(thread)
        thread.close()
        await asyncio.to_thread(asked.join, 5)
        assert not asked.is_alive()
        assert ended == ["questions_0"]

    async def test_a_question_after_it_begins_anew(self, thread):
        former = await where(thread)
        thread.close()
        assert await where(thread) is not former

    async def test_one_that_was_never_asked_has_no_thread(self, thread):
        before = threading.active_count()
        thread.close()
        assert threading.active_count() == before
