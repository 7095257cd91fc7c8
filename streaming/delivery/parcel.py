"""A frame as it goes over one viewer's wire."""

from collections.abc import Callable
from dataclasses import dataclass

# Adds bytes to a stream and returns what it grows by.
Deflate = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A frame in an encoding that many viewers share.

    Args:
        whole: Makes the frame's message without compression, for viewers that have a stream of
            their own (delivery/streams.py); None where that would gain nothing. It raises
            ValueError where the frame came from another process damaged.
    """

    seq: int
    payload: str | bytes
    final: bool
    whole: Callable[[], bytes] | None = None
