"""A session of another process: what its viewers here are told, and what not."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from streaming.cluster.remote import RemoteSession
from streaming.delivery.framing import Encoding, encode_frame
from streaming.delivery.protocol import encode
from streaming.delivery.window import PlainWindow, Window
from streaming.engine.errors import Forbidden, TooManySessions, WrongState
from streaming.engine.frames import Frame
from streaming.engine.snapshot import State
from streaming.identity import Identity, owner_hash, token_hash
from streaming.sessions.control import Caller
from streaming.sessions.stored import StoredSession

FRAME = Frame(4, 9, b"<svg>four</svg>")


def status(state="running", **fields):
    return {
        "type": "session", "session": "b-1", "epoch": 1, "state": state, "step": 9, "seq": 4,
        "viewers": 1, **fields,
    }  # fmt: skip


class Bus:
    has_others, is_connected, name = True, True, "a"

    def __init__(self):
        self.told = []

    def post(self, process, kind, **fields):
        self.told.append((process, kind, fields))

    def has_joined(self, session_id):
        return False


class Peers:
    def __init__(self, heard):
        self.hears = self.may_answer = heard.__contains__


class Remotes:
    def __init__(self):
        self.owners = {}

    def note_owner(self, session_id, process):
        self.owners[session_id] = process

    def keep(self, session):
        """Look after it: that is test_processes' matter."""


def test_the_parameters_are_kept_until_others_come(bus, hears):
    first = status(params={"text": "one"}, long_params={"data": 5000})
    remote = RemoteSession(
        "b-1", first, process="b", bus=bus, peers=Peers(hears), remotes=Remotes()
    )
    window = Window(lambda: None)
    remote.attach(window, Encoding.DEFLATE_RAW)
    remote.hear(encode(status(step=10)))
    remote.hear(encode(status(step=11, params={"text": "two"})))
    remote.hear(encode(status(step=12)))
    remote.report(window, params=False)
    remote.report(window, "q")
    told = [json.loads(window.take(0.0)) for _ in range(6)]
    texts = [said.get("params", {}).get("text") for said in told]
    assert texts == ["one", None, "two", None, None, "two"]
    assert "long_params" in told[0]
    assert "long_params" not in told[5]


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def hears():
    """Whether the session's process is heard."""
    return {"b"}


@pytest.fixture
def session(bus, hears):
    return RemoteSession(
        "b-1", status(), process="b", bus=bus, peers=Peers(hears), remotes=Remotes()
    )


@pytest.fixture
def window(session):
    window = Window(lambda: None)
    session.attach(window, Encoding.IDENTITY)
    taken(window)
    return window


def taken(window):
    """What would be sent now."""
    contents = []
    while (content := window.take(0.0)) is not None:
        contents.append(content)
    return contents


def frame_message(frame, *, final=False):
    return encode_frame("b-1", frame, Encoding.DEFLATE_RAW, final=final)


class TestWhatItHears:
    def test_a_frame_comes_to_the_viewers_as_they_take_it(self, session, window):
        session.hear_frame(frame_message(FRAME))
        (content,) = taken(window)
        assert content.endswith(b"\n<svg>four</svg>")

    def test_an_older_frame_is_not_shown(self, session, window):
        session.hear_frame(frame_message(FRAME))
        taken(window)
        session.hear_frame(frame_message(Frame(3, 8, b"<svg>three</svg>")))
        assert taken(window) == []

    def test_what_is_no_frame_is_passed_over(self, session, window, caplog):
        for payload in (b"", b"{}", b"{}\n", b"\xff\n<svg/>", b"[1]\n"):
            session.hear_frame(payload)
        assert taken(window) == []
        assert "could not be read" in caplog.text

    def test_what_was_plotted_comes_to_all_viewers_also_later(self, session, window):
        series = {"type": "series", "names": ["loss"], "points": [[1, 0.5], [2, None]]}
        session.hear(encode(series))
        session.hear(encode(series))
        assert [json.loads(text) for text in taken(window)] == [series]
        later = Window(lambda: None)
        session.attach(later, Encoding.IDENTITY)
        assert json.loads(taken(later)[-1]) == series

    def test_a_state_comes_to_the_viewers(self, session, window):
        session.hear(encode(status("paused")))
        assert '"state":"paused"' in taken(window)[0]

    def test_a_state_may_be_larger_than_what_a_client_may_send(self, session, window):
        session.hear(encode(status("paused", params={"graph": "x" * 300_000})))
        assert '"state":"paused"' in taken(window)[0]

    def test_what_was_overtaken_by_the_end_is_not_told(self, session, window):
        session.hear(encode(status("stopped")))
        taken(window)
        session.hear(encode(status("running")))
        assert taken(window) == []

    def test_nothing_of_an_earlier_epoch_is_told_or_shown(self, session, window):
        session.hear(encode(status("lost", epoch=2)))
        assert '"epoch":2' in taken(window)[0]
        session.hear(encode(status("running")))
        session.hear(encode(status("stopped")))
        session.hear_frame(frame_message(FRAME))
        session.hear_frame(frame_message(FRAME, final=True))
        assert taken(window) == []

    def test_a_notice_is_told_to_those_who_come_later_too(self, session, window):
        session.hear(encode({"type": "notice", "code": "frame_too_large", "message": "too large"}))
        later = Window(lambda: None)
        session.attach(later, Encoding.IDENTITY)
        assert "too large" in taken(window)[0]
        assert "too large" in taken(later)[1]

    def test_one_that_no_longer_holds_is_not(self, session, window):
        for code in ("slow_step", "pausing", "server_stopping"):
            session.hear(encode({"type": "notice", "code": code, "message": "once"}))
        session.hear(encode(status("stopped", step=10)))
        later = Window(lambda: None)
        session.attach(later, Encoding.IDENTITY)
        assert "once" not in "".join(map(str, taken(later)))


