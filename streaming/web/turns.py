"""Turns at sending: only so many viewers are sent a frame before the event loop sees to others.

A frame for hundreds of viewers would otherwise hold the loop until all of them had it, and a
`stop` that came meanwhile would wait for the last of them.
"""

import asyncio
from collections.abc import Callable

# What one round takes: about 2 ms on a machine of two slow cores (benchmarks/delivery.md).
SENDS_PER_ROUND = 32
BYTES_PER_ROUND = 2_000_000


class Turns:
    """Lets each pump send that has something to send: at once, or in one of the next rounds."""

    def __init__(self) -> None:
        # In the order in which they asked, with the share of a round that each takes.
        self._waiting: dict[Callable[[], None], float] = {}
        self._spent = 0.0
        # Whether the loop was asked for the next round.
        self._is_asked = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self, send: Callable[[], None], size: int) -> None:
        """Call a function when it is its turn to send so many bytes, perhaps now."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._spent, self._is_asked = loop, 0.0, False
            self._waiting.clear()
        share = max(1 / SENDS_PER_ROUND, size / BYTES_PER_ROUND)
        if self._spent >= 1:
            self._waiting.setdefault(send, share)
            return
        self._spent += share
        if self._spent >= 1:
            # Not before: another turn of the loop for each frame would be a third of them.
            self._ask_for_round(loop)
        send()

    def _ask_for_round(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_asked:
            self._is_asked = True
            loop.call_soon(self._begin_round, loop)

    def _begin_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._spent, self._is_asked = 0.0, False
        while self._waiting and self._spent < 1:
            send = next(iter(self._waiting))
            self._spent += self._waiting.pop(send)
            send()
        if self._spent:
            self._ask_for_round(loop)


turns = Turns()
