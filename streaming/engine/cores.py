"""How many processors this process may use: those that it is bound to, or what its container's
quota comes to, whichever is less."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS, MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def usable_cores(groups: Path = GROUPS, mounted: Path = MOUNTED) -> int:
    """Return that number, at least 1."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = _quotas(groups, mounted)
    return max(1, min([bound or 1, *map(math.ceil, quotas)]))


def _quotas(groups: Path, mounted: Path) -> Iterator[float]:
    """Yield the quota of each control group that this process is in, in processors."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return  # There are none on this system.
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        is_first_kind = "cpu" in controllers.split(",")
        if controllers and not is_first_kind:
            continue
        root = mounted / controllers if is_first_kind else mounted
        group = root / path.lstrip("/")
        # Each group is bound by those that it is in. In a container its own is often the root.
        for folder in (group, *group.parents):
            quota = _first_kind(folder) if is_first_kind else _second_kind(folder)
            if quota is not None:
                yield quota
            if folder == root:
                break


def _second_kind(folder: Path) -> float | None:
    try:
        most, period = (folder / "cpu.max").read_text().split()
        return None if most == "max" else int(most) / int(period)
    except (OSError, ValueError):
        return None


def _first_kind(folder: Path) -> float | None:
    try:
        most = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return most / period if most > 0 and period > 0 else None
    except (OSError, ValueError):
        return None
