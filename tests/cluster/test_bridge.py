"""A session's viewers in other processes: what is sent there, and how fast."""

import asyncio
import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from streaming.cluster import bridge as module
from streaming.cluster.bridge import Bridges, Watching
from streaming.delivery.parcel import Parcel
from streaming.delivery.series import Telling
from streaming.engine.errors import UnknownSession
from streaming.engine.series import Series

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
        self.texts.append((process, kind, fields.get("text")))

    def on(self, kind, handler):
        assert kind == "watch"

    async def send_frame(self, process, kind, **fields):
        await self.is_held.wait()
        await self.frames.put((process, fields.get("payload") or fields["text"]))
        return True

    async def send_to_channel(self, session_id, kind, **fields):
        return await self.send_frame(f"channel of {session_id}", kind, **fields)


class Source:
    """A session with a window in its fan-out, as far as bridges know it."""

    id, notices = "s1", ()

    def __init__(self, bus):
        self.window, self.left, self.newest = None, [], (0, False)
        self.bridges = Bridges(bus, self)
        self.series = Series()
        self.telling = Telling(self.series)

    def get(self, session_id):
        if session_id != self.id:
            raise UnknownSession(session_id)
        return self

    def status(self):
        return {"state": "running"}

    def subscribe(self, window, dialect):
        self.window = window

    def unsubscribe(self, window, *, lost):
        self.window = None
        self.left.append(lost)

    def retell(self, window):
        self.telling.add(window)
        window.wake()

    def note_attended(self):
        pass

    def newest_parcel(self):
        return self.parcel(*self.newest)

    @property
    def viewers(self):
        return self.window.viewers if self.window else 0

    def hear(self, process, said, **more):
        message = {"from": process, "session": self.id, "said": asdict(said), **more}
        self.bridges._hear_watcher(message)

    def leave(self, process, *, lost):
        self.hear(process, replace(SEEN, viewers=0, lost=lost))

    def parcel(self, seq, final=False):
        return Parcel(seq, b"%d" % seq, final)

    def offer(self, seq, final=False):
        self.newest = seq, final
        if self.window is not None:
            self.window.offer(self.parcel(seq, final))


@pytest.fixture
async def bus(settings):
    settings.LIVESTEP = {"REMOTE_FPS": 60}
    return Bus()


@pytest.fixture
async def source(bus):
    source = Source(bus)
    yield source
    source.bridges.close()


async def next_frame(bus):
    return await asyncio.wait_for(bus.frames.get(), 5)


async def test_without_a_watcher_there_is_no_window(source):
    assert source.window is None


async def test_each_process_that_watches_gets_the_frame(source, bus):
    source.hear("b", SEEN)
    source.hear("c", SEEN)
    source.offer(1)
    assert {await next_frame(bus), await next_frame(bus)} == {("b", b"1"), ("c", b"1")}
    assert source.viewers == 2


async def test_only_the_newest_is_sent_while_the_line_is_slow(source, bus):
    source.hear("b", SEEN)
    bus.is_held.clear()
    source.offer(1)
    await asyncio.sleep(0)
    for seq in range(2, 50):
        source.offer(seq)
    bus.is_held.set()
    sent = [(await next_frame(bus))[1], (await next_frame(bus))[1]]
    assert sent[-1] == b"49"


async def test_a_frame_is_made_only_when_it_may_be_sent(source, bus):
    source.hear("b", SEEN)
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
    source.hear("b", SEEN)
    source.window.offer(Parcel(1, bytes(2000), final=False))
    await next_frame(bus)
    began = loop.time()
    source.window.offer(Parcel(2, b"2", final=False))
    await next_frame(bus)
    assert loop.time() - began > 0.15  # 2,000 bytes take 0.2 s.


async def test_all_processes_that_watch_share_the_bytes(source, bus, settings):
    settings.LIVESTEP = {"REMOTE_FPS": 60, "REMOTE_BYTES_PER_SECOND": 10_000}
    loop = asyncio.get_running_loop()
    for process in ("b", "c"):
        source.hear(process, SEEN)
    source.window.offer(Parcel(1, bytes(1000), final=False))
    for _ in range(2):
        await next_frame(bus)
    began = loop.time()
    source.window.offer(Parcel(2, b"2", final=False))
    await next_frame(bus)
    assert loop.time() - began > 0.15  # Twice 1,000 bytes take 0.2 s.


