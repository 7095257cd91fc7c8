"""Who may connect and who has to go; tests/live/test_requests.py has real crowds."""

import resource

import pytest

from streaming.server import places as module
from streaming.server.places import LEAST_PLACES, MOST_PLACES, REQUEST_PLACES, Places, most_places


class Connection:
    def __init__(self):
        self.ends = []

    def give_up(self, *, late):
        self.ends.append("late" if late else "crowded")
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def places(clock):
    return Places(64, clock)


def waiting(places, count, seconds=10.0):
    found = [Connection() for _ in range(count)]
    for connection in found:
        assert places.make_room()
        places.wait(connection, seconds)
    return found


class TestACrowd:
    def test_of_silent_ones_loses_the_one_that_has_waited_longest(self, places):
        silent = waiting(places, 20)
        assert [one.ends for one in silent] == [["crowded"]] * 4 + [[]] * 16
        assert len(places) == 16

    def test_of_whoever_has_asked_is_left_alone(self, places):
        for _ in range(64):
            asking = Connection()
            assert places.make_room()
            places.ask(asking)
            assert asking.ends == []
        assert not places.make_room()
        places.leave(asking)
        assert places.make_room()

    def test_of_websockets_leaves_room_for_requests(self, places):
        sockets = 0
        while places.has_room_for_socket():
            places.keep(Connection())
            sockets += 1
        assert sockets == 64 - REQUEST_PLACES
        for _ in range(3):
            assert places.make_room()
            asking = Connection()
            places.wait(asking, 10)
            places.ask(asking)
            places.leave(asking)

    def test_is_said_once_and_then_counted(self, places, caplog):
        waiting(places, 100)
        assert len(caplog.records) == 1
        assert "too many connections" in caplog.text


class TestTime:
    def test_is_over_for_who_has_not_asked(self, places, clock, caplog):
        slow, quick, patient = waiting(places, 3)
        places.ask(quick)
        places.wait(patient, 60)
        clock.now += 11
        places.give_up_late()
        assert (slow.ends, quick.ends, patient.ends) == (["late"], [], [])
        places.give_up_late()
        assert slow.ends == ["late"]
        assert "takes too long" in caplog.text

    def test_begins_anew_with_the_next_part_of_a_request(self, places, clock):
        (sender,) = waiting(places, 1)
        clock.now += 9
        places.expect(sender, 60)
        clock.now += 59
        places.give_up_late()
        assert sender.ends == []
        clock.now += 2
        places.give_up_late()
        assert sender.ends == ["late"]

    def test_is_given_to_none_that_has_left(self, places):
        (sender,) = waiting(places, 1)
        places.leave(sender)
        places.expect(sender, 60)
        assert len(places) == 0


@pytest.mark.parametrize(
    ("descriptors", "expected"),
    [
        (256, 124),
        (1024, 736),
        (16, LEAST_PLACES),
        (16384, MOST_PLACES),
        (resource.RLIM_INFINITY, MOST_PLACES),
    ],
)
def test_places_leave_descriptors_for_the_rest(monkeypatch, descriptors, expected):
    monkeypatch.setattr(module.resource, "getrlimit", lambda what: (descriptors, descriptors))
    assert most_places() == expected
