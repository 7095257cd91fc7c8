"""The names of the channel layers, and `local`: in memory, for what a process says to itself."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer, get_channel_layer

# Always in memory: a session and its viewers in one process need nothing else.
LOCAL_ALIAS = "local"
# Shared by the processes of a site, each over connections of its own.
CONTROL_ALIAS, FRAMES_ALIAS = "default", "frames"

Subscriber = Callable[[Any], None]


class LocalChannelLayer(InMemoryChannelLayer):
    """Channels' in-memory layer, without what costs a live picture most.

    `group_send` puts an event into each channel at once: the original makes a task and a deep
    copy for each, which at 100 frames/s beside a pure-Python step is a tenth of the step's
    throughput. So an event is shared by its receivers and must not be changed by them.

    `publish` and `subscribe` are for callers on the event loop, and do without a
    channel, its queue and the task that waits for it. They are for the loop's thread only.

    A channel stays in its groups until it is given up, not for a time: the original drops it from
    all of them after 24 hours, and as soon as one event in it has expired.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._subscribers: dict[str, list[Subscriber]] = {}

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.require_valid_group_name(group)
        self.publish(group, message)

    def publish(self, group: str, message: Any) -> None:
        """Give an event, a dictionary or any other object, to all channels and subscribers."""
        for channel in self.groups.get(group, ()):
            self._put(channel, message)
        for subscriber in tuple(self._subscribers.get(group, ())):
            subscriber(message)

    def subscribe(self, group: str, subscriber: Subscriber) -> None:
        """Have a group's events given to a callable, as they are published."""
        self._subscribers.setdefault(group, []).append(subscriber)

    def unsubscribe(self, group: str, subscriber: Subscriber) -> None:
        self._subscribers[group].remove(subscriber)
        if not self._subscribers[group]:
            del self._subscribers[group]

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        self.require_valid_channel_name(channel)
        if not self._put(channel, message):
            raise ChannelFull(channel)

    def _put(self, channel: str, message: Any) -> bool:
        """Put an event into a channel; a full one keeps what it has, as Channels specifies."""
        queue = self.channels.get(channel)
        if queue is None:
            queue = self.channels[channel] = asyncio.Queue(maxsize=self.get_capacity(channel))
        if queue.full():
            return False
        queue.put_nowait((float("inf"), message))
        return True

    def _clean_expired(self) -> None:
        """Nothing expires: a reader that is gone has given its channel up."""


def local_layer() -> LocalChannelLayer:
    return cast(LocalChannelLayer, get_channel_layer(LOCAL_ALIAS))
