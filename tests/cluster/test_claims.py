"""The queue in the database: who may wait, whose turn it is, and that nobody is claimed twice."""

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, connections

from streaming.catalog.registry import registry
from streaming.cluster import claims
from streaming.cluster.leases import last_signs
from streaming.cluster.placing import _first_row, _given
from streaming.engine.errors import TooManySessions
from streaming.engine.params import Upload
from streaming.engine.simulations import Abandon
from streaming.engine.snapshot import StopReason
from streaming.identity import Identity, is_same_owner, token_hash
from streaming.models import Placement, StreamSession
from streaming.process import process
from streaming.sessions.control import Caller
from streaming.sessions.live import Wishes
from streaming.sessions.stored import Archive
from tests.processes import running_postgres
from tests.servers import ROOT, clean_environment

pytestmark = pytest.mark.django_db
ADA, BOB, NOBODY = Identity(browser="ada"), Identity(browser="bob"), Identity()
WISHES = Wishes(fps=30.0, steps_per_second=5.0, abandon=Abandon.KEEP, abandon_grace=7.0)
COUNTER = {"counter"}


def enqueue(session_id, owner=ADA, simulation="counter", queue="livestep", most=100, **params):
    found = registry.get(simulation)
    params = {**{spec.name: spec.default for spec in found.params}, **params}
    _status, row = _first_row(session_id, found, params, owner, WISHES)
    claims.enqueue(
        row,
        session_id,
        queue=queue,
        given=_given(found, params),
        wishes=WISHES,
        token_hash=token_hash("secret"),
        most_waiting=most,
    )


def ids(waiting):
    return [one.id for one in waiting]


class TestWaiting:
    def test_has_a_row_that_nobody_has_to_renew(self):
        signs = last_signs()
        enqueue("s1")
        row = StreamSession.objects.get()
        assert (row.state, row.engine, row.epoch, row.process) == ("queued", "cluster", 0, "")
        assert not StreamSession.objects.leased()
        assert last_signs() == signs

    def test_nothing_secret_is_written_down(self):
        enqueue("s1")
        written = [StreamSession.objects.values().get(), Placement.objects.values().get()]
        assert "'ada'" not in str(written), "the browser's cookie"
        assert "secret" not in str(written), "the token"

    def test_owners_take_turns(self):
        for number in range(3):
            enqueue(f"a{number}")
        enqueue("b0", BOB)
        assert ids(claims.waiting_in_turn()) == ["a0", "b0", "a1", "a2"]

    def test_who_has_one_running_waits_for_those_who_have_none(self):
        enqueue("a0")
        assert claims.claim(["livestep"], COUNTER).id == "a0"
        enqueue("a1")
        enqueue("b0", BOB)
        assert ids(claims.waiting_in_turn()) == ["b0", "a1"]

    def test_is_bounded_by_queue(self):
        enqueue("s1", NOBODY, most=2)
        enqueue("s2", NOBODY, most=2)
        with pytest.raises(TooManySessions, match="2 sessions wait for them"):
            enqueue("s3", NOBODY, most=2)
        enqueue("s4", NOBODY, queue="gpu", most=2)
        assert claims.lengths() == {"livestep": 2, "gpu": 1}
        assert not StreamSession.objects.filter(pk="s3").exists()

    def test_is_bounded_for_an_owner_over_the_whole_site(self, settings):
        settings.LIVESTEP = {"MAX_SESSIONS_PER_OWNER": 2}
        enqueue("a0")
        claims.claim(["livestep"], COUNTER)
        enqueue("a1")
        with pytest.raises(TooManySessions, match="you have 2 sessions, 1 of them waiting"):
            enqueue("a2")
        enqueue("b0", BOB)

    def test_strangers_of_one_address_are_one_owner(self, settings):
        settings.LIVESTEP = {"MAX_SESSIONS_PER_OWNER": 1}
        enqueue("s1", Identity(address="192.0.2.1"))
        with pytest.raises(TooManySessions):
            enqueue("s2", Identity(address="192.0.2.1"))
        enqueue("s3", Identity(address="192.0.2.2"))


