"""A session that more than a few processes watch: from its bridge to their viewers, on layers in
memory. tests/live/test_redis.py has the same over Redis."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest

from streaming.cluster import bridge, remote
from streaming.cluster import bus as bus_module
from streaming.cluster.bridge import Bridges
from streaming.cluster.bus import Bus
from streaming.cluster.remote import Remotes
from streaming.delivery.framing import Encoding, encode_frame
from streaming.delivery.parcel import Parcel
from streaming.delivery.window import Window
from streaming.engine.frames import Frame
from streaming.process import Process
from tests.cluster.test_bridge import Source
from tests.cluster.test_bus import IN_MEMORY, until

PROCESSES = bridge.MOST_ONE_BY_ONE + 2
STATUS = {
    "type": "session", "session": "s1", "epoch": 1, "state": "running", "step": 1, "seq": 0,
    "viewers": 1,
}  # fmt: skip


class Shown(Source):
    """A session whose frames can be read."""

    def status(self):
        return STATUS

    def parcel(self, seq, final=False):
        frame = Frame(seq, seq, b"<svg>%d</svg>" % seq)
        return Parcel(seq, encode_frame("s1", frame, Encoding.IDENTITY, final=final), final)


class Watching:
    """A process with one viewer of the session."""

    def __init__(self, owner):
        self.bus = Bus(Process())
        owners = SimpleNamespace(process_of=lambda session_id: owner.process.name)
        peers = SimpleNamespace(hears=lambda name: True, may_answer=lambda name: True)
        self.remotes = Remotes(self.bus, peers, SimpleNamespace(owners=owners), None, None)
        self.window, self.seen = Window(lambda: None), 0

    def watch(self):
        self.session = self.remotes.get("s1", STATUS)
        self.session.attach(self.window, Encoding.IDENTITY)

    def leave(self):
        self.session.detach(self.window)

    def sees(self, seq):
        """Whether the viewer has been given a frame. It takes and acknowledges all it gets."""
        while (content := self.window.take(0.0)) is not None:
            if isinstance(content, bytes):
                self.seen = int(content.split(b"<svg>")[1].split(b"<")[0])
                self.window.ack(self.seen, 0.0)
        return self.seen == seq


class Sent(Counter):
    """How often a frame was sent to each group, and what each process has said last."""

    def __init__(self):
        super().__init__()
        self.heard = {}


@pytest.fixture
def layers():
    return {"default": IN_MEMORY, "frames": IN_MEMORY}


@pytest.fixture
def sent(settings, monkeypatch, layers):
    settings.CHANNEL_LAYERS = {"local": settings.CHANNEL_LAYERS["local"], **layers}
    settings.LIVESTEP = {"REMOTE_FPS": 60}
    monkeypatch.setattr(bus_module, "BEAT_S", 0.02)
    monkeypatch.setattr(remote, "LOOK_S", 0.02)
    monkeypatch.setattr(remote, "WATCH_S", 0.04)
    sent, layer = Sent(), bus_module.get_channel_layer("frames")
    group_send, hear = layer.group_send, bridge.Bridge.hear

    async def counting(group, message):
        if message["kind"] == "frame":
            sent[group] += 1
        await group_send(group, message)

    def noting(self, process, said, **options):
        sent.heard[process] = said
        hear(self, process, said, **options)

    monkeypatch.setattr(layer, "group_send", counting)
    monkeypatch.setattr(bridge.Bridge, "hear", noting)
    return sent


@pytest.fixture
async def site(sent):
    """The session, and the processes that watch it."""
    owner = Bus(Process())
    source = Shown(owner)
    watchers = [Watching(owner) for _ in range(PROCESSES)]
    buses = [owner, *(one.bus for one in watchers)]
    began = bus_module.time.monotonic()
    for bus in buses:
        bus.start()
    await until(lambda: all(bus._heard_at > began for bus in buses))
    yield source, watchers
    source.bridges.close()
    for one in watchers:
        one.remotes.close()
    await asyncio.gather(*(bus.stop() for bus in buses))


async def show(source, watchers, seq):
    await until(lambda: source.window.has_room)
    source.offer(seq)
    await until(lambda: all(one.sees(seq) for one in watchers))


async def test_a_frame_is_sent_once_to_each_process_and_beyond_a_few_once_to_all(site, sent):
    source, watchers = site
    assert isinstance(source.bridges, Bridges)
    few = watchers[: bridge.MOST_ONE_BY_ONE]
    for one in few:
        one.watch()
    # Until a process was told how the session is it gets everything again, also for what it had
    # said on the way.
    await until(lambda: not any(one.session._is_fresh for one in few))
    await until(lambda: not any(said.fresh for said in sent.heard.values()))
    sent.clear()
    await show(source, few, 1)
    assert sorted(sent.values()) == [1] * len(few), "once to each, and nobody twice"

    for one in watchers[len(few) :]:
        one.watch()
    bridges = source.bridges._bridges
    await until(lambda: len(bridges["s1"]._watchers) == PROCESSES)
    await until(lambda: all(one.joined for one in bridges["s1"]._watchers.values()))
    await show(source, watchers, 2)
    sent.clear()
    await show(source, watchers, 3)
    assert dict(sent) == {"livestep.session.s1": 1}

    # A process that does not watch any more does not listen either.
    for one in watchers[1:]:
        one.leave()
    await until(lambda: source.viewers == 1)
    await until(lambda: not any(one.bus.has_joined("s1") for one in watchers[1:]))
    sent.clear()
    await show(source, watchers[:1], 4)
    assert sum(sent.values()) == 1
