"""The same step as a simulation of Livestep, drawn when a frame is due."""

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
