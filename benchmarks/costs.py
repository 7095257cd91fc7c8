"""Measures what processes cost each other: a message over Redis, a heartbeat, a look at the leases.

    python -m benchmarks.costs      writes benchmarks/costs.md, in half a minute

benchmarks/scale.py computes with it. Redis and PostgreSQL are started for it, on one machine.
"""

import asyncio
import datetime
import os
import platform
import secrets
import selectors
import socket
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
import psutil

from development.cluster import Cluster
from development.parts import LOOPBACK

ROOT = Path(__file__).parent.parent
# What is left of a frame of 20,000 bytes when it is deflated, and a message without one.
SVG_BYTES, FRAME_BYTES, SMALL_BYTES = 20_000, 11_500, 400
IDLE_S = 10
MESSAGES, HOPS, HEARTBEATS, LOOKS = 2000, 60, 100, 30
PROCESSES, SESSIONS = 100, 10_000


async def bus(size: int) -> tuple[float, float, float]:
    """The processor time of sending a message and of receiving it, one at a time, and how long it
    is on its way at 15 a second; in µs."""
    from channels.layers import get_channel_layer

    layer: Any = get_channel_layer("frames")
    message = {"type": "livestep.bus", "kind": "frame", "payload": os.urandom(size)}
    began = time.process_time()
    for _ in range(MESSAGES):
        await layer.group_send("nobody", message)
    send = (time.process_time() - began) / MESSAGES
    channel = await layer.new_channel()
    await layer.group_add("somebody", channel)
    began = time.process_time()
    for _ in range(MESSAGES):
        await layer.group_send("somebody", message)
        await layer.receive(channel)
    both = (time.process_time() - began) / MESSAGES
    hops = []
    for _ in range(HOPS):
        await asyncio.sleep(1 / 15)
        sent = time.monotonic()
        await layer.group_send("somebody", message)
        await layer.receive(channel)
        hops.append(time.monotonic() - sent)
    await layer.flush()
    return send * 1e6, (both - send) * 1e6, statistics.median(hops) * 1e6


def deflating() -> float:
    """The processor time of deflating a frame, in µs."""
    from streaming.engine.frames import deflate

    svg = secrets.token_hex(SVG_BYTES)[:SVG_BYTES].encode()
    began = time.process_time()
    for _ in range(MESSAGES):
        deflate(svg)
    return (time.process_time() - began) / MESSAGES * 1e6


def taking() -> float:
    """The processor time of a process for a frame that another has sent it, until it is ready for
    a viewer, in µs."""
    from streaming.cluster.remote import RemoteSession
    from streaming.delivery.framing import Encoding, encode_frame
    from streaming.delivery.window import Window
    from streaming.engine.frames import Frame, deflate

    other: Any = SimpleNamespace(
        is_connected=True,
        post=lambda *args, **fields: None,
        has_joined=lambda session_id: False,
        keep=lambda session: None,
        hears=lambda name: True,
    )
    status = {"session": "b-1", "epoch": 1, "state": "running", "step": 1, "seq": 1, "viewers": 1}
    remote = RemoteSession("b-1", status, process="b", bus=other, peers=other, remotes=other)
    window = Window(lambda: None)
    remote.attach(window, Encoding.DEFLATE_RAW)
    svg = secrets.token_hex(SVG_BYTES)[:SVG_BYTES].encode()
    frames = [
        encode_frame(
            "b-1", Frame(number, number, svg, deflate(svg)), Encoding.DEFLATE_RAW, final=False
        )
        for number in range(1, MESSAGES + 1)
    ]
    began = time.process_time()
    for number, payload in enumerate(frames, start=1):
        remote.hear_frame(payload)
        while window.take(time.monotonic()) is not None:
            pass
        window.ack(number, time.monotonic())
    return (time.process_time() - began) / MESSAGES * 1e6


