"""Sessions whose process is gone: the first process that notices gives them up.

The lease of a session is its row, which its process renews with every heartbeat. Others compare
what they read with what they read before, by their own monotonic clock: no two wall clocks are
ever compared, so that one which is wrong, or set, ends nobody's session.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import DatabaseError, connections

from streaming.cluster.bus import Bus
from streaming.engine.snapshot import State
from streaming.metrics import SESSIONS_ENDED
from streaming.models import LOST_AFTER_S, StreamSession

logger = logging.getLogger(__name__)

LOOK_S = 1.0
IDLE_S = 10.0
# A command, which is outside of the server, waits for one heartbeat and some time more.
SECOND_LOOK_S = 6.0

Beat = tuple[str, datetime]


class Observer:
    """Knows how long each heartbeat has stood still. Time is passed in, in seconds."""

    def __init__(self) -> None:
        self._since: dict[Beat, float] = {}

    def look(self, beats: Iterable[Beat], now: float) -> list[Beat]:
        """Note the last heartbeats; returns those that have stood still for too long."""
        self._since = {beat: self._since.get(beat, now) for beat in beats}
        return [beat for beat, since in self._since.items() if now - since >= LOST_AFTER_S]

    @property
    def is_watching(self) -> bool:
        """Whether there was anything to look at."""
        return bool(self._since)

    def forget(self) -> None:
        """Start all waits again, since for a while no process could renew its leases."""
        self._since.clear()


class Leases:
    """Looks after the sessions of other processes, from `start` until `stop`.

    Args:
        bus: Tells every process which sessions were given up.
        is_known_to_live: Says whether a session needs no look: it is this process's own, or that
            of one which is heard. Called on a thread.
    """

    def __init__(self, bus: Bus, is_known_to_live: Callable[[StreamSession], bool]) -> None:
        self._bus = bus
        self._is_known_to_live = is_known_to_live
        self._observer = Observer()
        self._task: asyncio.Task[None] | None = None
        # The last heartbeats of other processes' sessions, where there should be no such process.
        self._others_beats: dict[str, datetime] = {}
        self._has_said_so = False

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._observer.forget()
            self._task = asyncio.create_task(self._look_on(), name="leases")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look_on(self) -> None:
        while True:
            lost = [row.pk for row in await asyncio.to_thread(self._look)]
            if lost:
                logger.warning("given up for lost: %s", ", ".join(lost))
                self._bus.broadcast("lost", sessions=lost)
            has_others = self._bus.process.has_others
            # Alone, there is only what an earlier process has left.
            await asyncio.sleep(LOOK_S if has_others or self._observer.is_watching else IDLE_S)

    def _look(self) -> list[StreamSession]:
        """Give up what has to be; returns it."""
        try:
            rows = StreamSession.objects.leased().only(
                "id", "heartbeat", "incarnation", "engine", "process"
            )
            self._look_for_strangers(rows)
            beats = {(row.pk, row.heartbeat): row for row in rows}
            overdue = [beats[beat] for beat in self._observer.look(beats, time.monotonic())]
            return [row for row in overdue if not self._is_known_to_live(row) and _mark_lost(row)]
        except DatabaseError:
            # Nor could a process renew its leases meanwhile.
            self._observer.forget()
            return []
        except Exception:
            logger.exception("the sessions of other processes could not be looked after")
            return []
        finally:
            connections.close_all()

    def _look_for_strangers(self, rows: Iterable[StreamSession]) -> None:
        """Say it, once, if another server uses this one's database, and neither can hear of the
        other: its sessions go on here as rows only."""
        if self._bus.process.has_others or self._has_said_so:
            return
        own, before = self._bus.process.incarnation, self._others_beats
        self._others_beats = {row.pk: row.heartbeat for row in rows if row.incarnation != own}
        for row in rows:
            if row.heartbeat != before.get(row.pk, row.heartbeat):
                self._has_said_so = True
                logger.error(
                    "another server, %s, uses this one's database, and neither knows of the "
                    "other's sessions: a link works only where it was made. Give each a database "
                    "of its own, or both REDIS_URL",
                    row.process,
                )
                return


def _mark_lost(row: StreamSession) -> bool:
    try:
        is_lost = StreamSession.objects.mark_lost(row.pk, row.heartbeat)
    except DatabaseError as error:
        # A process that was frozen in the middle of writing the row keeps it for some seconds.
        logger.warning("session %s cannot be given up yet: %s", row.pk, error)
        return False
    if is_lost:
        # The process that would have counted it is gone.
        SESSIONS_ENDED.labels(row.engine, State.LOST).inc()
    return is_lost


def give_up_lost() -> int:
    """Give up what does not move between two looks, from a command; returns how many.

    Blocks for SECOND_LOOK_S, but only if some session seems to be lost.
    """
    first = dict(StreamSession.objects.overdue().values_list("pk", "heartbeat"))
    if not first:
        return 0
    time.sleep(SECOND_LOOK_S)
    return sum(StreamSession.objects.mark_lost(pk, beat) for pk, beat in first.items())
