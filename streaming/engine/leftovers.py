"""What the step of a thread has started: programs, which end with its session.

Not the workers of multiprocessing, which end with their pool, or when that is collected; a library
may share them among sessions. What another thread has started is not found, nor what has lost its
parent: from there on Linux says only that it is a descendant of the server.
"""

import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress

from streaming.engine.isolation.family import command_of, descendants_of, parents

# What has been killed is gone soon, unless it hangs in the kernel.
GONE_S, GONE_POLL_S = 0.5, 0.001
# In the commands of workers, and of what looks after them, that no step has for itself.
SHARED = (b"multiprocessing", b"loky")


def end_started_by(thread_id: int) -> int:
    """End the programs that a thread has started, with all that they have, and return how many
    there were. Blocks until they are gone, half a second at most. On that thread."""
    ended = set()
    deadline = time.monotonic() + GONE_S
    while (started := kill_started_by(thread_id)) and time.monotonic() < deadline:
        ended |= started
        for pid in started:
            # The step may have waited for it itself.
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(GONE_POLL_S)
    return len(ended)


def kill_started_by(thread_id: int | None, known: Collection[int] = ()) -> set[int]:
    """Kill the programs that a thread has started, with all that they have. On any thread.

    Args:
        thread_id: As the system knows it. None: it has not begun.
        known: Those that were killed before, and that nobody may have reaped yet.

    Returns:
        Those that were killed now.
    """
    started = _started_by(thread_id).difference(_workers(), known)
    if not started:
        return started
    of_all = parents()
    for pid in [pid for one in started for pid in (one, *descendants_of(one, of_all))]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return started


def _started_by(thread_id: int | None) -> set[int]:
    # Some kernels, and other systems, do not have it.
    with suppress(OSError), open(f"/proc/self/task/{thread_id}/children", "rb") as children:
        found = set(map(int, children.read().split()))
        return {pid for pid in found if not any(name in command_of(pid) for name in SHARED)}
    return set()


def _workers() -> set[int | None]:
    """The processes that multiprocessing has; those that it forks have the server's command."""
    multiprocessing = sys.modules.get("multiprocessing")
    children = multiprocessing.active_children() if multiprocessing is not None else []
    return {child.pid for child in children}
