"""A session's viewers in other processes: what is sent there, and how fast."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from streaming.cluster import bridge as module
from streaming.cluster.bridge import Bridge, Watching
from streaming.delivery.window import Parcel

SEEN = Watching(viewers=1, wants_frames=True, seq=0, final=False, fresh=False, lost=False)


class Bus:
    """What was sent, instead of the bus."""

    is_connected = True
    connected_since = float("-inf")

    def __init__(self):
        self.frames, self.texts = asyncio.Queue(), []
        self.is_held = asyncio.Event()
        self.is_held.set()

    def post(self, process, kind, **fields):
        self.texts.append((process, fields["text"]))

    async def send_frame(self, process, kind, **fields):
        await self.is_held.wait()
        await self.frames.put((process, fields["payload"]))
        return True


class Source:
    """A session with a window in its fan-out, as far as a bridge knows it."""

    def __init__(self):
        self.window, self.left, self.newest = None, [], (0, False)
        self.bridge = Bridge(
            "s1",
            on_watched=lambda window: setattr(self, "window", window),
            on_left=lambda window, lost: self.left.append(lost),
            newest=lambda: self.newest,
            parcel=lambda: self.parcel(*self.newest),
        )

    def parcel(self, seq, final=False):
        return Parcel(seq, b"%d" % seq, final)

    def offer(self, seq, final=False):
        self.newest = seq, final
        if self.window is not None:
            self.window.offer(self.parcel(seq, final))


@pytest.fixture
async def bus(monkeypatch, settings):
    settings.LIVESTEP = {"REMOTE_FPS": 60}
    bus = Bus()
    monkeypatch.setattr(module, "bus", bus)
    return bus


@pytest.fixture
async def source(bus):
    source = Source()
    yield source
    source.bridge.close()


async def next_frame(bus):
    return await asyncio.wait_for(bus.frames.get(), 5)


async def test_without_a_watcher_there_is_no_window(source):
    assert not source.bridge.is_open
    assert source.bridge.is_drained


async def test_each_process_that_watches_gets_the_frame(source, bus):
    source.bridge.note("b", SEEN)
    source.bridge.note("c", SEEN)
    source.offer(1)
    assert {await next_frame(bus), await next_frame(bus)} == {("b", b"1"), ("c", b"1")}
    assert source.bridge.viewers == 2


async def test_only_the_newest_is_sent_while_the_line_is_slow(source, bus):
    source.bridge.note("b", SEEN)
    bus.is_held.clear()
    source.offer(1)
    await asyncio.sleep(0)
    for seq in range(2, 50):
        source.offer(seq)
    bus.is_held.set()
    sent = [(await next_frame(bus))[1], (await next_frame(bus))[1]]
    assert sent[-1] == b"49"


async def test_a_frame_is_made_only_when_it_may_be_sent(source, bus):
    source.bridge.note("b", SEEN)
    assert source.window.has_room
    bus.is_held.clear()
    source.offer(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not source.window.has_room
    bus.is_held.set()
    await next_frame(bus)
    async with asyncio.timeout(5):
        while not source.window.has_room:
            await asyncio.sleep(0)


async def test_bytes_per_second_are_limited(source, bus, settings):
    settings.LIVESTEP = {"REMOTE_FPS": 60, "REMOTE_BYTES_PER_SECOND": 10_000}
    loop = asyncio.get_running_loop()
    source.bridge.note("b", SEEN)
    source.window.offer(Parcel(1, bytes(2000), final=False))
    await next_frame(bus)
    began = loop.time()
    source.window.offer(Parcel(2, b"2", final=False))
    await next_frame(bus)
    assert loop.time() - began > 0.15  # 2,000 bytes take 0.2 s.


async def test_nobody_gets_frames_who_wants_none(source, bus):
    source.bridge.note("b", replace(SEEN, wants_frames=False))
    source.offer(1)
    assert not source.window.has_room
    source.bridge.note("b", SEEN)
    assert await next_frame(bus) == ("b", b"1")


async def test_who_says_that_it_has_lost_the_newest_gets_it_again(source, bus, monkeypatch):
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    source.bridge.note("b", SEEN)
    source.offer(1)
    assert await next_frame(bus) == ("b", b"1")
    # It may be on its way when it is missed for the first time.
    for _ in range(3):
        source.bridge.note("b", SEEN)
    # One that is new gets it, and nobody else does again.
    source.bridge.note("c", SEEN)
    assert await next_frame(bus) == ("c", b"1")
    assert bus.frames.empty()
    now += module.LATE_S
    source.bridge.note("b", SEEN)
    assert await next_frame(bus) == ("b", b"1")


async def test_the_final_frame_is_sent_until_it_is_there(source, bus, monkeypatch):
    monkeypatch.setattr(module, "LATE_S", 0)
    source.bridge.note("b", SEEN)
    source.offer(1, final=True)
    await next_frame(bus)
    for _ in range(3):
        source.bridge.note("b", replace(SEEN, seq=1))
        assert await next_frame(bus) == ("b", b"1")
    source.bridge.note("b", replace(SEEN, seq=1, final=True))
    # One that is new gets it, and nobody else does again.
    source.bridge.note("c", SEEN)
    assert await next_frame(bus) == ("c", b"1")
    assert bus.frames.empty()


async def test_messages_do_not_wait_for_frames(source, bus):
    source.bridge.note("b", SEEN)
    bus.is_held.clear()
    source.offer(1)
    await asyncio.sleep(0)
    source.window.post("hello")
    assert bus.texts == [("b", "hello")]


class TestTheEnd:
    async def test_the_last_watcher_takes_the_window_with_it(self, source, bus):
        source.bridge.note("b", SEEN)
        source.bridge.note("c", SEEN)
        source.bridge.leave("b", lost=False)
        assert source.left == []
        source.bridge.leave("c", lost=True)
        assert source.left == [True]
        assert not source.bridge.is_open

    async def test_who_says_nothing_any_more_is_forgotten(self, source, bus, monkeypatch):
        monkeypatch.setattr(module, "FORGET_S", 0.01)
        source.bridge.note("b", SEEN)
        async with asyncio.timeout(5):
            while source.bridge.is_open:
                await asyncio.sleep(0.005)
        assert source.left == [True]

    async def test_but_not_while_nobody_could_be_heard(self, source, bus, monkeypatch):
        monkeypatch.setattr(module, "FORGET_S", 0.01)
        bus.is_connected = False
        source.bridge.note("b", SEEN)
        await asyncio.sleep(0.1)
        assert source.bridge.viewers == 1

    async def test_closing_ends_the_task(self, source, bus):
        source.bridge.note("b", SEEN)
        source.bridge.close()
        await asyncio.sleep(0)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "bridge s1" not in names
