"""A compute machine, as far as it needs no broker."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from django.db import InterfaceError, OperationalError, transaction

from streaming.cluster import claims
from streaming.engine.errors import ServerStopping
from streaming.models import Placement, StreamSession
from streaming.server import compute as module
from streaming.server.compute import Compute, celery_app
from tests.cluster.test_claims import enqueue


@pytest.mark.celery
def test_a_connection_that_has_ended_is_forgotten():
    """Or kombu's loop would keep each that ever was, and ask it at every turn."""
    (step,) = [step for step in celery_app().steps["consumer"] if step.__name__ == "Forgetting"]
    consumer = SimpleNamespace(hub=SimpleNamespace(on_tick={"that of the old one"}))
    step(consumer).stop(consumer)
    assert consumer.hub.on_tick == set()


@pytest.fixture
def compute(monkeypatch):
    monkeypatch.setattr(module.connections, "close_all", lambda: None)
    monkeypatch.setattr(module, "PUT_BACK_S", 0.001)
    monkeypatch.setattr(module, "END_S", 0.0)
    compute = Compute()
    compute.queues = ("livestep",)
    yield compute
    compute._loop.close()


def fail_first(monkeypatch, name, *errors):
    """Have the database fail so at what is written."""
    left, write = list(errors), getattr(claims, name)

    def failing(*args):
        if left:
            raise left.pop(0)
        return write(*args)

    monkeypatch.setattr(claims, name, failing)


@pytest.mark.django_db
class TestADatabaseThatIsAwayForAMoment:
    """While the machine lives nobody else would give up what it has claimed."""

    ERRORS = OperationalError("it has gone away"), InterfaceError("it is closed")

    def test_leaves_no_session_that_could_not_be_started(self, compute, monkeypatch):
        enqueue("s1")
        Placement.objects.update(given={"no_such": 1})
        fail_first(monkeypatch, "fail", *self.ERRORS)
        compute.run_one()
        row = StreamSession.objects.get()
        assert (row.state, row.ended is None) == ("failed", False)
        assert "no_such" in row.error

    def test_leaves_no_session_that_is_put_back(self, compute, monkeypatch):
        def adopt(*args):
            raise ServerStopping("it ends")

        enqueue("s1")
        monkeypatch.setattr(compute, "_adopt", adopt)
        fail_first(monkeypatch, "put_back", *self.ERRORS)
        compute.run_one()
        assert StreamSession.objects.get().state == "queued"
        assert Placement.objects.count() == 1

    def test_leaves_no_session_whose_claim_was_not_confirmed(self, compute, monkeypatch):
        """It is written, and the connection is gone before that is said."""
        atomic = transaction.atomic

        @contextmanager
        def unconfirmed():
            monkeypatch.setattr(claims.transaction, "atomic", atomic)
            with atomic():
                yield
            raise self.ERRORS[0]

        enqueue("s1")
        monkeypatch.setattr(claims.transaction, "atomic", unconfirmed)
        fail_first(monkeypatch, "put_back", *self.ERRORS)
        compute.run_one()
        row = StreamSession.objects.get()
        assert (row.state, row.epoch, Placement.objects.count()) == ("queued", 0, 1)

    def test_does_not_keep_a_machine_that_ends(self, compute, monkeypatch):
        enqueue("s1")
        Placement.objects.update(given={"no_such": 1})
        fail_first(monkeypatch, "fail", *[self.ERRORS[0]] * 1000)
        validate = module.validate_params

        def end(*args):
            compute._is_ending.set()
            return validate(*args)

        monkeypatch.setattr(module, "validate_params", end)
        compute.run_one()
        assert StreamSession.objects.get().state == "starting"
