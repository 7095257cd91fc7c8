"""A session's viewers in other processes: to its fan-out they are one more window.

Everything here runs on the event loop.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from streaming.cluster.bus import Bus, Message
from streaming.conf import conf
from streaming.delivery import protocol
from streaming.delivery.fanout import Dialect
from streaming.delivery.framing import Encoding
from streaming.delivery.parcel import Parcel
from streaming.delivery.window import Tally, Window
from streaming.engine.errors import UnknownSession
from streaming.engine.snapshot import State
from streaming.sessions.pool import Pool

# A process says every second that it watches, and is forgotten after a few times.
FORGET_S = 5.0
# A frame may be that long on its way.
LATE_S = 0.9
# To so many processes a frame is sent one by one. Where more watch, the session gets a channel of
# its own, into which it is sent once.
MOST_ONE_BY_ONE = 8


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
    # Whether it listens to the session's channel.
    joined: bool
    heard_at: float
    # The newest frame when it was heard: its number, and whether it is the final one; and since
    # when it has been that one.
    newest: tuple[int, bool]
    newest_since: float


class Bridged(Protocol):
    """A session of this process, as far as a bridge knows it."""

    @property
    def id(self) -> str: ...

    @property
    def notices(self) -> Iterable[dict[str, Any]]: ...

    @property
    def newest(self) -> tuple[int, bool]:
        """The number of the newest frame, 0 for none, and whether it is the final one."""

    def newest_parcel(self) -> Parcel | None: ...

    def status(self) -> dict[str, Any]: ...

    def subscribe(self, window: Window, dialect: Dialect) -> None: ...

    def unsubscribe(self, window: Window, *, lost: bool) -> None: ...

    def retell(self, window: Window) -> None:
        """Tell a window all that was plotted once more."""

    def note_attended(self) -> None: ...


class BridgeWindow(Window):
    """Takes one frame at a time, and passes every message on at once."""

    # Other processes are no viewers: theirs count there.
    tally = Tally()
    is_here = False

    def __init__(self, bridge: "Bridge", on_change: Callable[[], None]) -> None:
        super().__init__(on_change, visible=False)
        self._bridge = bridge

    @property
    def viewers(self) -> int:
        """How many watch in the other processes."""
        return self._bridge.viewers

    @property
    def is_empty(self) -> bool:
        """Whether the other processes were sent everything."""
        return super().is_empty and not self._bridge.is_sending

    def post(self, message: str) -> None:
        self._bridge.tell_all(message)

    def take(self, now: float) -> str | bytes | None:
        # What was plotted waits for nobody who could take a frame.
        return super().take(now) or self.plotted()

    def forget_in_flight(self) -> None:
        """Be ready for the next frame, whatever became of the last."""
        self._in_flight.clear()
        self._note_room()

    def _fits(self, size: int) -> bool:
        return not self._in_flight


class Bridges:
    """The bridges of this process's sessions: there is one while another process watches."""

    def __init__(self, bus: Bus, pool: Pool) -> None:
        self._bus, self._pool = bus, pool
        self._bridges: dict[str, Bridge] = {}
        bus.on("watch", self._hear_watcher)

    def close(self) -> None:
        """Send nothing more to anybody."""
        for bridge in list(self._bridges.values()):
            bridge.close()

    def _hear_watcher(self, message: Message) -> None:
        process, said = message["from"], Watching(**message["said"])
        session_id = message["session"]
        try:
            live = self._pool.get(session_id)
        except UnknownSession:
            if session_id in self._bridges:
                self._bridges[session_id].close()
            if said.viewers:
                self._bus.post(process, "gone", session=session_id)
            return
        bridge = self._bridges.get(session_id)
        if bridge is None:
            if not said.viewers:
                return
            bridge = self._bridges[session_id] = Bridge(
                live, self._bus, partial(self._bridges.pop, session_id, None)
            )
        bridge.hear(process, said, joined=message.get("joined", False))


