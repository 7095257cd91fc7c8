"""What the driver of a session does on its picture, on the way to the simulation."""

from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("down", "move", "up")
# So many wait for a simulation at the most: the newest.
MOST_WAITING = 256


@dataclass(frozen=True, slots=True)
class Pointer:
    """One thing that the driver did on the picture with a mouse, a finger or a pen.

    Attributes:
        kind: "down", "move" or "up". Moves come only between a down and its up.
        x, y: Where, in the SVG's own coordinates. It may lie outside of the picture.
        target: The nearest `id` of what lies there, or None.
    """

    kind: str
    x: float
    y: float
    target: str | None = None


# With the numbers under which they were given, from 1.
Numbered = Sequence[tuple[int, Pointer]]


class Waiting:
    """The events that a simulation has not asked for yet."""

    def __init__(self) -> None:
        self._count = 0
        self._events: list[tuple[int, Pointer]] = []

    def add(self, event: Pointer, taken: float) -> Numbered:
        """Add an event and return those that wait: the newest, and of moves in a row the last.

        Args:
            taken: The number of the last one that the simulation has.
        """
        waiting = [each for each in self._events if each[0] > taken]
        if waiting and event.kind == waiting[-1][1].kind == "move":
            del waiting[-1]
        self._count += 1
        # In a list of its own: the stepper may be reading the last one.
        self._events = [*waiting, (self._count, event)][-MOST_WAITING:]
        return self._events
