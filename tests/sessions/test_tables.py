"""Tables of plotted numbers, many of which may be asked for at once."""

import asyncio
import threading

import pytest

from streaming.catalog.registry import registry
from streaming.identity import Identity
from streaming.sessions import live as module
from streaming.sessions.stored import StoredSession
from tests.parts import close_sessions, sessions
from tests.threads import full_executor

pytestmark = pytest.mark.asyncio
WAIT_S = 10


@pytest.fixture
async def live(no_rows):
    yield sessions.create(registry.get("counter"), {"level": 1, "size": 1}, Identity())
    await close_sessions()


async def test_requests_meanwhile_share_one_though_the_first_has_left(live, monkeypatch):
    release, made = threading.Event(), []

    def make(series):
        made.append(series)
        release.wait(WAIT_S)
        return b"step\n"

    monkeypatch.setattr(module, "table_of", make)
    first, *others = [asyncio.ensure_future(live.table()) for _ in range(20)]
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    async with asyncio.timeout(WAIT_S):
        assert await asyncio.gather(*others) == 19 * [b"step\n"]
        assert len(made) == 1
        await live.table()
    assert len(made) == 2


async def test_wait_for_no_thread_of_the_event_loop(live):
    stored = StoredSession({}, None)
    async with full_executor(), asyncio.timeout(WAIT_S):
        assert await live.table() == await stored.table() == b""
