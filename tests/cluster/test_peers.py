"""What one process asks another: again and again, and obeyed once."""

import asyncio
from types import SimpleNamespace

import pytest

from streaming.cluster import peers as module
from streaming.cluster.orders import Orders, caller_fields
from streaming.cluster.owners import Owners
from streaming.cluster.peers import Peers
from streaming.engine.errors import (
    Forbidden,
    InvalidParams,
    Unavailable,
    UnknownSession,
    WrongState,
)
from streaming.engine.events import Pointer
from streaming.identity import Identity
from streaming.sessions.control import Caller


class Bus:
    """Carries everything to and fro at once, but for what is to be lost."""

    is_running = is_connected = True

    def __init__(self):
        self.process = SimpleNamespace(name="a", incarnation="incarnation-a", has_others=True)
        self.handlers, self.sent, self.losing = {}, [], set()

    @property
    def sender(self):
        return {"from": self.process.name, "incarnation": self.process.incarnation}

    def on(self, kind, handler):
        self.handlers[kind] = handler

    def post(self, process, kind, /, *, keep_s=1.0, **fields):
        self.sent.append((process, kind, fields))
        if kind not in self.losing:
            message = {**self.sender, "kind": kind, **fields}
            asyncio.get_running_loop().call_soon(self.handlers[kind], message)


class Live:
    """The session that is asked about."""

    id, owner = "b-1", Identity()

    def __init__(self):
        self.orders = 0

    def status(self):
        return {"state": "running", "orders": self.orders}

    def shows_token(self, token):
        return False

    async def obey(self, content, caller):
        raise NotImplementedError

    async def confide(self, what, caller):
        if caller.token != "theirs":
            raise Forbidden("only its owner may")
        return {"output": what}

    def say(self):
        pass


@pytest.fixture
def bus(monkeypatch):
    bus = Bus()
    monkeypatch.setattr(module, "REPEAT_S", 0.02)
    return bus


@pytest.fixture
def live():
    return Live()


class Pool:
    """The sessions that are asked about: one."""

    def __init__(self, live):
        self._live = live

    def get(self, session_id):
        if session_id != self._live.id:
            raise UnknownSession(f"there is no session {session_id}")
        return self._live


@pytest.fixture
async def cluster(bus, live):
    cluster = Peers(bus, Pool(live), dict)
    yield cluster
    await asyncio.sleep(0)


@pytest.fixture
def obeyed(monkeypatch, live):
    """What an order does."""

    async def obey(content, caller):
        live.orders += 1
        await asyncio.sleep(0.05)

    monkeypatch.setattr(live, "obey", obey)


async def attach(cluster, session_id, **options):
    return await cluster.ask("b", "attach", session_id, **caller_fields(Caller()), **options)


async def order(cluster, **fields):
    said = {"command": '{"type":"stop"}', "wait_s": 0, **caller_fields(Caller())}
    return await cluster.ask("b", "obey", "b-1", **{**said, **fields})


class TestAsking:
    async def test_is_answered(self, cluster):
        assert (await attach(cluster, "b-1"))["status"]["state"] == "running"

    async def test_what_was_lost_is_said_again(self, cluster, bus):
        bus.losing.add("ask")
        asyncio.get_running_loop().call_later(0.1, bus.losing.clear)
        assert (await attach(cluster, "b-1"))["status"]
        assert len([kind for _, kind, _ in bus.sent if kind == "ask"]) > 2

    async def test_an_answer_that_was_lost_is_given_again_and_obeyed_once(
        self, cluster, bus, live, obeyed
    ):
        bus.losing.add("answer")
        asyncio.get_running_loop().call_later(0.3, bus.losing.clear)
        await order(cluster)
        assert len([kind for _, kind, _ in bus.sent if kind == "answer"]) > 1
        assert live.orders == 1

    async def test_without_an_answer_there_is_a_sentence(self, cluster, bus):
        bus.losing.add("ask")
        with pytest.raises(Unavailable, match="does not answer"):
            await attach(cluster, "b-1", answer_s=0.1)
        assert cluster._asked == {}

    async def test_without_others_it_is_said_at_once(self, cluster, bus):
        bus.is_running = False
        with pytest.raises(Unavailable, match="cannot be reached"):
            await attach(cluster, "b-1")

    async def test_a_refusal_is_what_the_other_says(self, cluster):
        with pytest.raises(UnknownSession, match="there is no session b-2"):
            await attach(cluster, "b-2")

    @pytest.mark.parametrize(
        "error", [WrongState("it has ended"), InvalidParams({"level": ["too large"]})]
    )
    async def test_every_kind_of_refusal_arrives_as_it_was(self, cluster, live, monkeypatch, error):
        async def obey(content, caller):
            raise error

        monkeypatch.setattr(live, "obey", obey)
        with pytest.raises(type(error)) as refusal:
            await order(cluster)
        assert str(refusal.value) == str(error)
        assert getattr(refusal.value, "fields", None) == getattr(error, "fields", None)

    async def test_what_fails_there_is_logged_and_said_without_it(
        self, cluster, live, monkeypatch, caplog
    ):
        async def obey(content, caller):
            raise ZeroDivisionError("secret")

        monkeypatch.setattr(live, "obey", obey)
        with pytest.raises(Unavailable) as refusal:
            await order(cluster)
        assert "secret" not in str(refusal.value)
        assert "ZeroDivisionError" in caplog.text

    @pytest.mark.parametrize(("limit", "most"), [("MAX_ANSWERS", 3), ("MAX_ANSWER_BYTES", 299)])
    async def test_what_is_remembered_is_bounded(self, cluster, live, monkeypatch, limit, most):
        async def obey(content, caller):
            live.status = lambda: {"state": "x" * 50}

        monkeypatch.setattr(live, "obey", obey)
        monkeypatch.setattr(module, limit, most)
        for _ in range(6):
            await order(cluster)
        assert 2 <= len(cluster._answered) <= 3
        kept = sum(len(text) for _answered_at, text in cluster._answered.values())
        assert kept == cluster._answered_bytes <= 299

    async def test_only_what_was_ordered_is_remembered(self, cluster, obeyed):
        """Another question changes nothing, and its answer may be large."""
        await attach(cluster, "b-1")
        await cluster.ask("b", "confide", "b-1", parts=[], **caller_fields(Caller(token="theirs")))
        assert not cluster._answered
        await order(cluster)
        assert len(cluster._answered) == 1


