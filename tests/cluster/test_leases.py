"""Who gives up whom: by one's own clock, and only while somebody could renew a lease."""

import asyncio
import itertools

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from streaming.cluster import leases as module
from streaming.cluster.bus import Bus
from streaming.cluster.leases import Leases, Observer, Sign, give_up, give_up_lost, last_signs
from streaming.models import LOST_AFTER_S, Lease, StreamSession
from streaming.process import Process
from tests.sessions.rows import row

NOW = timezone.now()
SIGN = Sign("x", NOW, "here:1")


def later(seconds, base=NOW):
    return base + timezone.timedelta(seconds=seconds)


def create(*ids, incarnation="x", **fields):
    for one in ids:
        StreamSession.objects.create(id=one, **row(incarnation=incarnation, **fields))


def create_lease(incarnation="x", renewed=NOW):
    return Lease.objects.create(incarnation=incarnation, process="here:1", renewed=renewed)


def states():
    return dict(StreamSession.objects.values_list("pk", "state"))


class TestObserver:
    def test_a_heart_that_stands_still_for_long_enough_is_found(self):
        observer = Observer()
        assert observer.look([SIGN], 0) == []
        assert observer.look([SIGN], LOST_AFTER_S - 1) == []
        assert observer.look([SIGN], LOST_AFTER_S) == [SIGN]

    def test_a_beat_begins_the_wait_anew(self):
        observer = Observer()
        next_one = Sign("x", later(4), "here:1")
        observer.look([SIGN], 0)
        assert observer.look([next_one], LOST_AFTER_S) == []
        assert observer.look([next_one], 2 * LOST_AFTER_S) == [next_one]

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_a_wall_clock_that_is_set_ends_nobody(self, hours):
        """A beat that is an hour away from the others is a beat like any other."""
        observer = Observer()
        observer.look([SIGN], 0)
        moved = Sign("x", later(3600 * hours), "here:1")
        assert observer.look([moved], LOST_AFTER_S) == []

    def test_what_is_gone_is_forgotten(self):
        observer = Observer()
        observer.look([SIGN], 0)
        assert observer.is_watching
        observer.look([], 1)
        assert not observer.is_watching


@pytest.mark.django_db
class TestGivingUp:
    def test_takes_the_lease_and_all_sessions_of_its_process_and_no_others(self):
        create_lease()
        create_lease("y")
        create("one", "two", "over", heartbeat=later(2))
        create("other", incarnation="y")
        StreamSession.objects.filter(pk="over").update(state="stopped")
        (sign, _) = last_signs()
        assert {row.pk for row in give_up(sign)} == {"one", "two"}
        assert states() == {"one": "lost", "two": "lost", "over": "stopped", "other": "running"}
        session = StreamSession.objects.get(pk="one")
        assert (session.epoch, session.ended) == (2, NOW)
        assert "start it again" in session.error
        assert [lease.incarnation for lease in Lease.objects.all()] == ["y"]
        assert give_up(sign) == []

    def test_writes_the_same_for_ten_sessions_and_for_thousands(self):
        counts = []
        for number in (10, 2000):
            create_lease()
            many = [
                StreamSession(id=f"{number}-{one}", **row(incarnation="x")) for one in range(number)
            ]
            StreamSession.objects.bulk_create(many)
            with CaptureQueriesContext(connection) as queries:
                assert len(give_up(SIGN)) == number
            counts.append(len(queries))
        assert counts[0] == counts[1] <= 5

    def test_leaves_a_process_alone_that_has_renewed_its_lease_meanwhile(self):
        create_lease(renewed=later(1))
        create("alive")
        assert give_up(SIGN) == []
        assert states() == {"alive": "running"}

    def test_of_a_process_without_a_lease_goes_by_its_rows(self):
        """As one that was lost between its claim and its first row, or is of an older version."""
        create("dead", incarnation="old", heartbeat=NOW)
        create("early", incarnation="lives", heartbeat=NOW)
        create("late", incarnation="lives", heartbeat=later(5))
        signs = {sign.incarnation: sign for sign in last_signs()}
        assert signs["lives"].at == later(5)
        assert [row.pk for row in give_up(signs["old"])] == ["dead"]
        StreamSession.objects.filter(pk="late").update(heartbeat=later(9))
        give_up(signs["lives"])
        assert StreamSession.objects.get(pk="late").state == "running"

    def test_spares_what_was_started_after_another_has_given_the_process_up(self):
        """It was frozen, and lives; it has not taken its next lease yet."""
        create("new", heartbeat=later(1))
        assert give_up(SIGN) == []
        assert states() == {"new": "running"}


