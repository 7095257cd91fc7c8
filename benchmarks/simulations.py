"""The same step as a simulation of Livestep."""

from collections.abc import Iterator

from benchmarks.step import steps
from streaming import simulation


@simulation
def bench() -> Iterator[str]:
    yield from steps()
