"""Computes what more processes, sessions and viewers would cost than there are machines for here.

    make bench-scale      writes benchmarks/scale.md and the tables of docs/scaling.md, in a minute

What benchmarks/cluster.py measures of two processes is simulated as well: that shows how far the
simulation, benchmarks/site.py, can be believed.
"""

import datetime
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.site import (
    LONG_S,
    PAYLOAD,
    ROOT,
    Costs,
    Load,
    Measured,
    Site,
    figure,
    measured_costs,
)

# What two processes do in benchmarks/cluster.py.
AGES = Load(
    "", 2, sessions=1, watched=1, here=1, elsewhere=1, viewers_elsewhere=1, fps=15, far=False
)
SOAK = Load("", 2, 20, 20, here=5, elsewhere=1, viewers_elsewhere=5, fps=5, far=False)
BESIDE = Load("beside their sessions", 100, 10_000, 10_000, 100, 0, 0, 5, simulated=10)
HALF = Load("half of them in one other process", 100, 10_000, 10_000, 50, 1, 50, 5, simulated=10)
ALL = Load("of 100 sessions, in all processes", 100, 10_000, 100, 100, 99, 100, 5)
STEPS = 25
# A viewer is to get most of the frames, from a loop that has some time left.
MOST_BUSY, MOST_OF = 0.95, 0.95
MB, GBIT = 1e6, 1e9 / 8


def compare(costs: Costs) -> list[tuple[str, float, float]]:
    """Return what was measured of two processes, and what the simulation says."""
    ages, soak = Site(AGES, costs).measure(LONG_S), Site(SOAK, costs).measure(LONG_S)
    # What is not the loop's, as the line and the client, makes both ages longer by the same.
    near = figure("cluster", "the session's own process", 1)
    far = near + (ages.ages[False] - ages.ages[True]) * 1000
    return [
        (
            "processor time per frame and viewer, µs",
            figure("cluster", "processor time per frame and viewer"),
            soak.cores / soak.frames * 1e6,
        ),
        (
            "processor time of both processes, cores",
            figure("cluster", "processor time of both processes"),
            soak.cores,
        ),
        (
            "frames to viewers, per second",
            figure("cluster", "frames that came to viewers", 1),
            soak.frames,
        ),
        (
            "age of a frame from the other process, median, ms",
            figure("cluster", "the other process", 1),
            far,
        ),
    ]


def carries(load: Load, costs: Costs) -> tuple[bool, Measured]:
    """Whether all viewers get their frames, and neither a loop nor Redis needs all of its core."""
    seen = Site(load, costs).measure()
    gets = seen.frames / (load.viewers * load.fps)
    return gets >= MOST_OF and max(seen.busiest, seen.redis) <= MOST_BUSY, seen


def most_viewers(load: Load, costs: Costs) -> tuple[int, Measured]:
    """Return how many viewers its processes carry, and what is seen with some more; in steps of a
    twenty-fifth."""
    low, high, beyond = 0, STEPS, carries(load, costs)[1]
    while high - low > 1:
        middle = (low + high) // 2
        part = replace(
            load,
            here=load.here * middle // STEPS,
            viewers_elsewhere=load.viewers_elsewhere * middle // STEPS,
        )
        works, seen = carries(part, costs)
        if works:
            low = middle
        else:
            high, beyond = middle, seen
    return load.viewers * low // STEPS, beyond


def first_to_give_in(seen: Measured) -> str:
    """Name what has the least left, of what has one core or a line of 10 Gbit/s."""
    used = {
        "the event loops": seen.busiest,
        "Redis": seen.redis,
        "Redis' line": seen.out_of_redis / (10 * GBIT),
    }
    return max(used, key=lambda name: used[name])


