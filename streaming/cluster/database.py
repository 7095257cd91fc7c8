"""Questions to the database that come again and again: one thread asks them, over one connection.

A connection for each would cost either side some milliseconds (PostgreSQL's SCRAM hashes a password
4,096 times), every second. Nor do they go to the event loop's own threads: a crowd that starts at
once would open a connection on each, and keep everybody else from them.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import DatabaseError, connections

# One that is kept for long may be cut, by whatever is between.
KEPT_S = 60.0

Result = TypeVar("Result")


class DatabaseThread:
    """A thread with a connection, both from the first question until `close`. For the event loop.

    Args:
        name: The thread's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._connected_at: float | None = None

    async def ask(self, work: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Do something on the thread that asks the database.

        Raises:
            DatabaseError: If it does not answer, say. Then the next question goes over another
                connection.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        self.end_old_connection()
        if self._connected_at is None:
            self._connected_at = time.monotonic()
        asking = self._thread.submit(_do, work, args, options)
        return await asyncio.wrap_future(asking)

    def end_old_connection(self) -> None:
        """End the connection if it is old, also where nobody asks any more."""
        since = self._connected_at
        if since is not None and time.monotonic() - since > KEPT_S:
            self._end_connection()

    def close(self) -> None:
        """End the connection and the thread once it has answered. Returns at once."""
        if self._thread is not None:
            self._end_connection()
            self._thread.shutdown(wait=False)
            self._thread = None

    def _end_connection(self) -> None:
        assert self._thread is not None
        self._connected_at = None
        self._thread.submit(connections.close_all)


def _do(work: Callable[..., Result], args: Any, options: Any) -> Result:
    # The database may have been started anew since: no question is lost on a connection to the
    # former one.
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.is_usable():
            connection.close()
    try:
        return work(*args, **options)
    except DatabaseError:
        connections.close_all()
        raise
