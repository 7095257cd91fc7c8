"""What the processes of one site say to each other, over two channel layers.

`default` carries control and `frames` the frames, each over connections of its own: a frame that
Redis cannot get rid of never costs a stop. Nothing here is sure to arrive. A process that
needs an answer asks again, and what every process should know is said again every second.

Everything here runs on the event loop, but for what says otherwise.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from channels.layers import get_channel_layer

from streaming.layer import CONTROL_ALIAS, FRAMES_ALIAS
from streaming.process import Process

logger = logging.getLogger(__name__)

EVERYBODY = "livestep.processes"
# Each process says this often that it is there, and hears itself say it.
BEAT_S = 1.0
# A process that has not heard even itself for so long is cut off, and subscribes again.
SILENCE_S = 3.0
RETRY_S = 0.5
# How long what is still to be said may take at the end, and how often that is looked at.
LAST_WORDS_S = 0.5
LOOK_S = 0.01
# Beyond that the oldest is dropped: it was to be said again anyway.
MAX_WAITING = 1000

Message = dict[str, Any]
Handler = Callable[[Message], None]


class Line:
    """One layer as this process uses it: it sends in order, and gives on what it receives.

    Args:
        alias: The layer's name in CHANNEL_LAYERS.
        groups: What it listens to for as long as it runs.
        deliver: Called with each message; it returns at once.
    """

    def __init__(self, alias: str, groups: tuple[str, ...], deliver: Handler) -> None:
        self._alias, self._groups, self._deliver = alias, groups, deliver
        self._outbox: deque[tuple[str, Message, float]] = deque(maxlen=MAX_WAITING)
        self._woken = asyncio.Event()
        # What it is to listen to beside its groups, and what it does listen to; over its channel,
        # while it has one.
        self._wanted: set[str] = set()
        self._joined: set[str] = set()
        self._channel: str | None = None
        self._is_failing = False
        self.failures = 0
        # When this process heard itself over it; until it could have, it counts as heard.
        self.heard_at = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether everything that was posted is sent, or dropped."""
        return not self._outbox

    def post(self, group: str, message: Message, *, keep_s: float = SILENCE_S) -> None:
        """Have a message sent soon. One that has waited for so long is dropped, and one that the
        layer did not take."""
        self._outbox.append((group, message, time.monotonic() + keep_s))
        self._woken.set()

    def join(self, group: str) -> None:
        """Listen to one more group soon, until `leave`, and again after each outage."""
        self._wanted.add(group)
        self._woken.set()

    def leave(self, group: str) -> None:
        self._wanted.discard(group)
        self._woken.set()

    def has_joined(self, group: str) -> bool:
        """Whether it listens to a group now."""
        return group in self._joined

    async def send(self, group: str, message: Message) -> bool:
        """Send a message now, and wait until the layer has it; False if it could not be sent."""
        try:
            await get_channel_layer(self._alias).group_send(group, message)  # type: ignore[union-attr]
        except (TypeError, ValueError, OverflowError):
            # It cannot be packed: trying on, or waiting, would not help, nor is the layer to blame.
            logger.exception("a message of kind %r cannot be sent", message.get("kind"))
        except Exception as error:  # noqa: BLE001  # Whatever the layer's library raises.
            self._note_failure(error)
            return False
        finally:
            _end_if_cancelled()
        return True

    async def run(self) -> None:
        """Send and receive until cancelled."""
        sending = asyncio.create_task(self._send_on(), name=f"bus {self._alias} sending")
        try:
            await self._receive_on()
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
            with suppress(Exception):
                await get_channel_layer(self._alias).flush()  # type: ignore[union-attr]

    async def _send_on(self) -> None:
        while True:
            self._woken.clear()
            await self._tune()
            while self._outbox:
                group, message, until = self._outbox.popleft()
                if time.monotonic() < until and not await self.send(group, message):
                    await asyncio.sleep(RETRY_S)
            await self._woken.wait()

    async def _tune(self) -> None:
        """Listen to the groups that are wanted, and to no other. What fails is tried again."""
        layer: Any = get_channel_layer(self._alias)
        # Those of this channel: after an outage there is another, which listens to none.
        channel, joined = self._channel, self._joined
        if channel is None:
            return
        try:
            for group in self._wanted - joined:
                await layer.group_add(group, channel)
                joined.add(group)
            for group in joined - self._wanted:
                await layer.group_discard(group, channel)
                joined.discard(group)
        except Exception as error:  # noqa: BLE001  # Whatever the layer's library raises.
            self._note_failure(error)
        finally:
            _end_if_cancelled()

    async def _receive_on(self) -> None:
        layer: Any = get_channel_layer(self._alias)
        while True:
            try:
                channel = await layer.new_channel()
                for group in self._groups:
                    await layer.group_add(group, channel)
                _end_if_cancelled()
                self._channel, self._joined = channel, set()
                self._woken.set()
                while True:
                    async with asyncio.timeout(SILENCE_S):
                        message = await layer.receive(channel)
                    self._note_success()
                    self._deliver(message)
            except Exception as error:  # noqa: BLE001  # Of the layer's library, or silence.
                self._note_failure(error)
                self._channel, self._joined = None, set()
                # With half a subscription nothing would ever come: begin from nothing.
                with suppress(Exception):
                    await layer.flush()
                await asyncio.sleep(RETRY_S)

    def _note_failure(self, error: Exception) -> None:
        self.failures += 1
        if not self._is_failing:
            self._is_failing = True
            reason = str(error) or f"nothing was heard for {SILENCE_S:g} s"
            logger.warning("the channel layer %r does not answer: %s", self._alias, reason)

    def _note_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            logger.warning("the channel layer %r answers again", self._alias)


