"""Messages over a stream socket: a line of JSON and a body. A damaged one is found, not obeyed.

A frame, of which there are many, has numbers instead of the line.
"""

import json
import select
import socket
import struct
from collections.abc import Iterator
from typing import Any

# How many bytes the line has, and the body. Without a line it is a frame, whose body begins with
# the length of its SVG and its step.
HEAD = struct.Struct("<II")
FRAME = struct.Struct("<IQ")
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


Message = tuple[dict[str, Any], bytes]


def send(pipe: socket.socket, header: dict[str, Any], *bodies: bytes) -> None:
    """Send a message, and wait until the system has taken it."""
    line = json.dumps(header).encode()
    size = sum(map(len, bodies))
    pipe.sendall(b"".join((HEAD.pack(len(line), size), line, *bodies)))


def send_frame(pipe: socket.socket, step: int, svg: bytes, deflated: bytes | None) -> None:
    """Send a frame, which arrives as a message of the kind `frame`; waits as `send` does."""
    more = deflated or b""
    head = HEAD.pack(0, FRAME.size + len(svg) + len(more))
    pipe.sendall(b"".join((head, FRAME.pack(len(svg), step), svg, more)))


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
        self._put_back: Message | None = None
        self.closed = False

    def fileno(self) -> int:
        return self._pipe.fileno()

    def read(self) -> Iterator[Message]:
        """Yield the messages that are complete, after one look at the socket. After a damaged one
        it is closed.

        Raises:
            DamagedMessage: If what arrived is none.
        """
        self.look()
        try:
            while (message := self.take()) is not None:
                yield message
        except DamagedMessage:
            self.closed = True
            raise

    def look(self) -> None:
        """Take in what has arrived on the socket, as far as that goes at once."""
        try:
            size = self._pipe.recv_into(self._read_into)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self.closed = not size
        self._arrived += self._read_into[:size]

    @property
    def is_large(self) -> bool:
        """Whether the message that comes next takes more than one look."""
        if len(self._arrived) < HEAD.size:
            return False
        header_size, size = HEAD.unpack_from(self._arrived)
        return bool(header_size + size > READ_BYTES)

    def put_back(self, message: Message) -> None:
        """Have a message taken once more."""
        self._put_back = message

    def take(self) -> Message | None:
        """Return the next message that is complete, if there is one.

        Raises:
            DamagedMessage: If what arrived is none; again each time.
        """
        if self._put_back is not None:
            message, self._put_back = self._put_back, None
            return message
        arrived = self._arrived
        if len(arrived) < HEAD.size:
            return None
        header_size, size = HEAD.unpack_from(arrived)
        most = self._max_bytes if header_size else self._max_bytes + FRAME.size
        if header_size > MAX_HEADER_BYTES or size > most:
            raise DamagedMessage(f"a message of {header_size} and {size} bytes")
        start = HEAD.size + header_size
        end = start + size
        if len(arrived) < end:
            return None
        if header_size:
            header = _header(arrived[HEAD.size : start])
        else:
            if size < FRAME.size:
                raise DamagedMessage(f"a frame of {size} bytes")
            svg, step = FRAME.unpack_from(arrived, start)
            header = {"kind": "frame", "svg": svg, "step": step}
            start += FRAME.size
        with memoryview(arrived) as view:
            body = bytes(view[start:end])
        del arrived[:end]
        return header, body


def _header(line: bytearray) -> dict[str, Any]:
    try:
        header = json.loads(line)
    # What is nested too deeply is a RecursionError.
    except (ValueError, RecursionError) as error:
        raise DamagedMessage("a header that is no JSON") from error
    if not isinstance(header, dict):
        raise DamagedMessage("a header that is no object")
    return header
