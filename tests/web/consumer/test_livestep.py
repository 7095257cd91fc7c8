"""The livestep.v1 dialect, line by line of docs/protocol.md."""

import asyncio
import json
import re
from types import SimpleNamespace

import pytest

from streaming.delivery.allowance import Allowance
from tests.parts import sessions
from tests.samples import simulations as samples
from tests.web.consumer.test_handshake import browser_session, cookie, in_thread


def text_of(frame):
    return re.search(rb"<text>(.*)</text>", frame["svg"])[1].decode()


async def states_until(client, state):
    seen = []
    while not seen or seen[-1] != state:
        message = await client.until(type="session")
        if not seen or message["state"] != seen[-1]:
            seen.append(message["state"])
    return seen


class TestParams:
    """They travel when they change, and long texts to those who ask and may control."""

    LONG = "x" * 200_000

    async def beats(self, client, count):
        """Return the next `session` messages that come by themselves."""
        return [await client.until(type="session") for _ in range(count)]

    async def test_come_at_first_and_in_answers_and_else_only_when_they_change(self, connect):
        client = await connect()
        await client.start("reads", params={"text": "one"})
        first = await client.until(type="session")
        assert first["params"] == {"text": "one", "other": "b"}
        assert [said for said in await self.beats(client, 3) if "params" in said] == []
        assert (await client.ask("rate", fps=5))["type"] == "ok"
        assert "params" not in await client.until(type="session")
        assert (await client.ask("status"))["params"] == {"text": "one", "other": "b"}

    async def test_that_change_are_told_to_every_viewer(self, connect):
        client, viewer = await connect(), await connect()
        started = await client.start("reads")
        await viewer.ask("watch", session=started["session"])
        assert (await viewer.until(type="session"))["params"]["text"] == "a"
        assert (await client.ask("set", params={"text": "two"}))["type"] == "ok"
        for one in (client, viewer):
            while "params" not in (said := await one.until(type="session")):
                pass
            assert said["params"]["text"] == "two"

    async def test_of_great_length_are_named_only(self, connect):
        client, viewer = await connect(), await connect()
        started = await client.start("reads", params={"text": self.LONG, "other": "short"})
        await viewer.ask("watch", session=started["session"])
        for one in (client, viewer):
            said = await one.until(type="session")
            assert said["params"] == {"other": "short"}
            assert said["long_params"] == {"text": len(self.LONG)}
            assert len(str(await one.ask("status"))) < 1500

    async def test_of_great_length_are_for_those_who_ask_and_may_control(self, connect):
        client, viewer = await connect(), await connect()
        started = await client.start("reads", params={"text": self.LONG})
        said = await client.ask("status", params=True)
        assert said["params"] == {"text": self.LONG, "other": "b"}
        assert "long_params" not in said
        await viewer.ask("watch", session=started["session"])
        assert (await viewer.ask("status", params=True))["code"] == "forbidden"


class TestAnswers:
    """Whatever is sent, what comes back is not much longer."""

    @pytest.mark.parametrize(
        "params",
        [
            {f"p{number}": 1 for number in range(4900)},
            {f"{number}" * 5000: "" for number in range(8)},
            {"level": "\N{SNOWMAN}" * 50_000, "size": "\N{DUCK}" * 10_000},
            {"": 1},
            {"level": [["\x00" * 2000]] * 20, "size": "é" * 2000},
        ],
    )
    async def test_to_wrong_parameters_are_bounded(self, connect, params):
        client = await connect()
        message = {"type": "start", "simulation": "counter", "params": params, "id": "a"}
        text = json.dumps(message, ensure_ascii=False)
        await client.send_text(text)
        error = await client.until(type="error")
        assert error["code"] == "invalid_params"
        assert len(error["fields"]) <= 20
        assert len(json.dumps(error)) <= min(4 * len(text.encode()) + 1024, 12_000)

    async def test_to_many_unknown_ones_name_some_and_count_the_rest(self, connect):
        client = await connect()
        params = {f"p{number}": 1 for number in range(1000)}
        error = await client.start("counter", params=params)
        assert error["message"].endswith("; and 980 more")
        assert list(error["fields"]) == list(params)[:20]
        assert "There are: level, size" in error["fields"]["p0"][0]

    @pytest.mark.parametrize(
        "text",
        [
            '{"type":"' + "\N{DUCK}" * 4000 + '"}',
            '{"type":"start","simulation":"' + "é" * 60_000 + '"}',
            '{"type":"watch","session":"' + "\\u0001" * 2000 + '"}',
            '{"type":"watch","session":"x","token":[' + '"a",' * 3000 + "1]}",
            '{"type":"rate","fps":"' + "\N{DUCK}" * 3000 + '"}',
            '{"type":"ping","id":"' + "\N{DUCK}" * 65 + '"}',
            '{"type":"ping","id":"' + "\N{DUCK}" * 64 + '"}',
            "\N{DUCK}" * 60_000,
            "{" * 5000,
        ],
    )
    async def test_to_anything_else_are_bounded(self, connect, text):
        client = await connect()
        await client.send_text(text)
        answer = await client.receive()
        assert len(json.dumps(answer)) <= min(4 * len(text.encode()) + 1024, 2500)


