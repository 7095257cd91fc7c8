"""The parts of this process that tests look at, and what only tests do to them."""

import asyncio
import time

from streaming.engine.errors import UnknownSession
from streaming.engine.snapshot import StopReason
from streaming.runtime import runtime
from streaming.sessions.admission import Admission

sessions, records, bus, rights = runtime.pool, runtime.records, runtime.bus, runtime.rights
# How long the end of a test waits for a step in progress.
CLOSE_WAIT_S = 5.0


class NoRecords:
    """Writes no row: for tests that have no database."""

    is_failing = is_lease_in_doubt = False

    def save(self, session_id, row, frame=None, series=None):
        pass

    async def settle(self, session_id):
        pass

    def flush(self, timeout):
        return True

    def begin_beating(self):
        pass

    def renew(self):
        pass

    def note_beat(self):
        return False

    def end_beating(self):
        pass


class NoArchive:
    """Knows no session."""

    def find(self, session_id):
        raise UnknownSession("there is no session here: it ended too long ago")

    async def read(self, session_id):
        return self.find(session_id)


async def close_sessions():
    """Stop every session, wait for the threads, and forget everything."""
    closing = sessions.all()
    # From the end of the queue: a session that is asked to stop makes room for no other.
    for live in reversed(closing):
        live.request_stop(StopReason.SHUTDOWN)
    for live in closing:
        await asyncio.to_thread(live.join, CLOSE_WAIT_S)
    if sessions._calls is not None:
        sessions._calls.close()  # What the workers said last reaches the loop.
    await asyncio.sleep(0)
    if sessions._heart is not None:
        sessions._heart.cancel()
        sessions._heart = None
    for live in closing:
        live.forget()
    sessions._sessions.clear()
    sessions.mistakes.clear()
    sessions._admission = Admission()
    await asyncio.to_thread(_end_records)


def _end_records():
    """Have nothing more written: a row that comes after its test would be there in the next."""
    deadline = time.monotonic() + CLOSE_WAIT_S
    while records._thread is not None:
        assert time.monotonic() < deadline, "the thread that writes rows does not end"
        with records._lock:
            records._waiting.clear()
            records._must_renew = records._must_release = False
            records._must_end = True
            records._lock.notify_all()
        time.sleep(0.002)
    records._beat_at, records._doubts, records._has_lease = None, 0, False
