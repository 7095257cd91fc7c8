"""What one viewer has in flight. One slot holds the newest frame: the latest wins."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from streaming.delivery.flight import InFlight
from streaming.delivery.parcel import Parcel
from streaming.delivery.streams import Stream

# A viewer that acknowledges nothing for that long gets no more until it does, and is given up.
STALL_S = 5.0
ACK_TIMEOUT_S = 15.0
# State changes are few, and a viewer that leaves this many unsent is not reading.
MAX_MESSAGES_WAITING = 64
MAX_BYTES_WAITING = 1_000_000


@dataclass(slots=True)
class Tally:
    """How many frames windows have sent, and skipped since their line was busy until a newer one
    was there. Written by their thread only, and read on any."""

    sent: int = 0
    skipped: int = 0


class Window:
    """One viewer's side of a session: messages in their order, frames as it can take them.

    For one thread only. Time is passed in, in seconds.

    Args:
        on_change: Called whenever there may be something new to `take`.
        visible: Whether anybody can see the viewer at first.
        stream: What encodes frames for this viewer alone, if it takes such.
    """

    # Of all viewers of this process.
    tally: ClassVar = Tally()
    # Whether those who see what goes through it watch in this process.
    is_here: ClassVar = True

    def __init__(
        self, on_change: Callable[[], None], *, visible: bool = True, stream: Stream | None = None
    ) -> None:
        self._on_change, self._stream = on_change, stream
        # Set by the fan-out, and called when `has_room` or `visible` has changed.
        self.on_room: Callable[[], None] = lambda: None
        # Set by the fan-out, too: what is newer than the frame in the slot, if anything is.
        self.newer: Callable[[], Parcel | None] = lambda: None
        # And the next message of what was plotted, if the viewer is to be told of more.
        self.plotted: Callable[[], str | None] = lambda: None
        self._slot: Parcel | None = None
        self._messages: deque[str] = deque()
        self._messages_bytes = 0
        self._in_flight = InFlight()
        self._last_offered = 0
        self._last_sent = 0
        self._final_offered = False
        self.visible = visible
        self.overflowed = False
        # Whether the viewer has acknowledged nothing for so long that it gets nothing more.
        self.stalled = False
        # What `on_room` was told last.
        self._told_room, self._told_visible = visible, visible

    @property
    def viewers(self) -> int:
        """How many people see what goes through it. On any thread."""
        return 1

    def post(self, message: str) -> None:
        """Add a message; messages never wait for frames."""
        is_full = len(self._messages) >= MAX_MESSAGES_WAITING
        if is_full or self._messages_bytes + len(message) > MAX_BYTES_WAITING:
            self.overflowed = True
        else:
            self._messages.append(message)
            self._messages_bytes += len(message)
        self._on_change()

    def wake(self) -> None:
        """Say that there may be something new to `take`."""
        self._on_change()

    def offer(self, parcel: Parcel) -> None:
        """Put a frame into the slot, over whatever waits there; an older one is ignored."""
        if self.wants(parcel.seq, final=parcel.final):
            self._fill(parcel)
            # First: where it is taken at once, there is room all the time, and nothing to be said.
            self._on_change()
            self._note_room()

    def wants(self, seq: int, *, final: bool) -> bool:
        """Whether a frame would be news."""
        return not self._final_offered and (seq > self._last_offered or final)

    def take(self, now: float) -> str | bytes | None:
        """Return what to send next, or None when nothing may be sent now."""
        if self._messages:
            message = self._messages.popleft()
            self._messages_bytes -= len(message)
            return message
        if (newer := self.newer()) is not None:
            self._fill(newer)
        if self._slot is None or not self.visible or not self._fits(len(self._slot.payload)):
            return self.plotted() if self.visible else None
        parcel, self._slot = self._slot, None
        self.tally.sent += 1
        # None before its first one, or while nobody could see it: these were not for it. The final
        # one may be a repetition.
        if self._last_sent and parcel.seq > self._last_sent:
            self.tally.skipped += parcel.seq - self._last_sent - 1
        self._last_sent = parcel.seq
        payload = self._stream.encode(parcel, now) if self._stream else parcel.payload
        self._in_flight.send(parcel.seq, len(payload), now)
        self._note_line(now)
        self._note_room()
        return payload

    def ack(self, seq: int, now: float) -> None:
        """Note that every frame up to `seq` is painted. One that is not in flight is ignored."""
        if not self._in_flight.ack(seq, now):
            return
        self.stalled = False
        self._note_line(now)
        self._note_room_for_more()

    @property
    def held_until(self) -> float | None:
        """When `release` is to be called; None while nothing is held back."""
        return self._in_flight.opens_at

    def release(self, now: float) -> None:
        """Let go of what was held back until now."""
        self._in_flight.release(now)
        self._note_room_for_more()

    def show(self, visible: bool, now: float) -> None:
        """Note whether anybody can see the viewer. While not, no timer runs against it."""
        self.visible = visible
        self.stalled = False
        self._last_sent = 0
        self._in_flight.restart(now)
        if self._stream is not None:
            self._stream.restart(now)
        self._changed()

    @property
    def has_room(self) -> bool:
        """Whether a frame made now could be sent at once."""
        return self.visible and self._slot is None and self._fits(1)

    @property
    def is_empty(self) -> bool:
        """Whether everything that was given was sent."""
        return self._slot is None and not self._messages

    @property
    def waiting_bytes(self) -> int:
        """The size of the frame in the slot; 0 without one."""
        return 0 if self._slot is None else len(self._slot.payload)

    def look(self, now: float) -> float | None:
        """Note whether the viewer still reads, and return the seconds until it is to be asked
        again: 0 when it has not for too long, None while nothing is in flight."""
        if not self.visible or not self._in_flight:
            return None
        unread = now - self._in_flight.since
        if unread >= STALL_S and not self.stalled:
            self.stalled = True
            self._note_room()
        return max(0.0, (ACK_TIMEOUT_S if self.stalled else STALL_S) - unread)

    def _fits(self, size: int) -> bool:
        return not self._in_flight or (not self.stalled and self._in_flight.fits(size))

    def _fill(self, parcel: Parcel) -> None:
        self._final_offered = parcel.final
        self._last_offered = parcel.seq
        self._slot = parcel

    def _note_line(self, now: float) -> None:
        if self._stream is not None:
            self._stream.note_line(now, is_full=not self._fits(1))

    def _changed(self) -> None:
        self._note_room()
        self._on_change()

    def _note_room_for_more(self) -> None:
        waits = self._slot is not None
        self._note_room()
        if waits:
            self._on_change()

    def _note_room(self) -> None:
        """Say so if it has room now and had none, or the other way round."""
        has_room = self.has_room
        if has_room is not self._told_room or self.visible is not self._told_visible:
            self._told_room, self._told_visible = has_room, self.visible
            self.on_room()


class PlainWindow(Window):
    """The window of the plain dialect, which has no acks and no `final`: each frame goes once."""

    def wants(self, seq: int, *, final: bool) -> bool:
        return seq > self._last_offered

    def take(self, now: float) -> str | bytes | None:
        content = super().take(now)
        self._in_flight.clear()
        self._note_room()
        return content
