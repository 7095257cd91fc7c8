"""A SQLite file that another program keeps locked: everybody gets an answer, soon, and it mends."""

import asyncio
import sqlite3
from contextlib import contextmanager

import pytest

from tests.live.clients import clients_of
from tests.visitor import Visitor

# A page waits for the lock once or twice, 2 s each time.
SOON_S = 8
USER = (
    "from django.contrib.auth.models import User; "
    "User.objects.create_superuser('locksmith', password='their-password')"
)


@contextmanager
def locked(server):
    path = f"{server.environment['VAR_DIR']}/db.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None, timeout=SOON_S)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()


@pytest.fixture(scope="module")
def locksmith(server):
    server.manage("shell", "-v0", "-c", USER)
    visitor = Visitor(server)
    visitor.log_in("locksmith", "their-password")
    return visitor


async def test_is_said_in_pages_in_readyz_and_to_who_starts(server, locksmith):
    async with clients_of(server) as open_client:
        owner, other = await open_client(), await open_client()
        session = await owner.start("counter")
        before = len(server.read_log())
        with locked(server):
            await other.send("start", simulation="counter", id="s")
            # A ping does not wait for the row of the start.
            await other.send("ping", id="p")
            while "id" not in (answer := await other.receive()):
                pass
            assert answer["type"] == "pong"
            asked = [
                asyncio.to_thread(locksmith.get, "/admin/"),
                asyncio.to_thread(locksmith.get, "/readyz"),
                asyncio.to_thread(locksmith.post, "/admin/logout/"),
            ]
            async with asyncio.timeout(SOON_S):
                page, ready, end = await asyncio.gather(*asked)
            assert (page.status, ready.status, end.status) == (200, 503, 503)
            assert "The database cannot be used" in end.text
            refused = await other.until(id="s")
            assert refused["type"] == "error"
            assert "the database" in refused["message"]
            # What runs goes on.
            count = len(owner.frames)
            while len(owner.frames) < count + 5:
                await owner.until(type="frame")
        assert "Traceback" not in server.read_log()[before:]
        async with asyncio.timeout(SOON_S):
            while (await asyncio.to_thread(locksmith.get, "/readyz")).status != 200:
                await asyncio.sleep(0.1)
        await other.start("counter")
        assert (await asyncio.to_thread(locksmith.get, f"/sessions/{session}/")).status == 200
