"""Many WebSocket clients in one process, as cheap as they can be: they must not be what is slow.

Reads a configuration (one line of JSON) from standard input, opens the sockets, says `ready`, and
for each number of seconds that it then reads, counts what comes in that time.
"""

import json
import select
import selectors
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
)
BINARY = 2
READ_BYTES = 256 * 1024


def message(text: bytes) -> bytes:
    """Return a client's text message. A mask of zeros leaves it as it is."""
    if len(text) < 126:
        return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
    return b"\x81\xfe" + struct.pack("!H", len(text)) + bytes(4) + text


@dataclass
class Viewer:
    """One socket. `answer` is what it sends for each frame: an ack, a fixed text, or nothing."""

    socket: socket.socket
    answer: str
    buffer: bytearray = field(default_factory=bytearray)
    frames: int = 0

    def read(self, most: int = READ_BYTES) -> int:
        """Read at most so many bytes; returns how many there were."""
        data = self.socket.recv(most)
        self.buffer += data
        while (found := self._next()) is not None:
            opcode, start, end = found
            if opcode == BINARY:
                self.take(start, end)
            else:
                self.hear(start, end)
            del self.buffer[:end]
        return len(data)

    def hear(self, start: int, end: int) -> None:
        """Called for each text that stands there in the buffer."""

    def take(self, start: int, end: int) -> None:
        """Count and answer the frame that stands there in the buffer."""
        self.frames += 1
        if self.answer == "ack":
            begin = self.buffer.index(b'"seq":', start) + 6
            seq = bytes(self.buffer[begin : self.buffer.index(b",", begin)])
            self.socket.send(message(b'{"type":"ack","seq":' + seq + b"}"))
        elif self.answer:
            self.socket.send(message(self.answer.encode()))

    def _next(self) -> tuple[int, int, int] | None:
        """Return the opcode of the first whole message, and where its payload begins and ends."""
        buffer = self.buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1], 2
        if size == 126:
            if len(buffer) < 4:
                return None
            size, start = struct.unpack_from("!H", buffer, 2)[0], 4
        elif size == 127:
            if len(buffer) < 10:
                return None
            size, start = struct.unpack_from("!Q", buffer, 2)[0], 10
        if len(buffer) < start + size:
            return None
        return buffer[0] & 15, start, start + size


def open_viewer(config: dict[str, Any], kind: type[Viewer] = Viewer) -> Viewer:
    if "unix" in config:
        client = socket.socket(socket.AF_UNIX)
        client.connect(config["unix"])
    else:
        client = socket.socket()
        if "receive_buffer" in config:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, config["receive_buffer"])
        client.connect(("127.0.0.1", int(config["port"])))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    offer = config.get("subprotocol")
    header = f"Sec-WebSocket-Protocol: {offer}\r\n" if offer else ""
    client.sendall(HANDSHAKE.format(path=config["path"], offer=header).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    for text in config["first"]:
        client.sendall(message(text.encode()))
    return kind(client, config.get("answer", ""))


def main() -> None:
    config = json.loads(sys.stdin.readline())
    selector = selectors.DefaultSelector()
    viewers = [open_viewer(config) for _ in range(int(config["count"]))]
    for viewer in viewers:
        selector.register(viewer.socket, selectors.EVENT_READ, viewer)
    if "begin" in config:
        viewers[0].socket.sendall(message(config["begin"].encode()))
    print("ready", flush=True)
    until, counted = 0.0, [0] * len(viewers)
    # What is sent at a fixed rate, whatever comes.
    asked = message(str(config.get("ask", "")).encode())
    interval = 1 / float(config["per_second"]) if "per_second" in config else 0.0
    due = time.monotonic()
    while True:
        wait = max(0.0, min(0.05, due - time.monotonic())) if interval else 0.05
        for key, _ in selector.select(wait):
            key.data.read()
        if interval and time.monotonic() >= due:
            due = max(due + interval, time.monotonic() - interval)
            for viewer in viewers:
                viewer.socket.send(asked)
        if until and time.monotonic() >= until:
            seen = [viewer.frames - before for viewer, before in zip(viewers, counted, strict=True)]
            print(json.dumps({"total": sum(seen), "least": min(seen)}), flush=True)
            until = 0.0
        # Between two measurements the sockets are read on, or their buffers would fill.
        if not until and select.select([sys.stdin], [], [], 0)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            until = time.monotonic() + float(line)
            counted = [viewer.frames for viewer in viewers]


if __name__ == "__main__":
    main()