class TestStart:
    async def test_hello_comes_first(self, connect):
        client = await connect()
        assert client.hello["type"] == "hello"
        assert client.hello["protocol"] == "livestep.v1"
        assert client.hello["server"].startswith("livestep/")
        assert client.hello["limits"]["frame_bytes"] == 900_000

    async def test_started_comes_before_the_session_and_the_first_frame(self, connect):
        client = await connect()
        await client.send("start", simulation="counter", id="a", params={"size": 7})
        started = await client.receive()
        assert started["type"] == "started"
        assert started["id"] == "a"
        assert len(started["session"]) >= 20
        assert len(started["token"]) >= 20
        assert client.frames == []
        session = await client.receive()
        assert session["type"] == "session"
        assert session["params"] == {"level": 1, "size": 7}
        frame = await client.frame()
        assert frame["session"] == started["session"]
        assert (frame["epoch"], frame["seq"], frame["final"]) == (1, 1, False)

    async def test_frames_count_from_one_and_never_go_back(self, connect):
        client = await connect()
        await client.start("counter", fps=60)
        await client.frame(8)
        seqs = [frame["seq"] for frame in client.frames]
        assert seqs[0] == 1
        assert seqs == sorted(set(seqs))

    async def test_a_second_start_is_refused_while_the_own_session_goes_on(self, connect):
        client = await connect()
        await client.start("counter")
        assert (await client.start("counter"))["code"] == "wrong_state"
        await client.ask("stop")
        await client.until(type="session", state="stopped")
        assert (await client.start("counter"))["type"] == "started"

    async def test_identity_is_given_to_whoever_wants_it(self, connect):
        client = await connect()
        await client.start("sized", params={"size": 5000}, accept=["identity"])
        assert (await client.frame())["encoding"] == "identity"

    async def test_deflate_is_the_default(self, connect):
        client = await connect()
        await client.start("sized", params={"size": 5000})
        assert (await client.frame())["encoding"] == "deflate-raw"

    async def test_a_stream_is_given_at_once_to_whoever_would_rather_have_it(self, connect):
        client = await connect()
        await client.start("sized", params={"size": 5000}, accept=["deflate-stream", "identity"])
        await client.frame(3)
        assert [frame["way"] for frame in client.frames[:3]] == ["deflate-stream"] * 3
        # Another session has another one.
        other = await connect()
        await other.ask("watch", session=client.frames[0]["session"], accept=["deflate-stream"])
        assert (await other.frame())["begins"]

    async def test_less_isolation_than_declared_is_refused(self, connect):
        client = await connect()
        error = await client.start("isolated", engine="thread")
        assert error["code"] == "forbidden"
        assert "never for less" in error["message"]


