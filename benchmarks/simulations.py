"""The same step as a simulation of Livestep, and steps that never end."""

from collections.abc import Callable, Iterator
from itertools import count

from benchmarks.step import ROUNDS, burn, picture
from streaming import simulation


@simulation
def bench() -> Iterator[Callable[[], str]]:
    numbers = count(1)
    while True:
        seed = burn(ROUNDS)
        # Numbered when it is drawn, so that a number that is missing is a frame that was lost.
        yield lambda seed=seed: picture(next(numbers), seed)  # type: ignore[misc]


@simulation
def spins() -> Iterator[str]:
    """Take a second step that never returns, in pure Python."""
    yield picture(1, 1)
    while True:
        pass


@simulation
def in_c() -> Iterator[str]:
    """Take a second step that is one call into C, for minutes, and holds the interpreter."""
    yield picture(1, 1)
    sum(range(10**11))
