"""Authors' forms, which may wait for what never comes."""

import asyncio
import threading
from dataclasses import replace

import pytest

from streaming.catalog.registry import registry
from streaming.engine.errors import Unavailable
from streaming.sessions import control
from streaming.sessions.control import FORM_THREADS, validated
from tests.threads import full_executor

pytestmark = pytest.mark.asyncio
WAIT_S = 10


@pytest.fixture
def hanging():
    """Validate with a form that does not answer before the end of the test."""
    release, entered = threading.Event(), threading.Semaphore(0)

    def validate(simulation):
        entered.release()
        release.wait(WAIT_S)

    validate.entered = entered
    yield validate
    release.set()


def simulation_of_its_own():
    return replace(registry.get("counter"), target=lambda: None)


class TestAFormThatHangs:
    async def test_keeps_only_its_own_simulation_from_starting(self, hanging):
        broken = simulation_of_its_own()
        waiting = [asyncio.ensure_future(validated(hanging, broken)) for _ in range(40)]
        for _ in range(FORM_THREADS):
            assert await asyncio.to_thread(hanging.entered.acquire, timeout=WAIT_S)
        async with asyncio.timeout(WAIT_S):
            assert await validated(lambda simulation: {"n": 1}, simulation_of_its_own()) == {"n": 1}
        assert not hanging.entered.acquire(blocking=False)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=WAIT_S)

    async def test_is_said_after_a_while(self, hanging, monkeypatch):
        monkeypatch.setattr(control, "FORM_S", 0.05)
        with pytest.raises(Unavailable, match="counter takes too long"):
            await validated(hanging, simulation_of_its_own())

    async def test_and_gives_up_by_itself_is_no_slow_one(self):
        def validate(simulation):
            raise TimeoutError("the service does not answer")

        with pytest.raises(TimeoutError, match="the service"):
            await validated(validate, simulation_of_its_own())


async def test_a_form_waits_for_no_thread_of_the_event_loop():
    async with full_executor(), asyncio.timeout(WAIT_S):
        assert await validated(lambda simulation: {}, simulation_of_its_own()) == {}
