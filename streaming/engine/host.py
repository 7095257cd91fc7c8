"""Where a simulation's steps are taken, as the code that takes them sees it.

In the thread engine it is the session itself (worker.py), in a child process the server at the
other end of a pipe (isolation/child.py).
"""

from collections.abc import Mapping
from typing import Protocol

from streaming.engine.board import Board
from streaming.engine.params import Params


class Host(Protocol):
    """Where the steps are taken. Its methods are for the stepping thread."""

    @property
    def board(self) -> Board: ...

    def params(self) -> Params | None:
        """Return the newest values, or None if they cannot be had just now."""

    def wait(self, seen: float, seconds: float) -> None:
        """Wait that long, but not once `board.commands` is no longer what was seen."""

    def take_turn(self) -> bool:
        """Wait until this thread may take a step, or is to stop. False: it had to wait, and what
        was asked for may have changed."""

    def began(self) -> None: ...

    def paused(self) -> None:
        """Say that it is paused between two steps. It may be said again."""

    def give_frame(self, svg: bytes, deflated: bytes | None) -> None:
        """Hand a frame over; it may wait, which is the backpressure, but not past a stop."""

    def note_held(self) -> None:
        """Have a finished picture that lies on the board handed over as soon as it is due."""

    def reject_frame(self, size: int, sent: int) -> None:
        """Say that a frame is too large.

        Args:
            size: The SVG's length in bytes.
            sent: How many of them would go over the wire.
        """

    def note_pixels(self, vector_bytes: int) -> None:
        """Say that a part of a figure is drawn as pixels, and how large it would be without."""

    def reached_most_steps(self) -> None: ...

    def note_input(self) -> None:
        """Say that the simulation asks for what the driver does on the picture."""

    def plot(self, step: int, row: Mapping[str, float]) -> None:
        """Hand over what a step has plotted; it may wait, but not past a stop."""

    def report_progress(self, done: float, total: float | None, text: str) -> None: ...

    def report_description(self, text: str) -> None: ...

    def save(self, name: str, content: bytes) -> None:
        """Save a file for people to download.

        Raises:
            ValueError: If it may not be saved.
        """