class TestWhatItTells:
    def test_its_process_hears_who_watches_and_up_to_where(self, session, window, bus):
        session.hear_frame(frame_message(FRAME, final=True))
        taken(window)
        session.tell()
        process, kind, fields = bus.told[-1]
        said = fields["said"]
        assert (process, kind) == ("b", "watch")
        assert (said["viewers"], said["seq"], said["final"]) == (1, 4, True)

    def test_it_asks_for_everything_until_it_has_heard_something(self, session, window, bus):
        session.tell()
        assert bus.told[-1][2]["said"]["fresh"]
        session.hear(encode(status()))
        session.tell()
        assert not bus.told[-1][2]["said"]["fresh"]

    def test_frames_are_wanted_only_where_somebody_can_take_one(self, session, window, bus):
        assert bus.told[-1][2]["said"]["wants_frames"]
        window.show(False, 0.0)
        session.tell()
        assert not bus.told[-1][2]["said"]["wants_frames"]
        window.show(True, 0.0)
        assert bus.told[-1][2]["said"]["wants_frames"]
        session.detach(window, lost=True)
        assert bus.told[-1][2]["said"]["viewers"] == 0
        assert bus.told[-1][2]["said"]["lost"]

    def test_a_frame_costs_no_message_there(self, session, window, bus):
        before = len(bus.told)
        for seq in range(5, 25):
            session.hear_frame(frame_message(Frame(seq, seq, b"<svg/>")))
            taken(window)
            window.ack(seq, 0.0)
        assert len(bus.told) == before

    def test_who_comes_back_when_all_had_left_is_sent_the_picture_again(self, session, window, bus):
        session.hear_frame(frame_message(FRAME, final=True))
        session.hear(encode(status("stopped")))
        taken(window)
        session.detach(window)
        again = Window(lambda: None)
        session.attach(again, Encoding.IDENTITY)
        said = bus.told[-1][2]["said"]
        assert (said["seq"], said["final"], said["fresh"]) == (0, False, True)
        taken(again)
        session.hear_frame(frame_message(FRAME, final=True))
        assert len(taken(again)) == 1

    def test_more_viewers_than_it_may_have_are_refused_though_its_count_is_old(
        self, session, settings
    ):
        settings.LIVESTEP = {"MAX_VIEWERS_PER_SESSION": 3}
        windows = [Window(lambda: None) for _ in range(3)]
        for window in windows[:2]:
            session.attach(window, Encoding.IDENTITY)
        with pytest.raises(TooManySessions):
            session.attach(windows[2], Encoding.IDENTITY)
        session.detach(windows[0])
        session.attach(windows[2], Encoding.IDENTITY)


async def test_what_is_done_on_the_picture_is_not_waited_for(session, monkeypatch):
    pointed = []
    monkeypatch.setattr(
        Remotes, "orders", SimpleNamespace(point=lambda *said: pointed.append(said)), raising=False
    )
    content, caller = {"type": "pointer", "kind": "up", "x": 1, "y": 2}, Caller()
    await session.obey(content, caller)
    assert pointed == [("b-1", content, caller)]