def table_of(loads: Sequence[Load], costs: Costs) -> list[str]:
    columns = []
    for load in loads:
        _, seen = carries(load, costs)
        carried, beyond = most_viewers(load, costs)
        database = load.processes / 4 * costs.heartbeat + 3 * costs.look
        gets = seen.frames / load.viewers
        memory = (
            load.processes * figure("cluster", "memory of both processes, before") / 2
            + load.sessions * memory_of_session()
            + load.viewers * memory_of_viewer()
        )
        columns.append(
            {
                "viewers": load.name,
                "frames per second that a viewer gets, of 5; S": f"{gets:.1f}",
                "the busiest event loop, of one core; S": f"{seen.busiest:.2f}",
                "cores of all event loops; S": f"{seen.cores:.0f}",
                "Redis, of one core; S": f"{seen.redis:.2f}",
                "out of Redis, Gbit/s; S": f"{seen.out_of_redis / GBIT:.1f}",
                "connections of PostgreSQL that are busy at once; C": f"{database:.1f}",
                "to viewers, Gbit/s; S": f"{seen.frames * PAYLOAD / GBIT:.0f}",
                "memory, GB; C": f"{memory / 1000:.0f}",
                "viewers that 100 processes carry; S": f"{carried:,}"
                if carried
                else f"fewer than {load.viewers // STEPS:,}",
                "what gives in first, with more; S": first_to_give_in(beyond),
                "processes that 1,000,000 viewers need; C": (
                    f"{100 * load.viewers / carried:,.0f}" if carried else "more do not help"
                ),
            }
        )
    names = list(columns[0])
    head, *rows = [[name, *(column[name] for column in columns)] for name in names]
    cells = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(row)} |" for row in cells]


def memory_of_session() -> float:
    """In MB: what one more takes, in a process of its own."""
    return figure("engines", "memory of one more of the process sessions")


def memory_of_viewer() -> float:
    """In MB: what the processes of benchmarks/cluster.py grew by, with their sessions."""
    grown = figure("cluster", "after 60 s") - figure("cluster", "memory of both processes, before")
    return grown / SOAK.viewers


def report(costs: Costs) -> tuple[list[str], list[str]]:
    compared = [
        f"| {name} | {measured:,.4g} | {simulated:,.4g} | {simulated / measured - 1:+.0%} |"
        for name, measured, simulated in compare(costs)
    ]
    fed = [
        f"| {name.replace('_', ' ')} | {seconds * 1e6:,.0f} |"
        for name, seconds in vars(costs).items()
    ]
    two = [
        "| two processes, 20 sessions, 200 viewers | measured | simulated | |",
        "| --- | --- | --- | --- |",
        *compared,
    ]
    many = table_of([BESIDE, HALF, ALL], costs)
    text = [
        "# Past one rack, by simulation",
        "",
        f"{datetime.date.today()}. Made by `make bench-scale` of what is in costs.md, delivery.md, "
        "cluster.md and engines.md beside it.",
        "",
        "How far the simulation can be believed; it knows nothing of the measured column but the "
        "age of a frame in the session's own process:",
        "",
        *two,
        "",
        "100 processes, 10,000 sessions and 1,000,000 viewers, frames of 20 KB at 5 a second; S is "
        "simulated, C computed. Steps take their own cores, which are not in it:",
        "",
        *many,
        "",
        "What it was fed with, in µs:",
        "",
        "| cost | µs |",
        "| --- | --- |",
        *fed,
        "",
    ]
    return text, [*two, "", *many]


def put_into(path: Path, table: list[str]) -> None:
    """Put the tables where a page has its marks for them."""
    begin, end = "<!-- made by make bench-scale -->", "<!-- end -->"
    before, rest = path.read_text().split(begin)
    after = rest.split(end, 1)[1]
    path.write_text("\n".join([before + begin, "", *table, "", end + after]))


def main() -> None:
    random.seed(1)
    text, tables = report(measured_costs())
    (ROOT / "benchmarks" / "scale.md").write_text("\n".join(text))
    put_into(ROOT / "docs" / "scaling.md", tables)
    print("\n".join(text))


if __name__ == "__main__":
    main()
