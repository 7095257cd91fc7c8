"""From the channel layer to the fan-out: one subscription per watched session and process."""

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
    """Subscribes to a session while somebody watches it, and feeds the fan-out."""

    def __init__(self, session_id: str, on_demand: OnDemand) -> None:
        self.fanout = Fanout(session_id, on_demand)
        self._group = group_name(session_id)

    def add(self, window: Window, dialect: Dialect) -> None:
        """Let a window have what comes from now on."""
        if not len(self.fanout):
            local_layer().subscribe(self._group, self._pass_on)
        self.fanout.add(window, dialect)

    def remove(self, window: Window) -> None:
        before = len(self.fanout)
        self.fanout.remove(window)
        if before and not len(self.fanout):
            local_layer().unsubscribe(self._group, self._pass_on)

    def _pass_on(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.frame":
            frame, final = event_frame(event)
            self.fanout.offer(frame, final=final)
        else:
            self.fanout.post(event["text"], event["plain_line"], event["revision"])
