"""Measures what frames that remember the ones before save on a slow line.

make bench-streams          writes benchmarks/streams.md, in about five minutes
"""

import datetime
import itertools
import json
import os
import platform
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.delivery import Reader
from benchmarks.servers import ROOT, livestep_process
from benchmarks.viewers import message, open_viewer
from tests.proxy import FaultProxy

SIMULATIONS = ("orbits", "tour")
# Of the line: pictures fit through the first, and are more than the second carries.
LINES = (100_000, 20_000)
ROUND_TRIP_S = 0.05
FPS = 30
# Until the line is known; a stream begins after two busy seconds.
WARM_S, SECONDS = 5.0, 20.0
# What a client takes, and what that means.
ACCEPTED = {
    "each frame by itself": ["deflate-raw"],
    "a stream while the line is the limit": ["deflate-raw", "deflate-stream"],
    "a stream from the first frame on": ["deflate-stream", "deflate-raw"],
}


@dataclass
class Watcher(Reader):
    """A viewer that inflates what it is sent, and counts the bytes of its messages."""

    bytes: int = 0
    parts: int = 0
    inflater: Any = field(default_factory=lambda: zlib.decompressobj(wbits=-15))

    def take(self, start: int, end: int) -> None:
        line, _, payload = bytes(self.buffer[start:end]).partition(b"\n")
        header = json.loads(line)
        if header["encoding"] == "deflate-stream":
            self.parts += 1
            if header.get("begins"):
                self.inflater = zlib.decompressobj(wbits=-15)
            line, _, payload = self.inflater.decompress(payload).partition(b"\n")
            header = json.loads(line)
        else:
            payload = zlib.decompress(payload, wbits=-15)
        assert payload.startswith(b"<svg"), payload[:20]
        self.frames += 1
        self.bytes += end - start
        self.socket.send(message(b'{"type":"ack","seq":%d}' % header["seq"]))


def watch(port: int, simulation: str, accept: list[str]) -> Watcher:
    """Return a viewer that has read for a while."""
    first = {"type": "start", "simulation": simulation, "accept": accept, "abandon": "stop"}
    config = {"port": port, "path": "/ws", "subprotocol": "livestep.v1"}
    watcher = open_viewer({**config, "first": [json.dumps(first)]}, Watcher)
    assert isinstance(watcher, Watcher)
    watcher.read_for(WARM_S)
    watcher.frames = watcher.bytes = watcher.parts = 0
    watcher.read_for(SECONDS)
    watcher.socket.close()
    return watcher


def rows(proxy: FaultProxy) -> Iterator[str]:
    for rate, simulation in itertools.product(LINES, SIMULATIONS):
        proxy.bandwidth = rate
        alone = 0.0
        for name, accept in ACCEPTED.items():
            seen = watch(proxy.port, simulation, accept)
            size = seen.bytes / seen.frames
            alone = alone or size
            yield (
                f"| {rate // 1000} KB/s | `{simulation}`, {name} | {size:,.0f} "
                f"| {size / alone:.2f} | {seen.parts / seen.frames:.2f} "
                f"| {seen.frames / SECONDS:.1f} |"
            )


def main() -> None:
    lines = [
        "| line | | bytes a frame | of a frame by itself | sent as a part of a stream | frames/s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with livestep_process(SIMULATIONS="", LIVESTEP_FPS=str(FPS)) as (address, _):
        proxy = FaultProxy(int(address.rsplit(":", 1)[1]))
        proxy.latency = ROUND_TRIP_S / 2
        try:
            for row in rows(proxy):
                print(row, flush=True)
                lines.append(row)
        finally:
            proxy.close()
    table = "\n".join(lines)
    text = f"""# Frames that remember the ones before

{datetime.date.today()}, {platform.python_implementation()} {platform.python_version()}, \
{os.cpu_count()} cores. Made by `make bench-streams`.

One viewer, at {FPS} frames a second, over a line with a round trip of \
{ROUND_TRIP_S * 1000:.0f} ms (tests/proxy.py), for {SECONDS:.0f} s. \
Bytes are those of a message, its header included.

{table}
"""
    (ROOT / "benchmarks" / "streams.md").write_text(text)


if __name__ == "__main__":
    main()
