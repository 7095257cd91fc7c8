"""The cells of a grid that the pointer goes over while it is down."""

from collections.abc import Iterable, Iterator
from math import floor, hypot

from streaming import Pointer

# Of the picture's units, each of which is one cell. No stroke is longer than the largest grid.
FARTHEST = 1000.0


class Brush:
    """Turns what is done on a picture, in which each cell is a unit square, into cells.

    Args:
        size: How many cells a side has. Cells outside of it are not painted.
        radius: How many cells beside the pointer are painted, too.
    """

    def __init__(self, size: int, radius: int = 0) -> None:
        self._size, self._radius = size, radius
        # Where the pointer was last, while it is down.
        self._at: tuple[float, float] | None = None

    def over(self, events: Iterable[Pointer]) -> Iterator[tuple[bool, list[tuple[int, int]]]]:
        """Yield for each stroke whether it begins one, and its cells as column and row."""
        for event in events:
            if event.kind == "up":
                self._at = None
                continue
            here = _bounded(event.x), _bounded(event.y)
            if event.kind == "down" or self._at is not None:
                began = event.kind == "down" or self._at is None
                path = _line(here if began or self._at is None else self._at, here)
                self._at = here
                yield began, list(dict.fromkeys(self._around(path)))

    def _around(self, path: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        reach = range(-self._radius, self._radius + 1)
        for column, row in path:
            for x in reach:
                for y in reach:
                    inside = 0 <= column + x < self._size and 0 <= row + y < self._size
                    if inside and hypot(x, y) <= self._radius:
                        yield column + x, row + y


def _bounded(place: float) -> float:
    return max(-FARTHEST, min(FARTHEST, place))


def _line(one: tuple[float, float], other: tuple[float, float]) -> Iterator[tuple[int, int]]:
    """Yield the cells from one place to another, none of which is left out."""
    (x, y), (to_x, to_y) = one, other
    steps = max(1, floor(2 * hypot(to_x - x, to_y - y)))
    for number in range(steps + 1):
        part = number / steps
        yield floor(x + (to_x - x) * part), floor(y + (to_y - y) * part)