class TestStop:
    async def test_gives_ok_the_final_frame_and_a_receipt(self, connect):
        client = await connect()
        await client.start("counter")
        await client.frame(3)
        assert (await client.ask("stop"))["type"] == "ok"
        # However soon it ends.
        assert (await client.until(type="session"))["state"] == "stopping"
        session = await client.until(type="session", state="stopped")
        final = await client.final_frame() if not client.frames[-1]["final"] else client.frames[-1]
        assert final["seq"] == session["seq"]
        assert session["stop"]["by"] == "client"
        assert session["stop"]["how"] == "flag"
        assert 0 <= session["stop"]["after_ms"] < 3000
        assert session["stop"]["step"] >= 1

    async def test_the_final_frame_does_not_wait_for_the_step(self, connect):
        """A step in progress may take long; the newest frame is final at once."""
        client = await connect()
        await client.start("gated")
        samples.gate.release()
        await client.frame()
        await client.send("stop")
        final = await client.final_frame()
        assert text_of(final) == "1"

    async def test_twice_is_ok_twice(self, connect):
        client = await connect()
        await client.start("counter")
        assert (await client.ask("stop"))["type"] == "ok"
        assert (await client.ask("stop"))["type"] == "ok"
        await client.until(type="session", state="stopped")
        assert (await client.ask("stop"))["type"] == "ok"
        assert (await client.until(type="session"))["state"] == "stopped"

    async def test_right_after_the_start(self, connect):
        client = await connect()
        await client.send("start", simulation="counter")
        await client.send("stop", id="s")
        await client.until(id="s", type="ok")
        await client.until(type="session", state="stopped")

    async def test_while_paused(self, connect):
        client = await connect()
        await client.start("counter")
        await client.ask("pause")
        await client.until(type="session", state="paused")
        await client.ask("stop")
        await client.until(type="session", state="stopped")

    async def test_a_step_that_does_not_end_is_stuck_and_may_be_started_anew(
        self, connect, settings
    ):
        settings.LIVESTEP = {"STOP_GRACE": 0, "FPS": 0}
        client = await connect()
        started = await client.start("stubborn")
        await client.frame()
        assert await asyncio.to_thread(samples.entered.wait, 5)
        await client.send("stop")
        stuck = await client.until(type="session", state="stuck")
        assert "does not end" in stuck["error"]["message"]
        assert "File" not in stuck["error"]["message"], "the stack is for staff"
        assert client.frames[-1]["final"]
        assert text_of(client.frames[-1]) == "before"
        live = sessions.get(started["session"])
        assert "in stubborn" in live.session.snapshot().traceback
        assert live.holds_thread

        assert (await client.start("finite"))["type"] == "started"
        samples.release.set()
        await asyncio.to_thread(live.join, 5)
        assert live.session.state == "stopped"


class TestEnd:
    async def test_finished_gives_the_last_steps_frame_whatever_the_clock_says(self, connect):
        client = await connect()
        await client.start("finite", params={"count": 200}, fps=1)
        session = await client.until(type="session", state="finished")
        final = (
            client.frames[-1]
            if client.frames and client.frames[-1]["final"]
            else await client.final_frame()
        )
        assert text_of(final) == "200"
        assert session["step"] == 200

    async def test_failed_says_a_sentence_and_keeps_the_last_frame(self, connect):
        client = await connect()
        started = await client.start("broken")
        session = await client.until(type="session", state="failed")
        assert session["error"]["message"] == (
            "The simulation failed after step 2: ZeroDivisionError: the secret of the author"
        )
        traceback = sessions.get(started["session"]).session.snapshot().traceback
        assert "in broken" in traceback

    async def test_a_frame_that_is_no_svg_names_its_type(self, connect):
        client = await connect()
        await client.start("no_svg")
        session = await client.until(type="session", state="failed")
        assert "got dict" in session["error"]["message"]

    async def test_a_frame_over_the_limit_is_dropped_counted_and_noticed(self, connect):
        client = await connect()
        await client.start("noisy", params={"size": 1_250_000})
        notice = await client.until(type="notice", code="frame_too_large")
        assert "A frame of 1,250," in notice["message"]
        session = await client.ask("status")
        assert session["frames"]["too_large"] >= 1
        assert session["frames"]["produced"] == 0
        await client.send("stop")
        await client.until(type="session", state="stopped")
        assert client.frames == [], "a session that never made a frame has none"

    async def test_a_frame_at_the_limit_is_sent(self, connect):
        client = await connect()
        await client.start("sized", params={"size": 900_000}, accept=["identity"])
        frame = await client.frame()
        assert (frame["size"], frame["encoding"]) == (900_000, "identity")

    async def test_a_larger_one_is_sent_compressed_whatever_was_preferred(self, connect):
        client = await connect()
        await client.start("sized", params={"size": 3_000_000}, accept=["identity"])
        frame = await client.frame()
        assert (frame["size"], frame["encoding"]) == (3_000_000, "deflate-raw")


