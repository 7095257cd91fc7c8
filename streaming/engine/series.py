"""The numbers that a simulation plots: one line of points for each name, in bounded memory.

Where there are too many points, some are left out, and never the highest or the lowest of their
neighbourhood.
"""

import math
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

MOST_NAMES = 32
MAX_NAME = 64
# Of all lines of a session together: 1.6 MB.
MOST_POINTS = 100_000
POINT_BYTES = 16
# Of one line, as a viewer is told it that comes later.
OVERVIEW_POINTS = 2_000
# As many new points of a line are told as they are; of more, as many as the overview has of them.
NEWS_POINTS = 50
# Where a line has none. It is what NaN and infinity become, too.
GAP = math.nan


class Plots:
    """What a simulation plots in the step in progress. For its stepping thread only.

    Attributes:
        row: The numbers by their names; the last one of a name counts.
    """

    def __init__(self) -> None:
        self.row: dict[str, float] = {}
        self._names: set[str] = set()

    def add(self, numbers: Mapping[str, Any]) -> None:
        """Take numbers by their names.

        Raises:
            TypeError: If one is no number.
            ValueError: If a name cannot be one, or there are too many.
        """
        for name, number in numbers.items():
            if name not in self._names:
                self._meet(name)
            self.row[name] = _number(name, number)

    def take(self) -> dict[str, float]:
        """Return the row of the step, and begin a new one."""
        row, self.row = self.row, {}
        return row

    def _meet(self, name: str) -> None:
        if not is_name(name):
            raise ValueError(
                f"ctx.plot() needs names of 1 to {MAX_NAME} printable characters, got {name!r:.80}"
            )
        if len(self._names) == MOST_NAMES:
            raise ValueError(
                f"ctx.plot() takes at most {MOST_NAMES} names, and {name!r} is one more: plot "
                "fewer numbers, or a mean of them"
            )
        self._names.add(name)


def is_name(name: Any) -> bool:
    """Whether a line may have this name."""
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()


def _number(name: str, given: Any) -> float:
    """Return what an author plots as a float; a gap for what is missing or not finite."""
    if given is None:
        return GAP
    try:
        number = _float(given)
    except OverflowError:
        return GAP
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"ctx.plot({name}=…) needs one number, or None for a gap, and got {_what(given)}"
        ) from None
    return number if math.isfinite(number) else GAP


def _float(given: Any) -> float:
    if isinstance(given, str | bytes | bytearray):
        raise TypeError("text is no number, though it may look like one")
    return float(given.item() if getattr(given, "ndim", 0) else given)


def _what(given: Any) -> str:
    kind = type(given)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if isinstance(given, str):
        return f"the text {given!r:.40}"
    shape = getattr(given, "shape", None)
    return f"{name} of shape {tuple(shape)}" if shape else name


class Points:
    """Points of a line, in the order of their steps."""

    __slots__ = ("steps", "values")

    def __init__(self, steps: "array[int]", values: "array[float]") -> None:
        self.steps, self.values = steps, values

    @classmethod
    def none(cls) -> "Points":
        return cls(array("q"), array("d"))

    def __len__(self) -> int:
        return len(self.values)

    def add(self, step: int, value: float) -> None:
        self.steps.append(step)
        self.values.append(value)

    def count_after(self, step: int) -> int:
        """Return how many points come after a step."""
        return len(self.steps) - bisect_right(self.steps, step)

    def last(self, count: int) -> "Points":
        """Return the last points, so many of them."""
        start = len(self.steps) - count
        return Points(self.steps[start:], self.values[start:])

    def thinned(self, most: int) -> "Points":
        """Return at most so many of the points, 5 or more: the first, the last, and of equal
        parts of the way between them the lowest, the highest, and a gap if there is one."""
        if len(self) <= most:
            return self
        has_gaps = any(value != value for value in self.values)
        parts = (most - 2) // (3 if has_gaps else 2)
        kept = Points.none()
        for start, end in self._parts(parts):
            for index in self._chosen(start, end):
                kept.add(self.steps[index], self.values[index])
        return kept

    def _parts(self, count: int) -> Iterator[tuple[int, int]]:
        """Yield where parts that have the same number of steps begin and end, but for those that
        have no points."""
        steps = self.steps
        first, width = steps[0], (steps[-1] - steps[0] + 1) / count
        cuts = (bisect_left(steps, first + part * width) for part in range(1, count))
        return ((start, end) for start, end in pairwise([0, *cuts, len(steps)]) if start < end)

    def _chosen(self, start: int, end: int) -> list[int]:
        part = self.values[start:end]
        numbers = [value for value in part if value == value]
        chosen = {index for index in (0, len(self) - 1) if start <= index < end}
        if numbers:
            chosen |= {start + part.index(min(numbers)), start + part.index(max(numbers))}
        if len(numbers) < len(part):
            chosen.add(start + next(i for i, value in enumerate(part) if value != value))
        return sorted(chosen)