async def test_what_it_printed_is_asked_of_its_process_and_long_texts_are_not(
    session, hears, window, monkeypatch
):
    async def confide(session_id, what, caller):
        return {"output": [f"{session_id} {what}"]}

    orders = SimpleNamespace(confide=confide)
    monkeypatch.setattr(Remotes, "orders", orders, raising=False)
    more = await session.confide(["params", "output"], Caller())
    session.report(window, "q", more=more)
    assert json.loads(taken(window)[0])["output"] == ["b-1 ['output']"]
    session.hear(encode(status("stopped")))
    hears.clear()
    assert await session.confide(["output"], Caller()) == {}, "it is gone with its process"


class TestWhatIsOver:
    async def test_a_stop_of_what_has_stopped_is_no_mistake(self, session, hears):
        session.hear(encode(status("stopped")))
        hears.clear()
        await session.obey({"type": "stop"}, Caller())
        with pytest.raises(WrongState):
            await session.obey({"type": "pause"}, Caller())

    def test_a_stuck_one_may_still_end(self, session, window, bus):
        session.hear_frame(frame_message(FRAME, final=True))
        session.hear(encode(status("stuck")))
        assert not session.is_complete
        session.hear(encode(status("stopped")))
        assert session.is_complete


class TestAProcessThatIsSilent:
    def test_is_said_once_and_the_database_is_asked(self, session, window, hears):
        hears.clear()
        assert session.look(100.0)
        assert "reconnecting" in taken(window)[0]
        assert not session.look(100.5)
        assert session.look(102.5)
        assert taken(window) == []

    def test_when_it_is_back_everything_is_asked_for(self, session, window, hears, bus):
        hears.clear()
        session.look(100.0)
        hears.add("b")
        assert not session.look(101.0)
        assert bus.told[-1][2]["said"]["fresh"]
        later = Window(lambda: None)
        session.attach(later, Encoding.IDENTITY)
        assert "reconnecting" not in "".join(map(str, taken(later)))

    def test_so_it_is_when_this_process_is_cut_off_itself(self, session, window, bus):
        bus.is_connected = False
        assert session.look(100.0)
        assert "reconnecting" in taken(window)[0]

    def test_what_the_database_knows_of_its_end_is_told_and_shown(self, session, window, hears):
        hears.clear()
        session.look(100.0)
        taken(window)
        session.adopt(StoredSession(status("stopped"), FRAME))
        state, frame = taken(window)
        assert '"state":"stopped"' in state
        assert b'"final":true' in frame
        assert session.is_complete
        assert not session.look(200.0)

    def test_the_lines_that_were_kept_are_added_to_those_that_are_known(self, session, window):
        session.hear(encode({"type": "series", "names": ["loss"], "points": [[1, 0.5]]}))
        taken(window)
        kept = encode({"type": "series", "names": ["loss"], "points": [[1, 0.5], [2, 0.25]]})
        session.adopt(StoredSession(status("stopped"), None, lines=[kept]))
        said = [json.loads(text) for text in taken(window)]
        assert [one["points"] for one in said if one["type"] == "series"] == [[[2, 0.25]]]

    def test_what_was_given_up_has_no_final_frame(self, session, window):
        session.adopt(StoredSession(status("lost", epoch=2), FRAME))
        (told,) = taken(window)
        assert '"epoch":2' in told
        assert session._status["state"] == State.LOST

    def test_what_was_given_up_does_not_go_back(self, session, window):
        session.hear(encode(status("running", step=12, seq=6, stop=None, error=None)))
        taken(window)
        lost = status("lost", epoch=2, stop=None, error={"message": "gone"}, viewers=0)
        session.adopt(StoredSession(lost, None))
        (told,) = taken(window)
        assert json.loads(told) == {**lost, "step": 12, "seq": 6}

    def test_one_that_still_goes_on_is_left_alone(self, session, window):
        session.adopt(StoredSession(status("running", step=3), None))
        assert taken(window) == []