async def test_of_a_session_that_is_not_here_a_watcher_is_told(source, bus):
    said = {"from": "b", "session": "s2", "said": asdict(SEEN)}
    source.bridges._hear_watcher(said)
    assert bus.texts == [("b", "gone", None)]


async def test_nobody_gets_frames_who_wants_none(source, bus):
    source.hear("b", replace(SEEN, wants_frames=False))
    source.offer(1)
    assert not source.window.has_room
    source.hear("b", SEEN)
    assert await next_frame(bus) == ("b", b"1")


async def test_who_says_that_it_has_lost_the_newest_gets_it_again(source, bus, monkeypatch):
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    source.hear("b", SEEN)
    source.offer(1)
    assert await next_frame(bus) == ("b", b"1")
    # It may be on its way when it is missed for the first time.
    for _ in range(3):
        source.hear("b", SEEN)
    # One that is new gets it, and nobody else does again.
    source.hear("c", SEEN)
    assert await next_frame(bus) == ("c", b"1")
    assert bus.frames.empty()
    now += module.LATE_S
    source.hear("b", SEEN)
    assert await next_frame(bus) == ("b", b"1")


async def test_the_final_frame_is_sent_until_it_is_there(source, bus, monkeypatch):
    monkeypatch.setattr(module, "LATE_S", 0)
    source.hear("b", SEEN)
    source.offer(1, final=True)
    await next_frame(bus)
    for _ in range(3):
        source.hear("b", replace(SEEN, seq=1))
        assert await next_frame(bus) == ("b", b"1")
    source.hear("b", replace(SEEN, seq=1, final=True))
    # One that is new gets it, and nobody else does again.
    source.hear("c", SEEN)
    assert await next_frame(bus) == ("c", b"1")
    assert bus.frames.empty()


async def test_messages_do_not_wait_for_frames(source, bus):
    source.hear("b", SEEN)
    bus.is_held.clear()
    source.offer(1)
    await asyncio.sleep(0)
    source.window.post("hello")
    assert bus.texts[-1] == ("b", "text", "hello")


