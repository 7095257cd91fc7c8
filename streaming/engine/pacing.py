"""When the next frame and the next step are due. Time is passed in, in seconds."""


class FrameClock:
    """Says when a frame is due, at most `fps` times a second. 0 means: always."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._next_due = 0.0

    def due(self, now: float) -> bool:
        return self.fps == 0 or now >= self._next_due

    def took(self, now: float) -> None:
        """Note that a frame was made now."""
        if self.fps == 0:
            return
        interval = 1 / self.fps
        # Counted from when it was due, not from now, or every late frame would slow the
        # clock down; but a long wait must not be followed by a burst.
        self._next_due = max(self._next_due + interval, now + interval / 2)


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
        return max(0.0, min(self._next_due - now, 1 / self.per_second))

    def took(self, now: float) -> None:
        """Note that a step begins now."""
        if self.per_second is not None:
            interval = 1 / self.per_second
            self._next_due = max(self._next_due + interval, now + interval / 2)
