"""The one writer of rows: bounded, patient, and gone when there is nothing to write."""

import asyncio
import errno
import json
import threading
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import DataError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from streaming.delivery.protocol import Encoding, decode_frame
from streaming.delivery.window import Window
from streaming.engine.errors import SHORT_OF, Unavailable
from streaming.engine.frames import Frame
from streaming.engine.series import GAP, Series
from streaming.models import LargeParams, LastFrame, LastLines, Lease, StreamSession
from streaming.process import process
from streaming.sessions import records as module
from streaming.sessions.records import Records
from streaming.sessions.stored import Archive


def row(**fields):
    now = timezone.now()
    return {
        "simulation": "ising", "title": "Ising", "engine": "thread", "state": "running",
        "user_id": None, "owner": "ada", "params": {}, "step": 0, "frames": 0, "viewers": 0,
        "process": "here:1", "started": now, "ended": None, "heartbeat": now,
        "stop_receipt": "", "error": "", "traceback": "", **fields,
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
class TestWriting:
    def test_the_newest_row_of_a_session_wins(self):
        records = Records()
        for step in range(50):
            records.save("s1", row(step=step))
        assert records.flush(5)
        assert StreamSession.objects.get().step == 49

    def test_the_thread_ends_with_the_work_and_comes_back(self, monkeypatch):
        write, writers = module._write, []

        def noting(batch):
            writers.append(threading.current_thread())
            return write(batch)

        monkeypatch.setattr(module, "_write", noting)
        records = Records()
        for count in (1, 2, 3):
            records.save("s1", row())
            assert records.flush(5)
            assert len(set(writers)) == count
            writers[-1].join(5)
            assert not writers[-1].is_alive()

    def test_the_thread_ends_by_itself_when_nothing_comes(self, monkeypatch):
        monkeypatch.setattr(module, "LINGER_S", 0.01)
        records = Records()
        with records._lock:  # It cannot have ended before it is looked at.
            records.save("s1", row())
            thread = records._thread
        thread.join(5)
        assert records._thread is None
        assert StreamSession.objects.exists()

    def test_one_thread_with_one_connection_writes_what_comes_soon(self, monkeypatch):
        monkeypatch.setattr(module, "GATHER_S", 0)
        monkeypatch.setattr(module, "LINGER_S", 30)
        write, writers, written = module._write, [], threading.Semaphore(0)

        def noting(batch):
            done = write(batch)
            writers.append((threading.get_ident(), connection.connection))
            written.release()
            return done

        monkeypatch.setattr(module, "_write", noting)
        records = Records()
        for step in range(3):
            records.save("s1", row(step=step))
            assert written.acquire(timeout=5)
        assert records.flush(5)
        assert len(writers) == 3
        assert len(set(writers)) == 1

    def test_rows_that_follow_each_other_soon_are_one(self, monkeypatch):
        monkeypatch.setattr(module, "GATHER_S", 30)
        write, written = module._write, []

        def noting(batch):
            written.append({name: row["step"] for name, row in batch.items()})
            return write(batch)

        monkeypatch.setattr(module, "_write", noting)
        records = Records()
        for step in range(3):
            records.save("s1", row(step=step))
            records.save(f"other{step}", row())
        assert records.flush(5)  # It waits for no more then.
        assert written == [{"s1": 2, "other0": 0, "other1": 0, "other2": 0}]

    def test_a_connection_that_failed_is_not_used_again(self, monkeypatch):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        write, used = module._write, []

        def failing(batch):
            connection.ensure_connection()
            used.append(connection.connection)
            if len(used) == 1:
                raise OperationalError("the database was restarted")
            return write(batch)

        monkeypatch.setattr(module, "_write", failing)
        records = Records()
        records.save("s1", row())
        assert records.flush(5)
        assert len(set(map(id, used))) == 2

    def test_a_database_that_is_away_only_delays_what_is_written(self, monkeypatch):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        write, failures = module._write, [1, 1, 1]

        def failing(batch):
            if failures:
                failures.pop()
                raise OperationalError("the database is away")
            return write(batch)

        monkeypatch.setattr(module, "_write", failing)
        records = Records()
        records.save("s1", row(state="stopped"))
        assert records.flush(5)
        assert StreamSession.objects.get().state == "stopped"

    def test_a_user_that_is_gone_does_not_lose_the_row(self):
        records = Records()
        records.save("s1", row(user_id=12345))
        assert records.flush(5)
        assert StreamSession.objects.get().user is None

    def test_a_row_that_cannot_be_stored_does_not_take_others_with_it(self, caplog):
        records = Records()
        with records._lock:
            records.save("bad", row(error="\udcff"))
            records.save("good", row())
        assert records.flush(5)
        assert [session.pk for session in StreamSession.objects.all()] == ["good"]
        assert "the row of session bad was dropped" in caplog.text

    def test_a_row_that_the_database_refuses_stops_no_other(self, monkeypatch, caplog):
        """As PostgreSQL does, which takes no NUL."""
        write = module._update_or_create

        def refusing(session_id, values):
            if session_id == "bad":
                raise DataError("unsupported Unicode escape sequence")
            return write(session_id, values)

        monkeypatch.setattr(module, "_update_or_create", refusing)
        records = Records()
        with records._lock:
            records.save("bad", row())
            records.save("good", row())
        assert records.flush(5)
        assert [session.pk for session in StreamSession.objects.all()] == ["good"]
        assert "cannot be stored as it is" in caplog.text
        assert not records.is_failing

    def test_what_waits_is_bounded_and_ended_sessions_are_kept(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_WAITING", 3)
        monkeypatch.setattr(threading.Thread, "start", lambda self: None)
        records = Records()
        records.save("ended", row(ended=timezone.now()))
        for name in "abcdef":
            records.save(name, row())
        assert len(records._waiting) == 3
        assert "ended" in records._waiting


@pytest.mark.django_db(transaction=True)
class TestLease:
    def test_is_there_before_the_first_row_and_goes_after_the_last(self, monkeypatch):
        writes, write = [], module._write

        def noting(batch):
            writes.append(Lease.objects.count())
            return write(batch)

        monkeypatch.setattr(module, "_write", noting)
        records = Records()
        records.save("s1", row())
        records.begin_beating()
        assert records.flush(5)
        assert Lease.objects.get().incarnation == process.incarnation
        records.save("s1", row(state="stopped", ended=timezone.now()))
        records.end_beating()
        assert records.flush(5)
        assert not Lease.objects.exists()
        assert set(writes) == {1}

    def test_a_row_that_comes_after_it_takes_no_other(self):
        """As that of a thread that ends at last."""
        records = Records()
        records.save("s1", row(state="stopped", ended=timezone.now()))
        assert records.flush(5)
        assert not Lease.objects.exists()

    def test_is_renewed_by_one_statement_whatever_runs(self, records_here):
        records_here.save("s1", row())
        records_here.run()
        before = Lease.objects.get().renewed
        records_here.renew()
        with CaptureQueriesContext(connection) as queries:
            records_here.run()
        assert len(queries) == 1
        assert Lease.objects.get().renewed > before

    def test_who_was_given_up_writes_no_more_and_is_told(self):
        records, told = Records(), []
        records.on_lost = told.append
        records.save("s1", row(step=1))
        assert records.flush(5)
        StreamSession.objects.filter(pk="s1").mark_lost(timezone.now())
        records.save("s1", row(step=2))
        assert records.flush(5)
        session = StreamSession.objects.get()
        assert (session.state, session.step, session.epoch) == ("lost", 1, 2)
        assert told == ["s1"]

    def test_who_lost_it_is_told_what_went_with_it_and_takes_another(self):
        records, told = Records(), []
        records.on_lost = told.append
        for name in ("s1", "s2"):
            records.save(name, row(incarnation=process.incarnation))
        records.save("s3", row(incarnation="another's"))
        assert records.flush(5)
        Lease.objects.all().delete()
        StreamSession.objects.exclude(pk="s2").mark_lost(timezone.now())
        records.renew()
        assert records.flush(5)
        assert told == ["s1"]
        assert Lease.objects.get().incarnation == process.incarnation

    def test_a_database_that_is_away_only_delays_it(self, monkeypatch):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        renew, failures = module.lease.renew, [1, 1, 1]

        def failing():
            if failures:
                failures.pop()
                raise OperationalError("the database is away")
            return renew()

        monkeypatch.setattr(module.lease, "renew", failing)
        records = Records()
        records.begin_beating()
        assert records.flush(5)
        assert Lease.objects.exists()
        records.end_beating()
        assert records.flush(5)


@pytest.mark.django_db(transaction=True)
class TestLastFrames:
    def frame(self, text="x"):
        return Frame(3, 7, f"<svg>{text}</svg>".encode())

    def test_are_kept_when_a_session_ends(self):
        records = Records()
        records.save("s1", row(state="stopped"), self.frame())
        assert records.flush(5)
        frame, final = decode_frame(bytes(LastFrame.objects.get().message))
        assert (frame.seq, frame.step, frame.svg, final) == (3, 7, b"<svg>x</svg>", True)

    def test_are_written_with_the_end_or_not_at_all(self, monkeypatch):
        """Who finds how a session has ended finds its picture, too."""

        def failing(session_id, frame):
            raise OperationalError("gone in between")

        records = Records()
        records.save("s1", row())
        assert records.flush(5)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_keep", failing)
            ended = row(state="stopped")
            last = {module.LAST_FRAME: self.frame(), module.LAST_LINES: None}
            with pytest.raises(OperationalError):
                module._write({"s1": {**ended, **last}})
        assert StreamSession.objects.get().state == "running"

    def test_go_after_an_hour(self):
        records = Records()
        records.save("old", row(state="stopped"), self.frame())
        assert records.flush(5)
        LastFrame.objects.update(kept=timezone.now() - timedelta(seconds=module.KEEP_S + 1))
        records.save("new", row(state="stopped"), self.frame())
        assert records.flush(5)
        assert [kept.pk for kept in LastFrame.objects.all()] == ["new"]

    def test_the_newest_stay_when_there_are_too_many(self, monkeypatch):
        monkeypatch.setattr(module, "KEEP_FRAMES", 2)
        records = Records()
        for name in "abcd":
            records.save(name, row(state="stopped"), self.frame())
            assert records.flush(5)
        assert {kept.pk for kept in LastFrame.objects.all()} == {"c", "d"}

    def test_what_waits_for_the_database_is_bounded(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_FRAME_BYTES", 100)
        monkeypatch.setattr(threading.Thread, "start", lambda self: None)
        records = Records()
        for name in "abc":
            ended = row(state="stopped", ended=timezone.now())
            records.save(name, ended, self.frame("y" * 30))
        kept = [name for name, one in records._waiting.items() if one["last_frame"]]
        assert kept == ["b", "c"]


@pytest.mark.django_db(transaction=True)
class TestLastLines:
    """What was plotted is found after the end in any process, as the last frame is."""

    def series(self, steps=3):
        series = Series()
        for step in range(1, steps + 1):
            series.add(step, {"loss": 1 / step, "accuracy": GAP if step == 2 else step / 4})
        return series

    def save(self, records, name, series, **fields):
        ended = row(state="stopped", ended=timezone.now(), message={"session": name}, **fields)
        records.save(name, ended, None, series)
        assert records.flush(5)

    def told(self, name):
        """What a viewer is told that comes later."""
        window = Window(lambda: None)
        Archive().find(name).attach(window, Encoding.DEFLATE_RAW)
        texts = iter(lambda: window.take(0.0), None)
        return [one for one in map(json.loads, texts) if one.get("type") == "series"]

    def test_are_told_to_viewers_that_come_later(self):
        self.save(Records(), "s1", self.series())
        assert self.told("s1") == [
            {"type": "series", "names": ["loss"], "points": [[1, 1.0], [2, 0.5], [3, 1 / 3]]},
            {"type": "series", "names": ["accuracy"], "points": [[1, 0.25], [2, None], [3, 0.75]]},
        ]

    async def test_are_a_table_as_well(self):
        await asyncio.to_thread(self.save, Records(), "s1", self.series())
        table = await (await Archive().read("s1")).table()
        assert table.decode().splitlines() == [
            *("step,loss,accuracy", "1,1.0,0.25", "2,0.5,", f"3,{1 / 3},0.75"),
        ]

    def test_nothing_is_kept_where_nothing_was_plotted(self):
        self.save(Records(), "s1", Series())
        assert not LastLines.objects.exists()
        assert self.told("s1") == []

    def test_go_after_an_hour_and_when_they_are_too_many(self, monkeypatch):
        monkeypatch.setattr(module, "KEEP_FRAMES", 2)
        records = Records()
        self.save(records, "old", self.series())
        LastLines.objects.update(kept=timezone.now() - timedelta(seconds=module.KEEP_S + 1))
        for name in "abc":
            self.save(records, name, self.series())
        assert {kept.pk for kept in LastLines.objects.all()} == {"b", "c"}

    def test_count_among_what_waits_for_the_database(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_FRAME_BYTES", 1000)
        monkeypatch.setattr(threading.Thread, "start", lambda self: None)
        records = Records()
        for name in "abc":
            records.save(name, row(state="stopped"), None, self.series(6))
        kept = [name for name, one in records._waiting.items() if one["last_lines"]]
        assert kept == ["b", "c"]


@pytest.mark.django_db(transaction=True)
class TestSettling:
    async def test_waits_until_the_row_is_there(self):
        records = Records()
        records.save("s1", row())
        await records.settle("s1")
        assert await StreamSession.objects.aget()
        await records.settle("s1")

    async def test_waits_for_no_other_rows(self, monkeypatch):
        monkeypatch.setattr(module, "GATHER_S", 30)
        records = Records()
        records.save("s1", row())
        await records.settle("s1")
        assert await StreamSession.objects.aget()
        assert await asyncio.to_thread(records.flush, 5)

    async def test_what_has_just_been_written_is_not_waited_for(self, monkeypatch):
        """Between a write and the next look of the thread at what waits."""
        hold, is_held = threading.Event(), threading.Event()
        next_batch, looks = Records._next_batch, []

        def held(self):
            looks.append(1)
            if len(looks) == 2:
                is_held.set()
                hold.wait(30)
            return next_batch(self)

        monkeypatch.setattr(Records, "_next_batch", held)
        records = Records()
        records.save("s1", row())
        assert await asyncio.to_thread(is_held.wait, 30)
        await records.settle("s1")
        hold.set()
        assert await asyncio.to_thread(records.flush, 5)

    async def test_a_database_that_does_not_answer_refuses_with_a_sentence(self, monkeypatch):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        fail = threading.Event()
        fail.set()
        write = module._write

        def failing(batch):
            if fail.is_set():
                raise OperationalError("away")
            return write(batch)

        monkeypatch.setattr(module, "_write", failing)
        records = Records()
        for _ in range(2):  # The second time it is known.
            records.save("s1", row())
            with pytest.raises(Unavailable, match="the database does not answer"):
                await records.settle("s1")
        fail.clear()
        assert await asyncio.to_thread(records.flush, 5)
        await records.settle("s1")

    async def test_one_that_hangs_is_waited_for_no_longer_than_said(self, monkeypatch):
        release = threading.Event()
        monkeypatch.setattr(module, "ANSWER_S", 0.05)
        monkeypatch.setattr(module, "_write", lambda batch: release.wait(30) and [])
        records = Records()
        records.save("s1", row())
        with pytest.raises(Unavailable):
            await records.settle("s1")
        release.set()
        assert await asyncio.to_thread(records.flush, 5)


@pytest.mark.django_db(transaction=True)
class TestPruning:
    def ended(self, number, days):
        moment = timezone.now() - timedelta(days=days)
        values = row(state="stopped", ended=moment)
        StreamSession.objects.create(id=f"s{number}", **values)

    def left(self):
        return sorted(StreamSession.objects.values_list("pk", flat=True))

    def test_deletes_what_ended_long_ago_and_no_more(self, settings):
        settings.LIVESTEP = {"HISTORY_DAYS": 7}
        for number, days in enumerate((1, 6.9, 7.1, 400)):
            self.ended(number, days)
        StreamSession.objects.create(id="going", **row(started=timezone.now() - timedelta(days=99)))
        assert module.prune() == 2
        assert self.left() == ["going", "s0", "s1"]

    def test_keeps_so_many_of_the_newest(self, settings):
        settings.LIVESTEP = {"HISTORY_SESSIONS": 3}
        for number in range(8):
            self.ended(number, number / 100)
        assert module.prune() == 5
        assert self.left() == ["s0", "s1", "s2"]
        assert module.prune() == 0

    def test_keeps_everything_where_that_is_wanted(self, settings):
        settings.LIVESTEP = {"HISTORY_DAYS": 0, "HISTORY_SESSIONS": 0}
        for number in range(5):
            self.ended(number, 4000)
        assert module.prune() == 0

    def test_deletes_logins_that_have_expired(self):
        for days in (-1, 1):
            expires = timezone.now() + timedelta(days=days)
            Session.objects.create(session_key=str(days), session_data="", expire_date=expires)
        module.prune()
        assert [session.session_key for session in Session.objects.all()] == ["1"]

    def test_comes_by_itself_and_not_at_each_row(self, monkeypatch):
        pruned = []
        monkeypatch.setattr(module, "prune", lambda: pruned.append(1) or 0)
        records = Records()
        for _ in range(3):
            records.save("s1", row())
            assert records.flush(5)
        assert len(pruned) == 1

    def test_goes_on_until_nothing_is_left_of_much(self, monkeypatch, settings):
        settings.LIVESTEP = {"HISTORY_DAYS": 1}
        monkeypatch.setattr(module, "MOST_PRUNED", 2)
        for number in range(5):
            self.ended(number, 3)
        records = Records()
        for _ in range(3):
            records.save("s9", row())
            assert records.flush(5)
        assert self.left() == ["s9"]

    def test_that_fails_does_not_stop_the_writer(self, monkeypatch, caplog):
        monkeypatch.setattr(module, "prune", lambda: 1 / 0)
        records = Records()
        records.save("s1", row())
        assert records.flush(5)
        assert self.left() == ["s1"]
        assert "could not be deleted" in caplog.text


@pytest.mark.django_db(transaction=True)
class TestLargeParameters:
    def write(self, records, session_id, text, **fields):
        records.save(session_id, row(params={"text": text, "closed": True}, **fields))
        assert records.flush(5)

    def test_are_kept_once_however_many_sessions_have_them(self):
        records = Records()
        for number in range(3):
            self.write(records, f"s{number}", "x" * 250_000)
        assert LargeParams.objects.count() == 1
        for session in StreamSession.objects.all():
            assert session.params == {}
            assert session.all_params == {"text": "x" * 250_000, "closed": True}

    def test_that_change_are_others_and_small_ones_are_in_the_row(self):
        records = Records()
        for text in ("x" * 5000, "y" * 5000, "small"):
            self.write(records, "s1", text)
            assert StreamSession.objects.get().all_params["text"] == text
        assert StreamSession.objects.get().large_params is None

    def test_go_with_the_last_session_that_has_them(self, settings):
        records = Records()
        self.write(records, "s1", "x" * 5000)
        module.prune()
        assert LargeParams.objects.count() == 1
        StreamSession.objects.all().delete()
        module.prune()
        assert LargeParams.objects.count() == 0

    def test_that_were_pruned_a_moment_ago_are_kept_again(self, monkeypatch):
        """Another process may have done so between the look and the commit."""
        records, exists = Records(), []
        real = module._kept_params

        def pruned(params):
            kept = real(params)
            if not exists:
                exists.append(LargeParams.objects.all().delete())
            return kept

        monkeypatch.setattr(module, "_kept_params", pruned)
        self.write(records, "s1", "x" * 5000)
        assert StreamSession.objects.get().all_params["text"] == "x" * 5000


@pytest.mark.django_db(transaction=True)
class TestShortage:
    async def test_of_threads_is_named_and_over_when_there_is_one(self, monkeypatch):
        def no_thread(self):
            raise RuntimeError("can't start new thread")

        records = Records()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            records.save("s1", row())
            with pytest.raises(Unavailable, match="no more processes or threads"):
                await records.settle("s1")
            assert records.is_failing
        await records.settle("s1")
        assert not records.is_failing
        assert await asyncio.to_thread(records.flush, 5)
        assert await asyncio.to_thread(StreamSession.objects.get)

    @pytest.mark.parametrize(
        ("error", "descriptors", "said"),
        [
            ("database or disk is full", True, "the disk is full"),
            ("database is locked", True, "another program keeps the database locked"),
            ("unable to open database file", False, "the server has no file descriptor left"),
            ("away", True, "the database does not answer"),
        ],
    )
    async def test_of_other_things_is_named_and_over_with_them(
        self, monkeypatch, error, descriptors, said
    ):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        write, failed = module._write, threading.Event()

        def failing(batch):
            failed.set()
            raise OperationalError(error)

        def no_descriptor(*args):
            raise OSError(errno.EMFILE, "")

        records = Records()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_write", failing)
            if not descriptors:
                patch.setattr(module.os, "open", no_descriptor)
            records.save("s1", row())
            with pytest.raises(Unavailable, match=said):
                await records.settle("s1")
        assert write is module._write
        assert await asyncio.to_thread(records.flush, 5)
        await records.settle("s1")
        assert not records.is_failing


def test_every_shortage_is_among_the_words_to_be_translated():
    assert set(SHORT_OF.values()) == set(module.SHORTAGES)


class TestDoubt:
    @pytest.fixture
    def clock(self, monkeypatch):
        class Clock:
            now = 100.0

        monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
        return Clock

    @pytest.fixture
    def answers(self, monkeypatch):
        """What comes of each look at the lease."""
        answers = []

        def renew():
            answer = answers.pop(0)()
            if isinstance(answer, Exception):
                raise answer
            return []

        monkeypatch.setattr(module.lease, "renew", renew)
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
        return answers

    @pytest.fixture
    def records(self, records_here, answers):
        answers.append(lambda: None)
        records_here.begin_beating()
        records_here.run()
        return records_here

    def stand_still(self, records, clock):
        clock.now += 1
        records.note_beat()
        assert not records.is_lease_in_doubt
        clock.now += module.STANDSTILL_S + 1
        assert records.is_lease_in_doubt
        records.note_beat()
        assert records.is_lease_in_doubt

    def test_who_stood_still_doubts_until_the_database_has_answered(self, records, clock, answers):
        doubts = []

        def note(answer=None):
            doubts.append(records.is_lease_in_doubt)
            return answer

        self.stand_still(records, clock)
        # A connection that was cut meanwhile says nothing of that.
        answers += [lambda: note(OperationalError("the connection is closed")), note]
        records.run()
        assert doubts == [True, True]
        assert not records.is_lease_in_doubt

    def test_an_answer_from_before_says_nothing(self, records, clock, answers):
        """The process stood still while it looked at the lease."""
        doubts = []
        answers.append(lambda: self.stand_still(records, clock))
        answers.append(lambda: doubts.append(records.is_lease_in_doubt))
        records.renew()
        records.run()
        assert doubts == [True]
        assert not records.is_lease_in_doubt

    def test_while_the_database_is_away_nobody_can_have_given_it_up(self, records, clock, answers):
        doubts = []

        def away():
            doubts.append(records.is_lease_in_doubt)
            return OperationalError("away")

        self.stand_still(records, clock)
        answers += [away] * (module.MOST_DOUBTS + 1) + [lambda: None]
        records.run()
        assert doubts == [True] * module.MOST_DOUBTS + [False]
