"""How a child process ended, in words that go on after "The simulation's process"."""

import os
import signal
from contextlib import suppress

# What numba, among others, prints before it ends a child.
OPENMP_BEFORE_FORK = "already using GNU OpenMP"


def reason_in(printed: str) -> str:
    """Return why a process ended, where a library has said so before it ended it."""
    if OPENMP_BEFORE_FORK not in printed:
        return ""
    return (
        ": OpenMP had been used before the process was made, which it does not survive. Use "
        "parallel code (of numba, say) in the step only, not at import nor in a warm-up"
    )


def used_too_much(used: int, allowed: int) -> str:
    """Say in words that a process was ended for the bytes that it, or a worker of it, used."""
    return (
        f"was ended: it used {used / 2**20:,.0f} MB of memory, and may have "
        f"{allowed / 2**20:,.0f} MB (LIVESTEP_MAX_PROCESS_BYTES)"
    )


def how_it_ended(wait_status: int, cpu_seconds: int, *, killed_for_memory: bool) -> str:
    """Say in words how a process ended that did not say so itself."""
    if os.WIFEXITED(wait_status):
        return f"ended itself with exit code {os.WEXITSTATUS(wait_status)}"
    number = os.WTERMSIG(wait_status)
    if number == signal.SIGKILL and killed_for_memory:
        return "was killed by the system, which had no memory left"
    if number == signal.SIGXCPU:
        return f"used up its {cpu_seconds:,} seconds of CPU time"
    try:
        name = signal.Signals(number).name
        meaning = (signal.strsignal(number) or "").lower()
    except ValueError:
        return f"was ended by signal {number}"
    who = " from outside" if number == signal.SIGKILL else ""
    return f"was ended by {name}{who} ({meaning})"


def oom_kills() -> int:
    """Return how often the kernel killed a process for lack of memory, since it started."""
    with suppress(OSError, ValueError), open("/proc/vmstat") as lines:
        for line in lines:
            name, _, number = line.partition(" ")
            if name == "oom_kill":
                return int(number)
    return 0
