"""What other threads have the event loop do: one wake-up for all that has come since the last."""

import asyncio
import io
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any

from streaming.sessions.pipes import Pipes

logger = logging.getLogger(__name__)

ONE = (1).to_bytes(8, sys.byteorder)


class Calls:
    """Calls for the event loop on which this is made, in their order, from any thread.

    `call_soon_threadsafe` does the same at twice the price: it makes a context and a handle for
    each call, and wakes the loop through a socket that is read until it is empty. It is what this
    uses where there is no eventfd, and once it is closed.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.pipes = Pipes(self.loop)
        self.is_closed = False
        self._thread = threading.get_ident()
        # Not a plain descriptor: once closed, it can't be mistaken for another one of its number.
        self._bell: io.FileIO | None = None
        self._is_rung = False
        self._waiting: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        if hasattr(os, "eventfd"):  # Linux has it.
            with suppress(OSError):  # No descriptor is left.
                bell = io.FileIO(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), "r+")
                # What is called is nobody's: it has no language, and no login.
                Context().run(self.loop.add_reader, bell, self._run)
                self._bell = bell

    def close(self) -> None:
        """Wait for calls no more; those that have come are made, unless the loop has ended. On the
        loop's thread."""
        self.is_closed = True
        self.pipes.close()
        bell, self._bell = self._bell, None
        if bell is not None:
            self.loop.remove_reader(bell)
            bell.close()
            if self.loop.is_closed():
                self._waiting.clear()
            self.catch_up()

    @property
    def is_here(self) -> bool:
        """Whether this is the event loop's thread."""
        return threading.get_ident() == self._thread

    def soon(self, callback: Callable[..., Any], *args: Any) -> None:
        """Have something called on the loop soon. On any thread, also after the loop has ended."""
        bell = self._bell
        if bell is None:
            with suppress(RuntimeError):  # It has ended.
                self.loop.call_soon_threadsafe(callback, *args)
            return
        self._waiting.append((callback, args))
        if not self._is_rung:
            self._is_rung = True
            with suppress(ValueError):  # It was closed just now.
                bell.write(ONE)

    def _run(self) -> None:
        if self._bell is not None:
            self._bell.read(len(ONE))
        # In this order: what rang before was read with the others, and nobody would ring again.
        self._is_rung = False
        self.catch_up()

    def catch_up(self) -> None:
        """Make the calls that have come so far. On the loop's thread."""
        # Not those that they bring about: others want the loop, too.
        for _ in range(len(self._waiting)):
            callback, args = self._waiting.popleft()
            try:
                callback(*args)
            except Exception:
                logger.exception("the event loop could not do what a thread has asked for")