class TestPause:
    async def test_pause_step_and_resume(self, connect):
        client = await connect()
        await client.start("counter")
        await client.frame()
        assert (await client.ask("pause"))["type"] == "ok"
        paused = await client.until(type="session", state="paused")
        assert (await client.ask("step", count=3))["type"] == "ok"
        stepped = await client.until(type="session", state="paused", step=paused["step"] + 3)
        while client.frames[-1]["step"] != stepped["step"]:
            await client.frame()
        assert text_of(client.frames[-1]) == f"{stepped['step']} 1 4"
        assert (await client.ask("resume"))["type"] == "ok"
        await client.until(type="session", state="running")
        await client.frame(2)

    async def test_pausing_draws_the_frame_whatever_the_clock_says(self, connect):
        client = await connect()
        await client.start("counter", fps=1)
        await client.frame()
        await client.ask("pause")
        paused = await client.until(type="session", state="paused")
        while client.frames[-1]["step"] != paused["step"]:
            await client.frame()

    async def test_what_is_so_already_is_ok(self, connect):
        client = await connect()
        await client.start("counter")
        assert (await client.ask("resume"))["type"] == "ok"
        await client.ask("pause")
        assert (await client.ask("pause"))["type"] == "ok"

    async def test_step_needs_a_pause(self, connect):
        client = await connect()
        await client.start("counter")
        error = await client.ask("step")
        assert error["code"] == "wrong_state"
        assert "pause it first" in error["message"]

    async def test_an_ended_session_cannot_be_paused(self, connect):
        client = await connect()
        await client.start("finite")
        await client.until(type="session", state="finished")
        for command in ("pause", "resume", "step"):
            assert (await client.ask(command))["code"] == "wrong_state"
        assert (await client.ask("set", params={}))["code"] == "wrong_state"
        assert (await client.ask("rate", fps=5))["code"] == "wrong_state"

    async def test_what_is_told_never_goes_back(self, connect):
        client = await connect()
        await client.start("counter", fps=60)
        told = []
        for _ in range(12):
            for command in ("pause", "resume"):
                await client.send(command, id=command)
                while (message := await client.receive()).get("id") != command:
                    told.append(message)
        numbers = [(m["step"], m["seq"], m["elapsed_ms"]) for m in told if m["type"] == "session"]
        assert numbers == sorted(numbers)


class TestSetAndRate:
    async def test_a_live_parameter_changes_while_it_runs(self, connect):
        client = await connect()
        await client.start("counter")
        assert (await client.ask("set", params={"level": 9}))["type"] == "ok"
        assert (await client.ask("status"))["params"] == {"level": 9, "size": 4}
        while text_of(await client.frame()).split()[1] != "9":
            pass

    @pytest.mark.parametrize("params", [{"level": 1}, {}])
    async def test_what_changes_nothing_tells_no_parameters_again(self, connect, params):
        client = await connect()
        await client.start("counter", params={"level": 1})
        await client.until(type="session", state="running")
        assert (await client.ask("set", params=params))["type"] == "ok"
        for _ in range(2):
            assert "params" not in await client.until(type="session")

    async def test_one_that_is_not_live_or_not_valid_is_refused(self, connect):
        client = await connect()
        await client.start("counter")
        for params in ({"size": 5}, {"level": 99}, {"nope": 1}):
            error = await client.ask("set", params=params)
            assert error["code"] == "invalid_params"
            assert list(error["fields"]) == list(params)
        assert (await client.ask("status"))["params"] == {"level": 1, "size": 4}

    async def test_the_slowest_rate_there_is_can_be_stopped(self, connect):
        client = await connect()
        await client.start("counter")
        await client.until(type="session", state="running")
        assert (await client.ask("rate", steps_per_second=1e-320))["type"] == "ok"
        assert (await client.ask("status"))["state"] == "running"
        await client.ask("stop")
        await client.until(type="session", state="stopped")

    async def test_rates_are_taken_and_lifted(self, connect):
        client = await connect()
        await client.start("counter")
        assert (await client.ask("rate", fps=5, steps_per_second=2.5))["type"] == "ok"
        assert (await client.ask("status"))["rate"] == {"fps": 5, "steps_per_second": 2.5}
        await client.ask("rate", steps_per_second=None)
        assert (await client.ask("status"))["rate"] == {"fps": 5, "steps_per_second": None}


