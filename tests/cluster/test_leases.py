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

    def renewed(self, process, incarnation):
        """Look twice after a session whose heart beats meanwhile."""
        leases = Leases(Bus(process), lambda row: False)
        StreamSession.objects.create(id="s1", **row(incarnation=incarnation))
        leases._look()
        later = timezone.now() + timezone.timedelta(seconds=4)
        for beat in (later, later + timezone.timedelta(seconds=4)):
            StreamSession.objects.update(heartbeat=beat)
            leases._look()

    def test_say_once_that_another_server_uses_this_ones_database(self, clock, caplog):
        self.renewed(Process(), "of another")
        assert caplog.text.count("uses this one's database") == 1

    def test_say_it_neither_of_ones_own_nor_where_several_are_meant(
        self, clock, caplog, monkeypatch
    ):
        process = Process()
        self.renewed(process, process.incarnation)
        StreamSession.objects.all().delete()
        monkeypatch.setattr(Process, "has_others", True)
        self.renewed(Process(), "of another")
        assert "uses this one's database" not in caplog.text

    def test_say_it_not_of_what_an_earlier_process_left(self, clock, caplog):
        leases = Leases(Bus(Process()), lambda row: False)
        StreamSession.objects.create(id="dead", **row(incarnation="of another"))
        leases._look()
        leases._look()
        assert "uses this one's database" not in caplog.text


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
