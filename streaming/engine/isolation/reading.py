"""Who reads what a child sends: the event loop, as long as that is quickly done, or the session's
thread. One of them at a time.
"""

import logging
import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from streaming.engine.isolation.pipe import DamagedMessage, Inbox, Message

logger = logging.getLogger(__name__)

# A child that says more at once is left to the thread: it has one frame of credit, and little else
# to say with it.
MOST_AT_ONCE = 4


class Pipes(Protocol):
    """Has the event loop look at what can be read. On any thread."""

    def add(self, fd: int, look: Callable[[], None]) -> bool:
        """Have `look` called on the event loop whenever there is something to read. False if that
        cannot be."""

    def remove(self, fd: int) -> None:
        """Have it called no more, but for a call that is being made."""


class Reader(Enum):
    """Who reads."""

    LOOP = auto()
    # The thread, which is to take over: there may be something that the loop has left.
    THREAD_NEXT = auto()
    THREAD = auto()


class Reading:
    """Lends a child's pipe to the event loop, which gives it back when there is more to do than
    to pass a frame on. A frame then wakes no thread.

    Args:
        inbox: What is read.
        pipes: Has the event loop look; None where there is none.
        obey_quickly: Does what a message asks for if that takes no time, else returns False. On the
            event loop.
        ring: Wakes the thread.
    """

    def __init__(
        self,
        inbox: Inbox,
        pipes: Pipes | None,
        obey_quickly: Callable[[Message], bool],
        ring: Callable[[], None],
    ) -> None:
        self._inbox, self._pipes = inbox, pipes
        self._obey_quickly, self._ring = obey_quickly, ring
        # Held while the event loop reads.
        self._lock = threading.Lock()
        self._reader = Reader.THREAD_NEXT

    # On the thread.

    @property
    def has_come_back(self) -> bool:
        """Whether the thread has to read now, and may lend the pipe after that."""
        return self._reader is Reader.THREAD_NEXT

    def lend(self) -> bool:
        """Have the event loop read from now on; False if it does not, since there is none, or a
        large message is on its way."""
        with self._lock:
            is_lent = (
                self._pipes is not None
                and not self._inbox.is_large
                and self._pipes.add(self._inbox.fileno(), self._look)
            )
            self._reader = Reader.LOOP if is_lent else Reader.THREAD
        return is_lent

    def take_back(self) -> None:
        """Have nobody else read from now on."""
        with self._lock:
            self._give_back(Reader.THREAD)

    # On the event loop.

    def _look(self) -> None:
        with self._lock:
            if self._reader is Reader.LOOP and not self._read_quickly():
                self._give_back(Reader.THREAD_NEXT)
                self._ring()

    def _read_quickly(self) -> bool:
        """Read what is quickly done; False if the thread has to go on."""
        inbox = self._inbox
        inbox.look()
        for _ in range(MOST_AT_ONCE):
            if inbox.is_large:
                return False
            try:
                message = inbox.take()
            except DamagedMessage:
                return False  # It finds it, too.
            if message is None:
                return not inbox.closed
            if not self._obeys(message):
                inbox.put_back(message)
                return False
            if message[0].get("kind") != "frame":
                self._ring()
        return False

    def _obeys(self, message: Message) -> bool:
        try:
            return self._obey_quickly(message)
        except (DamagedMessage, KeyError):
            return False
        except Exception:
            logger.exception("the event loop could not take what a child has sent")
            return True

    def _give_back(self, reader: Reader) -> None:
        if self._reader is Reader.LOOP and self._pipes is not None:
            self._pipes.remove(self._inbox.fileno())
        self._reader = reader
