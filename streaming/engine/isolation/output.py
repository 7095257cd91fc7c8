"""The pipe that a child prints into."""

import os
import select
import time

from streaming.engine.output import RecentLines
from streaming.engine.printing import EchoedLines, PrintedLines

READ_BYTES = 64 * 1024
# After a full read the child waits this long, at its next print, before it is read again.
BREATHER_S = 0.005
# A pipe holds 64 KB; what a child goes on printing after that is not waited for.
LAST_READS = 4


class Output:
    """Reads the pipe that a child's standard output and error go to. It never waits."""

    def __init__(self, session_id: str, recent: RecentLines, *, to_log: bool) -> None:
        self._lines = (PrintedLines if to_log else EchoedLines)(session_id, recent)
        self._fd, self.childs_end = os.pipe()
        os.set_blocking(self._fd, False)  # Of a pipe that is there, it cannot fail.
        self._resume_at: float | None = None

    def fileno(self) -> int:
        return self._fd

    @property
    def tail(self) -> str:
        """What was printed last."""
        return self._lines.tail

    def read(self, poll: select.poll) -> None:
        """Take what was printed; after much of it, look away for a moment."""
        content = self._take()
        if content is None or len(content) == READ_BYTES:
            self._resume_at = time.monotonic() + BREATHER_S
            poll.modify(self._fd, 0)
        elif not content:
            self._resume_at = None
            poll.unregister(self._fd)

    def resume(self, poll: select.poll) -> float | None:
        """Look again if it is time; else return the seconds until then."""
        if self._resume_at is None:
            return None
        left = self._resume_at - time.monotonic()
        if left > 0:
            return left
        self._resume_at = None
        poll.modify(self._fd, select.POLLIN)
        return None

    def read_rest(self) -> None:
        """Take what is left in the pipe of a child that has ended, or is about to."""
        for _ in range(LAST_READS):
            if not self._take():
                return

    def close_childs_end(self) -> None:
        if self.childs_end >= 0:
            os.close(self.childs_end)
            self.childs_end = -1

    def close(self) -> None:
        self.close_childs_end()
        os.close(self._fd)
        self._lines.close()

    def _take(self) -> bytes | None:
        """Return what was read: nothing at the end, None when there is nothing yet."""
        try:
            content = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return None
        self._lines.take(content)
        return content
