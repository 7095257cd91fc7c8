"""The one sender of a connection: messages first, then the frames that its window lets through."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from streaming.delivery.window import MAX_BYTES_WAITING, MAX_MESSAGES_WAITING, Window
from streaming.web.turns import turns

logger = logging.getLogger(__name__)

CLOSE_NOT_READING = 4408
# An alarm this late says that the event loop stood still.
STANDSTILL_S = 0.5
# How long a close waits for a client to read why. One that floods and reads nothing would keep its
# connection otherwise, since to daphne every message is a sign of life.
CLOSE_WAIT_S = 5.0


class Line(Protocol):
    """A connection that can be written to without a wait."""

    def has_room(self) -> bool:
        """Whether the transport can take another message."""

    async def wait_for_room(self) -> None: ...

    def write(self, content: str | bytes) -> None:
        """Send a message; that it is more than the transport can take, `has_room` says then."""


class Pump:
    """Sends what there is, as fast as the client reads it, from `start` until `end`.

    Nothing that is called here waits for the client, so a `stop` is heard while a frame is still
    on its way. On the event loop.

    Args:
        send: Sends a message; it returns when the transport can take another.
        close: Closes the connection with a code.
        on_unread: Called when the client does not read, before its connection is closed with 4408.
    """

    def __init__(
        self,
        send: Callable[[str | bytes], Awaitable[None]],
        close: Callable[[int], Awaitable[None]],
        on_unread: Callable[[], None],
    ) -> None:
        self._send, self._close_connection, self._on_unread = send, close, on_unread
        self._line: Line | None = None
        # What goes out before anything of the window: texts, then the code of a close.
        self._outbox: deque[str | int] = deque()
        self._outbox_bytes = 0
        self._window: Window | None = None
        self._task: asyncio.Task[None] | None = None
        # Set when there may be something to send.
        self._woken = asyncio.Event()
        # Whether the task waits for that, so that somebody else may send.
        self._is_idle = False
        # Goes off when the oldest frame in flight may be overdue. Not set again for each frame,
        # which would cost more than an alarm now and then for nothing.
        self._alarm: asyncio.TimerHandle | None = None
        # Goes off when the window holds nothing back any longer.
        self._release: asyncio.TimerHandle | None = None
        self.is_closing = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="pump")

    @property
    def has_begun(self) -> bool:
        return self._task is not None

    def use(self, line: Line) -> None:
        """Send over the connection itself, without a wake-up of the task where it has room."""
        self._line = line

    def end(self) -> None:
        """Send nothing more."""
        self.leave()
        if self._task is not None:
            self._task.cancel()

    def post(self, text: str) -> None:
        """Have a text sent before anything of the window."""
        is_full = len(self._outbox) >= MAX_MESSAGES_WAITING
        if is_full or self._outbox_bytes + len(text) > MAX_BYTES_WAITING:
            self._cut()
            return
        self._outbox.append(text)
        self._outbox_bytes += len(text)
        self._woken.set()

    def close(self, code: int) -> None:
        """Close the connection after what was posted, or soon if the client reads nothing."""
        self.is_closing = True
        self.leave()
        self._outbox.append(code)
        self._woken.set()
        self._alarm = asyncio.get_running_loop().call_later(CLOSE_WAIT_S, self._close_now, code)

    # The window.

    @property
    def window(self) -> Window | None:
        """Where the frames come from, while a session is attended."""
        return self._window

    def serve(self, window: Window) -> None:
        """Send what this window lets through."""
        self._window = window
        self._woken.set()

    def leave(self) -> None:
        """Send nothing more of the window."""
        self._window = None
        self._silence()
        if self._release is not None:
            self._release.cancel()
            self._release = None

    def wake(self) -> None:
        """Called when the window may have something to send."""
        if self._window is not None:
            turns.take(self._take_turn, self._window.waiting_bytes)

    def take_ack(self, seq: int) -> None:
        """Note that the client has painted every frame up to this one."""
        if self._window is not None:
            self._window.ack(seq, time.monotonic())
            self._release_later()

    def show(self, visible: bool) -> None:
        """Note whether anybody can see the client's page. While not, no timer runs against it."""
        if self._window is not None:
            self._window.show(visible, time.monotonic())
            if self._alarm is None:
                self._watch_reading()

    # Sending.

    async def _run(self) -> None:
        try:
            while True:
                self._woken.clear()
                await self._wait_for_room()
                while (content := self._next()) is not None:
                    if isinstance(content, int):
                        await self._close_connection(content)
                        return
                    await self._send_one(content)
                self._is_idle = True
                await self._woken.wait()
                self._is_idle = False
        except Exception:
            # Daphne's own server raises when the client has just gone.
            logger.warning("nothing more can be sent to a client", exc_info=True)

    async def _send_one(self, content: str | bytes) -> None:
        if self._line is None:
            await self._send(content)
        else:
            self._line.write(content)
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        if self._line is not None and not self._line.has_room():
            await self._line.wait_for_room()

    def _take_turn(self) -> None:
        """Send what the window has: at once where that needs no wait, else by the task."""
        line = self._line
        if line is None or not self._can_send_at_once() or not line.has_room():
            self._woken.set()
            return
        self._is_idle = False
        try:
            # What is posted or woken meanwhile is for the task.
            while not self._woken.is_set() and line.has_room():
                content = self._next()
                if not isinstance(content, str | bytes):
                    break
                line.write(content)
        except Exception:
            logger.warning("nothing more can be sent to a client", exc_info=True)
            self.end()
        self._is_idle = True
        if not line.has_room():
            self._woken.set()

    def _can_send_at_once(self) -> bool:
        if not self._is_idle or self._woken.is_set() or self._window is None:
            return False
        # That closes the connection, which the caller does not expect.
        return not self._window.overflowed

    def _next(self) -> str | bytes | int | None:
        if self._outbox:
            content = self._outbox.popleft()
            if isinstance(content, str):
                self._outbox_bytes -= len(content)
            return content
        window = self._window
        if window is None:
            return None
        if window.overflowed:
            self._cut()
            return None
        frame = window.take(time.monotonic())
        # Before it is sent, since that may take as long as the client pleases.
        if frame is not None:
            if self._alarm is None:
                self._watch_reading()
            self._release_later()
        return frame

    def _release_later(self) -> None:
        """Let the window hold back what it wants to, and no longer."""
        if self._window is None or (until := self._window.held_until) is None:
            return
        if self._release is None:
            wait = max(0.0, until - time.monotonic())
            self._release = asyncio.get_running_loop().call_later(wait, self._release_now)

    def _release_now(self) -> None:
        self._release = None
        if self._window is not None:
            self._window.release(time.monotonic())
            self._release_later()

    # Giving up.

    def _watch_reading(self) -> None:
        """Give up a client that does not acknowledge what it was sent."""
        left = None if self._window is None else self._window.look(time.monotonic())
        if left is None:
            return
        if left:
            self._set_alarm(left)
        else:
            self._cut()

    def _set_alarm(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(seconds, self._ring, loop.time() + seconds)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self, due: float) -> None:
        self._alarm = None
        if asyncio.get_running_loop().time() - due > STANDSTILL_S:
            # The loop stood still: the client's acks may be there, unread.
            self._set_alarm(STANDSTILL_S)
        else:
            self._watch_reading()

    def _cut(self) -> None:
        """Close the connection of a client that does not read, without waiting until it does."""
        if self._task is None or self.is_closing:
            return
        self.is_closing = True
        self._on_unread()
        self.leave()
        self._close_now(CLOSE_NOT_READING)

    def _close_now(self, code: int) -> None:
        self._alarm = None
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._close_connection(code), name="pump closing")  # type: ignore[arg-type]  # a coroutine function
