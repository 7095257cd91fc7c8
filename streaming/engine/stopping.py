"""How long a stop may take, and where a thread is that does not end."""

import sys
import traceback

# After the grace time a step is given this much more before its thread counts as stuck.
STUCK_AFTER_GRACE_S = 1.0


def stuck_after(stop_grace: float) -> float:
    """Return the seconds after a stop at which a thread that still runs is stuck."""
    return stop_grace + STUCK_AFTER_GRACE_S


def python_stack(thread_id: int | None) -> str:
    """Return the Python stack of a running thread as text, innermost call last."""
    frame = sys._current_frames().get(thread_id) if thread_id is not None else None
    if frame is None:
        return "The thread has ended.\n"
    return "".join(traceback.format_stack(frame))
