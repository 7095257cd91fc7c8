"""How much one client may send, and how often it may be wrong. Time is passed in, in seconds."""

from collections import deque

MESSAGES_PER_SECOND = 30.0
MESSAGE_BURST = 60.0
# Of what somebody does on the picture: as often as a page paints.
POINTERS_PER_SECOND = 60.0
POINTER_BURST = 60.0
# Of the parts of files, each of a quarter of a megabyte: those of four files at once.
FILE_PARTS_PER_SECOND = 10.0
FILE_PART_BURST = 120.0
# A longer message costs as much as several of this size.
MESSAGE_BYTES = 16 * 1024
# So large may be what a client asks for beside the state of its session: it costs as much.
CONFIDED_BYTES = 64 * 1024
MAX_MISTAKES = 20
MISTAKES_WINDOW_S = 60.0


class Allowance:
    """A token bucket: `burst` messages at once, then `per_second` of them."""

    def __init__(
        self, now: float, per_second: float = MESSAGES_PER_SECOND, burst: float = MESSAGE_BURST
    ) -> None:
        self._per_second, self._burst = per_second, burst
        self._tokens, self._counted_at = burst, now

    def spend(self, now: float, cost: float = 1) -> bool:
        """Take what a message costs from the allowance; False when it has not so much."""
        earned = (now - self._counted_at) * self._per_second
        self._tokens = min(self._burst, self._tokens + earned)
        self._counted_at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def earn(self) -> None:
        """Let one message more pass."""
        self._tokens = min(self._burst, self._tokens + 1)


class Mistakes:
    """Counts a client's mistakes of the last minute."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MAX_MISTAKES)

    def add(self, now: float) -> bool:
        """Note a mistake; True when it is one too many."""
        self._times.append(now)
        return len(self._times) == MAX_MISTAKES and now - self._times[0] < MISTAKES_WINDOW_S
