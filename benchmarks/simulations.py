"""The same step as a simulation of Livestep, and steps that never end."""

import secrets
import time
from collections.abc import Callable, Iterator
from itertools import count

from benchmarks.step import ROUNDS, burn, picture
from streaming import Context, simulation


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


@simulation
def stamped(
    ctx: Context, size: int = 10_000, per_second: float = 30
) -> Iterator[Callable[[], str]]:
    """Say in each frame when it was made, by the clock that all processes share; `per_second` 0 is
    as fast as it goes."""
    filling = secrets.token_hex(size)[: size - 110]
    while True:
        yield (
            lambda: (
                f'<svg xmlns="http://www.w3.org/2000/svg"><desc>{time.monotonic():020.6f}</desc>'
                f"<!--{filling}--></svg>"
            )
        )
        if per_second:
            ctx.sleep(1 / per_second)


@simulation
def uneven(
    ctx: Context, lazy: bool = False, rest_s: float = 0.5
) -> Iterator[str | Callable[[], str]]:
    """Take four steps at once, of which the last says when it was taken, and then a long one."""
    ctx.sleep(rest_s)
    while True:
        for number in range(1, 5):
            said = f"<desc>{time.monotonic():020.6f}</desc>" if number == 4 else ""
            svg = f'<svg xmlns="http://www.w3.org/2000/svg">{said}<text>{number}</text></svg>'
            yield (lambda svg=svg: svg) if lazy else svg  # type: ignore[misc]
        ctx.sleep(rest_s)


@simulation
def drawn(ctx: Context, shapes: int = 610, per_second: float = 60) -> Iterator[str]:
    """Draw 20 KB 60 times a second, or as asked for, for the page to paint."""
    began = time.monotonic()
    for number in count(1):
        yield picture(number, number % 7, shapes)
        # Not a pause of that length, to which the drawing would come.
        ctx.sleep(max(0.0, began + number / per_second - time.monotonic()))
