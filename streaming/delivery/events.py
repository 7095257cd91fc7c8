"""What a session says to its viewers in this process, over the channel layer `local`.

Objects, since nobody else reads them: a frame is not taken apart to be put together again.
"""

from dataclasses import dataclass

from streaming.delivery.framing import AnyFrame


@dataclass(frozen=True, slots=True)
class FrameEvent:
    frame: AnyFrame
    final: bool


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """A message about something that has happened.

    Args:
        revision: The session's when it happened; None for a notice, which does not grow old.
        plain_line: What the plain dialect says instead, if it says anything.
    """

    text: str
    revision: int | None = None
    plain_line: str | None = None


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """How the session is at this moment."""

    text: str
    revision: int


@dataclass(frozen=True, slots=True)
class SeriesEvent:
    """There is more in the session's series."""


Event = FrameEvent | ChangeEvent | StatusEvent | SeriesEvent
