"""The plain dialect: the one in the question."""

import asyncio

import pytest

from tests.parts import sessions
from tests.samples import simulations as samples

WAIT_S = 15


async def svgs(socket, count):
    frames = [await socket.receive_from(WAIT_S) for _ in range(count)]
    assert all(frame.startswith("<svg") for frame in frames), frames
    return frames


async def drained(socket):
    """Return what still comes before the answer to what is sent now. It counts as a mistake."""
    await socket.send_to(text_data="and now?")
    rest = []
    while not (content := await socket.receive_from(WAIT_S)).startswith("error: expected status"):
        rest.append(content)
    return rest


async def another_starts(connect_plain):
    """Have another connection start a session: what was to start before has started by then."""
    other = await connect_plain("?simulation=counter")
    await other.send_to(text_data="start")
    await svgs(other, 1)


def newest():
    return list(sessions._sessions.values())[-1]


class TestFrames:
    @pytest.mark.parametrize("word", ["status", "start"])
    async def test_begin_and_end(self, connect_plain, word):
        socket = await connect_plain("?simulation=counter")
        await socket.send_to(text_data=word)
        await svgs(socket, 3)
        await socket.send_to(text_data="stop")
        await asyncio.wait_for(newest().ended.wait(), WAIT_S)
        assert newest().session.state == "stopped"
        await drained(socket)
        await socket.send_to(text_data=word)
        await svgs(socket, 2)

    async def test_after_stop_at_most_one_still_arrives(self, connect_plain):
        socket = await connect_plain("?simulation=gated")
        await socket.send_to(text_data="status")
        samples.gate.release()
        await svgs(socket, 1)
        await socket.send_to(text_data="stop")
        samples.gate.release(50)
        assert len(await drained(socket)) <= 1

    async def test_parameters_stand_in_the_query(self, connect_plain):
        socket = await connect_plain("?simulation=counter&level=7&size=2")
        await socket.send_to(text_data="status")
        (frame,) = await svgs(socket, 1)
        assert ">1 7 2<" in frame

    async def test_without_a_name_it_is_the_default(self, connect_plain, settings):
        settings.LIVESTEP = {"DEFAULT_SIMULATION": "finite"}
        socket = await connect_plain()
        await socket.send_to(text_data="status")
        await svgs(socket, 1)
        assert newest().session.simulation.name == "finite"

    async def test_an_end_sends_the_last_frame_once(self, connect_plain):
        socket = await connect_plain("?simulation=finite&count=5")
        await socket.send_to(text_data="status")
        frames = await svgs(socket, 1)
        await asyncio.wait_for(newest().ended.wait(), WAIT_S)
        frames += await drained(socket)
        assert ">5<" in frames[-1]
        assert len(frames) == len(set(frames))

    async def test_too_large_for_what_is_not_compressed_are_said(self, connect_plain):
        socket = await connect_plain("?simulation=sized&size=3000000")
        await socket.send_to(text_data="start")
        line = await socket.receive_from(WAIT_S)
        assert line == "error: a frame of 3,000,000 bytes is too large for this dialect"
        await socket.send_to(text_data="stop")

    async def test_too_large_for_anybody_are_said_too(self, connect_plain):
        socket = await connect_plain("?simulation=noisy&size=1250000")
        await socket.send_to(text_data="start")
        line = await socket.receive_from(WAIT_S)
        assert line.startswith("error: A frame of 1,250,")
        await socket.send_to(text_data="stop")


