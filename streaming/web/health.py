"""`/healthz` and `/readyz`: whether this process is up, and whether it can serve.

One is for the program that restarts the process, the other for the proxy that sends it clients.
Neither needs a login, and neither makes a login session.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.contrib.auth.decorators import login_not_required
from django.db import connections, transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

import streaming
from streaming.catalog.fork_server import fork_server
from streaming.engine.errors import shortage
from streaming.metrics import DATABASE_ERRORS
from streaming.models import StreamSession
from streaming.process import process
from streaming.runtime import runtime
from streaming.sessions.records import reason_of

logger = logging.getLogger(__name__)

# A load balancer gives up soon, too.
DATABASE_WAIT_S = 3.0


@dataclass(slots=True)
class _Asked:
    began: float = field(default_factory=time.monotonic)
    is_answered: threading.Event = field(default_factory=threading.Event)
    failed: bool = False
    # Why, in words for everybody.
    reason: str = ""


class DatabaseCheck:
    """Queries the database on its own thread, so that a hanging query does not block the caller.

    There is at most one such thread, and it ends with the answer. A caller that asks meanwhile
    waits for the same answer.

    Args:
        ask: Raises if the database does not work; it may hang.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        # Guards what follows.
        self._lock = threading.Lock()
        self._asked: _Asked | None = None
        self._is_failing = False

    def problem(self, timeout: float) -> str:
        """Return what is wrong, in a sentence for everybody, or nothing. Blocks at most so long."""
        try:
            asked = self._question()
        except RuntimeError as error:
            return f"The database cannot be asked: {shortage(error)}."
        if not asked.is_answered.wait(max(0.0, asked.began + timeout - time.monotonic())):
            waited = time.monotonic() - asked.began
            return f"The database has not answered for {waited:.0f} s; still waiting."
        if asked.reason:
            return f"The database cannot be used: {asked.reason}."
        return "The database cannot be used; the log says why." if asked.failed else ""

    def _question(self) -> _Asked:
        with self._lock:
            if self._asked is None or self._asked.is_answered.is_set():
                asked = _Asked()
                threading.Thread(
                    target=self._run, args=(asked,), name="database check", daemon=True
                ).start()
                # Not before: one that never began would be waited for for ever.
                self._asked = asked
            return self._asked

    def _run(self, asked: _Asked) -> None:
        try:
            self._ask()
        except Exception as error:  # noqa: BLE001
            # The top of a thread. What a driver says may name hosts and users: for the log only.
            asked.failed = True
            asked.reason = reason_of(error)
            DATABASE_ERRORS.labels("readiness").inc()
            if not self._is_failing:
                logger.warning("the database cannot be used: %s", error)
        finally:
            self._is_failing = asked.failed
            connections.close_all()
            asked.is_answered.set()


def _ask_database() -> None:
    """See that there are our tables, and that they may be written: in a transaction, since that is
    where SQLite waits for others to unlock it."""
    with transaction.atomic():
        StreamSession.objects.exists()


database = DatabaseCheck(_ask_database)


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Say that the process is up: its event loop and its threads answer."""
    return _json({"status": "ok", "version": streaming.__version__, "process": process.name})


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Say whether clients should be sent here: a sentence for each reason why not."""
    problems = {
        "database": database.problem(DATABASE_WAIT_S) or _records_problem(),
        "channel_layer": "" if runtime.bus.is_connected else "Redis does not answer.",
        "process_engine": "The fork server does not answer." if fork_server.is_silent else "",
        "stopping": "The server is stopping." if runtime.pool.is_shutting_down else "",
    }
    is_ready = not any(problems.values())
    return _json(
        {
            "status": "ready" if is_ready else "unavailable",
            "checks": {name: problem or "ok" for name, problem in problems.items()},
        },
        status=200 if is_ready else 503,
    )


def _records_problem() -> str:
    """A full disk can be read from: then only what is to be written fails."""
    return (
        "Sessions cannot be written down; the log says why." if runtime.records.is_failing else ""
    )


def _json(content: dict[str, object], *, status: int = 200) -> JsonResponse:
    return JsonResponse(content, status=status, headers={"Cache-Control": "no-store"})