class TestWhatIsConfided:
    async def test_comes_to_those_who_may_control_it(self, cluster):
        orders = Orders(cluster._bus.process, cluster, Owners(cluster._bus))
        told = await orders.confide("b-1", ["output"], Caller(token="theirs"))
        assert told == {"output": ["output"]}
        with pytest.raises(Forbidden, match="only its owner may"):
            await orders.confide("b-1", ["output"], Caller())


class TestPointer:
    """What somebody does on the picture of another process's session."""

    @pytest.fixture
    def pointed(self, live, monkeypatch):
        pointed = []
        live.session = SimpleNamespace(point=pointed.append)
        monkeypatch.setattr(live, "shows_token", lambda token: token == "mine")
        return pointed

    def point(self, cluster, bus, session_id="b-1", token="mine", **more):
        content = {"type": "pointer", "kind": "down", "x": 1, "y": 2, **more}
        Orders(bus.process, cluster, Owners(bus)).point(session_id, content, Caller(token=token))
        return asyncio.sleep(0)

    async def test_is_said_once_and_not_answered(self, cluster, bus, pointed):
        await self.point(cluster, bus)
        assert pointed == [Pointer("down", 1.0, 2.0)]
        assert [kind for _, kind, _ in bus.sent] == ["pointer"]

    async def test_is_ignored_of_anybody_else_or_where_it_makes_no_sense(
        self, cluster, bus, pointed
    ):
        await self.point(cluster, bus, token=None)
        await self.point(cluster, bus, session_id="b-2")
        await self.point(cluster, bus, x="nowhere")
        await self.point(cluster, bus, type="stop")
        assert pointed == []
        assert len(bus.sent) == 4


class TestPeers:
    def message(self, name="b", incarnation="incarnation-b"):
        return {
            "from": name,
            "incarnation": incarnation,
            "process": f"here:{name}",
            "figures": {},
        }

    async def test_who_was_heard_is_there_until_it_is_silent(self, cluster, bus, monkeypatch):
        now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: now)
        bus.handlers["alive"](self.message())
        assert cluster.hears("b")
        assert [peer.process for peer in cluster.others] == ["here:b"]
        now += module.GONE_S
        assert not cluster.hears("b")
        assert cluster.others == []

    async def test_another_of_the_same_name_is_said_loudly(self, cluster, bus, caplog):
        bus.handlers["alive"](self.message(name="a", incarnation="somebody"))
        assert cluster.has_name_clash
        assert "give each its own LIVESTEP_PROCESS" in caplog.text
        assert cluster.others == []

    async def test_oneself_is_no_other(self, cluster, bus):
        bus.handlers["alive"](self.message(name="a", incarnation=bus.process.incarnation))
        assert not cluster.has_name_clash
        assert cluster.others == []

    async def test_they_are_bounded(self, cluster, bus, monkeypatch):
        monkeypatch.setattr(module, "MAX_PEERS", 3)
        for number in range(10):
            bus.handlers["alive"](self.message(name=f"p{number}"))
        assert len(cluster._peers) == 3


