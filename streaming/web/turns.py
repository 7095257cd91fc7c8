"""Turns at sending: in each round of the event loop only so many viewers are sent a frame.

A frame for hundreds of viewers would otherwise hold the loop until all of them had it, and a
`stop` that came meanwhile would wait for the last of them.
"""

import asyncio

# What one round takes: about 2 ms on a machine of two slow cores (benchmarks/delivery.md).
SENDS_PER_ROUND = 32
BYTES_PER_ROUND = 2_000_000


class Turns:
    """Wakes each pump that has something to send: at once, or in one of the next rounds."""

    def __init__(self) -> None:
        # In the order in which they asked, with the share of a round that each takes.
        self._waiting: dict[asyncio.Event, float] = {}
        self._spent = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self, event: asyncio.Event, size: int) -> None:
        """Set an event when it may be its owner's turn to send so many bytes."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._spent = loop, 0.0
            self._waiting.clear()
        share = max(1 / SENDS_PER_ROUND, size / BYTES_PER_ROUND)
        if self._spent >= 1:
            self._waiting.setdefault(event, share)
            return
        if not self._spent:
            loop.call_soon(self._begin_round)
        self._spent += share
        event.set()

    def _begin_round(self) -> None:
        """Called after the pumps of the last round were woken, and before they are done."""
        self._spent = 0.0
        while self._waiting and self._spent < 1:
            event = next(iter(self._waiting))
            self._spent += self._waiting.pop(event)
            event.set()
        if self._spent and self._loop is not None:
            self._loop.call_soon(self._begin_round)


turns = Turns()
