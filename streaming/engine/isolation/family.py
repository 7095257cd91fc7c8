"""The processes that descend from one, and what each of them uses. Read from /proc."""

import ctypes
import os
import resource
from contextlib import suppress

PR_SET_CHILD_SUBREAPER = 36
# What of a process's memory nobody else has, in the file `status`: not what it only maps.
USED = ("RssAnon:", "RssShmem:", "VmSwap:")
PAGE_BYTES = resource.getpagesize()


def adopt_orphans() -> None:
    """Have this process be the parent of each descendant whose own parent ends: none gets away,
    whatever session or group of processes it has made for itself."""
    with suppress(AttributeError):  # It is not Linux.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_of(pid: int, parents: dict[int, int]) -> set[int]:
    """Return the children of a process, those among them that wait to be reaped, too."""
    return {child for child, parent in parents.items() if parent == pid}


def descendants_of(pid: int, parents: dict[int, int]) -> list[int]:
    """Return the children of a process, their children, and so on."""
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def parents(above: int = 0) -> dict[int, int]:
    """Return the parent of each process that there is, or of those with a number above another's:
    the later ones, until the numbers begin again."""
    found = {}
    for name in os.listdir("/proc"):
        # It may have ended since.
        with suppress(OSError, ValueError, IndexError):
            if name.isdecimal() and int(name) > above:
                stat = _read(f"/proc/{name}/stat")
                # What stands in brackets is its name, and may hold anything.
                found[int(name)] = int(stat[stat.rindex(b")") + 2 :].split(None, 2)[1])
    return found


def memory_used_by(pid: int, enough: int) -> int:
    """Return the bytes of memory that a process uses, 0 when it has ended. It may be less than what
    is returned, where that is less than `enough`."""
    with suppress(OSError, IndexError, ValueError):
        # Quickly read, and more than what is its own: files that it has mapped are in it.
        at_most = int(_read(f"/proc/{pid}/statm").split(None, 2)[1]) * PAGE_BYTES
        if at_most < enough:
            return at_most
        lines = _read(f"/proc/{pid}/status").decode(errors="replace").splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(USED))
    return 0


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(8192)


def is_resource_tracker(pid: int) -> bool:
    """Whether a process is one that multiprocessing, or joblib, has for removing what is left of
    others in /dev/shm. It ends by itself when they have ended."""
    return b"resource_tracker" in command_of(pid)


def command_of(pid: int) -> bytes:
    """Return the command of a process, with a zero byte after each argument; empty if it ended."""
    with suppress(OSError):
        return _read(f"/proc/{pid}/cmdline")
    return b""
