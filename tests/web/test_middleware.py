"""How often a request waits for a thread, which takes longer than most of what is done there."""

import pytest
from asgiref.sync import SyncToAsync
from django.test import AsyncClient


@pytest.fixture
def turns(monkeypatch):
    """What was given to a thread, by its name."""
    given = []
    real = SyncToAsync.__call__

    async def noting(self, *args, **kwargs):
        given.append(getattr(self.func, "__qualname__", repr(self.func)))
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", noting)
    return given


def of_middleware(turns):
    return [name for name in turns if name.endswith((".process_request", ".process_response"))]


async def test_a_page_goes_through_all_middleware_at_once(turns):
    response = await AsyncClient().get("/healthz")
    assert response.status_code == 200
    assert of_middleware(turns) == []
    assert turns.count("convert_exception_to_response.<locals>.inner") == 1


async def test_it_would_wait_twice_for_each_of_djangos(turns, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "in_one_thread" not in name]
    await AsyncClient().get("/healthz")
    assert len(of_middleware(turns)) >= 10
