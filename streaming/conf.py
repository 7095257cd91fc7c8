"""The settings of Livestep: the dictionary `LIVESTEP` in Django's settings, read lazily.

docs/settings.md says what each means; streaming/checks.py reports what is wrong in them.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from streaming.engine.cores import usable_cores
from streaming.engine.frames import LEAST_FRAME_BYTES, MOST_FRAME_BYTES
from streaming.engine.simulations import QUEUE_PATTERN, Abandon, Engine
from streaming.origins import parse_origin

CORES = usable_cores()
# Settings whose variables have no prefix, and those that may hold a password.
UNPREFIXED = ("SIMULATIONS", "ALLOWED_ORIGINS")
SECRET = ("METRICS_TOKEN", "BROKER_URL")


class Range(NamedTuple):
    """Which numbers a setting may be, both ends included."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        return f"a number from {self.low} to {self.high}"

    def admits(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high


class Form(NamedTuple):
    """What a text has to look like, and how that is said."""

    pattern: str
    expected: str

    def admits(self, value: Any) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None


class Items(NamedTuple):
    """What each text in a list has to be, and how that is said of all."""

    is_one: Callable[[str], bool]
    expected: str

    def admits(self, value: Any) -> bool:
        return isinstance(value, list | tuple) and all(
            isinstance(one, str) and self.is_one(one) for one in value
        )


# A session's id begins with it, up to the first hyphen.
PROCESS_NAME = Form("[a-z0-9]{0,16}", "at most 16 of the characters a to z and 0 to 9")


QUEUE_NAME = Form(QUEUE_PATTERN.pattern, "at most 32 of the characters a to z, 0 to 9, _ and -")


ADDRESS = Form("([a-z][a-z0-9+.-]*://.*)?", "an address such as redis://127.0.0.1:6379/0")


def _is_origin(text: str) -> bool:
    return parse_origin(text) is not None and re.fullmatch(r"[^\s*?#]+", text) is not None


ORIGINS = Items(_is_origin, "a list of origins such as https://hub.example, without a path")


USER_NAME = Form("([a-z_][a-z0-9_-]{0,31})?", "the name of a user of this machine")


@dataclass(frozen=True, slots=True)
class Conf:
    """Every setting with its type, what it may be, and its default. Times in seconds, sizes in
    bytes; 0 limits nothing where a limit is meant.

    A new one is a line here, a row in docs/settings.md and a line in deploy/livestep.env.
    """

    SIMULATIONS: tuple[str, ...] = ()
    DEFAULT_SIMULATION: str = ""
    ALLOWED_ORIGINS: Annotated[tuple[str, ...], ORIGINS] = ()
    PROCESS: Annotated[str, PROCESS_NAME] = ""
    ENGINE: Engine = Engine.THREAD
    # Of the sessions that wait for a compute machine: the broker that tells the machines of them,
    # and the queue of those whose simulation names none.
    BROKER_URL: Annotated[str, ADDRESS] = ""
    QUEUE: Annotated[str, QUEUE_NAME] = "livestep"
    FPS: Annotated[float, Range(0, 60)] = 30.0
    STOP_GRACE: Annotated[float, Range(0, 3600)] = 2.0
    # An owner may fill half of the places of one engine, so that others have the rest.
    MAX_THREAD_SESSIONS: Annotated[int, Range(1, 10_000)] = 4 * CORES
    MAX_PROCESS_SESSIONS: Annotated[int, Range(1, 10_000)] = 4 * CORES
    MAX_SESSIONS_PER_OWNER: Annotated[int, Range(1, 10_000)] = 2 * CORES
    MAX_QUEUED: Annotated[int, Range(0, 10_000)] = 32
    MAX_RUN_SECONDS: Annotated[float, Range(0, 10**9)] = 0.0
    MAX_STEPS: Annotated[int, Range(0, 10**15)] = 0
    MAX_PROCESS_BYTES: Annotated[int, Range(0, 2**50)] = 4 * 1024**3
    MAX_PROCESS_CPU_SECONDS: Annotated[int, Range(0, 10**9)] = 0
    PROCESS_USER: Annotated[str, USER_NAME] = ""
    PROCESS_ENVIRONMENT: tuple[str, ...] = ()
    MAX_VIEWERS_PER_SESSION: Annotated[int, Range(1, 10_000)] = 100
    MAX_VIEWERS: Annotated[int, Range(1, 10_000)] = 1000
    # Many people sit behind one address, and a person has many pages open.
    MAX_CONNECTIONS_PER_ADDRESS: Annotated[int, Range(0, 100_000)] = 64
    MAX_CONNECTIONS_PER_OWNER: Annotated[int, Range(0, 100_000)] = 32
    HANDSHAKES_PER_SECOND: Annotated[float, Range(0, 100_000)] = 10.0
    REQUESTS_PER_SECOND: Annotated[float, Range(0, 100_000)] = 50.0
    MAX_FRAME_BYTES: Annotated[int, Range(LEAST_FRAME_BYTES, MOST_FRAME_BYTES)] = 900_000
    # Our own forms take files over the WebSocket, as text.
    MAX_UPLOAD_BYTES: Annotated[int, Range(0, 2**50)] = 0
    # Where sessions' files are kept; "" for a folder that ends with the process.
    FILES_DIR: str = ""
    # From a session to the other processes that watch it, which share the bytes.
    REMOTE_FPS: Annotated[float, Range(1, 60)] = 15.0
    REMOTE_BYTES_PER_SECOND: Annotated[int, Range(10_000, 10**9)] = 2_000_000
    ABANDON: Abandon = Abandon.STOP
    ABANDON_GRACE: Annotated[float, Range(0, 86_400)] = 10.0
    SHUTDOWN_GRACE: Annotated[float, Range(0, 3600)] = 10.0
    # What is kept in the database of sessions that have ended.
    HISTORY_DAYS: Annotated[int, Range(0, 36_500)] = 30
    HISTORY_SESSIONS: Annotated[int, Range(0, 10**9)] = 10_000
    LOGIN_REQUIRED: bool = False
    METRICS_TOKEN: str = ""


class Kind(NamedTuple):
    """What a setting is: a number, a text, a tuple, one of some choices."""

    type: type
    rule: Range | Form | Items | None


def _kind(hint: Any) -> Kind:
    hint, *rules = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    return Kind(get_origin(hint) or hint, rules[0] if rules else None)


KINDS: Mapping[str, Kind] = {
    name: _kind(hint) for name, hint in get_type_hints(Conf, include_extras=True).items()
}


@cache
def conf() -> Conf:
    """Return the settings.

    Raises:
        ImproperlyConfigured: If one is unknown, or its value is none; the message says which.
    """
    own = getattr(settings, "LIVESTEP", {})
    if not isinstance(own, Mapping):
        raise ImproperlyConfigured(f"LIVESTEP={own!r}; expected a dictionary")
    given = {"LOGIN_REQUIRED": has_login_wall(), **own}
    if unknown := set(given) - set(KINDS):
        raise ImproperlyConfigured(
            f"LIVESTEP has the unknown setting {min(unknown, key=str)!r}; "
            f"known are {', '.join(sorted(KINDS))}"
        )
    return Conf(**{name: _value(name, value) for name, value in given.items()})


def has_login_wall() -> bool:
    """Whether every page asks for a login: by Django's middleware, or another called like it. Then
    the WebSocket does, too, unless LOGIN_REQUIRED says otherwise."""
    return any(path.endswith("LoginRequiredMiddleware") for path in settings.MIDDLEWARE)


def _value(name: str, value: Any) -> Any:
    kind, rule = KINDS[name]
    value = _plain(value)
    if rule is not None and not rule.admits(value):
        raise _not_a_value(name, value, rule.expected)
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise _not_a_value(name, value, f"one of {', '.join(kind)}")
        return kind(value)
    if kind is bool and not isinstance(value, bool):
        raise _not_a_value(name, value, "True or False")
    if kind is str and not isinstance(value, str):
        raise _not_a_value(name, value, "a text")
    if kind is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise _not_a_value(name, value, "a list of texts")
        return tuple(value)
    return value


def _plain(value: Any) -> Any:
    """Return a path, or those in a list, as text."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _not_a_value(name: str, value: Any, expected: str) -> ImproperlyConfigured:
    # As the variable of the site is called. What may be a password is not repeated.
    variable = name if name in UNPREFIXED else f"LIVESTEP_{name}"
    shown = f"a value of the type {type(value).__name__}" if name in SECRET else repr(value)
    return ImproperlyConfigured(f"{variable}={shown}; expected {expected}")


def forget(*, setting: str, **kwargs: Any) -> None:
    """Read the settings again, since a test has changed them."""
    if setting in ("LIVESTEP", "MIDDLEWARE"):
        conf.cache_clear()
