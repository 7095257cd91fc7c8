"""The queue of the sessions that wait for a compute machine, in the database.

A session waits as long as it has a `Placement`. Who claims it takes that away in the statement that
makes the session its own, so that no session ever runs twice, however many messages name it.

Everything here asks the database: not on the event loop.
"""

import base64
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import Count, F
from django.utils import timezone
from django.utils.translation import gettext as _

from streaming.conf import conf
from streaming.engine.errors import TooManySessions
from streaming.engine.params import Upload
from streaming.engine.simulations import Abandon, Engine
from streaming.engine.snapshot import Receipt, Rung, State, StopReason
from streaming.identity import Identity
from streaming.models import Placement, StreamSession
from streaming.process import process
from streaming.sessions.fairness import in_turn
from streaming.sessions.live import Origin, Wishes
from streaming.sessions.rows import write_new

# Beyond that nobody is told a position, and no machine looks: those before them come first anyway.
MOST_LOOKED_AT = 10_000
# A lock of PostgreSQL: the transaction that has it counts who waits. "live" and "step".
COUNTING = (0x6C697665, 0x73746570)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session that waits."""

    id: str
    owner: str
    simulation: str
    queue: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A session that is this process's from now on, and nobody else's.

    Args:
        given: From which its parameters are validated again.
        claimed_at: What its row says of that, as of no other claim.
    """

    origin: Origin
    simulation: str
    owner: Identity
    given: Mapping[str, Any]
    wishes: Wishes
    placement: Placement
    claimed_at: datetime

    @property
    def id(self) -> str:
        return self.origin.id


class ClaimInDoubt(DatabaseError):
    """The database did not say whether it has written a claim down."""

    def __init__(self, claimed: Claimed) -> None:
        super().__init__(f"it is in doubt whether session {claimed.id} was claimed")
        self.claimed = claimed


def enqueue(
    row: dict[str, Any],
    session_id: str,
    *,
    queue: str,
    given: Mapping[str, Any],
    wishes: Wishes,
    token_hash: str,
    most_waiting: int,
) -> None:
    """Write down a session that waits.

    Args:
        row: The fields of its row.
        most_waiting: How many may wait in its queue, itself included.

    Raises:
        TooManySessions: If that is one too many for its owner, or for the queue.
        DatabaseError: If the database does not answer.
    """
    files = {name: value for name, value in given.items() if isinstance(value, Upload)}
    with transaction.atomic():
        write_new(session_id, row)
        Placement.objects.create(
            session_id=session_id,
            queue=queue,
            given={name: value for name, value in given.items() if name not in files},
            files={name: [file.name, _as_text(file)] for name, file in files.items()},
            wishes={
                "fps": wishes.fps,
                "steps_per_second": wishes.steps_per_second,
                "abandon": str(wishes.abandon),
                "abandon_grace": wishes.abandon_grace,
            },
            token_hash=token_hash,
        )
        _count_alone()
        # With it in, so that of two at once not both come in.
        _check_owner(row["owner_key"])
        waiting = Placement.objects.filter(queue=queue).count()
        if waiting > most_waiting:
            raise TooManySessions(
                _(
                    "the compute machines are busy, and %(waiting)s sessions wait for them, the "
                    "most allowed: try again in a while"
                )
                % {"waiting": waiting - 1}
            )


