"""What processes say to each other, on layers in memory: two buses in one process."""

import asyncio
from contextlib import suppress

import pytest

from streaming.cluster import bus as module
from streaming.cluster.bus import Bus, Line
from streaming.process import Process

IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
WAIT_S = 15


@pytest.fixture
def layers(settings):
    local = settings.CHANNEL_LAYERS["local"]
    settings.CHANNEL_LAYERS = {"local": local, "default": IN_MEMORY, "frames": IN_MEMORY}


@pytest.fixture
async def buses(layers, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    one, other = Bus(Process()), Bus(Process())
    began = module.time.monotonic()
    for bus in (one, other):
        bus.heard = asyncio.Queue()
        for kind in ("text", "frame"):
            bus.on(kind, bus.heard.put_nowait)
        bus.start()
    # Until it has heard itself, nobody else would reach it either.
    await until(lambda: one._heard_at > began and other._heard_at > began)
    yield one, other
    await one.stop()
    await other.stop()


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def heard(bus):
    return await asyncio.wait_for(bus.heard.get(), WAIT_S)


class TestBetweenProcesses:
    async def test_one_is_told_by_its_name(self, buses):
        one, other = buses
        one.post(other.process.name, "text", text="hello", process="one (here:1)")
        message = await heard(other)
        assert (message["from"], message["text"]) == (one.process.name, "hello")
        assert one.heard.empty()

    async def test_everybody_is_told_and_oneself_at_once(self, buses):
        one, other = buses
        one.broadcast("text", text="all")
        assert one.heard.get_nowait()["text"] == "all"
        assert (await heard(other))["text"] == "all"
        # It comes after what was said before, and so does an echo.
        other.broadcast("text", text="after")
        assert (await heard(one))["text"] == "after"

    async def test_a_frame_goes_over_the_other_line(self, buses):
        one, other = buses
        assert await one.send_frame(other.process.name, "frame", payload=b"svg")
        assert (await heard(other))["payload"] == b"svg"

    async def test_from_any_thread(self, buses):
        one, other = buses
        await asyncio.to_thread(one.broadcast_from_thread, "text", text="far")
        assert (await heard(other))["text"] == "far"

    async def test_a_handler_that_fails_deafens_nobody(self, buses, caplog):
        one, other = buses
        other.on("text", lambda message: 1 / 0)
        one.post(other.process.name, "text", text="first")
        one.post(other.process.name, "text", text="second")
        assert [(await heard(other))["text"] for _ in range(2)] == ["first", "second"]
        assert "could not be handled" in caplog.text

    async def test_stopping_ends_its_tasks(self, buses):
        one, other = buses
        await one.stop()
        await other.stop()
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in names if name.startswith("bus")]
        assert not one.is_running

    async def test_stopping_ends_it_also_while_the_layer_swallows_the_cancellation(
        self, buses, monkeypatch
    ):
        """As `asyncio.wait_for` of Python 3.11 does when its answer is just there."""
        one, _ = buses
        sends, is_sending = module.get_channel_layer("default").group_send, asyncio.Event()

        async def deaf_group_send(group, message):
            is_sending.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)
            await sends(group, message)

        monkeypatch.setattr(module.get_channel_layer("default"), "group_send", deaf_group_send)
        one.broadcast("text")
        await asyncio.wait_for(is_sending.wait(), WAIT_S)
        async with asyncio.timeout(WAIT_S):
            await one.stop()


