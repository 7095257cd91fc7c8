"""How log lines are written: with the session that they concern, and never at anybody's cost."""

import asyncio
import concurrent.futures
import logging
import re
import sys
import time
from contextlib import suppress

from django.db import InterfaceError, OperationalError

from streaming.engine.errors import is_shortage
from streaming.metrics import LOG_LINES_LOST

MARK = "session %s"
QUIET_S = 10.0
# What would move a terminal's cursor, end a line for some reader, or turn the text round.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def is_database_away(error: BaseException | None) -> bool:
    """Whether a page failed because the database cannot be used now."""
    return isinstance(error, OperationalError | InterfaceError)


class SessionField(logging.Filter):
    """Gives each record the field `session`: the id in one that speaks of `session %s`.

    Every line about a session says so in these words, on whichever thread and in code that knows
    nothing of the server: to name it a second time in each call would only invite mistakes.

    Args:
        otherwise: What a record about none has, so that a format may name the field; None gives it
            no such field.
    """

    def __init__(self, otherwise: str | None = "-") -> None:
        super().__init__()
        self._otherwise = otherwise

    def filter(self, record: logging.LogRecord) -> bool:
        before, found, _after = str(record.msg).partition(MARK)
        index = before.replace("%%", "").count("%")
        if found and isinstance(record.args, tuple) and any(record.args[index : index + 1]):
            record.session = record.args[index]
        elif self._otherwise is not None and not hasattr(record, "session"):
            record.session = self._otherwise
        return True


class ClientsMistake(logging.Filter):
    """Makes a warning without a traceback of what Django logs as an error of its own: a host name
    that is not the site's, a body that is too large. A client can send them on and on, so there is
    one in ten seconds for each logger."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def is_meant(self, record: logging.LogRecord) -> bool:
        return True

    def filter(self, record: logging.LogRecord) -> bool:
        if not self.is_meant(record):
            return True
        now = time.monotonic()
        if now - self._said_at.get(record.name, -QUIET_S) < QUIET_S:
            return False
        self._said_at[record.name] = now
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = record.exc_text = None
        return True


class NotNow(ClientsMistake):
    """Does the same with pages that fail since the database cannot be used, or the machine has too
    little of something: each would log a traceback of the same kind. The line says which page, and
    what the database or the system said."""

    def is_meant(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not (is_database_away(error) or is_shortage(error)):
            return False
        record.msg, record.args = f"{record.getMessage()} ({error})", ()
        return True


class GoneClient(logging.Filter):
    """Keeps to itself that a request was cancelled because its client had gone. Where middleware
    runs in a thread, nobody may be there to hear it, and asyncio logs an error of 90 lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, asyncio.CancelledError | concurrent.futures.CancelledError)


class TextFormatter(logging.Formatter):
    """Writes a record so that no text in it can pass for another record.

    Its further lines are indented, and control characters are shown instead of obeyed: what an
    author prints, a parameter in an error, or an address may hold anything.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = CONTROLS.sub(_shown, super().format(record))
        return text.replace("\n", "\n    ")


class Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Writes to standard error. Where that cannot be done a line is lost, and nothing else.

    Python's own prints a traceback for each such line, and raises when standard error is closed.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        LOG_LINES_LOST.inc()
        error = sys.exc_info()[1]
        with suppress(Exception):  # It may have been the line's own fault: then this is written.
            self.stream.write(f"{record.pathname}:{record.lineno} cannot be logged: {error!r}\n")
            self.flush()


def _shown(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape").decode()
