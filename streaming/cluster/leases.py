"""Sessions whose process is gone: the first process that notices gives them up.

A process with sessions renews its lease with every heartbeat. Others compare what they read with
what they read before, by their own monotonic clock: no two wall clocks are ever compared, so that
one which is wrong, or set, ends nobody's session.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, connections, transaction
from django.db.models import Max
from django.utils import timezone

from streaming.cluster.bus import Bus
from streaming.cluster.database import DatabaseThread
from streaming.engine.snapshot import State
from streaming.metrics import SESSIONS_ENDED
from streaming.models import LOST_AFTER_S, Lease, StreamSession

logger = logging.getLogger(__name__)

LOOK_S = 1.0
IDLE_S = 10.0
# A command, which is outside of the server, waits for one heartbeat and some time more.
SECOND_LOOK_S = 6.0


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life of a process: that its lease was renewed or, where it has none, that
    one of its sessions was written."""

    incarnation: str
    at: datetime
    process: str


def last_signs() -> list[Sign]:
    """Return the last sign of each process that has a lease or a session. Asks the database."""
    leases = [
        Sign(lease.incarnation, lease.renewed, lease.process) for lease in Lease.objects.all()
    ]
    has_lease = {sign.incarnation for sign in leases}
    rows = StreamSession.objects.leased().order_by().values_list("incarnation", "process")
    others = [Sign(one, at, process) for one, process, at in rows.annotate(Max("heartbeat"))]
    return leases + [sign for sign in others if sign.incarnation not in has_lease]


def give_up(sign: Sign) -> list[StreamSession]:
    """Give up the sessions of a process, unless it has given another sign; returns them.

    Raises:
        DatabaseError: If the database does not answer, or something holds one of the rows.
    """
    sessions = StreamSession.objects.leased().filter(incarnation=sign.incarnation)
    lease = Lease.objects.filter(pk=sign.incarnation)
    with transaction.atomic():
        # Its process cannot renew it any more: it will find that out, and what it has lost.
        has_taken, _ = lease.filter(renewed=sign.at).delete()
        if not has_taken:
            if lease.exists():
                return []
            sessions = sessions.filter(process=sign.process, heartbeat__lte=sign.at)
        given_up = list(sessions.select_for_update().only("id", "engine"))
        sessions.mark_lost(sign.at)
    return given_up


class Observer:
    """Knows how long each process has given no other sign. Time is passed in, in seconds."""

    def __init__(self) -> None:
        self._since: dict[Sign, float] = {}

    def look(self, signs: Iterable[Sign], now: float) -> list[Sign]:
        """Note the last signs; returns those that have stood for too long."""
        self._since = {sign: self._since.get(sign, now) for sign in signs}
        return [sign for sign, since in self._since.items() if now - since >= LOST_AFTER_S]

    @property
    def is_watching(self) -> bool:
        """Whether there was anything to look at."""
        return bool(self._since)

    def forget(self) -> None:
        """Start all waits again, since for a while no process could renew its lease."""
        self._since.clear()


class Leases:
    """Looks after the sessions of other processes, from `start` until `stop`.

    Args:
        bus: Tells every process which sessions were given up.
        is_known_to_live: Says whether the process of an incarnation needs no look: it is this one,
            or one that is heard. Called on a thread.
        looks: Says whether this process is one of those that look.
    """

    def __init__(
        self, bus: Bus, is_known_to_live: Callable[[str], bool], looks: Callable[[], bool]
    ) -> None:
        self._bus = bus
        self._is_known_to_live, self._looks = is_known_to_live, looks
        self._observer = Observer()
        self._database = DatabaseThread("leases")
        self._task: asyncio.Task[None] | None = None
        # The last signs of other processes, where there should be no such process.
        self._others: dict[tuple[str, str], Sign] = {}
        self._has_said_so = False

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._observer.forget()
            self._task = asyncio.create_task(self._look_on(), name="leases")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._database.close()

    async def _look_on(self) -> None:
        while True:
            try:
                await self._look_once()
            except Exception:
                # The system has no thread to give, say: it may have one the next time.
                logger.exception("the sessions of other processes could not be looked after")
            has_others = self._bus.process.has_others
            # Alone, there is only what an earlier process has left.
            await asyncio.sleep(LOOK_S if has_others or self._observer.is_watching else IDLE_S)

    async def _look_once(self) -> None:
        if self._looks():
            lost = [row.pk for row in await self._database.ask(self._look)]
            if lost:
                logger.warning("given up for lost: %s", ", ".join(lost))
                self._bus.broadcast("lost", sessions=lost)
        else:
            self._observer.forget()
            self._database.end_old_connection()

    def _look(self) -> list[StreamSession]:
        """Give up what has to be; returns it."""
        try:
            signs = last_signs()
            self._look_for_strangers(signs)
            overdue = self._observer.look(signs, time.monotonic())
            gone = [sign for sign in overdue if not self._is_known_to_live(sign.incarnation)]
            return [row for sign in gone for row in _try_to_give_up(sign)]
        except DatabaseError:
            # Nor could a process renew its lease meanwhile.
            self._observer.forget()
            connections.close_all()
            return []

    def _look_for_strangers(self, signs: Iterable[Sign]) -> None:
        """Say it, once, if another server uses this one's database, and neither can hear of the
        other: its sessions go on here as rows only."""
        if self._bus.process.has_others or self._has_said_so:
            return
        own, before = self._bus.process.incarnation, self._others
        self._others = {
            (sign.incarnation, sign.process): sign for sign in signs if sign.incarnation != own
        }
        for key, sign in self._others.items():
            if sign != before.get(key, sign):
                self._has_said_so = True
                logger.error(
                    "another server, %s, uses this one's database, and neither knows of the "
                    "other's sessions: a link works only where it was made. Give each a database "
                    "of its own, or both REDIS_URL",
                    sign.process,
                )
                return


def _try_to_give_up(sign: Sign) -> list[StreamSession]:
    try:
        lost = give_up(sign)
    except DatabaseError as error:
        # A process that was frozen in the middle of writing a row keeps it for some seconds.
        logger.warning("the sessions of %s cannot be given up yet: %s", sign.process, error)
        return []
    for row in lost:
        # The process that would have counted it is gone.
        SESSIONS_ENDED.labels(row.engine, State.LOST).inc()
    return lost


def give_up_lost() -> int:
    """Give up the sessions of processes that give no sign between two looks, from a command;
    returns how many.

    Blocks for SECOND_LOOK_S, but only if some process seems to be gone: a clock may have been set.
    """
    deadline = timezone.now() - timedelta(seconds=LOST_AFTER_S)
    overdue = [sign for sign in last_signs() if sign.at < deadline]
    if not overdue:
        return 0
    time.sleep(SECOND_LOOK_S)
    return sum(len(give_up(sign)) for sign in overdue)