class TestOneThatWaits:
    """A session that no compute machine has claimed yet."""

    ADA = Identity(browser="ada")

    @pytest.fixture
    def stored(self):
        return StoredSession(
            status("queued", epoch=0, session="_-1", queue_position=None),
            None,
            owner_key=owner_hash(self.ADA.owner_key),
            token_hash=token_hash("mine"),
        )

    @pytest.fixture
    def remotes(self, stored):
        remotes = Remotes()

        async def read(session_id):
            return remotes.stored

        async def end_waiting(session_id, by):
            remotes.ended = by
            remotes.stored = replace(stored, message={**stored.message, "state": "stopped"})
            return True

        remotes.stored, remotes.ended = stored, None
        remotes.archive = SimpleNamespace(read=read)
        remotes.placing = SimpleNamespace(end_waiting=end_waiting)
        return remotes

    @pytest.fixture
    def waiting(self, bus, hears, remotes, stored):
        return RemoteSession(
            "_-1", stored.message, process="", bus=bus, peers=Peers(hears), remotes=remotes
        )

    @pytest.fixture
    def window(self, waiting):
        window = Window(lambda: None)
        waiting.attach(window, Encoding.IDENTITY)
        taken(window)
        return window

    async def test_tells_nobody_that_it_is_watched(self, waiting, window, bus):
        assert bus.told == []
        assert not waiting.look(100.0)
        assert "reconnecting" not in str(taken(window))
        assert await waiting.frame() is None

    async def test_tells_where_it_stands_when_that_changes(self, waiting, window):
        waiting.note_turn(3, "")
        waiting.note_turn(3, "")
        (told,) = taken(window)
        assert json.loads(told)["queue_position"] == 3

    async def test_tells_why_it_waits_and_when_that_is_over(self, waiting, window):
        waiting.note_turn(None, "no machine")
        waiting.note_turn(None, "no machine")
        (told,) = taken(window)
        assert json.loads(told) == {"type": "notice", "code": "waiting", "message": "no machine"}
        later = Window(lambda: None)
        waiting.attach(later, Encoding.IDENTITY)
        assert "no machine" in str(taken(later))
        waiting.note_turn(None, "")
        assert "A compute machine is there" in str(taken(window))
        another = Window(lambda: None)
        waiting.attach(another, Encoding.IDENTITY)
        assert "no machine" not in str(taken(another))

    async def test_when_it_is_claimed_its_process_is_told_who_watches(self, waiting, window, bus):
        waiting.move_to("c1")
        process, kind, fields = bus.told[-1]
        assert (process, kind, fields["said"]["viewers"]) == ("c1", "watch", 1)
        assert fields["said"]["fresh"]
        waiting.hear(encode(status("starting", session="_-1")))
        assert '"state":"starting"' in taken(window)[0]

    async def test_a_claim_that_was_not_heard_is_read(self, waiting, window, bus, stored, remotes):
        """And an order that comes before it is heard goes to the right process."""
        claimed = {**stored.message, "state": "starting", "epoch": 1}
        waiting.adopt(replace(stored, message=claimed, process="c1"))
        assert not waiting.waits
        assert bus.told[-1][0] == "c1"
        assert remotes.owners == {"_-1": "c1"}

    async def test_is_stopped_by_its_owner_or_whoever_has_the_token(self, waiting, remotes):
        stop = {"type": "stop"}
        with pytest.raises(Forbidden):
            await waiting.obey(stop, Caller(Identity(browser="bob"), token="wrong"))
        assert remotes.ended is None
        await waiting.obey(stop, Caller(self.ADA))
        assert (remotes.ended, waiting.status()["state"]) == ("client", "stopped")
        await waiting.obey(stop, Caller(self.ADA))

    async def test_is_stopped_with_the_token(self, waiting, remotes):
        await waiting.obey({"type": "stop"}, Caller(token="mine", by="admin"))
        assert remotes.ended == "admin"

    async def test_can_do_nothing_else(self, waiting):
        await waiting.obey({"type": "status"}, Caller(self.ADA))
        with pytest.raises(WrongState, match="it can only be stopped"):
            await waiting.obey({"type": "pause"}, Caller(self.ADA))

    async def test_a_stop_that_comes_too_late_goes_to_its_process(self, waiting, remotes, stored):
        async def end_waiting(session_id, by):
            claimed = {**stored.message, "state": "running", "epoch": 1}
            remotes.stored = replace(stored, message=claimed, process="c1")
            return False

        async def order(session_id, content, caller):
            return status("stopping", session=session_id, stop={"step": 1})

        remotes.placing.end_waiting = end_waiting
        remotes.orders = SimpleNamespace(order=order)
        await waiting.obey({"type": "stop"}, Caller(self.ADA))
        assert waiting.status()["state"] == "stopping"


def test_the_plain_dialect_hears_only_that_it_failed(session):
    window = PlainWindow(lambda: None)
    session.attach(window, None)
    session.hear(encode(status("running")))
    assert taken(window) == []
    session.hear(encode(status("failed", error={"message": "division\nby zero"})))
    assert taken(window) == ["error: division by zero"]
    late = PlainWindow(lambda: None)
    session.attach(late, None)
    assert taken(late) == ["error: division by zero"]
