"""The live sessions of a process: retention, heartbeat, and their rows."""

import asyncio
import itertools
import threading
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from streaming.catalog.forms import validate_params
from streaming.catalog.registry import registry
from streaming.cluster.leases import give_up, last_signs
from streaming.delivery.framing import Encoding
from streaming.delivery.window import Window
from streaming.engine.errors import UnknownSession
from streaming.engine.params import Upload
from streaming.engine.simulations import Abandon
from streaming.identity import Identity
from streaming.models import Lease, StreamSession
from streaming.process import process
from streaming.sessions import abandonment
from streaming.sessions import pool as module
from streaming.sessions.pool import Pool
from tests.parts import NoRecords, close_sessions, records, sessions
from tests.samples import simulations as samples
from tests.sessions.rows import row

NAMED = Identity(name="ada")


@pytest.fixture
async def run(no_rows):
    """Start a session of a simulation that nobody watches."""

    def run(name, owner=NAMED, abandon=None, **given):
        simulation = registry.get(name)
        params = validate_params(simulation, given)
        live = sessions.create(simulation, params, owner, abandon=abandon)
        live.start()
        return live

    yield run
    await close_sessions()


async def ended(live):
    await asyncio.wait_for(live.ended.wait(), 5)
    await asyncio.to_thread(live.join, 5)


class TestRetention:
    async def test_an_ended_session_is_kept_for_an_hour(self, run, monkeypatch):
        live = run("finite")
        await ended(live)
        assert sessions.get(live.id) is live
        now = time.monotonic()
        monkeypatch.setattr(module.time, "monotonic", lambda: now + 3599)
        assert sessions.get(live.id) is live
        monkeypatch.setattr(module.time, "monotonic", lambda: now + 3601)
        with pytest.raises(UnknownSession, match="ended too long ago"):
            sessions.get(live.id)

    async def test_at_most_so_many_are_kept_the_newest_of_them(self, run, monkeypatch):
        monkeypatch.setattr(module, "KEEP_ENDED", 2)
        lives = []
        for _ in range(4):
            lives.append(run("finite"))
            await ended(lives[-1])
        going = run("counter")
        with pytest.raises(UnknownSession):
            sessions.get(lives[1].id)
        assert sessions.get(lives[2].id)
        assert sessions.get(lives[3].id)
        assert sessions.get(going.id)

    @pytest.mark.parametrize("value", ["x" * 100_000, b"x" * 100_000, Upload("a", b"x" * 100_000)])
    async def test_large_parameters_count(self, run, monkeypatch, value):
        monkeypatch.setattr(module, "KEEP_ENDED_BYTES", 250_000)
        lives = []
        for _ in range(3):
            lives.append(run("finite"))
            await ended(lives[-1])
            lives[-1].session._params["large"] = value
        run("finite")
        assert [live.id in sessions._sessions for live in lives] == [False, True, True]

    async def test_at_most_so_many_bytes_are_kept(self, run, monkeypatch):
        monkeypatch.setattr(module, "KEEP_ENDED_BYTES", 250_000)
        lives = []
        for _ in range(3):
            lives.append(run("finite"))
            await ended(lives[-1])
            frame = lives[-1].session.frame
            object.__setattr__(frame, "svg", b"x" * 100_000)
        run("finite")
        assert [live.id in sessions._sessions for live in lives] == [False, True, True]


class TestDisplacement:
    """All places are kept for people who have gone; somebody without a place waits."""

    ADA, BOB = Identity(user_id=1), Identity(user_id=2)
    STRANGERS = Identity(browser="one"), Identity(browser="two")

    @pytest.fixture(autouse=True)
    def _two_places(self, settings, monkeypatch):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 2}
        monkeypatch.setattr(abandonment, "GIVES_WAY_AFTER_S", 0.05)

    async def test_takes_what_nobody_has_watched_for_a_while(self, run):
        kept = [run("counter", owner, abandon=Abandon.KEEP) for owner in self.STRANGERS]
        waiting = run("counter", self.ADA)
        await ended(kept[0])
        async with asyncio.timeout(5):
            while waiting.session.state != "running":
                await asyncio.sleep(0.01)
        assert kept[0].session.snapshot().stop.by == "abandoned"
        assert kept[1].goes_on, "one is enough"

    async def test_takes_nothing_that_is_watched_or_of_a_user(self, run):
        watched = run("counter", self.STRANGERS[0])
        window = Window(lambda: None)
        watched.attach(window, Encoding.IDENTITY)
        of_a_user = run("counter", self.BOB, abandon=Abandon.KEEP)
        waiting = run("counter", self.ADA)
        await asyncio.sleep(0.1)
        sessions._displace()
        assert (watched.goes_on, of_a_user.goes_on) == (True, True)
        assert waiting.session.state == "queued"
        watched.detach(window)

    async def test_takes_nothing_for_one_who_has_a_place(self, run):
        kept = [run("counter", owner, abandon=Abandon.KEEP) for owner in self.STRANGERS]
        run("counter", self.STRANGERS[0])
        await asyncio.sleep(0.1)
        sessions._displace()
        assert [live.goes_on for live in kept] == [True, True]


