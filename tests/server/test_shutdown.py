"""The end of a server whose threads may all hang."""

import asyncio
import faulthandler

import pytest

from streaming.runtime import runtime
from streaming.server.shutdown import shut_down
from tests.parts import NoRecords
from tests.threads import full_executor

pytestmark = pytest.mark.asyncio
WAIT_S = 5


class Server:
    signal_handlers = False

    def stop_listening(self):
        pass

    def close_sockets(self):
        pass

    def applications(self):
        return set()


async def test_the_last_rows_wait_for_no_thread_of_the_event_loop(monkeypatch):
    done = []

    class Records(NoRecords):
        def flush(self, timeout):
            done.append("rows")

    async def stop(grace):
        done.append("sessions")

    async def leave():
        done.append("left")

    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *args, **options: None)
    monkeypatch.setattr(runtime.pool, "shut_down", stop)
    monkeypatch.setattr(runtime.pool, "is_shutting_down", False)
    monkeypatch.setattr(runtime, "records", Records())
    monkeypatch.setattr(runtime, "leave", leave)
    async with full_executor(), asyncio.timeout(WAIT_S):
        await shut_down(Server())
    assert done == ["sessions", "rows", "left"]
