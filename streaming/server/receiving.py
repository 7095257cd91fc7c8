"""What comes in over a WebSocket: no more of it than its application reads."""

import asyncio
from typing import Any

# Reading from a client pauses while the application has so much of it unread.
MAX_UNREAD_MESSAGES = 64
MAX_UNREAD_BYTES = 1024 * 1024


class Inbox(asyncio.Queue[dict[str, Any]]):
    """What a client has sent and its application has not read. Reading pauses while it is full."""

    def __init__(self, transport: Any) -> None:
        super().__init__()
        self._transport = transport
        self._unread_bytes = 0
        self._is_paused = False

    # Those that asyncio.Queue has for its subclasses.

    def _put(self, item: dict[str, Any]) -> None:
        super()._put(item)
        self._unread_bytes += _size(item)
        if self._is_full and not self._is_paused:
            self._is_paused = True
            self._transport.pauseProducing()

    def _get(self) -> dict[str, Any]:
        item = super()._get()
        self._unread_bytes -= _size(item)
        if self._is_paused and not self._is_full:
            self._is_paused = False
            self._transport.resumeProducing()
        return item

    @property
    def _is_full(self) -> bool:
        return self.qsize() >= MAX_UNREAD_MESSAGES or self._unread_bytes >= MAX_UNREAD_BYTES


def _size(message: dict[str, Any]) -> int:
    return len(message.get("bytes") or message.get("text") or "")
