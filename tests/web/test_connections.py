"""How many WebSockets an address and an owner may have, and how many handshakes."""

import pytest

from streaming.engine.errors import TooManySessions
from streaming.web.connections import HANDSHAKE_BURST, Connections, address_of


class TestAddress:
    @pytest.mark.parametrize(
        ("client", "address"),
        [
            (["192.0.2.7", 1234], "192.0.2.7"),
            (["::ffff:192.0.2.7", 1234], "192.0.2.7"),
            (["2001:db8:1:2:3:4:5:6", 1234], "2001:db8:1:2::"),
            (["2001:db8:1:2:ffff::1", 0], "2001:db8:1:2::"),
            (["2001:db8:1:3::1", 0], "2001:db8:1:3::"),
            (["fe80::1%eth0", 0], "fe80::"),
        ],
    )
    def test_is_that_of_a_subscriber(self, client, address):
        assert address_of({"client": client}) == address

    @pytest.mark.parametrize(
        "client",
        [
            None,
            [],
            ["", 0],
            ["127.0.0.1", 1],
            ["127.3.2.1", 1],
            ["::1", 1],
            ["::ffff:127.0.0.1", 1],
        ],
    )
    def test_a_proxy_that_does_not_say_for_whom_shares_no_limit(self, client):
        assert address_of({"client": client}) is None

    @pytest.mark.parametrize("name", ["unknown", "192.0.2.7:80", "1.2.3.4\r\nX: y", "a" * 10_000])
    def test_what_is_none_is_none(self, name):
        assert address_of({"client": [name, 0]}) is None


class TestCounting:
    @pytest.fixture(autouse=True)
    def _limits(self, settings):
        settings.LIVESTEP = {"MAX_CONNECTIONS_PER_ADDRESS": 2, "MAX_CONNECTIONS_PER_OWNER": 3}

    def test_an_address_has_so_many_and_no_more(self):
        open_ones = Connections()
        first = open_ones.enter("192.0.2.7")
        open_ones.enter("192.0.2.7")
        with pytest.raises(TooManySessions, match="2 connections are open from your address"):
            open_ones.enter("192.0.2.7")
        open_ones.enter("192.0.2.8")
        open_ones.leave(first)
        open_ones.enter("192.0.2.7")

    def test_without_an_address_there_is_no_limit(self):
        open_ones = Connections()
        for _ in range(10):
            open_ones.enter(None)
        assert len(open_ones) == 10

    def test_an_owner_has_so_many_and_no_more_from_anywhere(self):
        open_ones = Connections()
        places = [open_ones.enter(f"192.0.2.{number}") for number in range(4)]
        for place in places[:3]:
            open_ones.belong(place, "user:1")
        with pytest.raises(TooManySessions, match="you have 3 connections open"):
            open_ones.belong(places[3], "user:1")
        open_ones.leave(places[3])
        open_ones.leave(places[0])
        open_ones.belong(open_ones.enter(None), "user:1")

    def test_nobody_in_particular_is_no_owner(self):
        open_ones = Connections()
        for _ in range(10):
            open_ones.belong(open_ones.enter(None), None)

    def test_zero_limits_nothing(self, settings):
        settings.LIVESTEP = {"MAX_CONNECTIONS_PER_ADDRESS": 0, "MAX_CONNECTIONS_PER_OWNER": 0}
        open_ones = Connections()
        for _ in range(100):
            open_ones.belong(open_ones.enter("192.0.2.7"), "user:1")

    def test_leaving_twice_takes_nothing_from_another(self):
        open_ones = Connections()
        first, second = open_ones.enter("192.0.2.7"), open_ones.enter("192.0.2.7")
        for place in (first, second):
            open_ones.belong(place, "user:1")
        open_ones.leave(first)
        open_ones.leave(first)
        assert (open_ones._by_address, open_ones._by_owner) == ({"192.0.2.7": 1}, {"user:1": 1})
        open_ones.leave(second)
        assert not open_ones._by_address
        assert not open_ones._by_owner


class TestHandshakes:
    def test_come_in_a_burst_and_then_at_the_rate(self):
        open_ones = Connections()
        admitted = [open_ones.admits("192.0.2.7", 0.0) for _ in range(HANDSHAKE_BURST + 5)]
        assert admitted == [True] * HANDSHAKE_BURST + [False] * 5
        assert open_ones.admits("192.0.2.8", 0.0)
        second = [open_ones.admits("192.0.2.7", 1.0) for _ in range(11)]
        assert second == [True] * 10 + [False]

    def test_have_no_limit_without_an_address_or_when_it_is_zero(self, settings):
        open_ones = Connections()
        assert all(open_ones.admits(None, 0.0) for _ in range(1000))
        settings.LIVESTEP = {"HANDSHAKES_PER_SECOND": 0}
        assert all(open_ones.admits("192.0.2.7", 0.0) for _ in range(1000))
        assert not open_ones._handshakes

    def test_from_addresses_without_number_cost_no_memory(self, monkeypatch):
        """Who makes them up forgets only those that were silent for longest."""
        monkeypatch.setattr("streaming.web.connections.MAX_ADDRESSES", 100)
        open_ones = Connections()
        for _ in range(HANDSHAKE_BURST):
            open_ones.admits("192.0.2.7", 0.0)
        for number in range(1000):
            open_ones.admits(f"2001:db8:0:{number:x}::", 0.0)
            assert not open_ones.admits("192.0.2.7", 0.0)
        assert len(open_ones._handshakes) == 100
