"""What is kept of a session in the database, how long, and how large it may be."""

import asyncio
import json
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone

from streaming.delivery.framing import Encoding, decode_frame
from streaming.delivery.window import Window
from streaming.engine.frames import Frame
from streaming.engine.series import GAP, Series
from streaming.models import LargeParams, LastFrame, LastLines, StreamSession
from streaming.sessions import rows
from streaming.sessions.records import Records
from streaming.sessions.stored import Archive
from tests.sessions.rows import row


@pytest.mark.django_db(transaction=True)
class TestLastFrames:
    def frame(self):
        return Frame(3, 7, b"<svg>x</svg>")

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
            patch.setattr(rows, "_keep", failing)
            ended = row(state="stopped")
            last = {rows.LAST_FRAME: self.frame(), rows.LAST_LINES: None}
            with pytest.raises(OperationalError):
                rows.write({"s1": {**ended, **last}})
        assert StreamSession.objects.get().state == "running"

    def test_go_after_an_hour(self):
        records = Records()
        records.save("old", row(state="stopped"), self.frame())
        assert records.flush(5)
        LastFrame.objects.update(kept=timezone.now() - timedelta(seconds=rows.KEEP_S + 1))
        records.save("new", row(state="stopped"), self.frame())
        assert records.flush(5)
        assert [kept.pk for kept in LastFrame.objects.all()] == ["new"]

    def test_the_newest_stay_when_there_are_too_many(self, monkeypatch):
        monkeypatch.setattr(rows, "KEEP_FRAMES", 2)
        records = Records()
        for name in "abcd":
            records.save(name, row(state="stopped"), self.frame())
            assert records.flush(5)
        assert {kept.pk for kept in LastFrame.objects.all()} == {"c", "d"}


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
        monkeypatch.setattr(rows, "KEEP_FRAMES", 2)
        records = Records()
        self.save(records, "old", self.series())
        LastLines.objects.update(kept=timezone.now() - timedelta(seconds=rows.KEEP_S + 1))
        for name in "abc":
            self.save(records, name, self.series())
        assert {kept.pk for kept in LastLines.objects.all()} == {"b", "c"}


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
        assert rows.prune() == 2
        assert self.left() == ["going", "s0", "s1"]

    def test_keeps_so_many_of_the_newest(self, settings):
        settings.LIVESTEP = {"HISTORY_SESSIONS": 3}
        for number in range(8):
            self.ended(number, number / 100)
        assert rows.prune() == 5
        assert self.left() == ["s0", "s1", "s2"]
        assert rows.prune() == 0

    def test_keeps_everything_where_that_is_wanted(self, settings):
        settings.LIVESTEP = {"HISTORY_DAYS": 0, "HISTORY_SESSIONS": 0}
        for number in range(5):
            self.ended(number, 4000)
        assert rows.prune() == 0

    def test_deletes_logins_that_have_expired(self):
        for days in (-1, 1):
            expires = timezone.now() + timedelta(days=days)
            Session.objects.create(session_key=str(days), session_data="", expire_date=expires)
        rows.prune()
        assert [session.session_key for session in Session.objects.all()] == ["1"]


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
        rows.prune()
        assert LargeParams.objects.count() == 1
        StreamSession.objects.all().delete()
        rows.prune()
        assert LargeParams.objects.count() == 0

    def test_that_were_pruned_a_moment_ago_are_kept_again(self, monkeypatch):
        """Another process may have done so between the look and the commit."""
        records, exists = Records(), []
        real = rows._kept_params

        def pruned(params):
            kept = real(params)
            if not exists:
                exists.append(LargeParams.objects.all().delete())
            return kept

        monkeypatch.setattr(rows, "_kept_params", pruned)
        self.write(records, "s1", "x" * 5000)
        assert StreamSession.objects.get().all_params["text"] == "x" * 5000
