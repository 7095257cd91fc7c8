"""From the channel layer to the fan-out: one subscription per watched session and process."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from channels.layers import get_channel_layer

from streaming.delivery.fanout import Dialect, Fanout, OnDemand
from streaming.delivery.protocol import event_frame
from streaming.delivery.window import Window
from streaming.layer import LocalChannelLayer

# Always in memory: a session and its viewers in one process need nothing else.
LAYER_ALIAS = "local"


def local_layer() -> LocalChannelLayer:
    return cast(LocalChannelLayer, get_channel_layer(LAYER_ALIAS))


def group_name(session_id: str) -> str:
    return f"livestep.session.{session_id}"


class Relay:
    """Subscribes to a session while somebody watches it, and feeds the fan-out.

    Args:
        on_empty: Called when the last window has left, after which the relay has ended.
    """

    def __init__(self, session_id: str, on_demand: OnDemand, on_empty: Callable[[], None]) -> None:
        self.fanout = Fanout(session_id, on_demand)
        self._group = group_name(session_id)
        self._on_empty = on_empty
        self._task: asyncio.Task[None] | None = None

    def add(self, window: Window, dialect: Dialect) -> None:
        """Let a window have what comes from now on.

        Nothing is lost before the subscription: the in-memory layer subscribes within the
        task's first slice, and whatever changes after this call is sent in a later one.
        """
        self.fanout.add(window, dialect)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"relay {self._group}")

    def remove(self, window: Window) -> None:
        self.fanout.remove(window)
        if not len(self.fanout) and self._task is not None:
            self._task.cancel()
            self._task = None
            self._on_empty()

    async def _run(self) -> None:
        layer = local_layer()
        channel = await layer.new_channel()
        await layer.group_add(self._group, channel)
        try:
            while True:
                self._pass_on(await layer.receive(channel))
        finally:
            await layer.group_discard(self._group, channel)

    def _pass_on(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.frame":
            frame, final = event_frame(event)
            self.fanout.offer(frame, final=final)
        else:
            self.fanout.post(event["text"], event["plain_line"], event["revision"])
