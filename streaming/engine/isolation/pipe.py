"""Messages over a stream socket: a line of JSON and a body. A damaged one is found, not obeyed."""

import json
import select
import socket
import struct
from collections.abc import Iterator
from typing import Any

HEAD = struct.Struct("<II")
MAX_HEADER_BYTES = 256 * 1024
READ_BYTES = 64 * 1024


def is_readable(connection: socket.socket, seconds: float) -> bool:
    """Wait until there is something to read, or the end. Not `select`, which a server with more
    than a thousand descriptors cannot use."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class DamagedMessage(ValueError):
    """What arrived is no message; nothing after it can be trusted."""


def send(pipe: socket.socket, header: dict[str, Any], *bodies: bytes) -> None:
    """Send a message, and wait until the system has taken it."""
    line = json.dumps(header).encode()
    size = sum(map(len, bodies))
    pipe.sendall(b"".join((HEAD.pack(len(line), size), line, *bodies)))


class Inbox:
    """Cuts what arrives on a socket into messages, without waiting for the rest of one.

    Args:
        pipe: The socket, which becomes non-blocking. It stays the caller's.
        max_bytes: The longest body that may come.
    """

    def __init__(self, pipe: socket.socket, max_bytes: int) -> None:
        pipe.setblocking(False)
        self._pipe, self._max_bytes = pipe, max_bytes
        # Taken over and over: a new one for each read would cost more than the read.
        self._read_into = memoryview(bytearray(READ_BYTES))
        self._arrived = bytearray()
        self.closed = False

    def read(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the messages that are complete, after one look at the socket. After a damaged one
        it is closed.

        Raises:
            DamagedMessage: If what arrived is none.
        """
        try:
            size = self._pipe.recv_into(self._read_into)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self.closed = not size
        self._arrived += self._read_into[:size]
        try:
            while (message := self._next()) is not None:
                yield message
        except DamagedMessage:
            self.closed = True
            raise

    def _next(self) -> tuple[dict[str, Any], bytes] | None:
        arrived = self._arrived
        if len(arrived) < HEAD.size:
            return None
        header_size, size = HEAD.unpack_from(arrived)
        if header_size > MAX_HEADER_BYTES or size > self._max_bytes:
            raise DamagedMessage(f"a message of {header_size} and {size} bytes")
        start = HEAD.size + header_size
        if len(arrived) < start + size:
            return None
        try:
            header = json.loads(arrived[HEAD.size : start])
        # What is nested too deeply is a RecursionError.
        except (ValueError, RecursionError) as error:
            raise DamagedMessage("a header that is no JSON") from error
        if not isinstance(header, dict):
            raise DamagedMessage("a header that is no object")
        body = bytes(arrived[start : start + size])
        del arrived[: start + size]
        return header, body
