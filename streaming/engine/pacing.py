"""When the next frame and the next step are due. Time is passed in, in seconds."""

# So many frames are let through at once after a quiet time.
BURST = 4


class FrameClock:
    """Says when a frame is due: `fps` times a second on average, a few at once after a quiet
    time. 0 means: always."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        # When the next frame is due.
        self.due_at = 0.0
        # When all frames so far would have been made, one interval after the other.
        self._made_until = 0.0

    @property
    def interval(self) -> float:
        """The seconds between two frames."""
        return 1 / self.fps if self.fps else 0.0

    def due(self, now: float) -> bool:
        return now >= self.due_at

    def took(self, now: float) -> None:
        """Note that a frame was made now."""
        # Counted from when it was due, not from now, or every late frame would slow it down.
        self._made_until = max(self._made_until, now) + self.interval
        self.due_at = self._made_until - (BURST - 1) * self.interval


class StepRate:
    """Says how long the next step has to wait; `per_second` of None means: not at all."""

    def __init__(self, per_second: float | None = None) -> None:
        self.per_second = per_second
        self._next_due = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds until the next step is due, 0 when it is."""
        if self.per_second is None:
            return 0.0
        # A rate that was just raised must not wait for a date that the slow one set.
        delay = min(self._next_due - now, 1 / self.per_second)
        self._next_due = now + delay
        return max(0.0, delay)

    def took(self, now: float) -> None:
        """Note that a step begins now."""
        if self.per_second is not None:
            interval = 1 / self.per_second
            self._next_due = max(self._next_due + interval, now + interval / 2)
