"""Reads the stack that a child's faulthandler wrote, or whatever the child wrote instead."""

import linecache
import os
import stat
import sys
import traceback
from collections.abc import Container, Iterator

from streaming.engine.traces import readable

# faulthandler writes at most 100 calls, each with a path of at most 500 characters.
MAX_BYTES = 128 * 1024
MAX_CALLS = 100
MAX_CHARACTERS = 500
# No file has more lines; Python refuses to read a number of more than 4,300 digits.
MAX_DIGITS = 7
MAX_SOURCE_BYTES = 2 * 1024 * 1024


def read_dump(dump: str) -> str:
    """Return faulthandler's dump as Python prints a stack: innermost call last, with the code.

    Only files of modules that this process has loaded are opened, whatever paths the dump names.
    """
    known = _files_loaded_here()
    calls = list(_calls(dump, known))
    return readable(calls[::-1]) or dump[: MAX_CALLS * MAX_CHARACTERS]


def _calls(dump: str, known: Container[str]) -> Iterator[traceback.FrameSummary]:
    for text in dump.split("\n")[: 2 * MAX_CALLS]:
        parts = _parts(text)
        if parts is not None:
            path, line, name = parts
            code = linecache.getline(path, line) if path in known and _is_source(path) else ""
            yield traceback.FrameSummary(
                path, line, name, lookup_line=False, line=code[:MAX_CHARACTERS]
            )


def _parts(text: str) -> tuple[str, int, str] | None:
    """Split `  File "PATH", line NUMBER in NAME`; None for any other line."""
    text = text.strip()
    if not text.startswith('File "') or len(text) > 3 * MAX_CHARACTERS:
        return None
    path, found, rest = text.removeprefix('File "').rpartition('", line ')
    number, found_in, name = rest.partition(" in ")
    is_number = number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS
    if not (found and found_in and is_number):
        return None
    return path[:MAX_CHARACTERS], int(number), name[:MAX_CHARACTERS]


def _files_loaded_here() -> frozenset[str]:
    files = (getattr(module, "__file__", None) for module in tuple(sys.modules.values()))
    return frozenset(file for file in files if isinstance(file, str) and file.endswith(".py"))


def _is_source(path: str) -> bool:
    """Whether reading a file ends: somebody may have put a pipe or a device in its place."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= MAX_SOURCE_BYTES
