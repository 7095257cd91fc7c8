"""Which engine a simulation runs in when nobody says so."""

import os

import pytest

from streaming.catalog.engines import engine_of
from streaming.catalog.registry import load_file, registry
from streaming.checks import check_simulations
from streaming.engine.simulations import Engine
from streaming.identity import Identity
from tests.parts import close_sessions, sessions

DRAWS = """
import matplotlib.pyplot as plt
from streaming import simulation

@simulation({options})
def draws():
    yield plt.gcf()
"""


@pytest.fixture
def draws(write):
    def draws(options="", name="draws_in_a_process.py"):
        return load_file(write(DRAWS.format(options=options), name))[0][1]

    return draws


class TestPyplot:
    def test_has_a_process(self, draws):
        assert engine_of(draws()) is Engine.PROCESS

    def test_has_what_its_author_says(self, draws):
        assert engine_of(draws("engine='thread'")) is Engine.THREAD

    def test_has_a_thread_where_there_are_no_processes(self, draws, monkeypatch):
        monkeypatch.delattr(os, "fork")
        assert engine_of(draws()) is Engine.THREAD

    def test_in_a_thread_is_found_by_the_check(self, write, settings, monkeypatch):
        path = write(DRAWS.format(options="engine='thread'"), "draws_for_the_check.py")
        settings.LIVESTEP = {"SIMULATIONS": [str(path)]}
        monkeypatch.setattr(registry, "_found", None)
        (warning,) = [one for one in check_simulations(None) if one.id == "livestep.W016"]
        assert "draws: pyplot draws in a thread" in warning.msg

    async def test_in_a_thread_is_told_to_its_viewers(self, draws, no_rows):
        simulation = draws("engine='thread'", "draws_for_viewers.py")
        live = sessions.create(simulation, {}, Identity(user_id=None, name="ada", browser="b1"))
        try:
            (notice,) = live.notices
            assert notice["code"] == "pyplot_in_a_thread"
        finally:
            await close_sessions()