class Site:
    """Many processes and what carries their messages, with a clock of their own. A second goes by
    at each `beat`."""

    def __init__(self, monkeypatch, count):
        self.now, self.processes, self.heard = 100.0, {}, 0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        for number in range(count):
            self.start(f"p{number:02}")

    def start(self, name, incarnation=None):
        bus = SiteBus(self, name, incarnation or f"incarnation {name} {self.now}")
        self.processes[bus.process.incarnation] = Peers(bus, None, lambda: {"of": name})
        return self.processes[bus.process.incarnation]

    def kill(self, peers):
        del self.processes[peers._bus.process.incarnation]

    def deliver(self, message, to=None):
        for peers in list(self.processes.values()):
            if to in (None, peers._bus.process.name):
                self.heard += 1
                peers._bus.handlers[message["kind"]](message)

    def beat(self):
        """Let all say once that they are there; returns how many messages were heard."""
        self.heard = 0
        for say in (Peers._beat, Peers._beat_between):
            for peers in list(self.processes.values()):
                self.now += 0.5 / len(self.processes)
                say(peers)
        return self.heard

    @property
    def all(self):
        return list(self.processes.values())

    def know_each_other(self):
        names = {peers._bus.process.name for peers in self.all}
        return all(
            {peer.name for peer in peers.others} == names - {peers._bus.process.name}
            for peers in self.all
        )


class SiteBus(Bus):
    def __init__(self, site, name, incarnation):
        self._site, self.handlers = site, {}
        self.process = SimpleNamespace(name=name, incarnation=incarnation, has_others=True)

    def broadcast(self, kind, **fields):
        self._site.deliver({**self.sender, "kind": kind, **fields})

    def post(self, process, kind, /, *, keep_s=1.0, **fields):
        self._site.deliver({**self.sender, "kind": kind, **fields}, to=process)


class TestPresence:
    @pytest.fixture
    def site(self, monkeypatch):
        def site(count):
            site = Site(monkeypatch, count)
            for _ in range(3):
                site.beat()
            assert site.know_each_other()
            return site

        return site

    @pytest.mark.parametrize("count", [2, 4, 8, 64])
    def test_costs_each_process_one_message_a_second(self, site, count):
        site = site(count)
        # All but the first say that they are there, to the first alone, which tells all and itself.
        assert [site.beat() for _ in range(5)] == [2 * count - 1] * 5
        assert site.know_each_other()
        assert {peer.figures["of"] for peer in site.all[0].others} >= {"p01"}

    def test_one_that_is_new_knows_all_and_is_known_within_a_second(self, site):
        site = site(8)
        newcomer = site.start("p99")
        site.beat()
        assert site.know_each_other()
        assert len(newcomer.others) == 8

    @pytest.mark.parametrize("which", [0, 3])
    def test_one_that_is_gone_is_missed_after_three_seconds_and_nobody_else_is(self, site, which):
        site = site(6)
        gone = site.all[which]
        name = gone._bus.process.name
        site.kill(gone)
        others = [peers._bus.process.name for peers in site.all]
        began, missed_at = site.now, None
        while missed_at is None:
            site.beat()
            for peers in site.all:
                assert all(peers.hears(one) for one in others if one != peers._bus.process.name)
            if not any(peers.hears(name) for peers in site.all):
                missed_at = site.now - began
            assert site.now - began < 2 * module.GONE_S
        assert missed_at >= module.GONE_S - 1
        for _ in range(2):
            site.beat()
        assert site.beat() == 2 * len(site.all) - 1, "there is another first one"

    def test_the_first_one_that_comes_back_is_the_first_again(self, site):
        site = site(4)
        frozen = site.all[0]
        site.kill(frozen)
        for _ in range(13):
            site.beat()
        assert [peers.is_first for peers in site.all] == [True, False, False]
        site.processes = {"frozen": frozen, **site.processes}
        for _ in range(3):
            site.beat()
            assert site.all[1].hears("p02")
            assert site.all[1].hears("p03")
        assert site.know_each_other()
        assert [peers.is_first for peers in site.all] == [True, False, False, False]
        assert site.beat() == 2 * 4 - 1

    def test_of_a_name_that_two_have_each_of_them_hears(self, site):
        site = site(4)
        site.start("p02", "its twin")
        for _ in range(4):
            site.beat()
        clashes = [peers._bus.process.name for peers in site.all if peers.has_name_clash]
        assert clashes == ["p02", "p02"]

    def test_one_that_comes_again_under_its_name_is_no_other(self, site, caplog):
        """The first process still names the one before."""
        site = site(4)
        site.kill(site.all[2])
        again = site.start("p02", "the next")
        for _ in range(4):
            site.beat()
        assert not again.has_name_clash
        assert site.know_each_other()
        assert all(peers.is_known_to_live("the next") for peers in site.all)

    def test_few_look_after_the_leases_of_all(self, site):
        for count in (1, 2, 64):
            looking = [peers.looks_after_leases for peers in site(count).all]
            assert sum(looking) == min(count, module.MOST_LOOKERS)


def test_a_user_that_msgpack_does_not_know_travels_as_text():
    class Uuid:
        def __str__(self):
            return "1-2-3"

    assert caller_fields(Caller(Identity(user_id=Uuid())))["identity"]["user_id"] == "1-2-3"
    assert caller_fields(Caller(Identity(user_id=7)))["identity"]["user_id"] == 7
    assert caller_fields(Caller())["identity"]["user_id"] is None