class TestHeartbeat:
    async def test_ends_with_the_last_session(self, run, monkeypatch):
        monkeypatch.setattr(module, "STATUS_INTERVAL_S", 0.01)
        live = run("counter")
        heart, bell = sessions._heart, sessions._calls._bell
        assert not heart.done()
        assert not bell.closed
        live.request_stop("test")
        await ended(live)
        await asyncio.wait_for(heart, 5)
        # And what woke the loop for its threads.
        assert bell.closed

    async def test_gives_free_memory_back_and_waits_for_nothing(self, run, monkeypatch):
        monkeypatch.setattr(module, "STATUS_INTERVAL_S", 0.01)
        monkeypatch.setattr(module, "TRIM_S", 2)
        entered, let_on = [], threading.Event()
        monkeypatch.setattr(module, "trim_memory", lambda: entered.append(1) or let_on.wait(10))
        live = run("counter")
        try:
            async with asyncio.timeout(5):
                while not entered:
                    await asyncio.sleep(0.01)
            live.request_stop("test")
            await ended(live)
            await asyncio.wait_for(sessions._heart, 5)
            assert len(entered) == 1, "one at a time"
        finally:
            let_on.set()

    async def test_goes_on_when_one_session_cannot_say_how_it_is(self, run, monkeypatch, caplog):
        monkeypatch.setattr(module, "STATUS_INTERVAL_S", 0.01)
        ill, well = run("counter"), run("counter")
        beats = asyncio.Event()
        monkeypatch.setattr(ill, "beat", lambda record: 1 / 0)
        monkeypatch.setattr(well, "beat", lambda record: beats.set())
        await asyncio.wait_for(beats.wait(), 5)
        assert f"session {ill.id} could not say how it is" in caplog.text
        assert not sessions._heart.done()

    async def test_goes_on_where_the_system_has_no_thread_to_give(self, run, monkeypatch, caplog):
        monkeypatch.setattr(module, "STATUS_INTERVAL_S", 0.01)
        monkeypatch.setattr(module, "TRIM_S", 1)
        asked = itertools.count(1)

        def refuse(executor, work):
            if next(asked) == 3:
                is_enough.set()
            raise RuntimeError("can't start new thread")

        is_enough = asyncio.Event()
        with monkeypatch.context() as short:
            short.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
            run("counter")
            await asyncio.wait_for(is_enough.wait(), 5)
        assert not sessions._heart.done()
        assert "heartbeat" not in caplog.text

    async def test_goes_on_when_one_beat_fails(self, run, monkeypatch, caplog):
        monkeypatch.setattr(module, "STATUS_INTERVAL_S", 0.01)
        told, is_enough = itertools.count(1), asyncio.Event()
        live = run("counter")
        monkeypatch.setattr(live, "beat", lambda record: next(told) == 3 and is_enough.set())
        monkeypatch.setattr(sessions, "_displace", lambda: 1 / 0)
        await asyncio.wait_for(is_enough.wait(), 5)
        assert "a heartbeat was cut short" in caplog.text


class Going:
    """A session that goes on, as far as the heart knows it."""

    holds_thread = False

    def __init__(self, number, records):
        self.id, self.ended = f"s{number}", asyncio.Event()
        self.written_at = float("-inf")
        self._records, self.written = records, 0

    def beat(self, *, record):
        if record:
            self.written_at = time.monotonic()
            self.written += 1
            self._records.save(self.id, row())


class TestWhatAHeartbeatWrites:
    @pytest.fixture
    def beat(self, records_here):
        """Returns what a process with so many sessions asks of the database at a heartbeat."""

        def beat(count):
            pool = Pool(records_here)
            pool._sessions = {number: Going(number, records_here) for number in range(count)}
            records_here._has_lease = False
            with CaptureQueriesContext(connection) as queries:
                pool._beat_all(is_heartbeat=True)
                records_here.run()
            StreamSession.objects.all().delete()
            Lease.objects.all().delete()
            return [query["sql"].split()[0] for query in queries]

        return beat

    @pytest.mark.django_db
    def test_is_for_ten_thousand_sessions_what_it_is_for_ten(self, beat):
        assert beat(10_000) == beat(10)

    def test_comes_to_all_in_turn(self):
        records = NoRecords()
        pool = Pool(records)
        pool._sessions = {number: Going(number, records) for number in range(25)}
        for _ in range(6):
            pool._beat_all(is_heartbeat=True)
            pool._beat_all(is_heartbeat=False)
        assert {live.written for live in pool.all()} == {2, 3}


