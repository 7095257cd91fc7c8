"""A frame as one binary message of livestep.v1: a line of JSON, and the picture."""

import json
import zlib
from enum import StrEnum
from functools import cached_property
from typing import Any

from streaming.delivery.parcel import Deflate
from streaming.engine.frames import MOST_SVG_BYTES, Frame

# An epoch counts who has a session in his hands: first its process, then whoever gave it up for
# lost. No frame is made in a later one.
EPOCH = 1

# Filled in for each frame: writing JSON takes ten times as long.
FRAME_HEADER = (
    b'{"type":"frame","session":%b,"epoch":%d,"seq":%d,"step":%d,"encoding":"%b","size":%d,'
    b'"final":%b}\n'
)
# The window size by which zlib knows deflate without a head.
RAW_DEFLATE = -15


class Encoding(StrEnum):
    """How a frame's SVG travels."""

    IDENTITY = "identity"
    DEFLATE_RAW = "deflate-raw"
    # Of a viewer's own: each frame is told by what differs from those before.
    DEFLATE_STREAM = "deflate-stream"


# What a frame is encoded in for all viewers at once.
SHARED_ENCODINGS = (Encoding.IDENTITY, Encoding.DEFLATE_RAW)


class ReceivedFrame:
    """A frame as it came from another process. It is inflated only for a viewer that wants it so.

    Args:
        size: The SVG's length in bytes, at most MOST_SVG_BYTES.
        payload: The SVG, or its raw deflate.
    """

    def __init__(
        self, seq: int, step: int, size: int, payload: bytes, *, is_deflated: bool
    ) -> None:
        self.seq, self.step, self.size = seq, step, size
        self.deflated = payload if is_deflated else None
        self._payload = payload

    @cached_property
    def svg(self) -> bytes:
        """The SVG.

        Raises:
            ValueError: If what came is not what its header says. No more than its size is inflated.
        """
        svg = self._payload
        if self.deflated is not None:
            try:
                svg = zlib.decompressobj(RAW_DEFLATE).decompress(svg, self.size)
            except zlib.error as error:
                raise ValueError(f"a frame that cannot be inflated: {error}") from error
        if len(svg) != self.size:
            raise ValueError(f"a frame of {len(svg)} bytes that was to have {self.size}")
        return svg


AnyFrame = Frame | ReceivedFrame


def encode_frame(session_id: str, frame: AnyFrame, encoding: Encoding, *, final: bool) -> bytes:
    """Return a frame as one binary message: a line of JSON, a line feed, the payload."""
    if encoding is Encoding.DEFLATE_RAW and frame.deflated is not None:
        payload = frame.deflated
    else:
        encoding, payload = Encoding.IDENTITY, frame.svg
    header = FRAME_HEADER % (
        json.dumps(session_id).encode(),
        EPOCH,
        frame.seq,
        frame.step,
        encoding.encode(),
        frame.size,
        b"true" if final else b"false",
    )
    return header + payload


def encode_part(whole: bytes, deflate: Deflate, *, begins: bool) -> bytes:
    """Return a frame as the next part of its viewer's stream, as one binary message.

    Args:
        whole: The frame's message as it is with the encoding `identity`. All of it goes into the
            stream, since a header is larger than what differs between two pictures.
        begins: Whether the stream begins with it.
    """
    header: dict[str, Any] = {
        "type": "frame",
        "encoding": Encoding.DEFLATE_STREAM,
        "size": len(whole),
    }
    if begins:
        header |= {"begins": True}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + deflate(whole)


def decode_frame(message: bytes) -> tuple[ReceivedFrame, bool]:
    """Return the frame of a binary message, and whether it is the final one.

    Raises:
        ValueError: If it is no such message.
    """
    head, _line_feed, payload = message.partition(b"\n")
    try:
        header = json.loads(head)
        size, is_deflated = header["size"], header["encoding"] == Encoding.DEFLATE_RAW
        seq, step, final = header["seq"], header["step"], header["final"]
        if not 0 < size <= MOST_SVG_BYTES:
            raise ValueError(f"a frame of {size} bytes")
    except (KeyError, TypeError) as error:
        raise ValueError(f"no frame: {error}") from error
    return ReceivedFrame(seq, step, size, payload, is_deflated=is_deflated), final