class Bridge:
    """Sends what a session says to the processes that watch it, frames no faster than
    REMOTE_FPS and REMOTE_BYTES_PER_SECOND, and the newest only.

    It ends with its last watcher.

    Args:
        session: What is watched.
        on_end: Called when nobody watches any more.
    """

    def __init__(self, session: Bridged, bus: Bus, on_end: Callable[[], Any]) -> None:
        self._session, self._bus, self._on_end = session, bus, on_end
        self._watchers: dict[str, Watcher] = {}
        # Whether the session has a channel of its own: once more processes have watched than
        # MOST_ONE_BY_ONE, and until nobody does.
        self._has_channel = False
        # The processes that say they have not got the newest frame.
        self._behind: set[str] = set()
        self._is_sending = False
        self._woken = asyncio.Event()
        self._window = BridgeWindow(self, self._woken.set)
        self._pump = asyncio.create_task(self._pump_on(), name=f"bridge {session.id}")
        self._forget_later()
        session.subscribe(self._window, Encoding.DEFLATE_RAW)

    @property
    def viewers(self) -> int:
        """How many watch from other processes. On any thread."""
        return sum(watcher.viewers for watcher in list(self._watchers.values()))

    @property
    def is_sending(self) -> bool:
        """Whether some process has still to be sent a frame that it has missed."""
        return self._is_sending or bool(self._behind)

    def hear(self, process: str, said: Watching, *, joined: bool = False) -> None:
        """Note what a process says of its viewers, and tell it what it does not know.

        Args:
            joined: Whether it listens to the session's channel.
        """
        if not said.viewers:
            self._leave(process, lost=said.lost)
            return
        is_new = self._note(process, said, joined=joined)
        self._invite(process)
        status = self._session.status()
        if is_new or State(status["state"]).ended:
            self._tell(process, protocol.encode(status))
        if is_new:
            for notice in self._session.notices:
                self._tell(process, protocol.encode(notice))
            # To all of them: those that know it take no notice.
            self._session.retell(self._window)
        self._session.note_attended()

    def tell_all(self, text: str) -> None:
        """Tell every process that watches a message for its viewers."""
        for process in self._watchers:
            self._tell(process, text)

    def close(self) -> None:
        """Send nothing more."""
        self._watchers.clear()
        self._end(lost=False)

    def _invite(self, newcomer: str) -> None:
        """Tell the processes that watch of the session's channel, if it has one: all of them when
        it gets one, and each until it listens."""
        told = [newcomer]
        if not self._has_channel:
            if len(self._watchers) <= MOST_ONE_BY_ONE:
                return
            self._has_channel, told = True, list(self._watchers)
        for process in told:
            if not self._watchers[process].joined:
                self._bus.post(process, "channel", session=self._session.id)

    def _note(self, process: str, said: Watching, *, joined: bool) -> bool:
        """Note what a process says; True if it should be told everything: it says so, or has said
        nothing for so long that it was forgotten."""
        newest, before = self._session.newest, self._watchers.get(process)
        now = time.monotonic()
        since = now if before is None or before.newest != newest else before.newest_since
        self._watchers[process] = Watcher(
            said.viewers, said.wants_frames, joined, now, newest, since
        )
        is_new = said.fresh or before is None
        has_newest = said.seq >= newest[0] and (said.final or not newest[1])
        # A frame that was there a second ago has been lost if it has not come yet.
        if not has_newest and (is_new or now - since >= LATE_S):
            self._behind.add(process)
            self._woken.set()
        self._show()
        return is_new

    def _leave(self, process: str, *, lost: bool) -> None:
        """Note that nobody watches there any more."""
        self._watchers.pop(process, None)
        self._behind.discard(process)
        if self._watchers:
            self._show()
        else:
            self._end(lost=lost)

    def _end(self, *, lost: bool) -> None:
        self._pump.cancel()
        self._forgetting.cancel()
        self._session.unsubscribe(self._window, lost=lost)
        self._on_end()

    def _show(self) -> None:
        wanted = any(watcher.wants_frames for watcher in self._watchers.values())
        if wanted != self._window.visible:
            self._window.show(wanted, time.monotonic())

    def _tell(self, process: str, text: str) -> None:
        self._bus.post(process, "text", session=self._session.id, text=text)

    def _forget_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._forgetting = loop.call_later(FORGET_S, self._forget)

    def _forget(self) -> None:
        """Forget the processes that are silent; but while this one is cut off from all of them,
        their silence says nothing of their viewers."""
        self._forget_later()
        if not self._bus.is_connected:
            return
        now = time.monotonic()
        for process, watcher in list(self._watchers.items()):
            if now - max(watcher.heard_at, self._bus.connected_since) > FORGET_S:
                self._leave(process, lost=True)

    async def _pump_on(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            behind, self._behind = self._behind, set()
            if behind and (parcel := self._session.newest_parcel()) is not None:
                await self._send(parcel.payload, behind, set())
            content = self._window.take(time.monotonic())
            if isinstance(content, str):
                await self._send_text(content)
            elif content is not None:
                await self._send(content, *self._wanting())
                self._window.forget_in_flight()
            if content is not None:
                self._woken.set()

    def _wanting(self) -> tuple[set[str], set[str]]:
        """Return the processes that want frames one by one, and those that want them by the
        channel."""
        wanting = {process: one for process, one in self._watchers.items() if one.wants_frames}
        joined = {process for process, one in wanting.items() if one.joined}
        return wanting.keys() - joined, joined

    async def _send_text(self, text: str) -> None:
        """Send every process what was plotted. Not with control, which it would hold up."""
        joined = {process for process, one in self._watchers.items() if one.joined}
        await self._deliver("text", self._watchers.keys() - joined, joined, text=text)

    async def _send(self, payload: str | bytes, one_by_one: set[str], joined: set[str]) -> None:
        """Send a frame, and wait until the next one may follow."""
        began = time.monotonic()
        self._is_sending = True
        try:
            await self._deliver("frame", one_by_one, joined, payload=payload)
        finally:
            self._is_sending = False
        # Redis gives all of them what comes by the channel, for the price of a few.
        copies = min(len(one_by_one) + len(joined), MOST_ONE_BY_ONE)
        pause = max(1 / conf().REMOTE_FPS, len(payload) * copies / conf().REMOTE_BYTES_PER_SECOND)
        await asyncio.sleep(max(0.0, began + pause - time.monotonic()))

    async def _deliver(
        self, kind: str, one_by_one: set[str], joined: set[str], **fields: Any
    ) -> None:
        """Send something large once to each process, and once to all that listen to the channel."""
        if joined:
            await self._bus.send_to_channel(self._session.id, kind, **fields)
        for process in one_by_one:
            await self._bus.send_frame(process, kind, session=self._session.id, **fields)
