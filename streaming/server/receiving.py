"""What comes in: no more of it than the application reads, a little at a time.

To parse a WebSocket frame, or a chunk of a request, costs 5 to 30 µs however short it is, and one
read of 64 KB can hold ten thousand. So a read is parsed in slices, those of all connections in
turns, and each WebSocket has an allowance of frames.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

# Reading from a client pauses while the application has so much of it unread.
MAX_UNREAD_MESSAGES = 64
MAX_UNREAD_BYTES = 1024 * 1024
# Every frame counts: messages, their fragments, acks, pings, pongs. A busy page sends 60 acks, 60
# movements of a pointer and 30 messages a second, and after a standstill those of some seconds.
FRAMES_PER_SECOND = 250.0
FRAME_BURST = 500.0
# At most 85 frames. Twice the copying for each at 1 KB, since the parser copies what is left.
SLICE_BYTES = 512
# How long the event loop parses before it looks at something else.
TURN_S = 0.002
# The first two bytes of a short WebSocket frame with a whole text (RFC 6455, section 5.2): FIN with
# opcode 1, and the mask bit with a length of up to 125 bytes. A key of 4 bytes follows.
WHOLE_TEXT, MASKED = 0x81, 0x80
LONGEST_SHORT, HEADER_BYTES = 125, 6


def sole_text(data: bytes) -> str | None:
    """Return the text of exactly one short WebSocket frame; None for whatever else has come.

    A parser that keeps a state for each frame takes ten times as long.
    """
    size = len(data) - HEADER_BYTES
    if not 0 < size <= LONGEST_SHORT or data[0] != WHOLE_TEXT or data[1] != MASKED | size:
        return None
    key = (data[2:HEADER_BYTES] * (size // 4 + 1))[:size]
    masked = int.from_bytes(data[HEADER_BYTES:], "big")
    text = (masked ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return text.decode() if text.isascii() else None


class Turns:
    """Lets the readers of one server parse in turns, none of them longer than TURN_S."""

    def __init__(self) -> None:
        self._waiting: deque[Reader] = deque()
        self._is_due = False

    def add(self, reader: "Reader") -> None:
        self._waiting.append(reader)
        self._ask_for_turn()

    def _ask_for_turn(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        self._is_due = False
        ends = time.monotonic() + TURN_S
        try:
            while self._waiting and time.monotonic() < ends:
                reader = self._waiting.popleft()
                if reader.parse_slice():
                    self._waiting.append(reader)
        finally:
            if self._waiting:
                self._ask_for_turn()


class Reader:
    """What one connection has sent and nobody has parsed. Reading pauses until all of it is.

    Args:
        transport: Where it comes from.
        turns: Those of the server.
        parse: Called with a slice.
        missing: Returns how many bytes are missing of what was begun, a frame or a body. As many
            are parsed at once, since they cost no more than their copying.
    """

    def __init__(
        self,
        transport: Any,
        turns: Turns,
        parse: Callable[[bytes], None],
        missing: Callable[[], int],
    ) -> None:
        self._transport, self._turns = transport, turns
        self._parse, self._missing = parse, missing
        self._data = b""
        self._begin = 0
        self._holds = 0
        self._is_waiting = self._is_stopped = self._is_paused = False

    def take(self, data: bytes) -> None:
        """Take what has arrived. A short piece, as nearly all are, is parsed at once."""
        if self._is_stopped:
            return
        # The HTTP channel that was upgraded resumes reading without asking.
        self._is_paused = False
        if not self._data and not self._holds and len(data) <= SLICE_BYTES:
            self._parse_or_abort(data)
            return
        self._data = self._data[self._begin :] + data
        self._begin = 0
        self._go_on()

    def parse_slice(self) -> bool:
        """Parse some of it. Whether there is more, for another turn."""
        self._is_waiting = False
        if self._holds or not self._data:
            return False
        end = self._begin + max(SLICE_BYTES, self._missing())
        piece = self._data[self._begin : end]
        self._begin = end
        self._parse_or_abort(piece)
        if self._begin >= len(self._data):
            self._data, self._begin = b"", 0
        self._is_waiting = bool(self._data) and not self._holds
        self._pause_or_resume()
        return self._is_waiting

    def _parse_or_abort(self, piece: bytes) -> None:
        try:
            self._parse(piece)
        except BaseException:
            self.stop()
            self._transport.abortConnection()
            raise

    # For those who cannot take more for now: each pause is one to be resumed.

    def pauseProducing(self) -> None:
        self._holds += 1
        self._pause_or_resume()

    def resumeProducing(self) -> None:
        self._holds -= 1
        self._go_on()

    def forget(self) -> None:
        """Drop what is not parsed."""
        self._data, self._begin = b"", 0
        self._pause_or_resume()

    def stop(self) -> None:
        """Read nothing more, and drop what is not parsed."""
        self._is_stopped = True
        self.forget()

    def _go_on(self) -> None:
        if self._data and not self._holds and not self._is_waiting:
            self._is_waiting = True
            self._turns.add(self)
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        should_pause = bool(self._data) or self._holds > 0 or self._is_stopped
        if should_pause == self._is_paused:
            return
        self._is_paused = should_pause
        if should_pause:
            self._transport.pauseProducing()
        else:
            self._transport.resumeProducing()


class Inbox(asyncio.Queue[dict[str, Any]]):
    """What a client has sent and its application has not read. Reading pauses while it is full."""

    def __init__(self, reader: Any) -> None:
        super().__init__()
        self._reader = reader
        self._unread_bytes = 0
        self._is_paused = False

    # Those that asyncio.Queue has for its subclasses.

    def _put(self, item: dict[str, Any]) -> None:
        super()._put(item)
        self._unread_bytes += _size(item)
        if self._is_full and not self._is_paused:
            self._is_paused = True
            self._reader.pauseProducing()

    def _get(self) -> dict[str, Any]:
        item = super()._get()
        self._unread_bytes -= _size(item)
        if self._is_paused and not self._is_full:
            self._is_paused = False
            self._reader.resumeProducing()
        return item

    @property
    def _is_full(self) -> bool:
        return self.qsize() >= MAX_UNREAD_MESSAGES or self._unread_bytes >= MAX_UNREAD_BYTES


def _size(message: dict[str, Any]) -> int:
    return len(message.get("bytes") or message.get("text") or "")
