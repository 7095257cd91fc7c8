"""A compute machine, as far as it needs neither a broker nor a database."""

from types import SimpleNamespace

import pytest

from streaming.server.compute import celery_app


@pytest.mark.celery
def test_a_connection_that_has_ended_is_forgotten():
    """Or kombu's loop would keep each that ever was, and ask it at every turn."""
    (step,) = [step for step in celery_app().steps["consumer"] if step.__name__ == "Forgetting"]
    consumer = SimpleNamespace(hub=SimpleNamespace(on_tick={"that of the old one"}))
    step(consumer).stop(consumer)
    assert consumer.hub.on_tick == set()