class TestWatch:
    async def test_gets_the_state_and_the_newest_frame_at_once(self, connect):
        driver, viewer = await connect(), await connect()
        session = (await driver.start("counter"))["session"]
        await driver.frame()
        await driver.ask("pause")
        await driver.until(type="session", state="paused")
        await viewer.send("watch", session=session, id="w")
        assert await viewer.receive() == {
            "type": "watching", "session": session, "can_control": False, "id": "w",
        }  # fmt: skip
        assert (await viewer.receive())["state"] == "paused"
        frame = await viewer.frame()
        assert frame["step"] == (await driver.ask("status"))["step"]
        assert (await viewer.ask("status"))["viewers"] == 2

    async def test_whoever_comes_after_the_end_gets_the_final_frame(self, connect):
        driver, viewer = await connect(), await connect()
        session = (await driver.start("finite"))["session"]
        await driver.until(type="session", state="finished")
        await viewer.ask("watch", session=session)
        assert (await viewer.until(type="session"))["state"] == "finished"
        frame = await viewer.frame()
        assert frame["final"]
        assert text_of(frame) == "3"

    async def test_a_viewer_may_not_control(self, connect):
        driver, viewer = await connect(), await connect()
        session = (await driver.start("counter"))["session"]
        await driver.until(type="session", state="running")
        await viewer.ask("watch", session=session)
        for command, fields in (
            ("stop", {}),
            ("pause", {}),
            ("set", {"params": {"level": 2}}),
            ("rate", {"fps": 5}),
        ):
            assert (await viewer.ask(command, **fields))["code"] == "forbidden"
        assert (await driver.ask("status"))["state"] == "running"

    async def test_the_token_gives_control(self, connect):
        driver, viewer = await connect(), await connect()
        started = await driver.start("counter")
        watching = await viewer.ask("watch", session=started["session"], token=started["token"])
        assert watching["can_control"]
        assert (await viewer.ask("stop"))["type"] == "ok"
        await driver.until(type="session", state="stopped")

    async def test_a_wrong_token_only_watches(self, connect):
        driver, viewer = await connect(), await connect()
        started = await driver.start("counter")
        assert not (await viewer.ask("watch", session=started["session"], token="x"))["can_control"]

    async def test_a_failed_watch_changes_nothing(self, connect):
        client = await connect()
        await client.start("counter")
        assert (await client.ask("watch", session="nope"))["code"] == "unknown_session"
        await client.frame(2)
        assert (await client.ask("stop"))["type"] == "ok"

    async def test_a_good_watch_leaves_the_session_attended_before(self, connect):
        driver, client = await connect(), await connect()
        other = (await driver.start("counter"))["session"]
        own = (await client.start("counter"))["session"]
        await client.ask("watch", session=other)
        assert sessions.get(own).viewers == 0
        while (await client.frame())["session"] != other:
            pass
        assert (await client.ask("stop"))["code"] == "forbidden"

    async def test_the_connection_that_started_it_keeps_control(self, connect):
        client, other = await connect(), await connect()
        elsewhere = (await other.start("counter"))["session"]
        own = (await client.start("counter"))["session"]
        await client.ask("leave")
        assert (await client.start("counter"))["code"] == "wrong_state"
        await client.ask("watch", session=elsewhere)
        assert (await client.start("counter"))["code"] == "wrong_state"
        assert (await client.ask("watch", session=own))["can_control"]
        assert (await client.ask("stop"))["type"] == "ok"

    async def test_watching_again_does_not_count_twice(self, connect, settings):
        settings.LIVESTEP = {"MAX_VIEWERS_PER_SESSION": 1, "ABANDON_GRACE": 0}
        client = await connect()
        session = (await client.start("counter"))["session"]
        assert (await client.ask("watch", session=session))["type"] == "watching"
        assert (await client.ask("status"))["viewers"] == 1
        await client.frame(2)

    async def test_leave_ends_the_frames(self, connect):
        driver, viewer = await connect(), await connect()
        session = (await driver.start("counter"))["session"]
        await viewer.ask("watch", session=session)
        assert (await viewer.ask("leave"))["type"] == "ok"
        assert sessions.get(session).viewers == 1
        before = len(viewer.frames)
        await driver.frame(3)
        assert (await viewer.ask("status"))["code"] == "wrong_state"
        assert len(viewer.frames) == before

    async def test_the_same_message_reaches_every_viewer(self, connect):
        driver, viewer = await connect(), await connect()
        session = (await driver.start("counter"))["session"]
        await viewer.ask("watch", session=session)
        await driver.send("stop")
        one = await driver.until(type="session", state="stopped")
        two = await viewer.until(type="session", state="stopped")
        assert one == two

    async def test_viewers_are_bounded(self, connect, settings):
        settings.LIVESTEP = {"MAX_VIEWERS_PER_SESSION": 1}
        driver, viewer = await connect(), await connect()
        session = (await driver.start("counter"))["session"]
        assert (await viewer.ask("watch", session=session))["code"] == "too_many_sessions"


