"""What the event loop reads for other threads: the pipes of all child processes at once."""

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

# Those that are looked at in one round of the event loop; the others follow in the next.
MOST_PER_ROUND = 16


class Pipes:
    """Has an event loop look at what can be read, for any thread.

    The kernel's list of them is one descriptor of the loop's, so that threads add and remove
    without the loop, and those that are ready together wake it once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._looks: dict[int, Callable[[], None]] = {}
        self._epoll: select.epoll | None = None
        if hasattr(select, "epoll"):  # Linux has it.
            with suppress(OSError):  # No descriptor is left.
                epoll = select.epoll()
                # What is called is nobody's: it has no language, and no login.
                Context().run(loop.add_reader, epoll, self._look)
                self._epoll = epoll

    def add(self, fd: int, look: Callable[[], None]) -> bool:
        """Have `look` called on the event loop whenever there is something to read. False if that
        cannot be. On any thread."""
        epoll = self._epoll
        if epoll is None:
            return False
        self._looks[fd] = look
        try:
            epoll.register(fd, select.EPOLLIN)
        except (OSError, ValueError):  # The system has no room, or it was closed just now.
            self._looks.pop(fd, None)
            return False
        return True

    def remove(self, fd: int) -> None:
        """Have it called no more, but for a call that is being made. On any thread."""
        self._looks.pop(fd, None)
        epoll = self._epoll
        if epoll is not None:
            with suppress(OSError, ValueError):
                epoll.unregister(fd)

    def close(self) -> None:
        """Look at nothing more. On the event loop's thread."""
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            self._loop.remove_reader(epoll)
            epoll.close()
            self._looks.clear()

    def _look(self) -> None:
        assert self._epoll is not None
        for fd, _ in self._epoll.poll(0, MOST_PER_ROUND):
            # It may have been removed just now.
            if (look := self._looks.get(fd)) is not None:
                look()