class TestAChannelOfASession:
    async def test_brings_what_is_sent_there_once_to_all_that_listen(self, buses):
        one, other = buses
        assert not other.has_joined("s1")
        other.join("s1")
        await until(lambda: other.has_joined("s1"))
        assert await one.send_to_channel("s1", "frame", payload=b"svg")
        assert await one.send_to_channel("s2", "frame", payload=b"another's")
        assert await one.send_frame(other.process.name, "frame", payload=b"after")
        assert [(await heard(other))["payload"] for _ in range(2)] == [b"svg", b"after"]
        assert one.heard.empty()

    async def test_is_left(self, buses):
        _, other = buses
        other.join("s1")
        await until(lambda: other.has_joined("s1"))
        other.leave("s1")
        layer = module.get_channel_layer("frames")
        await until(lambda: not layer.groups.get("livestep.session.s1"))
        assert not other.has_joined("s1")

    async def test_is_listened_to_again_after_an_outage(self, buses, monkeypatch):
        one, other = buses
        monkeypatch.setattr(module, "SILENCE_S", 0.1)
        other.join("s1")
        await until(lambda: other.has_joined("s1"))
        layer = module.get_channel_layer("frames")
        with monkeypatch.context() as broken:
            broken.setattr(layer, "group_send", _nowhere)
            await until(lambda: not other.has_joined("s1"))
        await until(lambda: other.has_joined("s1"))
        assert await one.send_to_channel("s1", "frame", payload=b"svg")
        assert (await heard(other))["payload"] == b"svg"

    async def test_that_cannot_be_joined_is_tried_again(self, buses, monkeypatch):
        _, other = buses
        layer, failures = module.get_channel_layer("frames"), [1, 1]
        add = layer.group_add

        async def group_add(group, channel):
            if group == "livestep.session.s1" and failures:
                failures.pop()
                raise ConnectionError("no connection")
            await add(group, channel)

        monkeypatch.setattr(layer, "group_add", group_add)
        other.join("s1")
        await until(lambda: other.has_joined("s1"))
        assert not failures


class TestALayerThatDoesNotAnswer:
    async def test_is_asked_again_and_said_once(self, buses, monkeypatch, caplog):
        one, other = buses
        layer = module.get_channel_layer("default")
        send, broken = layer.group_send, True

        async def group_send(group, message):
            if broken:
                raise ConnectionError("no connection")
            await send(group, message)

        monkeypatch.setattr(layer, "group_send", group_send)
        one.post(other.process.name, "text", text="lost")
        await until(lambda: one.failures > 2)
        broken = False
        one.post(other.process.name, "text", text="there")
        assert (await heard(other))["text"] == "there"
        assert caplog.text.count("the channel layer 'default' does not answer") <= 2

    async def test_who_does_not_hear_itself_is_cut_off_and_subscribes_anew(
        self, buses, monkeypatch
    ):
        one, _ = buses
        monkeypatch.setattr(module, "SILENCE_S", 0.1)
        layer = module.get_channel_layer("default")
        await layer.flush()  # As a Redis does that was restarted: nobody is subscribed any more.
        monkeypatch.setattr(layer, "group_send", _nowhere)
        await until(lambda: not one.is_connected)
        monkeypatch.undo()
        await until(lambda: one.is_connected)


async def _nowhere(group, message):
    pass


class TestALine:
    async def test_what_waits_is_bounded_and_the_oldest_goes(self, layers, monkeypatch):
        line = Line("default", (), lambda message: None)
        for number in range(module.MAX_WAITING + 10):
            line.post("somewhere", {"number": number})
        assert len(line._outbox) == module.MAX_WAITING
        assert line._outbox[0][1]["number"] == 10

    async def test_what_has_waited_for_too_long_is_not_sent(self, layers, monkeypatch):
        sent = []

        async def group_send(group, message):
            sent.append(message["number"])

        monkeypatch.setattr(module.get_channel_layer("default"), "group_send", group_send)
        line = Line("default", (), lambda message: None)
        line.post("somewhere", {"number": 1}, keep_s=0)
        line.post("somewhere", {"number": 2})
        sending = asyncio.create_task(line._send_on())
        await until(lambda: sent)
        sending.cancel()
        assert sent == [2]


class TestAlone:
    async def test_only_this_process_is_told(self):
        bus = Bus(Process())
        messages = []
        bus.on("text", messages.append)
        bus.start()
        bus.broadcast("text", text="alone")
        bus.post("nobody", "text", text="alone")
        bus.join("s1")
        assert not await bus.send_to_channel("s1", "frame")
        assert not bus.has_joined("s1")
        bus.leave("s1")
        assert [message["text"] for message in messages] == ["alone"]
        assert bus.is_connected
        assert not bus.is_running
        await bus.stop()

    def test_ids_have_no_prefix_without_a_name(self, settings):
        assert Process().id_prefix == ""
        settings.LIVESTEP = {"PROCESS": "web1"}
        assert Process().id_prefix == "web1-"

    def test_from_a_thread_without_a_loop_nothing_is_said(self):
        Bus(Process()).broadcast_from_thread("text", text="nobody")
