"""Where the author's code is, and where it failed: without the calls of ours that lead to it."""

import inspect
import linecache
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

from streaming.engine import stopping
from streaming.engine.snapshot import utf8

OURS = str(Path(__file__).parent)
# Where the author's code is called from.
CALLER = (stopping.__file__, stopping.AuthorCode.__call__.__name__)


# Where libraries are: a mistake is seldom there.
LIBRARIES = ("site-packages", "dist-packages", f"python{sys.version_info[0]}.")
MAX_CODE = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A line of an author's code. `file` is the name without its folders; `around` has the line
    among its neighbours, each with its number."""

    file: str
    line: int
    code: str
    around: Sequence[tuple[int, str]] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.code}" if self.code else f"{self.file}"


def place_of(error: BaseException, target: Callable[..., Any], steps: Any = None) -> Place | None:
    """Return the line of the author's code at which a session failed.

    Args:
        target: The simulation; its file counts before all others.
        steps: The iterator of its steps. A picture that is none was given where it waits.
    """
    code = _code_of(target)
    file = code.co_filename if code else ""
    lines = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith((OURS, "<frozen"))
    ]
    own = [one for one in lines if one[0] == file]
    theirs = [one for one in lines if not any(part in one[0] for part in LIBRARIES)]
    if found := own or theirs or lines or list(_waiting(steps)):
        return place_in(*found[-1])
    return place_in(file, code.co_firstlineno) if code else None


def place_in(file: str, line: int) -> Place:
    """Return a line of a file, with the one before it and the one after it."""
    linecache.checkcache(file)  # It may have been saved since another error.
    numbers = range(max(1, line - 1), line + 2)
    code = [linecache.getline(file, number).rstrip("\n")[:MAX_CODE] for number in numbers]
    around = zip(numbers, textwrap.dedent("\n".join(code)).split("\n"), strict=False)
    own = linecache.getline(file, line).strip()[:MAX_CODE]
    name = utf8(Path(file).name)
    return Place(name, line, own, tuple(each for each in around if each[1].strip()))


def _code_of(target: Any) -> CodeType | None:
    """Return the code of a function, or of what an object does for its picture."""
    target = inspect.unwrap(getattr(target, "func", target))
    if inspect.isclass(target):
        target = getattr(target, "render", None)
    target = getattr(target, "__func__", target)
    if not hasattr(target, "__code__"):
        target = getattr(type(target).__call__, "__func__", type(target).__call__)
    return getattr(target, "__code__", None)


def _waiting(steps: Any) -> Iterator[tuple[str, int]]:
    """Yield where generators wait that yield from each other, the author's own last."""
    while frame := getattr(steps, "gi_frame", None) or getattr(steps, "ag_frame", None):
        if not frame.f_code.co_filename.startswith(OURS):
            yield frame.f_code.co_filename, frame.f_lineno
        steps = getattr(steps, "gi_yieldfrom", None)


def trace_of(error: BaseException) -> str:
    """Return an error's traceback as text, from the author's outermost call on."""
    trace = error.__traceback__
    while trace and trace.tb_next and trace.tb_frame.f_code.co_filename.startswith(OURS):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def python_stack(thread_id: int | None) -> str:
    """Return the Python stack of a running thread as text, innermost call last."""
    if thread_id is None:
        return "It has not started yet.\n"
    frame = sys._current_frames().get(thread_id)
    return "The thread has ended.\n" if frame is None else readable(traceback.extract_stack(frame))


def readable(frames: Sequence[traceback.FrameSummary]) -> str:
    """Return a stack as text, from the author's outermost call on; the whole of it between two."""
    called = (n for n, frame in enumerate(frames) if (frame.filename, frame.name) == CALLER)
    called_at = next(called, len(frames))
    theirs = (n for n in range(called_at, len(frames)) if not frames[n].filename.startswith(OURS))
    first = next(theirs, 0)
    return utf8("".join(traceback.format_list(list(frames[first:]))))
