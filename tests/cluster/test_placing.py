"""Messages for the sessions that wait: as many as sessions, whatever becomes of them."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from streaming.catalog.engines import chosen_engine
from streaming.catalog.registry import registry
from streaming.cluster import claims
from streaming.cluster import placing as module
from streaming.cluster.broker import Broker
from streaming.cluster.bus import Bus
from streaming.cluster.claims import Waiting
from streaming.cluster.peers import Peers
from streaming.cluster.placing import Placing
from streaming.engine.errors import Forbidden, ServerStopping, Unavailable
from streaming.engine.simulations import Engine, simulation
from streaming.identity import Identity
from streaming.models import Placement, StreamSession
from tests.parts import sessions

ADA = Identity(browser="ada")


class FakeBroker(Broker):
    """Keeps the messages of each queue in a list."""

    def __init__(self):
        super().__init__()
        self.queues, self.fails = {}, False

    def send(self, queue, sessions):
        if self.fails:
            raise OSError("connection refused")
        self.queues.setdefault(queue, []).extend(session_id for session_id, _name in sessions)

    def length(self, queue):
        if self.fails:
            raise OSError("connection refused")
        return len(self.queues.get(queue, ()))


@pytest.fixture
def broker():
    broker = FakeBroker()
    yield broker
    broker.close()


@pytest.fixture
def peers():
    return SimpleNamespace(others=[], first=None, has_just_begun=False)


@pytest.fixture
async def placing(broker, peers, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(module, "why_no_cluster", lambda: "")
    bus = SimpleNamespace(broadcast=lambda kind, **fields: None)
    placing = Placing(bus, peers, broker, lambda: False)
    yield placing
    placing.stop()


def machine(queues=("livestep",), simulations=("counter",), places=2, taken=0, **more):
    compute = {
        "queues": list(queues),
        "simulations": list(simulations),
        "places": places,
        "taken": taken,
    }
    return SimpleNamespace(name="c1", figures={"compute": compute, **more})


async def place(placing, name="counter", owner=ADA, **wishes):
    simulation = registry.get(name)
    params = {spec.name: spec.default for spec in simulation.params}
    return await placing.place(simulation, params, owner, **wishes)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.django_db(transaction=True)
class TestMessages:
    async def test_one_is_sent_for_a_session_that_is_placed(self, placing, broker):
        placing.start()
        placed = await place(placing)
        await until(lambda: broker.queues)
        assert broker.queues == {"livestep": [placed.id]}
        assert (placed.status["state"], placed.status["epoch"]) == ("queued", 0)

    async def test_what_was_lost_is_sent_again_until_it_is_claimed(self, placing, broker):
        placing.start()
        placed = await place(placing)
        for _ in range(2):
            await until(lambda: broker.queues)
            broker.queues.clear()
        await until(lambda: broker.queues)
        assert broker.queues == {"livestep": [placed.id]}
        await asyncio.to_thread(claims.claim, ["livestep"], {"counter"})
        broker.queues.clear()
        await asyncio.sleep(0.3)
        assert broker.queues == {}

    async def test_what_still_waits_for_a_machine_is_not_doubled(self, placing, broker):
        placing.start()
        for _ in range(3):
            await place(placing, owner=Identity())
        await asyncio.sleep(0.4)
        assert len(broker.queues["livestep"]) == 3

    async def test_of_another_process_is_sent_by_the_first(self, placing, broker, peers):
        """As when the process that has placed it was gone before it could."""
        await place(placing)  # Not started: nothing is sent.
        peers.first = SimpleNamespace(figures={"waiting": {"livestep": 7}})
        placing.start()
        broker.queues.clear()
        placing._unsent.clear()
        # It has counted for all.
        await until(lambda: placing.lengths == {"livestep": 7})
        await asyncio.sleep(0.3)
        assert broker.queues == {}
        peers.first = None
        await until(lambda: broker.queues)
        assert placing.lengths == {"livestep": 1}

    async def test_a_broker_that_is_away_is_said_once_and_tried_on(self, placing, broker, caplog):
        broker.fails = True
        placing.start()
        await place(placing)
        await until(lambda: "the broker does not answer" in caplog.text)
        await asyncio.sleep(0.2)
        broker.fails = False
        await until(lambda: broker.queues)
        await until(lambda: "the broker answers again" in caplog.text)
        assert caplog.text.count("does not answer") == 1

    async def test_a_database_that_is_away_refuses_the_start(self, placing, monkeypatch):
        def fail(*args, **kwargs):
            raise OperationalError("gone")

        monkeypatch.setattr(claims, "enqueue", fail)
        with pytest.raises(Unavailable, match="the database does not answer"):
            await place(placing)

    async def test_a_crowd_asks_it_on_one_thread(self, placing, monkeypatch):
        """Or each would open a connection, and others would wait for the threads meanwhile."""
        enqueue, threads = claims.enqueue, []

        def note(*args, **options):
            threads.append(threading.current_thread())
            enqueue(*args, **options)

        monkeypatch.setattr(claims, "enqueue", note)
        await asyncio.gather(*(place(placing, owner=Identity()) for _ in range(20)))
        assert len(threads) == 20
        assert len(set(threads)) == 1

    async def test_a_process_that_ends_places_nothing(self, placing):
        placing._is_stopping = lambda: True
        with pytest.raises(ServerStopping):
            await place(placing)
        assert not await asyncio.to_thread(Placement.objects.exists)


@pytest.mark.django_db(transaction=True)
async def test_the_turns_count_by_queue(placing):
    ids = [(await place(placing, owner=Identity())).id for _ in range(3)]
    await asyncio.to_thread(Placement.objects.filter(session_id=ids[0]).update, queue="gpu")
    turns = await placing.turns()
    assert [turns[session_id][0] for session_id in ids] == [1, 1, 2]
    assert await placing.end_waiting(ids[1], "client")
    assert [position for position, _ in (await placing.turns()).values()] == [1, 1]
    assert (await asyncio.to_thread(StreamSession.objects.get, pk=ids[1])).state == "stopped"


class TestHindrance:
    ONE = Waiting("s1", "", "counter", "livestep")

    async def test_none_is_there(self, placing, peers):
        assert "No compute machine is there" in placing.hindrance(self.ONE)
        peers.others = [machine(queues=["gpu"])]
        assert "No compute machine is there" in placing.hindrance(self.ONE)
        peers.others = [machine(stopping=True)]
        assert "No compute machine is there" in placing.hindrance(self.ONE)

    async def test_none_knows_the_simulation(self, placing, peers):
        peers.others = [machine(simulations=["tour"]), machine(queues=["gpu"])]
        assert "No compute machine that is there knows counter" in placing.hindrance(self.ONE)

    async def test_there_is_none_but_that_there_is_no_place(self, placing, peers):
        peers.others = [machine(simulations=["tour"]), machine(taken=2)]
        assert placing.hindrance(self.ONE) == ""

    async def test_a_process_that_has_just_begun_has_not_heard_them(self, placing, peers):
        peers.has_just_begun = True
        assert placing.hindrance(self.ONE) == ""


class TestEngine:
    @pytest.fixture
    def declared(self, settings):
        def declared(engine):
            @simulation(engine=engine, name="declared")
            def target():
                yield ""

            return target.__livestep__

        return declared

    def test_without_a_broker_it_is_refused_with_a_sentence(self, declared):
        with pytest.raises(Unavailable, match="this site has none"):
            chosen_engine(declared("cluster"), None)
        with pytest.raises(Unavailable, match="this site has none"):
            chosen_engine(declared("thread"), Engine.CLUSTER)

    def test_a_client_may_ask_for_more_isolation_and_never_for_less(self, declared, monkeypatch):
        monkeypatch.setattr("streaming.catalog.engines.why_no_cluster", lambda: "")
        assert chosen_engine(declared("process"), Engine.CLUSTER) is Engine.CLUSTER
        for asked in (Engine.THREAD, Engine.PROCESS):
            with pytest.raises(Forbidden):
                chosen_engine(declared("cluster"), asked)

    def test_what_is_shown_to_all_runs_here(self, settings):
        settings.LIVESTEP = {"ENGINE": "cluster"}
        assert sessions.places_taken(Engine.CLUSTER) == 0
        from streaming.catalog.engines import local_engine_of

        assert local_engine_of(registry.get("counter")) is Engine.PROCESS


def test_the_first_of_the_processes_does_what_one_has_to_do():
    process = SimpleNamespace(name="b", has_others=True, incarnation="x")
    peers = Peers(Bus(process), None, dict)
    assert peers.first is None
    alive = {"from": "c", "incarnation": "y", "process": "c (here:1)", "figures": {}}
    peers._hear_peer(alive)
    assert peers.is_first
    assert peers.first is None
    for name in ("aa", "a", "c"):
        peers._hear_peer({**alive, "from": name})
    assert not peers.is_first
    assert peers.first.name == "a"
