"""What a simulation prints: into the log, line by line, and never more than the log can bear."""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

logger = logging.getLogger(__name__)

LINES_PER_SECOND = 20
MAX_LINE = 500
TAIL_BYTES = 4096


class PrintedLines:
    """Cuts what one session prints into lines, and logs so many of them a second. For one thread,
    or for several that do not mind a torn line."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._rest = b""
        self._tail = b""
        self._second, self._lines = 0, 0
        self._unlogged = 0

    @property
    def tail(self) -> str:
        """What was printed last."""
        return self._tail.decode(errors="replace")

    def take(self, content: bytes) -> None:
        """Log what was printed. What is beyond the bounds costs little more than counting it."""
        self._tail = (self._tail + content[-TAIL_BYTES:])[-TAIL_BYTES:]
        if b"\n" not in content:
            self._rest = (self._rest + content[:MAX_LINE])[:MAX_LINE]
            return
        allowed = self._allowed()
        *lines, rest = content.split(b"\n", allowed + 1)
        lines[0] = self._rest + lines[0]
        if len(lines) > allowed:
            self._unlogged += 1 + rest.count(b"\n")
            rest = rest.rpartition(b"\n")[2]
        self._rest = rest[:MAX_LINE]
        for line in lines[:allowed]:
            self._log(line)

    def close(self) -> None:
        """Log what is left: the line that was begun, and how many were not logged."""
        if self._rest and self._allowed():
            self._log(self._rest)
        self._rest = b""
        self._say_how_many()

    def _allowed(self) -> int:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        return LINES_PER_SECOND - self._lines

    def _log(self, line: bytes) -> None:
        self._lines += 1
        self._say_how_many()
        text = line[:MAX_LINE].decode(errors="replace")
        logger.info("session %s prints: %s", self._session_id, text)

    def _say_how_many(self) -> None:
        if self._unlogged:
            logger.info("session %s printed %d more lines", self._session_id, self._unlogged)
            self._unlogged = 0


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


STREAMS = ("stdout", "stderr")
# Guards the exchange of the two streams.
_streams_lock = threading.Lock()


@contextmanager
def printing_to_log(session_id: str) -> Iterator[None]:
    """Log what this thread prints meanwhile, with the bounds that hold for child processes."""
    lines = PrintedLines(session_id)
    thread = threading.get_ident()
    with _streams_lock:
        diverted = [_divert(name) for name in STREAMS]
        for stream in diverted:
            stream.lines[thread] = lines
    try:
        yield
    finally:
        with _streams_lock:
            for name, stream in zip(STREAMS, diverted, strict=True):
                del stream.lines[thread]
                # Somebody else may have put a stream of theirs there since.
                if not stream.lines and getattr(sys, name) is stream:
                    setattr(sys, name, stream.original)
        lines.close()


def _divert(name: str) -> _Diverted:
    stream = getattr(sys, name)
    if not isinstance(stream, _Diverted):
        stream = _Diverted(stream)
        setattr(sys, name, stream)
    return stream