class TestClaiming:
    def test_gives_all_that_is_needed_to_run_it(self):
        upload = Upload("table.csv", b"1,2\xff")
        enqueue("s1", simulation="many_types", table=upload, some=[3, 4])
        claimed = claims.claim(["livestep"], {"many_types"})
        assert claimed.given["table"] == upload
        assert claimed.given["some"] == [3, 4]
        assert claimed.wishes == WISHES
        assert claimed.origin.token_hash == token_hash("secret")
        assert is_same_owner(ADA, claimed.owner)
        assert not is_same_owner(BOB, claimed.owner)
        row = StreamSession.objects.get()
        assert (row.state, row.epoch, row.incarnation) == ("starting", 1, process.incarnation)
        assert not Placement.objects.exists()

    def test_takes_only_from_its_queues_and_what_it_knows(self):
        enqueue("s1", queue="gpu")
        enqueue("s2", simulation="slow")
        assert claims.claim(["livestep"], COUNTER) is None
        assert claims.claim(["gpu", "livestep"], COUNTER).id == "s1"
        assert claims.claim(["livestep"], {"slow"}).id == "s2"

    def test_passes_over_what_was_stopped(self):
        enqueue("s1")
        assert claims.stop("s1", StopReason.CLIENT)
        assert not claims.stop("s1", StopReason.CLIENT)
        assert claims.claim(["livestep"], COUNTER) is None
        row = StreamSession.objects.get()
        assert (row.state, row.stopped_by) == ("stopped", "client")
        assert row.message["stop"]["how"] == "flag"

    def test_what_runs_is_not_stopped_as_if_it_waited(self):
        enqueue("s1")
        claims.claim(["livestep"], COUNTER)
        assert not claims.stop("s1", StopReason.CLIENT)
        assert StreamSession.objects.get().state == "starting"

    def test_what_is_put_back_has_its_place_again(self):
        enqueue("a0")
        enqueue("a1")
        claims.put_back(claims.claim(["livestep"], COUNTER))
        assert ids(claims.waiting_in_turn()) == ["a0", "a1"]
        row = StreamSession.objects.get(pk="a0")
        assert (row.state, row.epoch, row.incarnation) == ("queued", 0, "")
        assert claims.claim(["livestep"], COUNTER).id == "a0"

    def test_of_a_claim_that_was_not_written_takes_no_other_one_back(self):
        """Another thread of this process has claimed it meanwhile."""
        enqueue("s1")
        claimed = claims.claim(["livestep"], COUNTER)
        claims.put_back(replace(claimed, claimed_at=claimed.claimed_at - timedelta(seconds=1)))
        assert StreamSession.objects.get().state == "starting"
        assert not Placement.objects.exists()

    def test_what_cannot_be_started_has_failed_with_a_sentence(self):
        enqueue("s1")
        claims.fail(claims.claim(["livestep"], COUNTER), "no such parameter")
        row = StreamSession.objects.get()
        assert (row.state, row.error) == ("failed", "no such parameter")
        assert row.message["error"] == {"message": "no such parameter"}
        assert row.ended


class TestReadingOneThatIsClaimedMeanwhile:
    """Between two questions of whoever reads it."""

    @pytest.fixture(autouse=True)
    def _claimed_after_the_first_question(self):
        enqueue("s1")
        claimed = []

        def claim(execute, *args):
            result = execute(*args)
            if not claimed:
                claimed.append("s1")  # First: the claim asks, too.
                assert claims.claim(["livestep"], COUNTER).id == "s1"
            return result

        with connection.execute_wrapper(claim):
            yield
        assert claimed

    def test_its_token_is_known(self):
        """Or the stop of who has started it would be refused as a stranger's."""
        stored = Archive().find("s1")
        assert stored.obeys(Caller(token="secret"))
        assert not stored.obeys(Caller(token="wrong"))

    def test_it_is_not_stopped_as_if_it_waited(self):
        assert not claims.stop("s1", StopReason.CLIENT)
        assert StreamSession.objects.get().state == "starting"

    def test_it_is_not_claimed_again(self):
        assert claims.claim(["livestep"], COUNTER) is None
        assert StreamSession.objects.get().epoch == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_once_each_gets_another(settings):
    settings.LIVESTEP = {"MAX_SESSIONS_PER_OWNER": 100}
    for number in range(12):
        enqueue(f"s{number}")
    claimed, together = [], threading.Barrier(4)

    def claim_all():
        together.wait()
        try:
            while (one := claims.claim(["livestep"], COUNTER)) is not None:
                claimed.append(one.id)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(claimed) == sorted(f"s{number}" for number in range(12))


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as postgres:
        yield postgres


@pytest.mark.postgres
class TestACrowdAtOnce:
    """Under READ COMMITTED no transaction sees what the others are about to write."""

    @pytest.mark.parametrize(
        ("owners", "most_waiting", "let_in"), [(1, 100, 4), (16, 6, 6)], ids=["owner", "queue"]
    )
    def test_keeps_to_the_limit(self, postgres, tmp_path, owners, most_waiting, let_in):
        environment = clean_environment(
            VAR_DIR=str(tmp_path),
            DATABASE_URL=postgres.url,
            SIMULATIONS=str(ROOT / "tests" / "samples" / "simulations.py"),
            LIVESTEP_MAX_SESSIONS_PER_OWNER="4",
        )
        crowd = [sys.executable, "-m", "tests.cluster.crowd", str(owners), "16", str(most_waiting)]
        result = subprocess.run(
            crowd, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert result.stdout == f"{let_in}\n", result.stderr
