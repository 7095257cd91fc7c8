"""What a simulation prints, warns of and logs: into the log, line by line, and never more than the
log can bear, and the newest of it for the people who control the session."""

import codecs
import io
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

from streaming.engine.output import CUT, RecentLines

logger = logging.getLogger(__name__)

LINES_PER_SECOND = 20
MAX_LINE = 500
# Of a line that has begun: one byte more tells that it will be cut.
MOST_BEGUN = MAX_LINE + 1
TAIL_BYTES = 4096
# So many different ones are remembered of a session.
MOST_WARNINGS = 200


class PrintedLines:
    """Cuts what one session prints into lines, and logs so many of them a second. For one thread,
    or for several that do not mind a torn line."""

    def __init__(self, session_id: str, recent: RecentLines) -> None:
        self._session_id = session_id
        self.recent = recent
        self._rest = b""
        self._tail = b""
        self._second, self._lines = 0, 0
        self._unlogged = 0
        self._warned: set[tuple[str, type[Warning], str, int]] = set()

    @property
    def tail(self) -> str:
        """What was printed last."""
        return self._tail.decode(errors="replace")

    def take(self, content: bytes) -> None:
        """Log what was printed. What is beyond the bounds costs little more than counting it."""
        self._keep(content)
        if b"\n" not in content:
            self._rest = (self._rest + content[:MOST_BEGUN])[:MOST_BEGUN]
            return
        allowed = self._allowed()
        *lines, rest = content.split(b"\n", allowed + 1)
        lines[0] = self._rest + lines[0]
        if len(lines) > allowed:
            self._unlogged += 1 + rest.count(b"\n")
            rest = rest.rpartition(b"\n")[2]
        self._rest = rest[:MOST_BEGUN]
        for line in lines[:allowed]:
            self._log(line)

    def is_news(self, warning: tuple[str, type[Warning], str, int]) -> bool:
        """Whether a warning was not shown yet: its text, kind, file and line."""
        if warning in self._warned:
            return False
        if len(self._warned) >= MOST_WARNINGS:
            self._warned.clear()
        self._warned.add(warning)
        return True

    def close(self) -> None:
        """Log what is left: the line that was begun, and how many were not logged."""
        if self._rest and self._allowed():
            self._log(self._rest)
        self._rest = b""
        self._say_how_many()

    def _keep(self, content: bytes) -> None:
        self._tail = (self._tail + content[-TAIL_BYTES:])[-TAIL_BYTES:]
        self.recent.take(content)

    def _allowed(self) -> int:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        return LINES_PER_SECOND - self._lines

    def _log(self, line: bytes) -> None:
        self._lines += 1
        self._say_how_many()
        text = line[:MAX_LINE].decode(errors="replace")
        if len(line) > MAX_LINE:
            text = text[:-1] + CUT
        logger.info("session %s prints: %s", self._session_id, text)

    def _say_how_many(self) -> None:
        if self._unlogged:
            logger.info("session %s printed %d more lines", self._session_id, self._unlogged)
            self._unlogged = 0


class EchoedLines(PrintedLines):
    """Passes what one session prints to this process's standard error, all of it and as it is."""

    def __init__(self, session_id: str, recent: RecentLines) -> None:
        super().__init__(session_id, recent)
        # A letter may come in two pieces.
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode

    def take(self, content: bytes) -> None:
        self._keep(content)
        with suppress(OSError):  # Nobody reads it any more; the session goes on.
            sys.stderr.write(self._decode(content))
            sys.stderr.flush()


