"""A session in this process: its hand-over of frames, its loss, and its wait for a first viewer."""

import asyncio
import itertools
import json
import time
from functools import partial

import pytest

from streaming.catalog.registry import registry
from streaming.delivery.framing import Encoding
from streaming.delivery.window import Window
from streaming.engine.simulations import Abandon
from streaming.engine.snapshot import StopReason
from streaming.identity import Identity
from streaming.sessions import abandonment as module
from tests.parts import close_sessions, sessions

WAIT_S = 15
NOBODY = Identity()


@pytest.fixture
async def create(no_rows):
    """Create a session that counts for ever; it is still to be started."""

    def create(owner=NOBODY, **options):
        params = {"level": 1, "size": 1}
        return sessions.create(registry.get("counter"), params, owner, fps=0, **options)

    yield create
    while viewers:
        viewers.pop().leave()
    await close_sessions()


viewers = []


class Viewer:
    """Watches a session and takes what comes, as a connection does."""

    def __init__(self, live):
        self.news = asyncio.Event()
        self.window = Window(self.news.set)
        self.messages, self.frames = [], []
        self.live = live
        live.attach(self.window, Encoding.IDENTITY)
        self.leave = partial(live.detach, self.window)
        viewers.append(self)

    def leave(self):
        self.live.detach(self.window)

    def take(self):
        while (content := self.window.take(time.monotonic())) is not None:
            if isinstance(content, str):
                self.messages.append(json.loads(content))
            else:
                self.frames.append(json.loads(content.partition(b"\n")[0]))
                self.window.ack(self.frames[-1]["seq"], time.monotonic())

    async def until(self, is_true):
        async with asyncio.timeout(WAIT_S):
            while not is_true():
                self.news.clear()
                self.take()
                if not is_true():
                    await self.news.wait()


@pytest.fixture
async def watch(create):
    """Watch sessions, until the end of the test."""
    viewers = []

    def watch(live):
        viewers.append(Viewer(live))
        return viewers[-1]

    yield watch
    for viewer in viewers:
        viewer.leave()


async def steps(live, count):
    """Wait until so many more frames were made, each after the one before was handed over."""
    wanted = live.session.snapshot().seq + count
    async with asyncio.timeout(WAIT_S):
        while live.session.snapshot().seq < wanted:
            await asyncio.sleep(0.001)


class TestHandOver:
    async def test_nothing_is_shown_while_the_lease_is_in_doubt(self, create, watch, monkeypatch):
        """Somebody may have given the session up, and have told its viewers so. It goes on
        meanwhile: nothing holds its worker up."""
        doubts = [True]
        live = create()
        is_in_doubt = property(lambda self: doubts[0])
        monkeypatch.setattr(type(sessions.records), "is_lease_in_doubt", is_in_doubt)
        viewer = watch(live)
        live.start()
        await steps(live, 5)
        viewer.take()
        assert viewer.frames == []
        doubts[0] = False
        await viewer.until(lambda: viewer.frames)
        assert viewer.frames[0]["seq"] >= 5

    async def test_one_that_was_overtaken_on_its_way_is_not_sent(self, create, watch):
        live = create()
        viewer = watch(live)
        first = live.session.keep_frame(b"<svg/>", None, 1)
        second = live.session.keep_frame(b"<svg/>", None, 2)
        live._hand_over(second)
        live._hand_over(first)
        viewer.take()
        assert [frame["seq"] for frame in viewer.frames] == [2]

    async def test_demand_says_whether_anybody_sees_a_frame_later(self, create, watch):
        live = create()
        board = live.session.board
        assert (board.frames_wanted, board.watched) == (0, 0)
        viewer = watch(live)
        assert (board.frames_wanted, board.watched) == (1, 1)
        for step in (1, 2):  # What fits at first.
            live._send_frame(live.session.keep_frame(b"<svg/>", None, step))
            while viewer.window.take(time.monotonic()) is not None:
                pass
        assert (board.frames_wanted, board.watched) == (0, 1)
        viewer.window.show(False, time.monotonic())
        assert (board.frames_wanted, board.watched) == (0, 0)
        viewer.window.show(True, time.monotonic())
        assert board.watched == 1
        viewer.leave()
        assert (board.frames_wanted, board.watched) == (0, 0)


class TestWhatIsPlotted:
    async def test_is_told_five_times_a_second_at_most_and_all_of_it(self, create, watch):
        """Whatever the pace of the steps is; its end waits for nobody."""
        live = create()
        live.session.begin()
        viewer = watch(live)
        told = []

        def look():
            viewer.take()
            said, viewer.messages = viewer.messages, []
            told.extend((time.monotonic(), one) for one in said if one["type"] == "series")

        async with asyncio.timeout(WAIT_S):
            step = 0
            while len(told) < 4:
                step += 1
                live.session.plot(step, {"loss": step})
                await asyncio.sleep(0.002)
                look()
            live.session.plot(step + 1, {"loss": 0.0})
            live.session.finish()
            while told[-1][1]["points"][-1][0] <= step:
                await asyncio.sleep(0.002)
                look()
        assert live.is_drained
        steps_told = [row[0] for _, one in told for row in one["points"]]
        assert steps_told == list(range(1, step + 2))
        times = [at for at, _ in told]
        assert all(later - one >= 0.15 for one, later in itertools.pairwise(times)), times

    async def test_is_there_for_who_comes_after_the_end(self, create, watch):
        live = create()
        live.session.begin()
        live.session.plot(1, {"loss": 0.5})
        live.session.finish()
        await live.wait_until_ended(WAIT_S)
        viewer = watch(live)
        viewer.take()
        assert viewer.messages[-1]["points"] == [[1, 0.5]]


