"""What a simulation does once before its first step, and where."""

import pytest

from streaming.catalog import preload
from streaming.catalog.registry import load_file
from streaming.engine.errors import InvalidSimulation
from streaming.engine.simulations import describe
from streaming.engine.snapshot import State
from streaming.engine.warming import is_cold
from tests.engine.running import Run

WARM = """
import os
from streaming import simulation

done_in = []


def warm_up():
    done_in.append(os.getpid())
    open("warmed.txt", "a").close()


@simulation(warm_up=warm_up)
def mine():
    yield f"<svg>{len(done_in)} {done_in[0] == os.getpid()}</svg>"
"""


def shown(run):
    assert run.ended().state is State.FINISHED, run.changes[-1].error
    return run.frames[0].svg.decode().partition(">")[2].removesuffix("</svg>")


class TestWarmUp:
    def test_is_done_once_before_all_children(self, write, loading_server):
        path = write(WARM, "warm_in_processes.py")
        target = load_file(path)[0][1].target
        server = loading_server(path)
        for _ in range(2):
            assert shown(Run(target, fork_server=server).start()) == "1 False"

    def test_is_done_once_for_all_threads_in_the_files_folder(self, write):
        path = write(WARM, "warm_in_threads.py")
        target = load_file(path)[0][1].target
        for _ in range(2):
            assert shown(Run(target).start()) == "1 True"
        assert path.with_name("warmed.txt").exists()

    def test_that_fails_fails_its_own_sessions_and_nothing_else(self, caplog):
        def fails():
            raise ZeroDivisionError("mine")

        simulation = describe(lambda: "<svg/>", name="cold", warm_up=fails)
        preload._warm(simulation)
        assert "the warm-up of cold failed" in caplog.text
        assert is_cold(simulation)

        def target():
            yield "<svg/>"

        run = Run(target)
        object.__setattr__(run.session.simulation, "warm_up", fails)
        assert "ZeroDivisionError: mine" in run.start().ended().error

    def test_has_to_be_a_function(self):
        with pytest.raises(InvalidSimulation, match="warm_up=3; expected a function without"):
            describe(lambda: None, name="x", warm_up=3)
