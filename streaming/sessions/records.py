"""The one writer of StreamSession rows and of this process's lease: a thread of its own, so that
neither the event loop nor a worker ever waits for the database."""

import asyncio
import errno
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from streaming.engine.errors import SHORT_OF, Unavailable, shortage
from streaming.engine.frames import Frame
from streaming.engine.series import Series
from streaming.metrics import DATABASE_ERRORS
from streaming.models import HEARTBEAT_S, LOST_AFTER_S
from streaming.sessions import lease, rows
from streaming.sessions.rows import LAST_FRAME, LAST_LINES

logger = logging.getLogger(__name__)

# What the core says of a shortage; here, since it knows nothing of translations.
SHORTAGES = (
    gettext_noop("the server has no file descriptor left"),
    gettext_noop("the machine has no file descriptor left"),
    gettext_noop("the machine has no memory left"),
    gettext_noop("the machine allows no more processes or threads"),
    gettext_noop("the disk is full"),
)
# So much memory is asked for to see whether there is any.
LOOK_BYTES = 1024 * 1024
LOCKED = gettext_noop("another program keeps the database locked")

MAX_WAITING = 1000
# What last frames and lines may have together while the database is away; the oldest are let go.
MAX_FRAME_BYTES = 64 * 1024 * 1024
RETRY_S = 1.0
# How long the thread waits for more, with its connection: to begin anew takes longer than a row.
# Shorter than a heartbeat, since a connection that was idle may have been cut.
LINGER_S = 2.0
# How long rows are gathered for which nobody waits: a session's are often replaced by then.
GATHER_S = 0.05
# A process that stood still for so long may have been given up: others wait for LOST_AFTER_S.
STANDSTILL_S = LOST_AFTER_S - HEARTBEAT_S
MOST_DOUBTS = 3
ANSWER_S = 3.0
# How often what is old is deleted, while sessions end here.
PRUNE_S = 600.0