class Bus:
    """A process among the others. Without a layer `frames` there are no others."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._handlers: dict[str, list[Handler]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._lines: dict[str, Line] = {}
        self._connected_since = float("-inf")

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the server, once it takes part."""
        return self._loop

    @property
    def is_running(self) -> bool:
        """Whether anything can be said to others at all. On any thread."""
        return bool(self._tasks)

    @property
    def is_connected(self) -> bool:
        """Whether what is said reaches the others. On any thread."""
        if not self.process.has_others or not self._tasks:
            return True
        return time.monotonic() - self._heard_at < SILENCE_S

    @property
    def connected_since(self) -> float:
        """When it was last found connected after an outage, by the monotonic clock."""
        return self._connected_since

    @property
    def failures(self) -> int:
        """How often a layer has failed. On any thread."""
        return sum(line.failures for line in self._lines.values())

    def on(self, kind: str, handler: Handler) -> None:
        """Have a callable called with each message of a kind; it must return at once."""
        self._handlers.setdefault(kind, []).append(handler)

    def start(self) -> None:
        """Take part, from the first connection or session of this process on."""
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._tasks:
            return
        self._loop = loop
        if not self.process.has_others:
            return
        own = _group(self.process.name)
        self._lines = {
            CONTROL_ALIAS: Line(CONTROL_ALIAS, (own, EVERYBODY), self._hear),
            FRAMES_ALIAS: Line(FRAMES_ALIAS, (own,), self._hear),
        }
        self._tasks = [
            *(
                loop.create_task(line.run(), name=f"bus {alias}")
                for alias, line in self._lines.items()
            ),
            loop.create_task(self._test_on(), name="bus test"),
        ]

    async def stop(self) -> None:
        """Take leave of the others, after what was to be said to them, if that can be soon."""
        deadline = time.monotonic() + LAST_WORDS_S
        while self.is_connected and not all(line.is_empty for line in self._lines.values()):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_S)
        tasks, self._tasks, self._loop = self._tasks, [], None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def broadcast(self, kind: str, **fields: Any) -> None:
        """Tell every process, this one at once."""
        message = self._message(kind, fields)
        if self._tasks:
            self._lines[CONTROL_ALIAS].post(EVERYBODY, message)
        self._handle(message)

    def broadcast_from_thread(self, kind: str, **fields: Any) -> None:
        """Tell every process, from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # The loop may have ended.
                self._loop.call_soon_threadsafe(lambda: self.broadcast(kind, **fields))

    def post(self, process: str, kind: str, /, *, keep_s: float = SILENCE_S, **fields: Any) -> None:
        """Tell one other process."""
        if self._tasks:
            message = self._message(kind, fields)
            self._lines[CONTROL_ALIAS].post(_group(process), message, keep_s=keep_s)

    async def send_frame(self, process: str, kind: str, **fields: Any) -> bool:
        """Send one process something large, and wait until the layer has it."""
        if not self._tasks:
            return False
        message = self._message(kind, fields)
        return await self._lines[FRAMES_ALIAS].send(_group(process), message)

    def join(self, session_id: str) -> None:
        """Listen to the channel of a session of another process soon, until `leave`."""
        if self._tasks:
            self._lines[FRAMES_ALIAS].join(_channel_of(session_id))

    def leave(self, session_id: str) -> None:
        if self._tasks:
            self._lines[FRAMES_ALIAS].leave(_channel_of(session_id))

    def has_joined(self, session_id: str) -> bool:
        """Whether what is sent into the channel of a session comes here."""
        return bool(self._tasks) and self._lines[FRAMES_ALIAS].has_joined(_channel_of(session_id))

    async def send_to_channel(self, session_id: str, kind: str, **fields: Any) -> bool:
        """Send something large to all processes that listen to the channel of a session, once."""
        if not self._tasks:
            return False
        message = self._message(kind, {"session": session_id, **fields})
        return await self._lines[FRAMES_ALIAS].send(_channel_of(session_id), message)

    def _message(self, kind: str, fields: dict[str, Any]) -> Message:
        return {
            "type": "livestep.bus",
            "kind": kind,
            "from": self.process.name,
            "incarnation": self.process.incarnation,
            **fields,
        }

    def _hear(self, message: Message) -> None:
        if message.get("incarnation") != self.process.incarnation:
            self._handle(message)
        elif message["kind"] == "test":
            was_connected = self.is_connected
            self._lines[message["line"]].heard_at = time.monotonic()
            if self.is_connected and not was_connected:
                self._connected_since = time.monotonic()

    @property
    def _heard_at(self) -> float:
        """When this process heard itself over both lines."""
        return min((line.heard_at for line in self._lines.values()), default=float("-inf"))

    def _handle(self, message: Message) -> None:
        for handler in self._handlers.get(message.get("kind", ""), ()):
            try:
                handler(message)
            except Exception:
                # One message must not deafen the process to all that follow.
                logger.exception("a message of kind %r could not be handled", message.get("kind"))

    async def _test_on(self) -> None:
        """Have this process hear itself, or it would not notice that it hears nobody."""
        while True:
            for alias, line in self._lines.items():
                test = self._message("test", {"line": alias})
                line.post(_group(self.process.name), test, keep_s=BEAT_S)
            await asyncio.sleep(BEAT_S)


def _end_if_cancelled() -> None:
    """End a task that was cancelled without noticing: in Python 3.11, what redis' client awaits
    goes on if it has just got its answer, and the task would never end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _group(process: str) -> str:
    return f"livestep.process.{process}"


def _channel_of(session_id: str) -> str:
    return f"livestep.session.{session_id}"