def idle(pid: int) -> float:
    """The processor time of a process that has no session and no viewer, in ms a second."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    time.sleep(IDLE_S)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / IDLE_S * 1000


def redis_time(port: int) -> tuple[float, float]:
    """The processor time of Redis for a frame that comes in, and for each that goes out; in µs."""
    import redis

    client = redis.Redis(port=port)
    payload, used = os.urandom(FRAME_BYTES), []
    for subscribers in (0, 10):
        with ExitStack() as stack:
            sockets = [
                stack.enter_context(socket.create_connection((LOOPBACK, port)))
                for _ in range(subscribers)
            ]
            for one in sockets:
                one.sendall(b"SUBSCRIBE frames\r\n")
            before = cpu_of_redis(client)
            for number in range(MESSAGES):
                client.publish("frames", payload)
                if number % 20 == 0:
                    drain(sockets)
            used.append((cpu_of_redis(client) - before) / MESSAGES * 1e6)
    client.close()
    return used[0], (used[1] - used[0]) / 10


def drain(sockets: list[socket.socket]) -> None:
    """Read what has come to the subscribers."""
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ, one)
        while ready := selector.select(0.001):
            for key, _ in ready:
                key.data.recv(1 << 20)


def cpu_of_redis(client: Any) -> float:
    said = client.info("cpu")
    return float(said["used_cpu_sys"] + said["used_cpu_user"])


def timed(work: Callable[[], Any], times: int) -> float:
    """The median time of something, in ms."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def database() -> tuple[float, float, float]:
    """How long PostgreSQL takes for a heartbeat of a process, with ten rows, and for a look at all
    leases, with the connection that each makes; and the processor time of the process for the
    heartbeat; in ms."""
    from django.db import connections
    from django.utils import timezone

    from streaming.cluster.leases import last_signs
    from streaming.models import Lease, StreamSession
    from streaming.sessions import lease
    from streaming.sessions.rows import LAST_FRAME, LAST_LINES, write

    now = timezone.now()
    fields: dict[str, Any] = {
        "simulation": "wave", "title": "Wave", "engine": "process", "state": "running",
        "user_id": None, "owner": "ada", "params": {}, "process": "p (here:1)",
        "started": now, "heartbeat": now, "message": {"text": "x" * 600}, "ended": None,
    }  # fmt: skip
    rows = [
        StreamSession(id=f"s{number}", incarnation=f"p{number % PROCESSES}", **fields)
        for number in range(SESSIONS)
    ]
    StreamSession.objects.bulk_create(rows)
    Lease.objects.bulk_create(
        Lease(incarnation=f"p{number}", process="p (here:1)", renewed=now)
        for number in range(PROCESSES)
    )

    nothing_last = {LAST_FRAME: None, LAST_LINES: None}

    def heartbeat() -> None:
        lease.renew()
        write({f"s{number}": {**fields, **nothing_last} for number in range(10)})
        connections.close_all()

    def look() -> None:
        last_signs()
        connections.close_all()

    began = time.process_time()
    took = timed(heartbeat, HEARTBEATS)
    used = (time.process_time() - began) / HEARTBEATS * 1000
    return took, timed(look, LOOKS), used


def roll() -> tuple[float, float]:
    """What the message that says who is there costs each that gets it, of 100 processes: bytes,
    and ms."""
    from channels.layers import get_channel_layer

    from streaming.cluster.peers import Peers
    from streaming.runtime import runtime

    handlers: dict[str, Any] = {}
    process = SimpleNamespace(name="b", incarnation="b", has_others=True)
    bus: Any = SimpleNamespace(process=process, on=handlers.__setitem__)
    Peers(bus, runtime.pool, dict)
    figures = runtime._figures()
    peers = [[f"p{n}", f"{n:016}", f"p{n} (machine:1234)", 0.5, figures] for n in range(PROCESSES)]
    said = {"from": "a", "incarnation": "a", "process": "a", "figures": figures, "peers": peers}
    layer: Any = get_channel_layer("default")
    packed = layer.serialize({"type": "livestep.bus", "kind": "roll", **said})
    took = timed(lambda: handlers["roll"](layer.deserialize(packed)), 200)
    return len(packed), took


def report(measured: dict[str, str]) -> str:
    return "\n".join(
        [
            "# What processes cost each other",
            "",
            f"{datetime.date.today()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.1f}; Redis and PostgreSQL on the same machine. Made by "
            "`python -m benchmarks.costs`.",
            "",
            "| what | measured |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in measured.items()),
            "",
        ]
    )


def main() -> None:
    cluster = Cluster(processes=1)
    cluster.start()
    try:
        nothing = idle(cluster.processes["a"].pid)
        cluster.processes["a"].stop()
        os.environ |= {**cluster.settings, "DJANGO_SETTINGS_MODULE": "project.settings"}
        django.setup()
        send, receive, hop = asyncio.run(bus(FRAME_BYTES))
        small_send, small_receive, _ = asyncio.run(bus(SMALL_BYTES))
        taken_in, given_out = redis_time(cluster.redis.port)
        heartbeat, look, used = database()
        taken = taking()
        size, heard = roll()
        deflated = deflating()
    finally:
        cluster.stop()
    text = report(
        {
            "processor time of a process that does nothing": f"{nothing:.1f} ms/s",
            "of deflating a frame of 20 KB": f"{deflated:.0f} µs",
            "processor time of sending a frame to Redis, 20 KB deflated": f"{send:.0f} µs",
            "of receiving it": f"{receive:.0f} µs",
            "of making it ready for a viewer there": f"{taken:.0f} µs",
            "how long it is on its way": f"{hop:.0f} µs",
            "processor time of sending a message of 400 bytes": f"{small_send:.0f} µs",
            "of receiving one": f"{small_receive:.0f} µs",
            "processor time of Redis for a frame that comes in": f"{taken_in:.0f} µs",
            "for each that goes out": f"{given_out:.1f} µs",
            "a heartbeat of a process: its lease, and ten rows": f"{heartbeat:.1f} ms",
            "processor time of the process for it": f"{used:.1f} ms",
            "a look at 100 leases and 10,000 rows": f"{look:.1f} ms",
            "the message that says which of 100 processes are there": f"{size:,} bytes",
            "processor time of reading that": f"{heard:.2f} ms",
        }
    )
    (ROOT / "benchmarks" / "costs.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
