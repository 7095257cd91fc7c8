"""A process and all that it has started, as psutil finds them."""

import signal
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

LOOK_S = 0.01


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all below it, parents before their children; none if it is gone."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def has_ended(process: psutil.Process) -> bool:
    """Whether it no longer runs. A process whose parent has not yet asked for its exit status
    has ended, too: for psutil, that one is still there."""
    with suppress(psutil.NoSuchProcess):
        ended = psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD
        return not process.is_running() or process.status() in ended
    return True


def signal_all(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def wait_for_end(processes: Iterable[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait so many seconds for the end of processes; returns those that still run. Blocks."""
    left = list(processes)
    deadline = time.monotonic() + timeout
    while left := [process for process in left if not has_ended(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_S)
    return left


def end_all(processes: Iterable[psutil.Process], patience: float) -> None:
    """Wait so many seconds for the end of processes, then kill what is left. Blocks."""
    left = wait_for_end(processes, patience)
    signal_all(left, signal.SIGKILL)
    wait_for_end(left, patience)