class Line:
    """The points of one name.

    Attributes:
        last_step: The step of its newest point.
        kept: As many points as there is room for.
        overview: So few that they can be told in one message.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.last_step = 0
        self.kept, self.overview = Points.none(), Points.none()

    def after(self, step: int) -> Points:
        """Return the points after a step: as they are if they are few, else as many as their part
        of the whole way is due."""
        few = self.kept.count_after(step)
        if few <= NEWS_POINTS:
            return self.kept.last(few)
        known = self.overview.count_after(step)
        if known < NEWS_POINTS:
            return self.kept.last(few).thinned(NEWS_POINTS)
        share = (self.last_step - step) / (self.last_step - self.kept.steps[0] + 1)
        most = max(NEWS_POINTS, round(share * OVERVIEW_POINTS))
        return self.overview.last(known).thinned(most)


class Series:
    """The lines of a session. One thread at a time adds; any may read.

    Args:
        most: How many points are kept, of all lines together.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        # Guards the points; held for a copy of them at the most, and never while they are thinned.
        self._lock = threading.Lock()
        self._lines: dict[str, Line] = {}
        self._size = 0

    @property
    def memory(self) -> int:
        """How many bytes its points take. On any thread."""
        return POINT_BYTES * sum(len(line.kept) + len(line.overview) for line in self.lines())

    def add(self, step: int, row: Mapping[str, float]) -> None:
        """Add a step's numbers. What is of no later step than a line's newest is known already."""
        for name, value in row.items():
            line = self._lines.get(name) or self._begin(name)
            if line is None or step <= line.last_step:
                continue
            with self._lock:
                line.last_step = step
                line.kept.add(step, value)
                line.overview.add(step, value)
            self._size += 1
            if len(line.overview) > OVERVIEW_POINTS:
                line.overview = line.overview.thinned(OVERVIEW_POINTS // 2)
            if self._size > self._most:
                self._make_room()

    def hear(self, message: Mapping[str, Any]) -> None:
        """Add what a `series` message says."""
        names = message["names"]
        for step, *values in message["points"]:
            numbers = (GAP if value is None else float(value) for value in values)
            self.add(step, dict(zip(names, numbers, strict=True)))

    def lines(self) -> list[Line]:
        """Return the lines, in the order in which they began."""
        return list(self._lines.values())

    def after(self, line: Line, step: int) -> Points:
        """Return a line's points after a step: few of them, and their extremes."""
        with self._lock:
            return line.after(step)

    def table(self) -> Iterator[Sequence[str | float | None]]:
        """Yield all that is kept: the names of the columns, then a row for each step, its number
        and a value for each name. None is a gap, or none."""
        with self._lock:
            columns = [(line.name, line.kept.last(len(line.kept))) for line in self.lines()]
        yield ["step", *(name for name, _points in columns)]
        rows: dict[int, list[float | None]] = {}
        for column, (_name, points) in enumerate(columns):
            for step, value in zip(points.steps, points.values, strict=True):
                row = rows.setdefault(step, [None] * len(columns))
                row[column] = value if value == value else None
        for step in sorted(rows):
            yield [step, *rows[step]]

    def _begin(self, name: str) -> Line | None:
        if len(self._lines) == MOST_NAMES:
            return None
        with self._lock:
            line = self._lines[name] = Line(name)
        return line

    def _make_room(self) -> None:
        longest = max(self._lines.values(), key=lambda line: len(line.kept))
        thinned = longest.kept.thinned(len(longest.kept) // 2)
        self._size -= len(longest.kept) - len(thinned)
        longest.kept = thinned
