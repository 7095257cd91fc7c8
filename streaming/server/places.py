"""The connections of a server: which may come, which has to go, and how long one may say nothing.

Each takes a descriptor, and sessions, the database and the log need some, too. So there are never
more connections than leave room for those, and what counts least gives way: the one that has
waited longest for its client to ask for something.
"""

import logging
import resource
import time
from collections.abc import Callable
from typing import Protocol

from streaming.server.complaints import Complaint

logger = logging.getLogger(__name__)

# For whatever is no connection: files of the database, pipes to child processes, the log.
DESCRIPTORS_KEPT = 100
# Some are closed a moment after they were given up, and the next may be there by then.
DESCRIPTORS_CLOSING = 32
# WebSockets leave so many places to requests, which are short: /healthz is always answered.
REQUEST_PLACES = 16
MOST_PLACES = 10_000
LEAST_PLACES = 2 * REQUEST_PLACES


class Waiting(Protocol):
    """A connection whose client has asked for nothing yet, or not completely."""

    def give_up(self, *, late: bool) -> bool:
        """Close it: it was late, or others need its place. Whether something had begun."""


def most_places() -> int:
    """Return how many connections the descriptors of this process allow."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MOST_PLACES
    kept = max(DESCRIPTORS_KEPT, descriptors // 4) + DESCRIPTORS_CLOSING
    return min(MOST_PLACES, max(LEAST_PLACES, descriptors - kept))


class Places:
    """Counts the connections of one server. For the event loop.

    Args:
        most: How many there may be.
        clock: Gives seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        # How many may wait for their clients, and when each must be done, in their order.
        self._most_waiting = max(REQUEST_PLACES, most // 4)
        self._waiting: dict[Waiting, float] = {}
        self._asking: set[object] = set()
        self._sockets: set[object] = set()
        self._crowds = Complaint(
            logger, "too many connections: one that waits for its client is cut off"
        )
        self._refusals = Complaint(logger, "too many connections: a new one is refused")
        self._full = Complaint(logger, "too many WebSockets: a new one is refused")
        self._late = Complaint(logger, "a client takes too long for its request: it is cut off")

    def __len__(self) -> int:
        return len(self._waiting) + len(self._asking) + len(self._sockets)

    def make_room(self) -> bool:
        """Whether one more connection may come; the one that has waited longest goes for it."""
        is_full = len(self) >= self._most
        if is_full or len(self._waiting) >= self._most_waiting:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                self._refusals.add()
                return False
            self._crowds.add()
            del self._waiting[oldest]
            oldest.give_up(late=False)
        return True

    def wait(self, connection: Waiting, seconds: float) -> None:
        """Note that a connection waits for its client, which has so long."""
        self.leave(connection)
        self._waiting[connection] = self._clock() + seconds

    def expect(self, connection: Waiting, seconds: float) -> None:
        """Give the client of one that waits another time, from now on."""
        if connection in self._waiting:
            self._waiting[connection] = self._clock() + seconds

    def ask(self, connection: object) -> None:
        """Note that a client has asked for something, completely."""
        self.leave(connection)
        self._asking.add(connection)

    def has_room_for_socket(self) -> bool:
        """Whether one of the requests may become a WebSocket."""
        if len(self._sockets) < self._most - REQUEST_PLACES:
            return True
        self._full.add()
        return False

    def keep(self, socket: object) -> None:
        """Note that a connection is a WebSocket."""
        self._sockets.add(socket)

    def leave(self, connection: object) -> None:
        """Take a place back. Twice does nothing."""
        self._waiting.pop(connection, None)  # type: ignore[call-overload]  # may be none of them
        self._asking.discard(connection)
        self._sockets.discard(connection)

    def give_up_late(self) -> None:
        """Close those whose clients took longer than they may."""
        now = self._clock()
        for connection in [one for one, deadline in self._waiting.items() if deadline < now]:
            del self._waiting[connection]
            if connection.give_up(late=True):
                self._late.add()
