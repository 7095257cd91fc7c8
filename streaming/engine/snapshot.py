"""A session as it was at one moment: its state, its counters, the receipt of its stop."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"
    STUCK = "stuck"
    LOST = "lost"

    @property
    def ended(self) -> bool:
        """Whether viewers get nothing more. A stuck session counts: they may start a new one."""
        return self in ENDED

    @property
    def is_over(self) -> bool:
        """Whether it has ended and holds nothing any more: a stuck one holds its thread."""
        return self in OVER


MAX_TEXT = 1000
OVER = frozenset({State.STOPPED, State.FINISHED, State.FAILED, State.LOST})
ENDED = OVER | {State.STUCK}


class StopReason(StrEnum):
    """Who or what asked for a stop, as its receipt names it."""

    CLIENT = "client"
    ADMIN = "admin"
    COMMAND = "command"
    ABANDONED = "abandoned"
    # The session of the first page, which makes room for the others.
    BUSY = "busy"
    TIME_LIMIT = "time_limit"
    STEP_LIMIT = "step_limit"
    RELOAD = "reload"
    SHUTDOWN = "shutdown"
    # Only where there is no server: `manage.py stream`.
    SIGNAL = "signal"
    DISK = "disk"
    FRAME = "frame"


class Rung(StrEnum):
    """What ended the steps of a stopped session: the rungs of the ladder, from the lowest."""

    FLAG = "flag"
    INTERRUPT = "interrupt"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Progress:
    done: float
    total: float | None
    text: str

    @classmethod
    def of(cls, done: float, total: float | None, text: str) -> "Progress":
        """Return what an author reports, as it can be sent.

        Raises:
            ValueError: If a number is not finite.
        """
        return cls(_number(done), None if total is None else _number(total), shortened(text))


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a stop went. `after_ms` counts from the request to the end of the worker."""

    by: StopReason
    how: Rung | None
    after_ms: int | None
    step: int

    def __str__(self) -> str:
        during = f"during step {self.step}" if self.step else "before the first step"
        if self.after_ms is None:
            return f"stop asked for {during} ({self.by})"
        return f"stopped in {self.after_ms} ms, {during}, by {self.how} ({self.by})"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session as it was at one moment.

    `revision` grows whenever something here changes, but for what grows by itself: the steps, the
    frames, the lines and the time. Of two snapshots the one with the higher revision is the newer.
    """

    id: str
    revision: int
    simulation: str
    title: str
    engine: str
    state: State
    params: Mapping[str, Any]
    step: int
    seq: int
    # The step of the newest frame, 0 while there is none.
    frame_step: int
    frames_too_large: int
    fps: float
    steps_per_second: float | None
    progress: Progress | None
    description: str | None
    # Whether it asks for what the driver does on the picture.
    takes_input: bool
    # How many lines it has printed, which are told only to those who may control it.
    printed: int
    # What it has saved: names and sizes in bytes.
    files: tuple[tuple[str, int], ...]
    elapsed_ms: int
    stop: Receipt | None
    error: str | None
    traceback: str | None


def shortened(text: str) -> str:
    """Return an author's text as long as it may be, and so that it can be sent.

    Raises:
        TypeError: If it is none.
    """
    # Of a mapping, `[:n]` is a KeyError since Python 3.12, and nobody expects that.
    if not isinstance(text, str):
        raise TypeError(f"expected a text, got {type(text).__name__}")
    return utf8(text[:MAX_TEXT])


def utf8(text: str) -> str:
    """Return an author's text as one that can be sent and stored: file names, for one, may hold
    what UTF-8 has no code for, and PostgreSQL takes no NUL."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _number(value: float) -> float:
    """Return a plain number, as JSON has it, from whatever number an author reports."""
    number = value if isinstance(value, int) else float(value)
    if not math.isfinite(number):
        raise ValueError(f"ctx.progress() needs finite numbers, got {number}")
    return int(number) if isinstance(number, int) or number.is_integer() else number
