"""What goes out: no more of it than the client reads."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

# What the kernel may hold of one socket that it has not sent: more would only grow old there.
MAX_UNSENT_BYTES = 128 * 1024


@implementer(IPushProducer)
class Gate:
    """Closed while a transport's buffer is full; the transport opens and closes it."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    def pauseProducing(self) -> None:
        self._open.clear()

    def resumeProducing(self) -> None:
        self._open.set()

    def stopProducing(self) -> None:
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    async def wait(self) -> None:
        await self._open.wait()


def prepared(factory: Any, content: str | bytes, binary: bool) -> Any:
    """Return a message as it goes over the wire; the last one is kept for the next viewer."""
    kept = getattr(factory, "last_prepared", None)
    if kept is None or kept[0] is not content:
        payload = content.encode() if isinstance(content, str) else content
        kept = factory.last_prepared = (content, factory.prepareMessage(payload, binary))
    return kept[1]


def is_idle(transport: Any) -> bool:
    """Whether a transport has nothing to write, and could at once. A TLS one never says so."""
    return (
        getattr(transport, "dataBuffer", None) == b""
        and getattr(transport, "_tempDataBuffer", None) == []
        and bool(transport.connected)
        and not transport.disconnecting
    )


def unsent(transport: Any) -> int:
    """Return how many bytes of a transport wait for its client to read. Of a TLS one nobody knows:
    0."""
    kept = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return kept + int(getattr(transport, "_tempDataLen", 0))


def limit_unsent(transport: Any) -> None:
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    handle = getattr(transport, "socket", None)
    if option is not None and handle is not None and handle.family != socket.AF_UNIX:
        with suppress(OSError):  # It may be closed already.
            handle.setsockopt(socket.IPPROTO_TCP, option, MAX_UNSENT_BYTES)
