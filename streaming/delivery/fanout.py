"""One session's frames and messages, to the windows of all its viewers in this process."""

import logging
from collections.abc import Callable
from functools import partial

from streaming.delivery.framing import AnyFrame, Encoding, encode_frame
from streaming.delivery.parcel import Parcel
from streaming.delivery.series import Telling
from streaming.delivery.streams import MAX_STREAMED_BYTES
from streaming.delivery.window import Window
from streaming.engine.frames import MOST_FRAME_BYTES
from streaming.engine.series import Series

logger = logging.getLogger(__name__)

# What a viewer's frames are: an encoding of livestep.v1, or None for the plain dialect's text.
Dialect = Encoding | None
# Says whether any viewer can take a frame now, and whether any takes deflated ones; called, too,
# when nobody sees a frame any more, or somebody does again.
OnDemand = Callable[[bool, bool], None]


class Fanout:
    """Encodes each frame once per dialect and offers it to the windows. For one thread only.

    A frame costs nothing for the viewers that cannot take it: each asks for the newest one when
    it has room again, or when it is its turn to be sent.

    Args:
        most_bytes: A larger frame goes over the wire compressed or not at all.
    """

    def __init__(
        self,
        session_id: str,
        on_demand: OnDemand,
        series: Series | None = None,
        most_bytes: int = MOST_FRAME_BYTES,
    ) -> None:
        self._session_id, self._on_demand = session_id, on_demand
        # What was plotted, and which viewer knows how much of it.
        self.telling = Telling(series or Series())
        self._most_bytes = most_bytes
        self._dialects: dict[Window, Dialect] = {}
        # The newest revision of the session that each viewer was told of.
        self._known: dict[Window, int] = {}
        self._with_room: set[Window] = set()
        # Those that somebody can see.
        self._seen: set[Window] = set()
        self._newest: AnyFrame | None = None
        self._newest_is_final = False
        # What the newest frame is in each dialect that was asked for.
        self._parcels: dict[Dialect, Parcel] = {}
        # How many take deflated frames.
        self._deflating = 0
        self._told: tuple[bool, bool, bool] | None = None

    def __len__(self) -> int:
        return len(self._dialects)

    def __contains__(self, window: Window) -> bool:
        return window in self._dialects

    @property
    def viewers(self) -> int:
        """How many people watch through the windows, those of other processes too."""
        return sum(window.viewers for window in list(self._dialects))

    @property
    def viewers_here(self) -> int:
        """How many watch in this process. Like `viewers`, on any thread."""
        return sum(window.viewers for window in list(self._dialects) if window.is_here)

    def add(self, window: Window, dialect: Dialect) -> None:
        self._dialects[window] = dialect
        self._known[window] = 0
        self._deflating += dialect is Encoding.DEFLATE_RAW
        window.on_room = partial(self._note_room, window)
        window.newer = partial(self._newer, window)
        if dialect is not None:
            self.telling.add(window)
        self._note_room(window)

    def remove(self, window: Window) -> None:
        if window not in self._dialects:
            return
        self._deflating -= self._dialects.pop(window) is Encoding.DEFLATE_RAW
        del self._known[window]
        window.on_room = window.newer = lambda: None
        self.telling.remove(window)
        self._with_room.discard(window)
        self._seen.discard(window)
        if not self._dialects:
            self._newest, self._newest_is_final = None, False
            self._parcels.clear()
        self._tell_demand()

    @property
    def is_seen(self) -> bool:
        """Whether anybody would see a frame, perhaps later than now."""
        return bool(self._seen)

    @property
    def is_drained(self) -> bool:
        """Whether every viewer was sent everything."""
        has_frames = (window.is_empty and not self._is_behind(window) for window in self._dialects)
        return self.telling.is_done and all(has_frames)

    def offer(self, frame: AnyFrame, *, final: bool) -> None:
        if self._newest_is_final and not final:
            return  # It was under way when the session was stopped.
        self._newest, self._newest_is_final = frame, final
        self._parcels.clear()
        for window in tuple(self._with_room):
            if (newer := self._newer(window)) is not None:
                window.offer(newer)

    def post(self, message: str, plain_line: str | None, revision: int | None) -> None:
        """Tell every viewer of a change; those of the plain dialect get the line, if there is one.

        A viewer that was told of this change already, by the answer to a `status` that overtook
        it, is not told again: a session must not seem to go back. What has no revision, a notice,
        does not grow old.
        """
        for window, dialect in self._dialects.items():
            text = plain_line if dialect is None else message
            if text is None or (revision is not None and revision <= self._known[window]):
                continue
            self.tell(window, text, revision)

    def tell_all(self, text: str, revision: int) -> None:
        """Tell every viewer but those of the plain dialect how the session is now."""
        for window, dialect in self._dialects.items():
            if dialect is not None:
                self.tell(window, text, revision)

    def tell(self, window: Window, text: str, revision: int | None) -> None:
        """Tell one viewer how the session is now, as of a revision."""
        if revision is not None:
            self._known[window] = revision
        window.post(text)

    def parcel(self, frame: AnyFrame, dialect: Dialect, *, final: bool) -> Parcel:
        is_large = frame.size > self._most_bytes
        if dialect is None:
            line = f"error: a frame of {frame.size:,} bytes is too large for this dialect"
            return Parcel(frame.seq, line if is_large else frame.svg.decode(), final)
        encoding = Encoding.DEFLATE_RAW if is_large else dialect
        payload = encode_frame(self._session_id, frame, encoding, final=final)
        whole = partial(encode_frame, self._session_id, frame, Encoding.IDENTITY, final=final)
        return Parcel(
            frame.seq, payload, final, whole if frame.size <= MAX_STREAMED_BYTES else None
        )

    def _note_room(self, window: Window) -> None:
        if window.visible:
            self._seen.add(window)
        else:
            self._seen.discard(window)
        if not window.has_room:
            self._with_room.discard(window)
        elif (newer := self._newer(window)) is not None:
            window.offer(newer)
            if not window.has_room:
                return  # We were called again.
            self._with_room.add(window)
        else:
            self._with_room.add(window)
        self._tell_demand()

    def _newer(self, window: Window) -> Parcel | None:
        """Return the newest frame as a window takes it, if it would be news there."""
        if self._newest is None or not self._is_behind(window):
            return None
        dialect = self._dialects[window]
        if dialect not in self._parcels:
            try:
                parcel = self.parcel(self._newest, dialect, final=self._newest_is_final)
            except ValueError as error:
                # Another process sent it, and it is only inflated now: the next one replaces it.
                logger.warning("session %s: %s", self._session_id, error)
                self._newest, self._newest_is_final = None, False
                return None
            self._parcels[dialect] = parcel
        return self._parcels[dialect]

    def _is_behind(self, window: Window) -> bool:
        newest = self._newest
        return newest is not None and window.wants(newest.seq, final=self._newest_is_final)

    def _tell_demand(self) -> None:
        frames, deflate = bool(self._with_room), self._deflating > 0
        if (demand := (frames, deflate, self.is_seen)) != self._told:
            self._told = demand
            self._on_demand(frames, deflate)