def _count_alone() -> None:
    """Wait until the transactions that count have ended: neither of two would see what the other
    has written. SQLite lets one at a time write anyway. One lock for all queues and owners, which
    is held for two questions, has no order in which two could wait for each other."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", COUNTING)


def _check_owner(owner_key: str) -> None:
    if not owner_key:
        return
    most = conf().MAX_SESSIONS_PER_OWNER
    own = StreamSession.objects.active().filter(engine=Engine.CLUSTER, owner_key=owner_key)
    if (count := own.count()) > most:
        raise TooManySessions(
            _(
                "you have %(own)s sessions, %(waiting)s of them waiting, and %(most)s are the most "
                "allowed: stop one of them first"
            )
            % {
                "own": count - 1,
                "waiting": max(0, own.filter(state=State.QUEUED).count() - 1),
                "most": most,
            }
        )


def waiting_in_turn(queues: Collection[str] | None = None) -> list[Waiting]:
    """Return the sessions that wait in some queues, or in all, in the order of their turns: first
    whose owner has the fewest that run, and among those who came first."""
    placements = Placement.objects.order_by("id")
    if queues is not None:
        placements = placements.filter(queue__in=queues)
    rows = placements.values_list(
        "session_id", "session__owner_key", "session__simulation", "queue"
    )
    waiting = [Waiting(*row) for row in rows[:MOST_LOOKED_AT]]
    return in_turn(waiting, _owner, _running() if waiting else {})


def _owner(one: Waiting) -> str:
    # Clients of which nothing is known are an owner each.
    return one.owner or one.id


def _running() -> Counter[str]:
    """Return how many sessions of each owner are on compute machines now."""
    running = StreamSession.objects.leased().filter(engine=Engine.CLUSTER).order_by()
    return Counter(dict(running.values_list("owner_key").annotate(Count("pk"))))


def lengths() -> dict[str, int]:
    """Return how many sessions wait in each queue in which any waits."""
    counts = Placement.objects.order_by().values_list("queue").annotate(Count("pk"))
    return dict(counts)


def claim(queues: Collection[str], known: Collection[str]) -> Claimed | None:
    """Make the session whose turn it is this process's own.

    Args:
        queues: From which it may be.
        known: The simulations that it may be of.

    Returns:
        The session; None if none waits, but for what others have claimed meanwhile.

    Raises:
        ClaimInDoubt: If the database does not say whether it is.
        DatabaseError: If the database does not answer.
    """
    for one in waiting_in_turn(queues):
        if one.simulation in known and (claimed := _claim(one.id)) is not None:
            return claimed
    return None


def _claim(session_id: str) -> Claimed | None:
    now, claimed = timezone.now(), None
    try:
        with transaction.atomic():
            mine = _queued(session_id).update(
                state=State.STARTING,
                process=str(process),
                incarnation=process.incarnation,
                epoch=F("epoch") + 1,
                heartbeat=now,
            )
            if not mine:
                return None
            placement = Placement.objects.select_related("session").get(session_id=session_id)
            Placement.objects.filter(pk=placement.pk).delete()
            claimed = _claimed(placement, now)
    except DatabaseError as error:
        if claimed is None:
            raise
        raise ClaimInDoubt(claimed) from error
    return claimed


def _claimed(placement: Placement, now: datetime) -> Claimed:
    row, wishes = placement.session, placement.wishes
    files = {
        name: Upload(file, base64.b64decode(content))
        for name, (file, content) in placement.files.items()
    }
    return Claimed(
        origin=Origin(row.pk, placement.token_hash, row.started),
        simulation=row.simulation,
        owner=Identity(user_id=row.user_id, name=row.owner, row_key=row.owner_key),
        given={**placement.given, **files},
        wishes=Wishes(
            fps=wishes["fps"],
            steps_per_second=wishes["steps_per_second"],
            abandon=Abandon(wishes["abandon"]),
            abandon_grace=wishes["abandon_grace"],
        ),
        placement=placement,
        claimed_at=now,
    )


def put_back(claimed: Claimed) -> None:
    """Have a session that was claimed wait again, at its place. Only before anything of it began:
    the epoch goes back, too. It may be tried again, and does nothing where that claim is no more.

    Raises:
        DatabaseError: If the database does not answer.
    """
    with transaction.atomic():
        own = StreamSession.objects.filter(
            pk=claimed.id,
            state=State.STARTING,
            incarnation=process.incarnation,
            heartbeat=claimed.claimed_at,
        )
        if own.update(state=State.QUEUED, process="", incarnation="", epoch=F("epoch") - 1):
            claimed.placement.save(force_insert=True)


def fail(claimed: Claimed, sentence: str) -> None:
    """Write down that a session that was claimed could not be started. It may be tried again.

    Raises:
        DatabaseError: If the database does not answer.
    """
    row = claimed.placement.session
    message = {**row.message, "error": {"message": sentence}}
    own = StreamSession.objects.filter(pk=claimed.id, incarnation=process.incarnation)
    own.update(state=State.FAILED, ended=timezone.now(), error=sentence, message=message)


def stop(session_id: str, by: StopReason) -> bool:
    """End a session that waits; False if it no longer does.

    Raises:
        DatabaseError: If the database does not answer.
    """
    row = StreamSession.objects.filter(pk=session_id).first()
    if row is None:
        return False
    receipt = Receipt(by, Rung.FLAG, 0, 0)
    told = {"by": receipt.by, "how": receipt.how, "after_ms": receipt.after_ms, "step": 0}
    with transaction.atomic():
        stopped = _queued(session_id).update(
            state=State.STOPPED,
            ended=timezone.now(),
            stopped_by=by,
            stop_receipt=str(receipt),
            message={**row.message, "stop": told},
        )
        if stopped:
            Placement.objects.filter(session_id=session_id).delete()
    return bool(stopped)


def _queued(session_id: str) -> Any:
    return StreamSession.objects.filter(pk=session_id, engine=Engine.CLUSTER, state=State.QUEUED)


def _as_text(file: Upload) -> str:
    return base64.b64encode(file.content).decode()
