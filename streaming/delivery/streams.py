"""Frames that remember those before: one continuous stream of raw deflate for one viewer.

Pictures of a session are alike, so that a frame told by what differs is small: 70 bytes instead of
953 with `tour`, 175 instead of 2,502 with `orbits`. It costs the server a compression for each
viewer, where deflate-raw costs one for all. So only viewers on slow lines get it, and those that
ask to save data.
"""

import zlib
from typing import Any, ClassVar
from weakref import WeakSet

from streaming.delivery.allowance import Allowance
from streaming.delivery.framing import RAW_DEFLATE, encode_part
from streaming.delivery.parcel import Parcel

# Deflate remembers so many bytes: of a larger picture, it has forgotten where the last one began.
MAX_STREAMED_BYTES = 32 * 1024
# Of this process. Each takes 256 KB.
MAX_STREAMS = 64
# For all of them, since they are deflated on the event loop: 0.1 ms for 10 KB, 0.4 ms for 32 KB.
PARTS_PER_SECOND = 200.0
# The line is the limit when it had no room for half of the time, for so many periods in a row.
PERIOD_S = 1.0
BUSY = 0.5
BUSY_PERIODS = 2
# After so many frames it is looked whether they were smaller by a fifth, and else given up.
LOOK_EVERY = 30
WORTH = 0.8


class Stream:
    """One viewer's stream in one session. For one thread only; time is passed in, in seconds.

    Args:
        is_wanted: Whether it begins with the first frame, instead of when the line is the limit.
    """

    # Those that have begun. A viewer that goes takes its stream along.
    _begun: ClassVar[WeakSet[Any]] = WeakSet()
    _allowance: ClassVar = Allowance(0.0, PARTS_PER_SECOND, PARTS_PER_SECOND)

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._is_given_up = False
        self._compressor: zlib._Compress | None = None
        # Since when the line has been full, and for how long it was before, in this period.
        self._full_since: float | None = None
        self._full_s = 0.0
        self._period_since: float | None = None
        self._busy_periods = 0
        # Since it was last looked: the frames, their bytes, and what they would have been.
        self._frames = self._bytes = self._shared_bytes = 0

    def note_line(self, now: float, *, is_full: bool) -> None:
        """Note whether the line has room for another frame: after each one, and each ack."""
        if is_full and self._full_since is None:
            self._full_since = now
        elif not is_full and self._full_since is not None:
            self._full_s += now - self._full_since
            self._full_since = None

    def restart(self, now: float) -> None:
        """Measure the line from now on: nobody could see the viewer."""
        self._full_since, self._full_s, self._period_since = None, 0.0, now

    def encode(self, parcel: Parcel, now: float) -> str | bytes:
        """Return what is sent of a frame: the next part of the stream, or what others get too.

        It must be sent: the viewer needs every part.
        """
        self._look_at_line(now)
        if parcel.whole is None or not self._is_on() or not self._allowance.spend(now):
            return parcel.payload
        try:
            whole = parcel.whole()
        except ValueError:
            return parcel.payload  # It came damaged, and its viewer will say so.
        content = encode_part(whole, self._deflate, begins=self not in self._begun)
        self._begun.add(self)
        self._look_at_savings(len(content), len(parcel.payload))
        return content

    def _look_at_line(self, now: float) -> None:
        if self._period_since is None:
            self._period_since = now
        elif (lasted := now - self._period_since) >= PERIOD_S:
            if self._full_since is not None:
                self._full_s += now - self._full_since
                self._full_since = now
            is_busy = self._full_s >= BUSY * lasted
            self._busy_periods = self._busy_periods + 1 if is_busy else 0
            self._full_s, self._period_since = 0.0, now

    def _is_on(self) -> bool:
        if self in self._begun:
            return True
        is_due = self._is_wanted or self._busy_periods >= BUSY_PERIODS
        return is_due and not self._is_given_up and len(self._begun) < MAX_STREAMS

    def _deflate(self, content: bytes) -> bytes:
        if self._compressor is None:
            self._compressor = zlib.compressobj(wbits=RAW_DEFLATE)
        return self._compressor.compress(content) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def _look_at_savings(self, size: int, shared_size: int) -> None:
        """Give up what saves too little: pictures of which all changes."""
        self._frames += 1
        self._bytes += size
        self._shared_bytes += shared_size
        if self._frames < LOOK_EVERY:
            return
        if self._bytes > WORTH * self._shared_bytes:
            self._is_given_up, self._compressor = True, None
            self._begun.discard(self)
        self._frames = self._bytes = self._shared_bytes = 0