class TestRepeats:
    async def test_status_while_running_and_stop_while_idle_do_nothing(self, connect_plain):
        socket = await connect_plain("?simulation=counter")
        await socket.send_to(text_data="stop")
        assert await drained(socket) == []
        await socket.send_to(text_data="status")
        await svgs(socket, 1)
        before = len(sessions._sessions)
        await socket.send_to(text_data="status")
        await socket.send_to(text_data="start")
        await svgs(socket, 2)
        assert len(sessions._sessions) == before

    async def test_start_during_a_stop_waits_for_its_end(self, connect_plain):
        socket = await connect_plain("?simulation=stubborn")
        await socket.send_to(text_data="status")
        await svgs(socket, 1)
        assert await asyncio.to_thread(samples.entered.wait, WAIT_S)
        await socket.send_to(text_data="stop")
        await socket.send_to(text_data="start")
        await another_starts(connect_plain)
        assert await drained(socket) == []
        assert len(sessions.all()) == 2
        samples.release.set()
        await svgs(socket, 1)
        assert len(sessions.all()) == 3

    async def test_a_stop_takes_back_the_start_that_waits(self, connect_plain):
        socket = await connect_plain("?simulation=stubborn")
        await socket.send_to(text_data="status")
        await svgs(socket, 1)
        first = newest()
        assert await asyncio.to_thread(samples.entered.wait, WAIT_S)
        for word in ("stop", "start", "stop"):
            await socket.send_to(text_data=word)
        assert await drained(socket) == []
        samples.release.set()
        await asyncio.wait_for(first.ended.wait(), WAIT_S)
        await another_starts(connect_plain)
        assert await drained(socket) == []
        assert len(sessions.all()) == 2

    async def test_ten_times_in_a_row(self, connect_plain):
        socket = await connect_plain("?simulation=counter")
        for _ in range(10):
            await socket.send_to(text_data="start")
            await svgs(socket, 1)
            await socket.send_to(text_data="stop")
            await drained(socket)


class TestErrors:
    @pytest.mark.parametrize("text", ["Stop", "stop\n", " ", "{}", "begin"])
    async def test_any_other_text_is_answered_with_a_line(self, connect_plain, text):
        socket = await connect_plain()
        await socket.send_to(text_data=text)
        answer = await socket.receive_from(WAIT_S)
        assert answer.startswith("error: expected status, start or stop, got ")
        assert "\n" not in answer

    async def test_binary_too(self, connect_plain):
        socket = await connect_plain()
        await socket.send_to(bytes_data=b"status")
        assert (await socket.receive_from(WAIT_S)).endswith("got a binary message")

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("?simulation=nope", "error: there is no simulation 'nope'"),
            ("?simulation=counter&level=99", "error: level: "),
            ("?simulation=counter&speed=1", "error: speed: There is no such parameter"),
            (
                "?simulation=broken&good_steps=0",
                "error: The simulation failed before its first step",
            ),
            ("?simulation=no_svg", "error: The simulation failed"),
        ],
    )
    async def test_what_cannot_run_gets_a_sentence(self, connect_plain, query, said):
        socket = await connect_plain(query)
        await socket.send_to(text_data="status")
        answer = await socket.receive_from(WAIT_S)
        assert answer.startswith(said), answer
        assert "\n" not in answer

    async def test_a_failure_whose_text_cannot_be_sent_is_said(self, connect_plain):
        socket = await connect_plain("?simulation=unspeakable")
        await socket.send_to(text_data="status")
        assert (await socket.receive_from(WAIT_S)).startswith("error: The simulation failed")

    async def test_twenty_mistakes_close_with_4400(self, connect_plain):
        socket = await connect_plain()
        for _ in range(20):
            await socket.send_to(text_data="x")
        for _ in range(20):
            await socket.receive_from(WAIT_S)
        assert (await socket.receive_output(WAIT_S))["code"] == 4400


class TestClosing:
    async def test_stops_the_session_at_once(self, connect_plain):
        socket = await connect_plain("?simulation=counter")
        await socket.send_to(text_data="status")
        await svgs(socket, 1)
        live = newest()
        await socket.disconnect()
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        assert live.session.state == "stopped"

    async def test_takes_back_a_start_that_waits(self, connect_plain):
        socket = await connect_plain("?simulation=stubborn")
        await socket.send_to(text_data="status")
        await svgs(socket, 1)
        first = newest()
        assert await asyncio.to_thread(samples.entered.wait, WAIT_S)
        await socket.send_to(text_data="stop")
        await socket.send_to(text_data="start")
        assert await drained(socket) == []
        await socket.disconnect()
        samples.release.set()
        await asyncio.wait_for(first.ended.wait(), WAIT_S)
        await another_starts(connect_plain)
        assert len(sessions.all()) == 2
