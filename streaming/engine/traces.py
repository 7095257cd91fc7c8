"""Where the author's code is, and where it failed: without the calls of ours that lead to it."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from streaming.engine import stopping

OURS = str(Path(__file__).parent)
# Where the author's code is called from.
CALLER = (stopping.__file__, stopping.AuthorCode.__call__.__name__)


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
    return "".join(traceback.format_list(list(frames[first:])))
