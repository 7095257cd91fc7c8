"""The one writer of rows: bounded, patient, and gone when there is nothing to write."""

import asyncio
import errno
import threading
from datetime import timedelta

import pytest
from django.db import DataError, InterfaceError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from streaming.engine.errors import SHORT_OF, Unavailable
from streaming.engine.frames import Frame
from streaming.engine.series import Series
from streaming.models import Lease, StreamSession
from streaming.process import process
from streaming.sessions import records as module
from streaming.sessions import rows
from streaming.sessions.records import Records
from tests.sessions.rows import row


@pytest.mark.django_db(transaction=True)
class TestWriting:
    def test_the_newest_row_of_a_session_wins(self):
        records = Records()
        for step in range(50):
            records.save("s1", row(step=step))
        assert records.flush(5)
        assert StreamSession.objects.get().step == 49

    def test_the_thread_ends_with_the_work_and_comes_back(self, monkeypatch):
        write, writers = rows.write, []

        def noting(batch):
            writers.append(threading.current_thread())
            return write(batch)

        monkeypatch.setattr(rows, "write", noting)
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
        write, writers, written = rows.write, [], threading.Semaphore(0)

        def noting(batch):
            done = write(batch)
            writers.append((threading.get_ident(), connection.connection))
            written.release()
            return done

        monkeypatch.setattr(rows, "write", noting)
        records = Records()
        for step in range(3):
            records.save("s1", row(step=step))
            assert written.acquire(timeout=5)
        assert records.flush(5)
        assert len(writers) == 3
        assert len(set(writers)) == 1

    def test_rows_that_follow_each_other_soon_are_one(self, monkeypatch):
        monkeypatch.setattr(module, "GATHER_S", 30)
        write, written = rows.write, []

        def noting(batch):
            written.append({name: row["step"] for name, row in batch.items()})
            return write(batch)

        monkeypatch.setattr(rows, "write", noting)
        records = Records()
        for step in range(3):
            records.save("s1", row(step=step))
            records.save(f"other{step}", row())
        assert records.flush(5)  # It waits for no more then.
        assert written == [{"s1": 2, "other0": 0, "other1": 0, "other2": 0}]

    def test_a_connection_that_failed_is_not_used_again(self, monkeypatch):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        write, used = rows.write, []

        def failing(batch):
            connection.ensure_connection()
            used.append(connection.connection)
            if len(used) == 1:
                raise OperationalError("the database was restarted")
            return write(batch)

        monkeypatch.setattr(rows, "write", failing)
        records = Records()
        records.save("s1", row())
        assert records.flush(5)
        assert len(set(map(id, used))) == 2

    @pytest.mark.parametrize("error", [OperationalError, InterfaceError])
    def test_a_database_that_is_away_only_delays_what_is_written(self, monkeypatch, error):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        write, failures = rows.write, [1, 1, 1]

        def failing(batch):
            if failures:
                failures.pop()
                raise error("the database is away")
            return write(batch)

        monkeypatch.setattr(rows, "write", failing)
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
        write = rows._update_or_create

        def refusing(session_id, values):
            if session_id == "bad":
                raise DataError("unsupported Unicode escape sequence")
            return write(session_id, values)

        monkeypatch.setattr(rows, "_update_or_create", refusing)
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
        writes, write = [], rows.write

        def noting(batch):
            writes.append(Lease.objects.count())
            return write(batch)

        monkeypatch.setattr(rows, "write", noting)
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
        write = rows.write

        def failing(batch):
            if fail.is_set():
                raise OperationalError("away")
            return write(batch)

        monkeypatch.setattr(rows, "write", failing)
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
        monkeypatch.setattr(rows, "write", lambda batch: release.wait(30) and [])
        records = Records()
        records.save("s1", row())
        with pytest.raises(Unavailable):
            await records.settle("s1")
        release.set()
        assert await asyncio.to_thread(records.flush, 5)


@pytest.mark.django_db(transaction=True)
class TestWhatWaits:
    """While the database is away."""

    @pytest.fixture
    def records(self, monkeypatch):
        monkeypatch.setattr(threading.Thread, "start", lambda self: None)
        return Records()

    def kept(self, records, what):
        return [name for name, one in records._waiting.items() if one[what]]

    def test_has_so_many_bytes_of_last_frames(self, records, monkeypatch):
        monkeypatch.setattr(module, "MAX_FRAME_BYTES", 100)
        for name in "abc":
            ended = row(state="stopped", ended=timezone.now())
            records.save(name, ended, Frame(3, 7, b"<svg>" + 30 * b"y" + b"</svg>"))
        assert self.kept(records, "last_frame") == ["b", "c"]

    def test_has_so_many_bytes_of_last_lines(self, records, monkeypatch):
        monkeypatch.setattr(module, "MAX_FRAME_BYTES", 1000)
        for name in "abc":
            series = Series()
            for step in range(1, 7):
                series.add(step, {"loss": 1 / step, "accuracy": step / 4})
            records.save(name, row(state="stopped"), None, series)
        assert self.kept(records, "last_lines") == ["b", "c"]


@pytest.mark.django_db(transaction=True)
class TestPruning:
    """What is deleted is in test_rows.py."""

    def left(self):
        return sorted(StreamSession.objects.values_list("pk", flat=True))

    def test_comes_by_itself_and_not_at_each_row(self, monkeypatch):
        pruned = []
        monkeypatch.setattr(rows, "prune", lambda: pruned.append(1) or 0)
        records = Records()
        for _ in range(3):
            records.save("s1", row())
            assert records.flush(5)
        assert len(pruned) == 1

    def test_goes_on_until_nothing_is_left_of_much(self, monkeypatch, settings):
        settings.LIVESTEP = {"HISTORY_DAYS": 1}
        monkeypatch.setattr(rows, "MOST_PRUNED", 2)
        moment = timezone.now() - timedelta(days=3)
        for number in range(5):
            StreamSession.objects.create(id=f"s{number}", **row(state="stopped", ended=moment))
        records = Records()
        for _ in range(3):
            records.save("s9", row())
            assert records.flush(5)
        assert self.left() == ["s9"]

    def test_that_fails_does_not_stop_the_writer(self, monkeypatch, caplog):
        monkeypatch.setattr(rows, "prune", lambda: 1 / 0)
        records = Records()
        records.save("s1", row())
        assert records.flush(5)
        assert self.left() == ["s1"]
        assert "could not be deleted" in caplog.text


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
        write, failed = rows.write, threading.Event()

        def failing(batch):
            failed.set()
            raise OperationalError(error)

        def no_descriptor(*args):
            raise OSError(errno.EMFILE, "")

        records = Records()
        with monkeypatch.context() as patch:
            patch.setattr(rows, "write", failing)
            if not descriptors:
                patch.setattr(module.os, "open", no_descriptor)
            records.save("s1", row())
            with pytest.raises(Unavailable, match=said):
                await records.settle("s1")
        assert write is rows.write
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