class TestAcks:
    async def test_at_most_two_frames_are_unacknowledged(self, connect):
        client = await connect(ack=False)
        await client.start("counter", fps=60)
        await client.frame(2)
        assert (await client.ask("status"))["type"] == "session"
        assert len(client.frames) == 2
        await client.send("ack", seq=client.frames[-1]["seq"])
        await client.frame()
        assert client.frames[-1]["seq"] > 2

    async def test_control_never_waits_for_a_client_that_does_not_ack(self, connect):
        client = await connect(ack=False)
        await client.start("counter", fps=60)
        await client.frame(2)
        assert (await client.ask("ping"))["type"] == "pong"
        await client.ask("stop")
        await client.until(type="session", state="stopped")

    async def test_the_final_frame_comes_when_the_window_has_room(self, connect):
        client = await connect(ack=False)
        await client.start("counter", fps=60)
        await client.frame(2)
        await client.ask("stop")
        await client.until(type="session", state="stopped")
        assert len(client.frames) == 2
        await client.send("ack", seq=client.frames[-1]["seq"])
        assert (await client.frame())["final"]

    async def test_one_for_what_was_never_sent_is_ignored(self, connect):
        client = await connect(ack=False)
        await client.send("ack", seq=5)
        await client.start("counter", fps=60)
        await client.frame(2)
        await client.send("ack", seq=10_000)
        assert (await client.ask("ping"))["type"] == "pong"
        assert len(client.frames) == 2

    async def test_a_frame_unacknowledged_for_too_long_closes_with_4408(self, connect, monkeypatch):
        monkeypatch.setattr("streaming.delivery.window.ACK_TIMEOUT_S", 0.05)
        client = await connect(ack=False)
        session = (await client.start("counter"))["session"]
        assert await client.until(type="closed", code=4408)
        assert sessions.get(session).viewers == 0

    async def test_acks_are_never_rate_limited(self, connect):
        client = await connect()
        for seq in range(300):
            await client.send("ack", seq=seq)
        assert (await client.ask("ping"))["type"] == "pong"


class TestVisibility:
    async def test_a_hidden_client_gets_no_frame_and_no_timer(self, connect, monkeypatch):
        monkeypatch.setattr("streaming.delivery.window.ACK_TIMEOUT_S", 0.2)
        client = await connect(ack=False)
        await client.send("visibility", visible=False)
        await client.start("counter")
        # Longer than the timer, and the session's beat shows that the connection lives.
        while (await client.until(type="session"))["elapsed_ms"] < 1000:
            pass
        assert client.frames == []
        await client.send("visibility", visible=True)
        assert (await client.frame())["seq"] >= 1


