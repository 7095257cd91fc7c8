"""The one writer of rows: bounded, patient, and gone when there is nothing to write."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from streaming import records as module
from streaming.models import StreamSession
from streaming.records import Records


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

    def test_the_thread_ends_with_the_work_and_comes_back(self):
        records = Records()
        for _ in range(3):
            records.save("s1", row())
            assert records.flush(5)
            assert "records" not in [
                thread.name
                for thread in threading.enumerate()
                if thread.is_alive() and thread is records._thread
            ]

    def test_a_database_that_is_away_only_delays_what_is_written(self, monkeypatch):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
        write, failures = module._write, [1, 1, 1]

        def failing(batch):
            if failures:
                failures.pop()
                raise OperationalError("the database is away")
            write(batch)

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

    def test_what_waits_is_bounded_and_ended_sessions_are_kept(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_WAITING", 3)
        monkeypatch.setattr(threading.Thread, "start", lambda self: None)
        records = Records()
        records.save("ended", row(ended=timezone.now()))
        for name in "abcdef":
            records.save(name, row())
        assert len(records._waiting) == 3
        assert "ended" in records._waiting


@pytest.mark.django_db
class TestLost:
    def test_a_session_whose_process_is_silent_is_lost(self):
        old = timezone.now() - timedelta(seconds=16)
        StreamSession.objects.create(id="silent", **row(heartbeat=old))
        StreamSession.objects.create(id="alive", **row())
        StreamSession.objects.create(id="over", **row(heartbeat=old, state="finished"))
        assert StreamSession.objects.mark_lost() == 1
        lost = StreamSession.objects.get(pk="silent")
        assert (lost.state, lost.ended) == ("lost", old)
        assert StreamSession.objects.get(pk="over").state == "finished"
