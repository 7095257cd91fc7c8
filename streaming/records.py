"""The one writer of StreamSession rows: a thread of its own, so that neither the event loop
nor a worker ever waits for the database."""

import logging
import os
import socket
import threading
import time
from datetime import datetime
from typing import Any

from django.db import DatabaseError, IntegrityError, connections
from django.utils import timezone

from streaming.engine.params import plain
from streaming.engine.snapshot import Snapshot, State
from streaming.identity import Identity
from streaming.models import StreamSession

logger = logging.getLogger(__name__)

MAX_WAITING = 1000
RETRY_S = 1.0


class Records:
    """Writes the newest row of each session. Its thread lives while there is something to write.

    At most one row waits for each session, and at most `MAX_WAITING` in all: beyond that a row
    of a session that goes on is dropped, since its next heartbeat brings it again.
    """

    def __init__(self) -> None:
        # Guards the two below.
        self._lock = threading.Condition()
        self._waiting: dict[str, dict[str, Any]] = {}
        self._thread: threading.Thread | None = None

    def save(self, session_id: str, row: dict[str, Any]) -> None:
        """Have a row written soon. Returns at once, on any thread."""
        with self._lock:
            if len(self._waiting) >= MAX_WAITING and session_id not in self._waiting:
                progress = (key for key, old in self._waiting.items() if old["ended"] is None)
                self._waiting.pop(next(progress, next(iter(self._waiting))))
            self._waiting[session_id] = row
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="records", daemon=True)
                self._thread.start()

    def flush(self, timeout: float) -> bool:
        """Wait until everything is written; True if it was in time. Blocks."""
        with self._lock:
            return self._lock.wait_for(lambda: self._thread is None, timeout)

    def _run(self) -> None:
        failing = False
        while (batch := self._next_batch()) is not None:
            try:
                _write(batch)
                failing = False
            except DatabaseError:
                if not failing:
                    logger.warning("session rows cannot be written; trying on", exc_info=True)
                failing = True
                self._put_back(batch)
                time.sleep(RETRY_S)  # The thread's own pause: nobody waits for it.
            except Exception:  # The top of the thread; the rows' next heartbeat tries anew.
                logger.exception("session rows were dropped")
            finally:
                connections.close_all()

    def _next_batch(self) -> dict[str, dict[str, Any]] | None:
        with self._lock:
            if not self._waiting:
                # Under the lock, so that `save` either sees no thread or is seen by this one.
                self._thread = None
                self._lock.notify_all()
                return None
            batch, self._waiting = self._waiting, {}
            return batch

    def _put_back(self, batch: dict[str, dict[str, Any]]) -> None:
        with self._lock:
            self._waiting = {**batch, **self._waiting}


records = Records()


def row(
    snapshot: Snapshot,
    owner: Identity,
    *,
    viewers: int,
    started: datetime,
    warning: str,
    measured_rate: float | None,
) -> dict[str, Any]:
    """Return a session's row, as it is now."""
    ended = snapshot.state.ended and snapshot.state is not State.STUCK
    return {
        "simulation": snapshot.simulation,
        "title": snapshot.title,
        "engine": snapshot.engine,
        "state": snapshot.state,
        "user_id": owner.user_id,
        "owner": owner.name or "anonymous",
        "params": {name: _storable(value) for name, value in snapshot.params.items()},
        "step": snapshot.step,
        "measured_rate": measured_rate,
        "frames": snapshot.seq,
        "viewers": viewers,
        "process": process_name(),
        "started": started,
        "ended": timezone.now() if ended else None,
        "heartbeat": timezone.now(),
        "warning": warning,
        "stopped_by": snapshot.stop.by if snapshot.stop else "",
        "stop_receipt": str(snapshot.stop or ""),
        "error": snapshot.error or "",
        "traceback": snapshot.traceback or "",
    }


def process_name() -> str:
    """Return what this process is called in the rows."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _storable(value: Any) -> Any:
    value = plain(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def _write(batch: dict[str, dict[str, Any]]) -> None:
    for session_id, values in batch.items():
        try:
            StreamSession.objects.update_or_create(id=session_id, defaults=values)
        except IntegrityError:
            # Its user is gone since; the session's own row must not be lost with it.
            StreamSession.objects.update_or_create(
                id=session_id, defaults=values | {"user_id": None}
            )
        except DatabaseError:
            raise
        except Exception:
            # One row that cannot be stored must not take the others with it.
            logger.exception("the row of session %s was dropped", session_id)
    StreamSession.objects.mark_lost()
