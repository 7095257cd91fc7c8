"""What a child plots, on its way to the server: a ring of numbers in the memory of the board.

Not messages: a child that plots and is deep in C a moment later, or dead, has said it all.
"""

import json
import struct
from collections.abc import Iterator, Mapping

from streaming.engine.board import MOST_STEPS, PLOT_NAMES_AT, PLOT_NAMES_END, PLOTS_AT, SharedBoard
from streaming.engine.series import MOST_NAMES, is_name

# The place of a name among the names, a step, a value.
PLOT = struct.Struct("ddd")
MOST_WAITING = 8192
# As many may wait until the server is asked to take them now.
MANY_WAITING = MOST_WAITING // 2


class PlotRing:
    """One side's view of the ring. The child writes, the server reads."""

    def __init__(self, board: SharedBoard) -> None:
        self._board = board
        # None stands for one that is no name.
        self._names: list[str | None] = []

    @property
    def waiting(self) -> float:
        """How many numbers the server has not taken yet; the child may have written anything."""
        return self._board.plots_given - self._board.plots_taken

    # The child's side.

    def has_room_for(self, count: int) -> bool:
        return self.waiting + count <= MOST_WAITING

    def write(self, step: int, row: Mapping[str, float]) -> None:
        """Write a step's numbers, for which there has to be room."""
        if any(name not in self._names for name in row):
            self._names += [name for name in row if name not in self._names]
            names = json.dumps(self._names).encode()
            self._board.write_text(PLOT_NAMES_AT, names)
        given = self._board.plots_given
        for name, value in row.items():
            self._board.pack(PLOT, _place(given), self._names.index(name), step, value)
            given += 1
        # Last: what is counted is there.
        self._board.plots_given = given

    # The server's side.

    def read(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield each step and its numbers, and take them out; nothing while the child writes down
        a new name, of which some may be. Nothing of it is trusted."""
        taken, given = self._board.plots_taken, self._board.plots_given
        if not taken < given <= taken + MOST_WAITING:
            return
        numbers = [
            self._board.unpack(PLOT, _place(number)) for number in range(int(taken), int(given))
        ]
        if any(index >= len(self._names) for index, _, _ in numbers):
            names = self._board.read_text(PLOT_NAMES_AT, PLOT_NAMES_END)
            if names is None:
                return
            self._names = _names_in(names)
        at = 0
        row: dict[str, float] = {}
        for index, step, value in numbers:
            name = self._name(index)
            if name is None or not 0 < step < MOST_STEPS:
                continue
            if step != at and row:
                yield at, row
                row = {}
            at = int(step)
            row[name] = value if abs(value) < float("inf") else float("nan")
        if row:
            yield at, row
        self._board.plots_taken = given

    def _name(self, index: float) -> str | None:
        if not (0 <= index < len(self._names) and index == int(index)):
            return None
        return self._names[int(index)]


def _names_in(text: bytes) -> list[str | None]:
    try:
        names = json.loads(text or b"[]")
    except (ValueError, RecursionError):
        return []
    if not isinstance(names, list):
        return []
    return [name if is_name(name) else None for name in names[:MOST_NAMES]]


def _place(number: float) -> int:
    return PLOTS_AT + int(number % MOST_WAITING) * PLOT.size