class TestAChannelOfTheSession:
    """Once more processes watch it than a few."""

    FEW = module.MOST_ONE_BY_ONE

    def invited(self, bus):
        return [process for process, kind, _ in bus.texts if kind == "channel"]

    async def sent(self, source, bus, seq):
        """To whom a frame goes, in how many messages."""
        while not source.window.has_room:
            await asyncio.sleep(0.001)
        source.offer(seq)
        sent = [await next_frame(bus)]
        while not source.window.has_room:
            await asyncio.sleep(0.001)
        while not bus.frames.empty():
            sent.append(bus.frames.get_nowait())
        assert {payload for _, payload in sent} == {b"%d" % seq}
        return sorted(process for process, _ in sent)

    async def test_takes_one_message_for_a_frame_however_many_watch(self, source, bus):
        names = [f"p{number:02}" for number in range(30)]
        for name in names[: self.FEW]:
            source.hear(name, SEEN)
        assert await self.sent(source, bus, 1) == names[: self.FEW]
        assert self.invited(bus) == []
        source.hear(names[self.FEW], replace(SEEN, seq=1))
        assert self.invited(bus) == names[: self.FEW + 1]
        for name in names[self.FEW + 1 :]:
            source.hear(name, replace(SEEN, seq=1))
        assert self.invited(bus) == names
        # Until they listen each of them gets it as before.
        assert await self.sent(source, bus, 2) == names
        for name in names:
            source.hear(name, replace(SEEN, seq=2), joined=True)
        assert self.invited(bus) == names
        assert await self.sent(source, bus, 3) == ["channel of s1"]

    async def test_that_some_do_not_listen_to_leaves_nobody_out(self, source, bus):
        names = [f"p{number:02}" for number in range(12)]
        for _ in range(2):
            for name in names:
                source.hear(name, SEEN, joined=name != "p03")
        assert await self.sent(source, bus, 1) == ["channel of s1", "p03"]
        assert self.invited(bus).count("p03") == 2, "it is told until it does"
        # Nor is anything sent where nobody wants it.
        for name in names:
            is_left_out = name == "p03"
            said = replace(SEEN, seq=1, wants_frames=is_left_out)
            source.hear(name, said, joined=not is_left_out)
        assert await self.sent(source, bus, 2) == ["p03"]

    async def test_carries_what_was_plotted_too(self, source, bus):
        for number in range(12):
            source.hear(f"p{number:02}", SEEN, joined=True)
        while not bus.frames.empty():
            bus.frames.get_nowait()
        source.series.add(1, {"loss": 0.5})
        source.telling.note_news()
        process, text = await next_frame(bus)
        assert (process, json.loads(text)["names"]) == ("channel of s1", ["loss"])
        assert bus.frames.empty()

    async def test_one_that_has_lost_a_frame_gets_it_alone(self, source, bus, monkeypatch):
        now = 100.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
        for number in range(12):
            source.hear(f"p{number:02}", SEEN, joined=True)
        source.offer(1)
        assert await next_frame(bus) == ("channel of s1", b"1")
        now += module.LATE_S
        source.hear("p05", SEEN, joined=True)
        now += module.LATE_S
        source.hear("p05", SEEN, joined=True)
        assert await next_frame(bus) == ("p05", b"1")

    async def test_costs_of_the_bytes_what_a_few_processes_cost(self, source, bus, settings):
        settings.LIVESTEP = {"REMOTE_FPS": 60, "REMOTE_BYTES_PER_SECOND": 80_000}
        loop = asyncio.get_running_loop()
        for number in range(100):
            source.hear(f"p{number:02}", SEEN, joined=True)
        source.window.offer(Parcel(1, bytes(2000), final=False))
        await next_frame(bus)
        began = loop.time()
        source.window.offer(Parcel(2, b"2", final=False))
        await next_frame(bus)
        assert 0.15 < loop.time() - began < 1  # Eight times 2,000 bytes take 0.2 s, a hundred 2.5.


class TestWhatWasPlotted:
    async def test_is_told_to_each_process_that_comes(self, source, bus):
        source.series.add(1, {"loss": 0.5})
        source.hear("a", SEEN)
        process, text = await next_frame(bus)
        assert (process, json.loads(text)["points"]) == ("a", [[1, 0.5]])
        source.hear("b", SEEN)
        told = [await next_frame(bus), await next_frame(bus)]
        assert {process for process, _ in told} == {"a", "b"}, "that it is known does no harm"

    async def test_goes_on_while_nobody_there_can_take_a_frame(self, source, bus):
        source.hear("a", replace(SEEN, wants_frames=False))
        source.series.add(1, {"loss": 0.5})
        source.telling.note_news()
        assert json.loads((await next_frame(bus))[1])["names"] == ["loss"]


class TestTheEnd:
    async def test_the_last_watcher_takes_the_window_with_it(self, source, bus):
        source.hear("b", SEEN)
        source.hear("c", SEEN)
        source.leave("b", lost=False)
        assert source.left == []
        source.leave("c", lost=True)
        assert source.left == [True]
        assert source.window is None

    async def test_who_says_nothing_any_more_is_forgotten(self, source, bus, monkeypatch):
        monkeypatch.setattr(module, "FORGET_S", 0.01)
        source.hear("b", SEEN)
        async with asyncio.timeout(5):
            while source.window is not None:
                await asyncio.sleep(0.005)
        assert source.left == [True]

    async def test_but_not_while_nobody_could_be_heard(self, source, bus, monkeypatch):
        monkeypatch.setattr(module, "FORGET_S", 0.01)
        bus.is_connected = False
        source.hear("b", SEEN)
        await asyncio.sleep(0.1)
        assert source.viewers == 1

    async def test_closing_ends_the_task(self, source, bus):
        source.hear("b", SEEN)
        source.bridges.close()
        await asyncio.sleep(0)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "bridge s1" not in names
