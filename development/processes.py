"""A process and all that it has started, found through /proc."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.01


@dataclass(frozen=True)
class Process:
    """One process, told apart from a later one with the same number."""

    pid: int
    # In the kernel's ticks since the machine's start.
    began: int

    def has_ended(self) -> bool:
        """Whether it runs no more; one that nobody has asked about yet has ended, too."""
        state = _stat(self.pid)
        return state is None or state[0] == "Z" or state[2] != self.began


def family(pid: int) -> list[Process]:
    """Return a process and all below it, parents before their children."""
    children: dict[int, list[Process]] = {}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        number = int(folder.name)
        if (state := _stat(number)) is None:
            continue
        process = Process(number, state[2])
        if number == pid:
            found.append(process)
        children.setdefault(state[1], []).append(process)
    for process in found:
        found += children.get(process.pid, [])
    return found


def signal_all(processes: Iterable[Process], number: int) -> None:
    for process in processes:
        if not process.has_ended():
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def end_all(processes: Iterable[Process], patience: float) -> None:
    """Wait so many seconds for the end of processes, then kill what is left. Blocks."""
    left = list(processes)
    deadline = time.monotonic() + patience
    while left := [process for process in left if not process.has_ended()]:
        if time.monotonic() > deadline:
            signal_all(left, signal.SIGKILL)
        time.sleep(LOOK_S)


def _stat(pid: int) -> tuple[str, int, int] | None:
    """Return a process's state, parent and begin; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # Its name, in parentheses, may hold anything.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[19])