class TestUnstarted:
    async def test_a_thread_that_cannot_be_had_fails_the_session(self, run, monkeypatch):
        def no_thread(self):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr("streaming.engine.worker.Worker.start", no_thread)
        live = run("counter")
        await asyncio.wait_for(live.ended.wait(), 5)
        assert live.session.state == "failed"
        assert not live.holds_thread

    async def test_one_that_was_stopped_before_never_starts(self, no_rows):
        simulation = registry.get("counter")
        live = sessions.create(simulation, {"level": 1, "size": 4}, Identity())
        live.request_stop("test")
        live.start()
        assert live.session.state == "stopped"
        assert not live.holds_thread
        await close_sessions()


def give_up_the_only_process():
    """Returns what went with it. Should it renew its lease in between, that is tried again."""
    while True:
        (sign,) = last_signs()
        if lost := give_up(sign):
            return lost


@pytest.mark.django_db(transaction=True)
class TestLease:
    @pytest.fixture(autouse=True)
    def _without_one(self):
        """That of the tests before is gone with their tables, which the process does not know."""
        assert records.flush(5)
        records._has_lease = False

    async def test_is_held_while_there_are_sessions(self, run, monkeypatch):
        monkeypatch.setattr(module, "STATUS_INTERVAL_S", 0.01)
        live, heart = run("counter"), sessions._heart
        await sessions.settle(live)
        assert (await Lease.objects.aget()).incarnation == process.incarnation
        live.request_stop("test")
        await ended(live)
        await asyncio.wait_for(heart, 5)
        assert await asyncio.to_thread(records.flush, 5)
        assert not await Lease.objects.aexists()

    async def test_that_was_given_up_takes_its_sessions_with_it_and_no_later_ones(self, run):
        lives = [run("counter"), run("counter")]
        for live in lives:
            await sessions.settle(live)
        assert len(await asyncio.to_thread(give_up_the_only_process)) == 2
        later = run("counter")
        records.renew()
        for live in lives:
            await asyncio.wait_for(live.ended.wait(), 5)
            assert (live.session.state, live.epoch) == ("lost", 2)
        assert await asyncio.to_thread(records.flush, 5)
        assert later.goes_on
        assert (await StreamSession.objects.aget(pk=later.id)).epoch == 1
        assert (await Lease.objects.aget()).incarnation == process.incarnation


@pytest.mark.django_db(transaction=True)
class TestRows:
    async def test_say_how_a_session_began_and_ended(self, run):
        live = run("gated")
        assert await asyncio.to_thread(records.flush, 5)
        row = await StreamSession.objects.aget(pk=live.id)
        assert row.state in ("queued", "starting", "running")
        assert (row.owner, row.simulation) == ("ada", "gated")
        assert await StreamSession.objects.active().acount() == 1
        live.request_stop("test")
        await ended(live)
        assert await asyncio.to_thread(records.flush, 5)
        await row.arefresh_from_db()
        assert row.state == "stopped"
        assert row.stop_receipt.startswith("stopped in ")
        assert row.ended is not None
        assert await StreamSession.objects.active().acount() == 0

    async def test_keep_the_traceback_of_a_failure(self, run):
        live = run("broken")
        await ended(live)
        assert await asyncio.to_thread(records.flush, 5)
        row = await StreamSession.objects.aget(pk=live.id)
        assert row.error.startswith("The simulation failed after step 2")
        assert "in broken" in row.traceback

    async def test_keep_parameters_of_every_kind(self, run):
        live = run("every_kind", needed=1, colour="2")
        live.request_stop("test")
        await ended(live)
        assert await asyncio.to_thread(records.flush, 5)
        row = await StreamSession.objects.aget(pk=live.id)
        assert row.params["colour"] == 2
        assert row.params["flag"] is True

    async def test_a_stuck_session_stays_active_until_its_thread_ends(self, run, settings):
        settings.LIVESTEP = {"STOP_GRACE": 0}
        live = run("stubborn")
        assert await asyncio.to_thread(samples.entered.wait, 5)
        live.request_stop("test")
        await asyncio.wait_for(live.ended.wait(), 5)
        assert await asyncio.to_thread(records.flush, 5)
        row = await StreamSession.objects.active().aget(pk=live.id)
        assert row.state == "stuck"
        assert "in stubborn" in row.traceback
        samples.release.set()
        await asyncio.to_thread(live.join, 5)
        await asyncio.sleep(0)
        assert await asyncio.to_thread(records.flush, 5)
        assert await StreamSession.objects.active().acount() == 0
