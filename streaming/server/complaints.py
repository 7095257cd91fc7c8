"""Log lines about what clients do, of which there must not be one for each client."""

import logging
import time

# A line as soon as something happens, and then one in so long.
QUIET_S = 10.0


class Complaint:
    """Logs a warning that something happens, and how often. For the event loop."""

    def __init__(self, logger: logging.Logger, sentence: str) -> None:
        self._logger, self._sentence = logger, sentence
        self._count = 0
        self._said_at = -QUIET_S

    def add(self) -> None:
        """Note that it has happened once more."""
        self._count += 1
        now = time.monotonic()
        if now - self._said_at < QUIET_S:
            return
        self._logger.warning("%s (%d since this was last said)", self._sentence, self._count)
        self._said_at, self._count = now, 0
