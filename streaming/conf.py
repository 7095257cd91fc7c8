"""The settings of Livestep: the dictionary `LIVESTEP` in Django's settings, read lazily.

docs/settings.md says what each means; streaming/checks.py reports what is wrong in them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from streaming.engine.simulations import Abandon, Engine

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Conf:
    """Every setting with its default. Times in seconds, sizes in bytes; 0 limits nothing where a
    limit is meant."""

    SIMULATIONS: tuple[str, ...] = ()
    DEFAULT_SIMULATION: str = ""
    ALLOWED_ORIGINS: tuple[str, ...] = ()
    PROCESS: str = ""
    ENGINE: Engine = Engine.THREAD
    FPS: float = 30.0
    STOP_GRACE: float = 2.0
    # An owner may fill half of the places of one engine, so that others have the rest.
    MAX_THREAD_SESSIONS: int = 4 * CORES
    MAX_PROCESS_SESSIONS: int = 4 * CORES
    MAX_SESSIONS_PER_OWNER: int = 2 * CORES
    MAX_QUEUED: int = 32
    MAX_RUN_SECONDS: float = 0.0
    MAX_STEPS: int = 0
    MAX_PROCESS_BYTES: int = 4 * 1024**3
    MAX_PROCESS_CPU_SECONDS: int = 0
    PROCESS_ENVIRONMENT: tuple[str, ...] = ()
    MAX_VIEWERS_PER_SESSION: int = 100
    MAX_VIEWERS: int = 1000
    # Many people sit behind one address, and a person has many pages open.
    MAX_CONNECTIONS_PER_ADDRESS: int = 64
    MAX_CONNECTIONS_PER_OWNER: int = 32
    HANDSHAKES_PER_SECOND: float = 10.0
    MAX_FRAME_BYTES: int = 900_000
    # Our own forms take files over the WebSocket, as text.
    MAX_UPLOAD_BYTES: int = 0
    # To each other process that watches a session.
    REMOTE_FPS: float = 15.0
    REMOTE_BYTES_PER_SECOND: int = 2_000_000
    ABANDON: Abandon = Abandon.STOP
    ABANDON_GRACE: float = 10.0
    SHUTDOWN_GRACE: float = 10.0
    LOGIN_REQUIRED: bool = False
    METRICS_TOKEN: str = ""


# Above this, daphne refuses to send a frame: its limit of 1 MiB holds in both directions.
MOST_FRAME_BYTES = 1024 * 1024 - 4096

_RANGES: Mapping[str, tuple[float, float]] = {
    "FPS": (0, 60),
    "STOP_GRACE": (0, 3600),
    "MAX_THREAD_SESSIONS": (1, 10_000),
    "MAX_PROCESS_SESSIONS": (1, 10_000),
    "MAX_QUEUED": (0, 10_000),
    "MAX_RUN_SECONDS": (0, 10**9),
    "MAX_STEPS": (0, 10**15),
    "MAX_PROCESS_BYTES": (0, 2**50),
    "MAX_PROCESS_CPU_SECONDS": (0, 10**9),
    "MAX_SESSIONS_PER_OWNER": (1, 10_000),
    "MAX_VIEWERS_PER_SESSION": (1, 10_000),
    "MAX_VIEWERS": (1, 10_000),
    "MAX_CONNECTIONS_PER_ADDRESS": (0, 100_000),
    "MAX_CONNECTIONS_PER_OWNER": (0, 100_000),
    "HANDSHAKES_PER_SECOND": (0, 100_000),
    "MAX_FRAME_BYTES": (1000, MOST_FRAME_BYTES),
    "MAX_UPLOAD_BYTES": (0, 2**50),
    "REMOTE_FPS": (1, 60),
    "REMOTE_BYTES_PER_SECOND": (10_000, 10**9),
    "ABANDON_GRACE": (0, 86_400),
    "SHUTDOWN_GRACE": (0, 3600),
}
# A session's id begins with it, up to the first hyphen.
_PROCESS = re.compile(r"[a-z0-9]{0,16}")
_LISTS = ("SIMULATIONS", "ALLOWED_ORIGINS", "PROCESS_ENVIRONMENT")


@cache
def conf() -> Conf:
    """Return the settings.

    Raises:
        ImproperlyConfigured: If one is unknown, or its value is none; the message says which.
    """
    given = getattr(settings, "LIVESTEP", {})
    known = {field.name for field in fields(Conf)}
    if unknown := set(given) - known:
        raise ImproperlyConfigured(
            f"LIVESTEP has the unknown setting {min(unknown)!r}; "
            f"known are {', '.join(sorted(known))}"
        )
    return Conf(**{name: _value(name, value) for name, value in given.items()})


def _value(name: str, value: Any) -> Any:
    if name in _RANGES:
        low, high = _RANGES[name]
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise ImproperlyConfigured(
                f"LIVESTEP_{name}={value!r}; expected a number from {low:g} to {high:g}"
            )
        return value
    if name == "PROCESS" and not (isinstance(value, str) and _PROCESS.fullmatch(value)):
        raise ImproperlyConfigured(
            f"LIVESTEP_PROCESS={value!r}; expected at most 16 of the characters a to z and 0 to 9"
        )
    choices = {"ENGINE": Engine, "ABANDON": Abandon}.get(name)
    if choices is not None:
        if value not in list(choices):
            raise ImproperlyConfigured(
                f"LIVESTEP_{name}={value!r}; expected one of {', '.join(choices)}"
            )
        return choices(value)
    return tuple(value) if name in _LISTS else value


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "LIVESTEP":
        conf.cache_clear()


setting_changed.connect(_forget)
