"""A session's viewers in other processes: to its fan-out they are one more window.

Everything here runs on the event loop.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from streaming.cluster.bus import bus
from streaming.conf import conf
from streaming.delivery.window import Parcel, Tally, Window

# A process says every second that it watches, and is forgotten after a few times.
FORGET_S = 5.0
# A frame may be that long on its way.
LATE_S = 0.9


@dataclass(frozen=True, slots=True)
class Watching:
    """What a process says of its viewers of a session, and of what it has got.

    Args:
        wants_frames: Whether any of them can take a frame.
        seq: The number of the last frame that has come; 0 for none.
        final: Whether that was the final one.
        fresh: Whether the process knows nothing of the session, or no longer.
        lost: Whether the last viewer that left there may want to come back.
    """

    viewers: int
    wants_frames: bool
    seq: int
    final: bool
    fresh: bool
    lost: bool


@dataclass(slots=True)
class Watcher:
    """A process in which somebody watches."""

    viewers: int
    wants_frames: bool
    heard_at: float
    # The newest frame when it was heard: its number, and whether it is the final one; and since
    # when it has been that one.
    newest: tuple[int, bool]
    newest_since: float


class BridgeWindow(Window):
    """Takes one frame at a time, and passes every message on at once."""

    # Other processes are no viewers: theirs count there.
    tally = Tally()

    def __init__(self, on_change: Callable[[], None], on_text: Callable[[str], None]) -> None:
        super().__init__(on_change, visible=False)
        self._on_text = on_text

    def post(self, message: str) -> None:
        self._on_text(message)

    def forget_in_flight(self) -> None:
        """Be ready for the next frame, whatever became of the last."""
        self._in_flight.clear()
        self.on_room()

    def _fits(self, size: int) -> bool:
        return not self._in_flight


class Bridge:
    """Sends what a session says to the processes that watch it, frames no faster than
    REMOTE_FPS and REMOTE_BYTES_PER_SECOND, and the newest only.

    Args:
        session_id: The session's.
        on_watched: Called with the window when there is the first watcher.
        on_left: Called with it when there is none any more, and whether they may come back.
        newest: Returns the number of the newest frame and whether it is the final one.
        parcel: Returns it as it goes over the wire, if there is one.
    """

    def __init__(
        self,
        session_id: str,
        *,
        on_watched: Callable[[Window], None],
        on_left: Callable[[Window, bool], None],
        newest: Callable[[], tuple[int, bool]],
        parcel: Callable[[], Parcel | None],
    ) -> None:
        self._session_id = session_id
        self._on_watched, self._on_left = on_watched, on_left
        self._newest, self._parcel = newest, parcel
        self._watchers: dict[str, Watcher] = {}
        # Those that say they have not got the newest frame.
        self._behind: set[str] = set()
        self._is_sending = False
        self._window: BridgeWindow | None = None
        self._woken = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._forgetting: asyncio.TimerHandle | None = None

    @property
    def viewers(self) -> int:
        """How many watch from other processes."""
        return sum(watcher.viewers for watcher in self._watchers.values())

    @property
    def is_drained(self) -> bool:
        """Whether the other processes were sent everything."""
        window = self._window
        return window is None or (window.is_empty and not self._behind and not self._is_sending)

    def note(self, process: str, said: Watching) -> bool:
        """Note what a process says; True if it should be told everything: it says so, or has said
        nothing for so long that it was forgotten."""
        newest, before, now = self._newest(), self._watchers.get(process), time.monotonic()
        since = now if before is None or before.newest != newest else before.newest_since
        self._watchers[process] = Watcher(said.viewers, said.wants_frames, now, newest, since)
        if self._window is None:
            self._begin()
        is_new = said.fresh or before is None
        has_newest = said.seq >= newest[0] and (said.final or not newest[1])
        # A frame that was there a second ago has been lost if it has not come yet.
        if not has_newest and (is_new or now - since >= LATE_S):
            self._behind.add(process)
            self._woken.set()
        self._show()
        return is_new

    def leave(self, process: str, *, lost: bool) -> None:
        """Note that nobody watches there any more."""
        self._watchers.pop(process, None)
        self._behind.discard(process)
        if self._watchers:
            self._show()
        else:
            self._end(lost=lost)

    def tell(self, process: str, text: str) -> None:
        """Tell one process a message for its viewers."""
        bus.post(process, "text", session=self._session_id, text=text)

    @property
    def is_open(self) -> bool:
        """Whether there are watchers, and so a window in the fan-out."""
        return self._window is not None

    def close(self) -> None:
        """Send nothing more."""
        self._watchers.clear()
        self._end(lost=False)

    def _begin(self) -> None:
        self._window = BridgeWindow(self._woken.set, self._tell_all)
        self._pump = asyncio.create_task(
            self._pump_on(self._window), name=f"bridge {self._session_id}"
        )
        self._forget_later()
        self._on_watched(self._window)

    def _end(self, *, lost: bool) -> None:
        window, self._window = self._window, None
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        if window is not None:
            self._on_left(window, lost)

    def _show(self) -> None:
        if self._window is None:
            return
        wanted = any(watcher.wants_frames for watcher in self._watchers.values())
        if wanted != self._window.visible:
            self._window.show(wanted, time.monotonic())

    def _tell_all(self, text: str) -> None:
        for process in self._watchers:
            self.tell(process, text)

    def _forget_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._forgetting = loop.call_later(FORGET_S, self._forget)

    def _forget(self) -> None:
        """Forget the processes that say nothing any more; but while this one is cut off from all
        of them, that says nothing of their viewers."""
        self._forget_later()
        if not bus.is_connected:
            return
        now = time.monotonic()
        for process, watcher in list(self._watchers.items()):
            if now - max(watcher.heard_at, bus.connected_since) > FORGET_S:
                self.leave(process, lost=True)

    async def _pump_on(self, window: BridgeWindow) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            behind, self._behind = self._behind, set()
            if behind and (parcel := self._parcel()) is not None:
                await self._send(parcel.payload, behind)
            if (payload := window.take(time.monotonic())) is not None:
                await self._send(payload, self._wanting())
                window.forget_in_flight()
                self._woken.set()

    def _wanting(self) -> set[str]:
        return {process for process, one in self._watchers.items() if one.wants_frames}

    async def _send(self, payload: str | bytes, processes: set[str]) -> None:
        """Send a frame, and wait until the next one may follow."""
        began = time.monotonic()
        self._is_sending = True
        try:
            for process in processes:
                await bus.send_frame(process, "frame", session=self._session_id, payload=payload)
        finally:
            self._is_sending = False
        pause = max(
            1 / conf().REMOTE_FPS,
            len(payload) * len(processes) / conf().REMOTE_BYTES_PER_SECOND,
        )
        await asyncio.sleep(max(0.0, began + pause - time.monotonic()))