def make(is_known_to_live=lambda incarnation: False, looks=lambda: True, process=None):
    return Leases(Bus(process or Process()), is_known_to_live, looks)


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
        create_lease()
        create("dead")
        leases = make()
        assert leases._look() == []
        clock.now = LOST_AFTER_S
        assert [row.pk for row in leases._look()] == ["dead"]
        assert states() == {"dead": "lost"}
        assert leases._look() == []

    def test_take_a_lease_away_that_a_process_without_sessions_has_left(self, clock):
        create_lease()
        leases = make()
        leases._look()
        clock.now = LOST_AFTER_S
        assert leases._look() == []
        assert not Lease.objects.exists()

    def test_leave_those_alone_that_are_known_to_live(self, clock):
        create("own", incarnation="own")
        leases = make(lambda incarnation: incarnation == "own")
        leases._look()
        clock.now = LOST_AFTER_S
        assert leases._look() == []

    def test_a_row_that_something_holds_is_tried_again(self, clock, monkeypatch, caplog):
        """As a process does that was frozen while it wrote the row, for some seconds."""
        create_lease()
        create("dead")
        leases = make()
        leases._look()
        clock.now = LOST_AFTER_S

        def held(self, at):
            raise OperationalError("lock timeout")

        with monkeypatch.context() as broken:
            broken.setattr(type(StreamSession.objects.all()), "mark_lost", held)
            assert leases._look() == []
        assert "cannot be given up yet" in caplog.text
        assert Lease.objects.exists(), "all of it, or nothing"
        assert [row.pk for row in leases._look()] == ["dead"]

    async def test_only_those_look_that_are_wanted(self, clock, monkeypatch):
        looks, are_wanted, slept = [], iter([True, False, True]), []

        async def sleep(seconds):
            slept.append(seconds)
            if len(slept) == 3:
                raise TimeoutError

        leases = make(looks=lambda: next(are_wanted))
        monkeypatch.setattr(leases, "_look", lambda: looks.append(len(slept)) or [])
        monkeypatch.setattr(module.asyncio, "sleep", sleep)
        with pytest.raises(TimeoutError):
            await leases._look_on()
        assert looks == [0, 2]

    async def test_look_again_after_a_look_for_which_there_was_no_thread(self, monkeypatch, caplog):
        looks, third = itertools.count(1), asyncio.Event()

        async def ask(work):
            if next(looks) == 3:
                third.set()
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(module, "IDLE_S", 0.01)
        leases = make()
        monkeypatch.setattr(leases._database, "ask", ask)
        leases.start()
        await asyncio.wait_for(third.wait(), 5)
        leases.stop()
        assert "could not be looked after" in caplog.text

    def test_while_the_database_is_away_nobody_can_be_silent(self, clock, monkeypatch):
        create("alive")
        leases = make()
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
        leases = make(process=process)
        create("s1", incarnation=incarnation)
        create_lease(incarnation)
        leases._look()
        for seconds in (4, 8):
            Lease.objects.update(renewed=later(seconds))
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
        Lease.objects.all().delete()
        monkeypatch.setattr(Process, "has_others", True)
        self.renewed(Process(), "of another")
        assert "uses this one's database" not in caplog.text

    def test_say_it_not_of_what_an_earlier_process_left(self, clock, caplog):
        leases = make()
        create("dead", incarnation="of another")
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
        create_lease("dead", renewed=later(-60))
        create("dead", incarnation="dead")
        create("older", incarnation="older", heartbeat=later(-60))
        create_lease("alive", renewed=timezone.now())
        create("alive", incarnation="alive", heartbeat=later(-60))
        assert give_up_lost() == 2
        assert states() == {"dead": "lost", "older": "lost", "alive": "running"}

    def test_whose_clock_only_seems_late_is_not(self, monkeypatch):
        create("alive")
        create_lease(renewed=later(-3600))
        renew = lambda seconds: Lease.objects.update(renewed=later(-3596))  # noqa: E731
        monkeypatch.setattr(module.time, "sleep", renew)
        assert give_up_lost() == 0
        assert StreamSession.objects.get().state == "running"

    def test_where_all_live_nothing_is_waited_for(self):
        create("alive")
        create_lease(renewed=timezone.now())
        assert give_up_lost() == 0
        assert self.waits == []
