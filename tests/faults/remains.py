"""What a process has: threads, children, sockets, memory."""

import json
import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

TELL_S = 10.0


@dataclass(frozen=True, slots=True)
class Remains:
    """What one process has at one moment.

    Args:
        threads: Their names, without numbers: an executor's are alike.
        tasks: Those of its event loop, likewise.
        places: What each task waits in.
        all_threads: How many the kernel knows, those of libraries too.
        children: How many processes there are below it.
        files: How many of each kind are open: "socket", "pipe", "memfd:…"…
        memory: In bytes.
    """

    threads: tuple[str, ...]
    tasks: tuple[str, ...]
    places: dict[str, str]
    all_threads: int
    children: int
    files: dict[str, int]
    memory: int

    def count(self):
        """How much that is, but for the memory."""
        files = sum(self.files.values())
        return len(self.tasks) + self.all_threads + self.children + files


def look_at(part):
    """Return what a process of Livestep with tests/samples/marked.py has. Blocks for a moment."""
    path = Path(part.environment["VAR_DIR"]) / f"inside-{part.pid}.json"
    path.unlink(missing_ok=True)
    os.kill(part.pid, signal.SIGUSR2)
    deadline = time.monotonic() + TELL_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{part.name} does not say what it has"
        time.sleep(0.02)
    inside = json.loads(path.read_text())
    process = psutil.Process(part.pid)
    return Remains(
        threads=_kinds(inside["threads"]),
        tasks=_kinds(inside["tasks"]),
        places=inside["tasks"],
        all_threads=process.num_threads(),
        children=len(process.children(recursive=True)),
        files=_files(part.pid),
        memory=process.memory_info().rss,
    )


def what_is_more(before, after, pools, kept=0):
    """Say what there is more of than before; nothing, if all is well.

    Args:
        pools: What the names of threads begin with that stay for the next piece of work, and of
            which there are only so many.
        kept: How many sockets more may stay for the next piece of work.
    """
    found = []
    for what in ("threads", "tasks"):
        had, has = list(getattr(before, what)), list(getattr(after, what))
        for name in had:
            with suppress(ValueError):
                has.remove(name)
        if more := [name for name in has if not name.startswith(pools)]:
            found.append(f"{what}: {', '.join(more)}")
            found += [f"{name} is at {after.places[name]}" for name in more if name in after.places]
    in_pools = [
        sum(name.startswith(pools) for name in remains.threads) for remains in (before, after)
    ]
    if after.all_threads - in_pools[1] > before.all_threads - in_pools[0]:
        found.append(f"threads unknown to Python: {before.all_threads} → {after.all_threads}")
    if after.children > before.children:
        found.append(f"children: {before.children} → {after.children}")
    for kind, count in after.files.items():
        if count > before.files.get(kind, 0) + (kept if kind == "socket" else 0):
            found.append(f"{kind}: {before.files.get(kind, 0)} → {count}")
    return found


def _kinds(names):
    return tuple(sorted(re.sub(r"[-_]?\d+(_\d+)?$", "", name) for name in names))


def _files(pid):
    found = {}
    # psutil counts them, and names regular files and connections, but no pipe and no memfd.
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            target = os.readlink(fd)
            kind = re.sub(r":\[\d+\]$| \(deleted\)$", "", target)
            found[kind] = found.get(kind, 0) + 1
    return found