class TestAbandon:
    async def test_the_last_viewer_leaving_stops_the_session(self, connect, settings):
        settings.LIVESTEP = {"ABANDON_GRACE": 0}
        client = await connect()
        live = sessions.get((await client.start("counter"))["session"])
        await client.communicator.disconnect()
        await asyncio.wait_for(live.ended.wait(), 5)
        assert live.session.snapshot().stop.by == "abandoned"

    async def test_or_pauses_it_until_somebody_comes(self, connect, settings):
        settings.LIVESTEP = {"ABANDON_GRACE": 0}
        client, viewer = await connect(), await connect()
        live = sessions.get((await client.start("counter", abandon="pause"))["session"])
        await client.ask("leave")
        while live.session.state != "paused":  # it tells viewers, and has none
            await asyncio.sleep(0.01)
        await viewer.ask("watch", session=live.id)
        await viewer.until(type="session", state="running")

    async def test_but_leaves_a_pause_of_the_owners_as_it_is(self, connect, settings):
        settings.LIVESTEP = {"ABANDON_GRACE": 0}
        client, viewer = await connect(), await connect()
        live = sessions.get((await client.start("gated", abandon="pause"))["session"])
        await client.ask("pause")
        await client.ask("leave")
        await asyncio.sleep(0)
        await viewer.ask("watch", session=live.id)
        samples.gate.release()
        await viewer.until(type="session", state="paused")

    async def test_whoever_comes_while_it_ends_sees_how(self, connect, settings):
        """It was paused for want of viewers in the middle of a step, and stopped by the admin."""
        settings.LIVESTEP = {"ABANDON_GRACE": 0}
        client, viewer = await connect(), await connect()
        live = sessions.get((await client.start("stubborn", abandon="pause"))["session"])
        assert await asyncio.to_thread(samples.entered.wait, 5)
        await client.ask("leave")
        while not live.session.pause_requested:  # it tells viewers, and has none
            await asyncio.sleep(0.01)
        live.request_stop("admin")
        assert (await viewer.ask("watch", session=live.id))["type"] == "watching"
        assert (await viewer.until(type="session"))["state"] == "stopping"
        samples.release.set()
        await viewer.until(type="session", state="stopped")

    async def test_is_not_to_keep_it_for_somebody_that_nobody_would_know_again(self, connect):
        client = await connect()
        error = await client.start("counter", abandon="keep")
        assert (error["code"], sessions.all()) == ("forbidden", [])
        assert "kept for its owner" in error["message"]

    @pytest.mark.django_db(transaction=True)
    async def test_or_keeps_it(self, connect, settings):
        settings.LIVESTEP = {"ABANDON_GRACE": 0}
        key = await in_thread(browser_session)
        client, viewer = await connect(headers=cookie(key)), await connect()
        live = sessions.get((await client.start("counter", abandon="keep"))["session"])
        await client.communicator.disconnect()
        await viewer.ask("watch", session=live.id)
        await viewer.until(type="session", state="running")

    async def test_a_viewer_in_time_saves_it(self, connect):
        client, viewer = await connect(), await connect()
        live = sessions.get((await client.start("counter"))["session"])
        await client.communicator.disconnect()
        await viewer.ask("watch", session=live.id)
        await viewer.frame(3)
        assert live.session.state == "running"


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("stop", "bad_message"),
            ("[1]", "bad_message"),
            ('{"type":"begin"}', "unknown_type"),
            ('{"type":7}', "bad_message"),
            ('{"type":"start"}', "bad_message"),
            ('{"type":"start","simulation":"nope"}', "unknown_simulation"),
            ('{"type":"start","simulation":"counter","params":{"level":11}}', "invalid_params"),
            ('{"type":"start","simulation":"counter","params":{"level":"x"}}', "invalid_params"),
            ('{"type":"watch","session":"nope"}', "unknown_session"),
            ('{"type":"stop"}', "wrong_state"),
            ('{"type":"pause"}', "wrong_state"),
            ('{"type":"status"}', "wrong_state"),
            ('{"type":"step"}', "wrong_state"),
            ('{"type":"ping","x":"' + "x" * 17_000 + '"}', "too_large"),
            ('{"type":"start","x":"' + "x" * 263_000 + '"}', "too_large"),
        ],
    )
    async def test_gets_a_code_and_a_sentence_and_keeps_the_socket(self, connect, text, code):
        client = await connect()
        await client.send_text(text)
        error = await client.receive()
        assert (error["type"], error["code"]) == ("error", code)
        assert len(error["message"]) > 10
        assert "Traceback" not in error["message"]
        assert (await client.ask("ping"))["type"] == "pong"

    async def test_binary_is_a_mistake(self, connect):
        client = await connect()
        await client.communicator.send_to(bytes_data=b'{"type":"ping"}')
        assert (await client.receive())["code"] == "bad_message"

    async def test_the_answer_repeats_the_id(self, connect):
        client = await connect()
        await client.send("ping", id="long", x="x" * 17_000)
        assert (await client.receive())["id"] == "long"
        await client.send("nope", id="a")
        assert (await client.receive())["id"] == "a"
        await client.send("ping", id=5)
        assert "id" not in await client.receive()

    @pytest.mark.parametrize("text", ["x", "x" * 263_000], ids=["no_message", "too_large"])
    async def test_twenty_in_a_minute_close_with_4400(self, connect, text):
        client = await connect()
        for _ in range(20):
            await client.send_text(text)
        codes = [await client.receive() for _ in range(21)]
        assert [message["type"] for message in codes[:20]] == ["error"] * 20
        assert codes[20] == {"type": "closed", "code": 4400}

    async def test_too_many_messages_are_refused_and_then_closed(self, connect):
        client = await connect()
        for _ in range(100):
            await client.send("ping")
        answers = []
        while not answers or answers[-1]["type"] != "closed":
            answers.append(await client.receive())
        refused = [answer for answer in answers if answer.get("code") == "too_many_messages"]
        assert len(refused) == 20
        assert answers[-1]["code"] == 4429

    async def test_long_messages_count_as_several(self, connect, monkeypatch):
        # While they are parsed, a slow machine would earn the client another.
        clock = SimpleNamespace(monotonic=lambda: 0.0)
        monkeypatch.setattr("streaming.web.consumer.time", clock)
        client = await connect()
        params = {"text": "x" * 250_000}
        for _ in range(5):
            await client.send("start", simulation="nowhere", params=params)
        codes = [(await client.receive())["code"] for _ in range(5)]
        assert codes == ["unknown_simulation"] * 3 + ["too_many_messages"] * 2
        assert (await client.ask("ping"))["type"] == "pong"

    async def test_questions_with_long_answers_count_as_several(self, connect, monkeypatch):
        clock = SimpleNamespace(monotonic=lambda: 0.0)
        monkeypatch.setattr("streaming.web.consumer.time", clock)
        client = await connect()
        for _ in range(13):
            await client.send("status", output=True)
        codes = [(await client.receive())["code"] for _ in range(13)]
        assert codes == ["wrong_state"] * 12 + ["too_many_messages"]

    async def test_a_failure_of_ours_is_said_and_logged(self, connect, monkeypatch, caplog):
        client = await connect()
        monkeypatch.setattr(
            "streaming.sessions.pool.Admission.check", lambda *args, **options: 1 / 0
        )
        error = await client.start("counter")
        assert error["code"] == "internal"
        assert "ZeroDivisionError" not in error["message"]
        assert "ZeroDivisionError" in caplog.text
        assert (await client.ask("ping"))["type"] == "pong"


