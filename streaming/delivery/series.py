"""Tells viewers what a session has plotted: each from where it is, as fast as it reads.

Nothing waits in a queue: a message is made when a viewer can take it, of all that is new to it.
And the two forms in which it is kept: as messages, for viewers, and as a table, for programs.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol, TextIO

from streaming.delivery import protocol
from streaming.engine.series import OVERVIEW_POINTS, Points, Series

# In one message, of all its lines together.
MOST_VALUES = 4_000
# Of a session that has ended, of all its lines together: at most 400 KB of messages, and about
# 100 KB of them compressed.
MOST_KEPT = 8_000

# The step up to which each line was told, in the order of the lines; 0 of those that are missing.
Place = tuple[int, ...]


class Viewer(Protocol):
    """A window, as far as it is told what was plotted."""

    visible: bool
    plotted: Callable[[], str | None]

    def wake(self) -> None: ...


class Telling:
    """How much of a series each viewer was told. For one thread only.

    When there is news, a viewer is told until it knows everything, and then waits for the next.
    """

    def __init__(self, series: Series) -> None:
        self._series = series
        self._places: dict[Viewer, Place] = {}
        self._behind: set[Viewer] = set()
        # What comes after a place: the same message for all viewers that are there.
        self._messages: dict[Place, tuple[str, Place] | None] = {}

    @property
    def is_done(self) -> bool:
        """Whether everybody who can see it was told everything."""
        return not any(viewer.visible for viewer in self._behind)

    def add(self, viewer: Viewer) -> None:
        """Tell a viewer everything, from the beginning."""
        self._places[viewer] = ()
        if self._series.lines():
            self._behind.add(viewer)
        viewer.plotted = partial(self._next, viewer)

    def remove(self, viewer: Viewer) -> None:
        if self._places.pop(viewer, None) is not None:
            self._behind.discard(viewer)
            viewer.plotted = lambda: None
        if not self._places:
            self._messages.clear()

    def note_news(self) -> None:
        """Have every viewer told what is new."""
        self._messages.clear()
        self._behind.update(self._places)
        for viewer in list(self._places):
            viewer.wake()

    def _next(self, viewer: Viewer) -> str | None:
        """Return the next message for a viewer, or None when it knows everything."""
        if viewer not in self._behind:
            return None
        place = self._places[viewer]
        if place not in self._messages:
            self._messages[place] = self._after(place)
        found = self._messages[place]
        if found is None:
            self._behind.discard(viewer)
            return None
        message, self._places[viewer] = found
        return message

    def _after(self, place: Place) -> tuple[str, Place] | None:
        """Return the message of what comes after a place, and the place after it."""
        lines = self._series.lines()
        told = [*place, *[0] * (len(lines) - len(place))]
        columns: list[Points] = []
        names = []
        for index, line in enumerate(lines):
            if line.last_step <= told[index] or (len(columns) + 1) * _height(columns) > MOST_VALUES:
                continue
            points = self._series.after(line, told[index])
            # Lines without a point at each of these steps have a message of their own.
            if columns and points.steps != columns[0].steps:
                continue
            columns.append(points)
            names.append(line.name)
            told[index] = points.steps[-1]
        if not columns:
            return None
        steps, values = columns[0].steps, [points.values for points in columns]
        return protocol.encode(protocol.series_message(names, steps, values)), tuple(told)


def _height(columns: list[Points]) -> int:
    return len(columns[0]) if columns else 0


def messages_of(series: Series) -> list[str]:
    """Return what a viewer is to be told of a session that has ended: a message for each line."""
    lines = series.lines()
    most = min(OVERVIEW_POINTS, MOST_KEPT // max(1, len(lines)))
    thinned = ((line.name, series.after(line, 0).thinned(most)) for line in lines)
    return [
        protocol.encode(protocol.series_message([name], points.steps, [points.values]))
        for name, points in thinned
    ]


def series_of(messages: Iterable[str]) -> Series:
    """Return what messages tell."""
    series = Series()
    for message in messages:
        series.hear(json.loads(message))
    return series


def write_table(series: Series, file: TextIO) -> None:
    """Write all that is kept as comma-separated values: a row for each step."""
    csv.writer(file, lineterminator="\n").writerows(series.table())


def table_of(series: Series) -> bytes:
    """Return what `write_table` writes; nothing if nothing was plotted. It may take a second."""
    file = io.StringIO()
    if series.lines():
        write_table(series, file)
    return file.getvalue().encode()