class Records:
    """Writes the newest row of each session. Its thread lives while there is something to write,
    and LINGER_S longer.

    At most one row waits for each session, and at most `MAX_WAITING` in all: beyond that a row
    of a session that goes on is dropped, since a later heartbeat brings it again.

    All sessions have one lease, which is there before the first row. A session that somebody has
    given up for lost is no longer written, and `on_lost` is called, on this thread, with its id.
    """

    def __init__(self) -> None:
        # Set by the pool, which has the sessions.
        self.on_lost: Callable[[str], None] = lambda session_id: None
        self._is_failing = False
        # What the machine has too little of, if that is why.
        self._short_of = ""
        # When this process beat last; and while it has stood still and not heard since what became
        # of its sessions, how often the database may still fail before it is taken to be away.
        self._beat_at: float | None = None
        self._doubts = 0
        # Guards those below.
        self._lock = threading.Condition()
        self._waiting: dict[str, dict[str, Any]] = {}
        # The ids of the rows that are being written, and the callers that wait for one.
        self._writing: set[str] = set()
        self._settling: dict[str, list[asyncio.Future[bool]]] = {}
        self._thread: threading.Thread | None = None
        # Whether the lease is to be renewed, and given back after that; and whether the thread is
        # about to.
        self._must_renew = self._must_release = False
        self._is_renewing = self._is_releasing = False
        # Whether the thread is to end as soon as it has nothing to write.
        self._must_end = False
        # For the thread.
        self._has_lease = False
        # When what is old is deleted next. For the thread.
        self._prune_at = 0.0

    def save(
        self,
        session_id: str,
        row: dict[str, Any],
        frame: Frame | None = None,
        series: Series | None = None,
    ) -> None:
        """Have a row written soon. Returns at once, on any thread.

        Args:
            frame: The last frame of a session that has ended, to be kept.
            series: What it has plotted, of which a part is kept.
        """
        row = {**row, LAST_FRAME: frame, LAST_LINES: series}
        with self._lock:
            if len(self._waiting) >= MAX_WAITING and session_id not in self._waiting:
                progress = (key for key, old in self._waiting.items() if old["ended"] is None)
                self._waiting.pop(next(progress, next(iter(self._waiting))))
            self._waiting[session_id] = row
            self._let_frames_go()
            self._begin()

    def renew(self) -> None:
        """Have the lease renewed soon. Returns at once, on any thread."""
        with self._lock:
            self._must_renew = True
            self._begin()

    def _begin(self) -> None:
        """See that there is a thread, and that it does not wait. If there is none to be had, the
        next row tries again. With the lock."""
        if self._thread is not None:
            self._lock.notify_all()
            return
        self._must_end = False
        thread = threading.Thread(target=self._run, name="records", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._note_failure_of(shortage(error), error)
        else:
            self._thread = thread
            # While the database fails there is a thread, so that it was for want of one.
            self._is_failing, self._short_of = False, ""

    def flush(self, timeout: float) -> bool:
        """Wait until everything is written, and the thread has ended; True if it was in time.
        Blocks."""
        with self._lock:
            self._must_end = True
            self._lock.notify_all()
            return self._lock.wait_for(lambda: self._thread is None, timeout)

    @property
    def is_failing(self) -> bool:
        """Whether the database did not take what was written last. On any thread."""
        return self._is_failing

    @property
    def is_lease_in_doubt(self) -> bool:
        """Whether this process may have been given up for lost: it stood still for so long, and
        has not yet heard from the database what became of its sessions. On any thread."""
        return self._doubts > 0 or self._has_stood_still()

    def begin_beating(self) -> None:
        """Take the lease, and expect a beat every second."""
        self._beat_at = time.monotonic()
        with self._lock:
            self._must_release = False
        self.renew()

    def note_beat(self) -> None:
        """Note a beat. If it comes so late that the sessions may have been given up, the lease
        will tell."""
        if self._has_stood_still():
            with self._lock:
                # What is heard of an earlier look at it says nothing.
                self._doubts, self._must_renew = MOST_DOUBTS, True
                self._begin()
        self._beat_at = time.monotonic()

    def end_beating(self) -> None:
        """Give the lease back, after the rows that wait are written."""
        if self._beat_at is None:
            return
        self._beat_at, self._doubts = None, 0
        with self._lock:
            self._must_renew, self._must_release = False, True
            self._begin()

    def _has_stood_still(self) -> bool:
        return self._beat_at is not None and time.monotonic() - self._beat_at > STANDSTILL_S

    async def settle(self, session_id: str) -> None:
        """Wait until the newest row of a session is written, or can never be. On the event loop.

        Raises:
            Unavailable: If the database does not answer, or not soon.
        """
        settled = asyncio.get_running_loop().create_future()
        with self._lock:
            if session_id in self._waiting:
                self._begin()  # There may be no thread for it, or one that gathers more.
            if not self._is_failing:
                self._settling.setdefault(session_id, []).append(settled)
                if session_id not in self._waiting and session_id not in self._writing:
                    self._settle([session_id], is_written=True)
        try:
            async with asyncio.timeout(0 if self._is_failing else ANSWER_S):
                if await settled:
                    return
        except TimeoutError:
            pass
        if self._short_of:
            raise Unavailable(
                _("no session can be started now: %(short_of)s; try again in a moment")
                % {"short_of": _(self._short_of)}
            )
        raise Unavailable(
            _(
                "the database does not answer, so that no session can be started now: "
                "try again in a moment"
            )
        )

    def _settle(self, session_ids: Iterable[str], *, is_written: bool) -> None:
        """Tell waiting callers what became of the rows. With the lock held."""
        for session_id in session_ids:
            for settled in self._settling.pop(session_id, ()):
                with suppress(RuntimeError):  # Its loop may have ended.
                    settled.get_loop().call_soon_threadsafe(_resolve, settled, is_written)

    def _run(self) -> None:
        while not self._ends():
            while (batch := self._next_batch()) is not None:
                self._write_down(batch)
            _disconnect()

    def _write_down(self, batch: dict[str, dict[str, Any]]) -> None:
        try:
            self._renew_lease(batch)
            lost = rows.write(batch)
            self._release_lease()
        except (DatabaseError, InterfaceError) as error:
            _disconnect()
            self._note_failure(error)
            self._put_back(batch)
            time.sleep(RETRY_S)  # The thread's own pause: nobody waits for it.
        except Exception:  # The top of the thread; the rows' next heartbeat tries anew.
            _disconnect()
            logger.exception("session rows were dropped")
        else:
            for session_id in lost:
                self.on_lost(session_id)
            self._note_success()
            self._prune_if_due()
            with self._lock:
                # A caller that asks from now on need not wait.
                self._writing = set()
                self._settle(batch, is_written=True)

    def _renew_lease(self, batch: dict[str, dict[str, Any]]) -> None:
        """Renew the lease if that is due, or if the process has none and a session goes on."""
        goes_on = any(row["ended"] is None for row in batch.values())
        if self._is_renewing or (goes_on and not self._has_lease):
            for session_id in lease.renew():
                self.on_lost(session_id)
            self._has_lease = True

    def _release_lease(self) -> None:
        if self._is_releasing and self._has_lease:
            lease.release()
            self._has_lease = False

    def _prune_if_due(self) -> None:
        """Delete what is old, now and then: a site that nobody looks after must not grow."""
        now = time.monotonic()
        if now < self._prune_at:
            return
        self._prune_at = now + PRUNE_S
        try:
            if rows.prune() >= rows.MOST_PRUNED:
                self._prune_at = now  # There is more.
        except Exception:
            logger.exception("what is old in the database could not be deleted")

    def _note_failure(self, error: Exception) -> None:
        with self._lock:
            self._note_failure_of(reason_of(error), error)

    def _note_failure_of(self, short_of: str, error: Exception) -> None:
        """Note why nothing can be written. With the lock held."""
        self._short_of = short_of
        DATABASE_ERRORS.labels("rows").inc()
        # The first failures may be those of a connection that was cut meanwhile. A database that is
        # away would not have let others give up anything either.
        self._doubts = max(0, self._doubts - 1)
        self._settle(list(self._settling), is_written=False)
        if not self._is_failing:
            self._is_failing = True
            logger.warning("session rows cannot be written; trying on: %s", error)

    def _note_success(self) -> None:
        self._short_of = ""
        with self._lock:
            if self._is_renewing and not self._must_renew:
                self._doubts = 0
        if self._is_failing:
            self._is_failing = False
            logger.warning("session rows can be written again")

    @property
    def _has_work(self) -> bool:
        return bool(self._waiting) or self._must_renew or self._must_release

    def _next_batch(self) -> dict[str, dict[str, Any]] | None:
        """Wait for something to write; None if nothing comes for a while."""
        with self._lock:
            self._lock.wait_for(lambda: self._has_work or self._must_end, LINGER_S)
            if not self._has_work:
                return None
            self._lock.wait_for(lambda: self._settling or self._must_end, GATHER_S)
            self._writing = set(self._waiting)
            self._is_renewing, self._must_renew = self._must_renew, False
            self._is_releasing, self._must_release = self._must_release, False
            batch, self._waiting = self._waiting, {}
            return batch

    def _ends(self) -> bool:
        """Whether nothing has come meanwhile, so that the thread ends."""
        with self._lock:
            if self._has_work:
                return False
            # Under the lock, so that `save` either sees no thread or is seen by this one.
            self._thread = None
            self._lock.notify_all()
            return True

    def _put_back(self, batch: dict[str, dict[str, Any]]) -> None:
        with self._lock:
            self._waiting = {**batch, **self._waiting}
            # Not if it has begun to beat again meanwhile.
            self._must_release = self._is_releasing and not self._must_renew
            self._must_renew = self._must_renew or self._is_renewing

    def _let_frames_go(self) -> None:
        """Keep what waits within its bytes, the newest first. With the lock held."""
        left = MAX_FRAME_BYTES
        for row in reversed(self._waiting.values()):
            for name in (LAST_FRAME, LAST_LINES):
                if (kept := row[name]) is not None:
                    left -= kept.memory
                    if left < 0:
                        row[name] = None


def _disconnect() -> None:
    """Let go of this thread's connections. One that is broken may say so once more."""
    with suppress(DatabaseError, InterfaceError):
        connections.close_all()


def reason_of(error: Exception) -> str:
    """Say why the database failed, where that can be told in words for everybody; else nothing."""
    said = str(error)
    if "disk is full" in said or "No space left" in said:
        return SHORT_OF[errno.ENOSPC]
    if "database is locked" in said:
        return LOCKED
    # What there is too little of can be seen; a driver's words seldom tell.
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
        mmap.mmap(-1, LOOK_BYTES).close()
    except OSError as shortage_of:
        return shortage(shortage_of)
    return ""


def _resolve(settled: "asyncio.Future[bool]", is_written: bool) -> None:
    if not settled.done():
        settled.set_result(is_written)