class TestLimits:
    async def test_sessions_of_the_process_are_bounded(self, connect, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1, "MAX_QUEUED": 0}
        one, two = await connect(), await connect()
        live = sessions.get((await one.start("counter"))["session"])
        error = await two.start("counter")
        assert error["code"] == "too_many_sessions"
        assert "try again in a while" in error["message"]
        await one.ask("stop")
        await one.until(type="session", state="stopped")
        await asyncio.to_thread(live.join, 5)
        await asyncio.sleep(0)  # What the worker said last reaches the loop.
        assert (await two.start("counter"))["type"] == "started"

    async def test_a_closed_connection_leaves_nothing(self, connect):
        client = await connect()
        live = sessions.get((await client.start("counter"))["session"])
        await client.communicator.disconnect()
        assert live.viewers == 0


class TestFiles:
    async def test_go_from_the_client_to_the_step(self, connect):
        client = await connect()
        for first, content in ((True, "MSwy"), (False, "LDM=")):
            part = {"name": "a.csv", "content": content, "first": first, "last": not first}
            assert (await client.ask("file", param="table", **part))["type"] == "ok"
        await client.start("many_types", params={"table": "a.csv", "seed": 7})
        assert (
            b"'a.csv 1,2,3 5', None, [1, 2], ['RED'], '2026-01-02', 3, 7"
            in (await client.frame())["svg"]
        )
        told = (await client.ask("status"))["params"]
        assert told["table"] == "a.csv"
        assert told["walls"] == {"width": 3, "name": "north"}

    async def test_that_did_not_come_are_asked_for(self, connect):
        client = await connect()
        answer = await client.start("many_types", params={"table": "a.csv"})
        assert answer["fields"]["table"] == ["Choose the file a.csv again: it is no longer here."]

    async def test_in_too_many_parts_are_slowed_down(self, connect, monkeypatch):
        client = await connect()
        monkeypatch.setattr(Allowance, "spend", lambda *args: False)
        answer = await client.ask("file", param="table", name="a", content="")
        assert answer["code"] == "too_many_messages"


class TestOutput:
    async def test_is_told_to_those_who_ask_and_may_control(self, connect):
        client = await connect()
        started = await client.start("talks_and_fails")
        told = await client.until(type="session", state="failed")
        assert told["printed"] == 2
        assert "output" not in told
        answer = await client.ask("status", output=True)
        assert answer["output"] == ["one", "two"]
        line = answer["line"]
        assert (line["file"], line["code"]) == ("simulations.py", "raise ValueError(3)")
        number = line["line"]
        assert line["around"] == [[number - 1, "ctx.sleep(0.1)"], [number, "raise ValueError(3)"]]
        other = await connect()
        await other.ask("watch", session=started["session"])
        assert (await other.ask("status", output=True))["code"] == "forbidden"
        answer = await other.ask("status")
        assert "output" not in answer
        assert "line" not in answer

    async def test_where_it_failed_is_told_without_being_asked_for(self, connect):
        client = await connect()
        await client.start("talks_and_fails")
        assert "line" not in await client.ask("status")
        await client.until(type="session", state="failed")
        answer = await client.ask("status")
        assert answer["line"]["code"] == "raise ValueError(3)"
        assert "output" not in answer


class TestSpeed:
    @pytest.mark.parametrize(
        ("asked", "expected"),
        [({}, 5.0), ({"steps_per_second": 50}, 50.0), ({"steps_per_second": None}, None)],
    )
    async def test_is_the_simulations_own_unless_the_start_says_another(
        self, connect, asked, expected
    ):
        client = await connect()
        await client.start("leisurely", **asked)
        told = await client.until(type="session")
        assert told["rate"]["steps_per_second"] == expected

    async def test_that_is_none_is_refused(self, connect):
        client = await connect()
        answer = await client.start("leisurely", steps_per_second=0)
        assert answer["code"] == "bad_message"
