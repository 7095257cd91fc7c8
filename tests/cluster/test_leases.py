"""Who gives up whom: by one's own clock, and only while somebody could renew a lease."""

import pytest
from django.db import OperationalError
from django.utils import timezone

from streaming.cluster import leases as module
from streaming.cluster.bus import Bus
from streaming.cluster.leases import Leases, Observer, give_up_lost
from streaming.models import LOST_AFTER_S, StreamSession
from streaming.process import Process
from tests.sessions.test_records import row

BEAT = ("s1", timezone.now())


class TestObserver:
    def test_a_heart_that_stands_still_for_long_enough_is_found(self):
        observer = Observer()
        assert observer.look([BEAT], 0) == []
        assert observer.look([BEAT], LOST_AFTER_S - 1) == []
        assert observer.look([BEAT], LOST_AFTER_S) == [BEAT]

    def test_a_beat_begins_the_wait_anew(self):
        observer = Observer()
        later = ("s1", timezone.now())
        observer.look([BEAT], 0)
        assert observer.look([later], LOST_AFTER_S) == []
        assert observer.look([later], 2 * LOST_AFTER_S) == [later]

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_a_wall_clock_that_is_set_ends_nobody(self, hours):
        """A beat that is an hour away from the others is a beat like any other."""
        observer = Observer()
        observer.look([BEAT], 0)
        moved = ("s1", BEAT[1] + timezone.timedelta(hours=hours))
        assert observer.look([moved], LOST_AFTER_S) == []

    def test_what_is_gone_is_forgotten(self):
        observer = Observer()
        observer.look([BEAT], 0)
        assert observer.is_watching
        observer.look([], 1)
        assert not observer.is_watching


@pytest.mark.django_db
class TestLeases:
    @pytest.fixture
    def clock(self, monkeypatch):
        class Clock:
            now = 0.0

        monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
        # The test's own connection, in which its rows are.
        monkeypatch.setattr(module.connections, "close_all", lambda: None)
        return Clock

    def test_give_up_what_stands_still(self, clock):
        StreamSession.objects.create(id="dead", **row())
        leases = Leases(Bus(Process()), lambda row: False)
        assert leases._look() == []
        clock.now = LOST_AFTER_S
        assert [row.pk for row in leases._look()] == ["dead"]
        session = StreamSession.objects.get()
        assert (session.state, session.epoch) == ("lost", 2)
        assert "start it again" in session.error
        assert leases._look() == []

    def test_leave_those_alone_that_are_known_to_live(self, clock):
        StreamSession.objects.create(id="own", **row())
        leases = Leases(Bus(Process()), lambda row: row.pk == "own")
        leases._look()
        clock.now = LOST_AFTER_S
        assert leases._look() == []

    def test_while_the_database_is_away_nobody_can_be_silent(self, clock, monkeypatch):
        StreamSession.objects.create(id="alive", **row())
        leases = Leases(Bus(Process()), lambda row: False)
        leases._look()

        def away(self):
            raise OperationalError("away")

        with monkeypatch.context() as broken:
            broken.setattr(type(StreamSession.objects.all()), "active", away)
            clock.now = LOST_AFTER_S - 1
            assert leases._look() == []
        clock.now = LOST_AFTER_S + 1
        assert leases._look() == []


@pytest.mark.django_db
class TestFromACommand:
    @pytest.fixture(autouse=True)
    def no_wait(self, monkeypatch):
        self.waits = []
        monkeypatch.setattr(module.time, "sleep", self.waits.append)

    def test_what_does_not_move_between_two_looks_is_given_up(self):
        old = timezone.now() - timezone.timedelta(seconds=60)
        StreamSession.objects.create(id="dead", **row(heartbeat=old))
        StreamSession.objects.create(id="alive", **row())
        assert give_up_lost() == 1
        assert StreamSession.objects.get(pk="dead").state == "lost"
        assert StreamSession.objects.get(pk="alive").state == "running"

    def test_whose_clock_only_seems_late_is_not(self, monkeypatch):
        old = timezone.now() - timezone.timedelta(hours=1)
        StreamSession.objects.create(id="alive", **row(heartbeat=old))
        renew = lambda seconds: StreamSession.objects.update(heartbeat=old + timezone.timedelta(1))  # noqa: E731
        monkeypatch.setattr(module.time, "sleep", renew)
        assert give_up_lost() == 0
        assert StreamSession.objects.get().state == "running"

    def test_where_all_live_nothing_is_waited_for(self):
        StreamSession.objects.create(id="alive", **row())
        assert give_up_lost() == 0
        assert self.waits == []
