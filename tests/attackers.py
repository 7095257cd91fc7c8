"""Hostile clients, in a process of their own: `python -m tests.attackers KIND PORT`.

They go on until they are ended, and come back when they are cut off, as often as one address may
shake hands. Plain sockets: what they send no library would.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MASK = bytes(4)
PONG = b"\x8a\x80" + MASK
ACK = b'{"type":"ack","seq":1}'
# How a flood begins, and what it then repeats.
FLOODS = {
    "pings": (b"", b"\x89\x80" + MASK),
    "pongs": (b"", PONG),
    "continuations": (b"\x01\x80" + MASK, b"\x00\x80" + MASK),
    "acks": (b"", bytes([0x81, 0x80 | len(ACK)]) + MASK + ACK),
}
# A body in chunks of one byte each: 4 to 5 µs for each six bytes.
CHUNK = b"1\r\nx\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
TICK_S = 0.01
COME_BACK_S = 0.1
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: livestep.v1\r\n\r\n"
)


async def flood(port, kind, per_second, turns):
    """Send frames at so many bytes a second, over one connection after the other."""
    begin, frame = FLOODS.get(kind, (b"", CHUNK))
    burst = frame * max(1, int(per_second * TICK_S / len(frame)))
    while True:
        async with turns:
            await asyncio.sleep(COME_BACK_S)
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                if kind == "chunks":
                    writer.write(POST)
                else:
                    writer.write(HANDSHAKE.encode())
                    await reader.readuntil(b"\r\n\r\n")
                writer.write(begin)
                ended = asyncio.ensure_future(read_all(reader))
                while not ended.done():
                    writer.write(burst)
                    await writer.drain()
                    await asyncio.sleep(TICK_S)
            except asyncio.IncompleteReadError:
                pass
            finally:
                writer.transport.abort()


async def announce(port, turns):
    """Announce a body of 100 TB, and send what is taken of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 109951162777600\r\n\r\n")
    with contextlib.suppress(OSError):
        async with turns, asyncio.timeout(1):
            while not reader.at_eof():
                writer.write(bytes(1 << 16))
                await writer.drain()
    writer.transport.abort()


async def say_nothing(port, turns):
    """Keep a hundred connections that ask for nothing, or for a byte each second."""
    async with turns:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
    for byte in b"GET / HTTP":
        await asyncio.sleep(1)
        for _, writer in opened[:50]:
            writer.write(bytes([byte]))
    for _, writer in opened:
        writer.transport.abort()


async def ask_pages(port, turns):
    """Ask for pages as fast as they come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with turns:
        for _ in range(20):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"</html>")
    writer.transport.abort()


async def keep_places(port, turns):
    """Start sessions that are to be kept, and leave."""
    await start(port, turns, {"abandon": "keep", "params": OWN_PARAMS})


async def ask_much(port, turns):
    """Send what is to be answered at length, and read nothing of it."""
    await start(port, turns, {"params": {f"unknown{number}": 0 for number in range(4000)}}, 50)


async def send_text(port, turns):
    """Start sessions with as much text as there may be, again and again."""
    await start(port, turns, {"params": {**OWN_PARAMS, "label": "x" * 200_000}}, 5)


OWN_PARAMS = {"label": "hostile", "beginnings": os.devnull}


async def start(port, turns, fields, times=1):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE.encode())
    await reader.readuntil(b"\r\n\r\n")
    said = json.dumps({"type": "start", "simulation": "marked", **fields}).encode()
    head = b"\x81\xff" + len(said).to_bytes(8) + MASK
    with contextlib.suppress(OSError):
        async with turns, asyncio.timeout(3):
            for _ in range(times):
                writer.write(head + said)
                await writer.drain()
                await asyncio.sleep(TICK_S)
    await asyncio.sleep(COME_BACK_S)
    writer.transport.abort()


# What one of them does, again and again.
ACTS = {
    "announce": announce,
    "say_nothing": say_nothing,
    "ask_pages": ask_pages,
    "keep_places": keep_places,
    "ask_much": ask_much,
    "send_text": send_text,
}
KINDS = (*FLOODS, "chunks", *ACTS)


async def act(port, kind, turns):
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await ACTS[kind](port, turns)
        await asyncio.sleep(COME_BACK_S)


async def read_all(reader):
    with contextlib.suppress(OSError):
        while await reader.read(1 << 16):
            pass


async def attack(kind, port, connections, per_second):
    turns = asyncio.Lock()
    if kind in ACTS:
        await asyncio.gather(*(act(port, kind, turns) for _ in range(connections)))
        return
    each = per_second / connections
    await asyncio.gather(*(flood(port, kind, each, turns) for _ in range(connections)))


@contextlib.contextmanager
def attacking(kind, port, connections=1, per_second=500_000):
    """Attack a server on this machine meanwhile."""
    arguments = (str(port), "--connections", str(connections), "--rate", str(per_second))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.attackers", kind, *arguments], cwd=ROOT
    )
    try:
        yield process
    finally:
        assert process.poll() is None, "the attack has ended by itself"
        process.kill()
        process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--rate", type=float, default=500_000, help="bytes a second, all together")
    given = parser.parse_args()
    os.nice(5)
    asyncio.run(attack(given.kind, given.port, given.connections, given.rate))