class _Diverted:
    """Stands for standard output or error while thread sessions run.

    What their threads print goes to their lines in the log; everybody else's goes where it would.
    """

    def __init__(self, original: TextIO) -> None:
        self.original = original
        # By the thread that prints.
        self.lines: dict[int, PrintedLines] = {}

    def write(self, text: str) -> int:
        lines = self.lines.get(threading.get_ident())
        if lines is None:
            return self.original.write(text)
        lines.take(text.encode(errors="backslashreplace"))
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class _NoKeyboard(_Diverted):
    """Stands for standard input. To the threads of sessions it has ended."""

    def readline(self, limit: int = -1, /) -> str:
        return "" if threading.get_ident() in self.lines else self.original.readline(limit)

    def read(self, limit: int = -1, /) -> str:
        return "" if threading.get_ident() in self.lines else self.original.read(limit)

    def fileno(self) -> int:
        # `input` would read a terminal by its descriptor.
        if threading.get_ident() in self.lines:
            raise io.UnsupportedOperation("there is no keyboard")
        return self.original.fileno()


class _LogLines(logging.Handler):
    """Keeps what the threads of sessions log, beside what they print."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self.lines: dict[int, PrintedLines] = {}

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.lines.get(threading.get_ident())
        # Ours are about the session, and not of it.
        if lines is not None and not record.name.startswith("streaming"):
            lines.recent.take(f"{self.format(record)}\n".encode(errors="backslashreplace"))


STREAMS = {"stdout": _Diverted, "stderr": _Diverted, "stdin": _NoKeyboard}
# Guards the exchange of the streams, and of the two below.
_streams_lock = threading.Lock()
_log_lines = _LogLines()
_showwarning = warnings.showwarning


@contextmanager
def printing_to_log(session_id: str, recent: RecentLines) -> Iterator[None]:
    """Log what this thread prints meanwhile, with the bounds that hold for child processes. What
    it warns of is printed, wherever the server has its own warnings go."""
    lines = PrintedLines(session_id, recent)
    thread = threading.get_ident()
    with _streams_lock:
        diverted = [_divert(name) for name in STREAMS]
        for stream in diverted:
            stream.lines[thread] = lines
        _hear(thread, lines)
    try:
        yield
    finally:
        with _streams_lock:
            for name, stream in zip(STREAMS, diverted, strict=True):
                del stream.lines[thread]
                # Somebody else may have put a stream of theirs there since.
                if not stream.lines and getattr(sys, name) is stream:
                    setattr(sys, name, stream.original)
            _hear_no_more(thread)
        lines.close()


def _hear(thread: int, lines: PrintedLines) -> None:
    """Have a thread's warnings and log lines shown. With the lock held."""
    global _showwarning
    if not _log_lines.lines:
        logging.getLogger().addHandler(_log_lines)
    _log_lines.lines[thread] = lines
    if warnings.showwarning is not _show_warning:
        _showwarning, warnings.showwarning = warnings.showwarning, _show_warning


def _hear_no_more(thread: int) -> None:
    del _log_lines.lines[thread]
    if not _log_lines.lines:
        logging.getLogger().removeHandler(_log_lines)
        if warnings.showwarning is _show_warning:
            warnings.showwarning = _showwarning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    lines = _log_lines.lines.get(threading.get_ident())
    if lines is None or file is not None:
        _showwarning(message, category, filename, lineno, file, line)
        return
    place = (str(message), category, filename, lineno)
    if _forget_shown(*place) and not lines.is_news(place):
        return
    text = warnings.formatwarning(message, category, filename, lineno, line)
    lines.take(text.encode(errors="backslashreplace"))


def _forget_shown(text: str, category: type[Warning], filename: str, lineno: int) -> bool:
    """Have Python forget that it has shown a warning: once is meant for a session, not for the
    process. False if it does not note that, and shows this one always."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != filename:
        frame = frame.f_back
    registry = {} if frame is None else frame.f_globals.get("__warningregistry__", {})
    # For a place, and with the action `module` for a file.
    noted = {registry.pop(key, False) for key in ((text, category, lineno), (text, category))}
    return True in noted


def _divert(name: str) -> _Diverted:
    stream = getattr(sys, name)
    if not isinstance(stream, _Diverted):
        stream = STREAMS[name](stream)
        setattr(sys, name, stream)
    return stream