class TestFinishedPicture:
    """One that lies on the board, since it was not due when its step ended."""

    async def test_is_out_before_a_slow_step_is_told(self, create, watch, monkeypatch):
        live = create()
        viewer = watch(live)
        live.session.leave_queue()
        live.session.begin()
        live.session.board.hold(3, "<svg/>")
        live.session.board.taken, live.session.board.began = 3, time.monotonic() - 60
        live.beat(record=False)
        viewer.take()
        assert [message["type"] for message in viewer.messages][-2:] == ["notice", "session"]
        assert viewer.messages[-1]["frames"]["step"] == 3
        assert [frame["step"] for frame in viewer.frames] == [3]
        live.session.board.began = 0
        live.session.fail("It is over.")

    async def test_is_what_frame_svg_shows(self, create):
        live = create()
        live.session.board.hold(3, "<svg/>")
        assert (await live.frame()).step == 3
        assert live.status()["frames"]["step"] == 3

    async def test_is_the_final_one_after_a_stop(self, create, watch):
        live = create()
        viewer = watch(live)
        live.session.board.hold(3, "<svg/>")
        live.request_stop(StopReason.CLIENT)
        await viewer.until(lambda: viewer.frames)
        assert [(frame["step"], frame["final"]) for frame in viewer.frames] == [(3, True)]


class TestLoss:
    async def test_is_said_under_the_next_epoch_and_shows_no_frame_more(self, create, watch):
        """A viewer ignores what comes late of the epoch before, and the row is another's."""
        live = create()
        viewer = watch(live)
        live.start()
        await viewer.until(lambda: viewer.frames)
        live.lose()
        await viewer.until(lambda: viewer.messages[-1]["state"] == "lost")
        told = [(message["epoch"], message["state"] == "lost") for message in viewer.messages]
        assert set(told) == {(1, False), (2, True)}
        assert live.row()["message"]["epoch"] == 2
        assert await asyncio.to_thread(live.join, WAIT_S)
        await asyncio.sleep(0)
        viewer.take()
        assert not any(frame["final"] for frame in viewer.frames)
        assert viewer.messages[-1]["state"] == "lost"


class TestBeforeItsStart:
    @pytest.mark.parametrize("policy", list(Abandon))
    async def test_it_waits_for_its_starter_no_longer_than_that(self, create, monkeypatch, policy):
        """Who wanted it may be gone by the time that its row is written; nobody else knows it."""
        monkeypatch.setattr(module, "FIRST_GRACE_S", 0.01)
        live = create(abandon=policy, abandon_grace=0)
        await asyncio.wait_for(live.ended.wait(), WAIT_S)
        assert live.session.snapshot().stop.by == "abandoned"
        assert not live.holds_thread

    async def test_it_waits_while_its_row_is_written_whatever_its_grace(self, create):
        """That of the plain dialect is 0."""
        live = create(abandon_grace=0)
        rung = asyncio.Event()
        # After any alarm that was set for now.
        asyncio.get_running_loop().call_later(0, rung.set)
        await rung.wait()
        assert not live.session.state.ended

    @pytest.mark.parametrize(("user", "ends"), [(None, True), (7, False)])
    async def test_a_strangers_is_kept_for_an_hour(self, create, monkeypatch, user, ends):
        monkeypatch.setattr(module, "KEPT_S", 0.01)
        live = create(abandon=Abandon.KEEP, abandon_grace=0, owner=Identity(user_id=user))
        live.start()
        rung = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, rung.set)
        await rung.wait()
        assert live.goes_on is not ends
        live.request_stop("client")

    @pytest.mark.parametrize(("user", "ends"), [(None, True), (7, False)])
    @pytest.mark.parametrize("paused_by", ["policy", "driver"])
    async def test_a_strangers_that_pauses_is_kept_for_an_hour(
        self, create, monkeypatch, paused_by, user, ends
    ):
        monkeypatch.setattr(module, "KEPT_S", 0.05)
        live = create(abandon=Abandon.PAUSE, abandon_grace=0, owner=Identity(user_id=user))
        live.start()
        if paused_by == "driver":
            live.session.pause()
        Viewer(live).leave()
        async with asyncio.timeout(WAIT_S):
            while not live.session.pause_requested:
                await asyncio.sleep(0.01)
        if ends:
            await asyncio.wait_for(live.ended.wait(), WAIT_S)
            assert live.session.snapshot().stop.by == "abandoned"
        else:
            rung = asyncio.Event()
            asyncio.get_running_loop().call_later(0.1, rung.set)
            await rung.wait()
            assert live.goes_on

    async def test_a_strangers_that_paused_is_kept_for_one_who_comes_back(
        self, create, monkeypatch
    ):
        monkeypatch.setattr(module, "KEPT_S", 0.2)
        live = create(abandon=Abandon.PAUSE, abandon_grace=0)
        live.start()
        Viewer(live).leave()
        async with asyncio.timeout(WAIT_S):
            while not live.session.pause_requested:
                await asyncio.sleep(0.01)
        Viewer(live)
        assert live._abandonment._timer is None
        assert not live.session.pause_requested

    async def test_what_was_started_is_kept_where_that_is_its_policy(self, create, monkeypatch):
        monkeypatch.setattr(module, "FIRST_GRACE_S", 0.01)
        live = create(abandon=Abandon.KEEP, abandon_grace=0)
        live.start()
        rung = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, rung.set)
        await rung.wait()
        assert live.goes_on
        assert not live.session.pause_requested


async def test_one_who_cannot_be_told_is_no_viewer(create, monkeypatch):
    live = create()
    monkeypatch.setattr(live, "report", lambda window: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        live.attach(Window(lambda: None), Encoding.IDENTITY)
    assert live.viewers == 0
