"""The figures of the admin's dashboard: what this process does now, and did in the last hour."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

import streaming
from streaming.admin import human
from streaming.admin.charts import chart
from streaming.cluster.peers import Peer
from streaming.conf import conf
from streaming.engine.simulations import LOCAL_ENGINES
from streaming.engine.snapshot import Snapshot, State
from streaming.models import STATE_NAMES
from streaming.process import process
from streaming.runtime import runtime
from streaming.sessions.admission import places
from streaming.sessions.history import KEPT_S, Sample, history
from streaming.sessions.live import LiveSession

# The table that says what the charts show has rows of so many seconds.
ROW_S = 300


def figures() -> dict[str, Any]:
    """Return what the dashboard's template shows. On any thread."""
    pool, peers = runtime.pool, sorted(runtime.peers.others, key=lambda peer: peer.name)
    lives, samples, now = pool.all(), history.last_hour(), time.monotonic()
    late = pool.lateness.now
    return {
        "process": str(process),
        "engines": list(LOCAL_ENGINES),
        "states": _states(lives),
        "charts": [
            chart("steps", _("Steps/s"), samples, now, lambda sample: sample.steps),
            chart("frames", _("Frames/s"), samples, now, lambda sample: sample.frames),
        ],
        "rows": _rows(samples, now),
        "late_now": None if late is None else human.milliseconds(late),
        "late_worst": _worst(samples),
        "warning": pool.lateness.warning(),
        "places": [(engine, pool.places_taken(engine), places(engine)) for engine in LOCAL_ENGINES],
        "compute_queues": sorted(runtime.placing.lengths.items()),
        "queue": _queue(lives),
        "most_queued": conf().MAX_QUEUED,
        "viewers": runtime.directory.viewers,
        "most_viewers": conf().MAX_VIEWERS,
        "stuck": _stuck(lives),
        "has_others": process.has_others,
        "is_connected": runtime.bus.is_connected,
        "name": process.name,
        "has_name_clash": runtime.peers.has_name_clash,
        "peers": [_other(peer) for peer in peers],
        "version": streaming.__version__,
    }


def _states(lives: Sequence[LiveSession]) -> list[tuple[Any, list[int], int]]:
    """Return for each state how many there are of each engine, and of all."""
    counted = Counter((live.session.state, live.engine) for live in lives)
    rows = []
    for state in State:
        counts = [counted[state, engine] for engine in LOCAL_ENGINES]
        total: int = sum(counts)
        if total or not state.ended:
            rows.append((STATE_NAMES[state], counts, total))
    return rows


def _queue(lives: Sequence[LiveSession]) -> list[tuple[int, Snapshot, str]]:
    """Return the queue: each session's position in its engine's queue, the session, its owner."""
    waiting = [
        (live.queue_position, live.session.snapshot(), live.owner.name or _("anonymous"))
        for live in lives
    ]
    placed = [
        (position, snapshot, owner)
        for position, snapshot, owner in waiting
        if position is not None and snapshot.state is State.QUEUED
    ]
    return sorted(placed, key=lambda entry: (entry[1].engine, entry[0]))


def _stuck(lives: Sequence[LiveSession]) -> list[Snapshot]:
    snapshots = [live.session.snapshot() for live in lives if live.holds_thread]
    return [snapshot for snapshot in snapshots if snapshot.state is State.STUCK]


@dataclass(frozen=True, slots=True)
class Other:
    """Another process, as it was heard last."""

    name: str
    process: str
    running: int
    queued: int
    viewers: int
    places: list[tuple[str, int, int]]
    late: str | None
    is_stopping: bool
    # From which it takes sessions, if it is a compute machine.
    queues: str
    # If that is another than this process's.
    other_version: str


def _other(peer: Peer) -> Other:
    # During a deploy it may be of another version.
    figures = peer.figures
    late, states = figures.get("late_ms"), figures.get("sessions", {})
    version = figures.get("version", "")
    going = [state for state in State if not state.is_over]
    return Other(
        name=peer.name,
        process=peer.process,
        running=sum(states.get(state, 0) for state in going if state is not State.QUEUED),
        queued=states.get(State.QUEUED, 0),
        viewers=figures.get("viewers", 0),
        places=[(engine, *places) for engine, places in figures.get("places", {}).items()],
        late=None if late is None else human.milliseconds(late / 1000),
        is_stopping=figures.get("stopping", False),
        queues=", ".join(figures.get("compute", {}).get("queues", ())),
        other_version="" if version == streaming.__version__ else version,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A part of the last hour, in minutes before now, and what happened in it."""

    since: int
    until: int
    steps: str
    frames: str
    late: str | None


def _rows(samples: Sequence[Sample], now: float) -> list[Row]:
    rows = []
    for age in range(0, KEPT_S, ROW_S):
        own = [sample for sample in samples if age <= now - sample.ended < age + ROW_S]
        steps, frames = sum(sample.steps for sample in own), sum(sample.frames for sample in own)
        rows.append(
            Row(
                since=(age + ROW_S) // 60,
                until=age // 60,
                steps=human.rate(steps / ROW_S),
                frames=human.rate(frames / ROW_S),
                late=_worst(own),
            )
        )
    return rows


def _worst(samples: Sequence[Sample]) -> str | None:
    return human.milliseconds(max(sample.late for sample in samples)) if samples else None
