"""Files as people have them: folders, packages, neighbours, data, what a script does at its top."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streaming.catalog.registry import (
    Registry,
    SimulationFileError,
    files_of,
    load_file,
    neighbours,
)
from streaming.engine import sources
from streaming.engine.snapshot import State
from tests.engine.running import Run
from tests.servers import ROOT

SHOWS = """
from streaming import Context, simulation

@simulation
def {name}(ctx: Context):
    yield f"<svg>{{{what}}}</svg>"
"""


def text_of(path):
    simulation = load_file(path)[0][1]
    run = Run(simulation.target).start()
    assert run.ended().state is State.FINISHED, run.changes[-1].error
    return run.frames[0].svg.decode().partition(">")[2].removesuffix("</svg>")


class TestName:
    def test_is_that_of_the_file_so_that_workers_can_import_it(self, write):
        path = write(SHOWS.format(name="mine", what="__name__"), "shows_its_name.py")
        assert text_of(path) == "shows_its_name"
        target = load_file(path)[0][1].target
        program = f"import pickle; print(pickle.loads({pickle.dumps(target)!r}).__name__)"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        assert ran.stdout == "mine\n", ran.stderr

    @pytest.mark.parametrize("name", ["json.py", "networkx.py", "my.sim.py"])
    def test_of_a_library_or_none_at_all_is_kept_apart_and_can_be_imported_too(self, write, name):
        """As in chess.py, which imports the library of that name."""
        library = "" if "my" in name else f"import {name.removesuffix('.py')} as library\n"
        path = write(f"{library}{SHOWS.format(name='mine', what='__name__')}", name)
        module = text_of(path)
        assert module.startswith("streaming.engine.authored.")
        del sys.modules[module]
        assert __import__(module, fromlist=["mine"]).__file__ == str(path)

    def test_that_two_folders_have_is_the_firsts(self, write):
        one = write(SHOWS.format(name="mine", what="__name__"), "twice_there.py", "a")
        two = write(SHOWS.format(name="other", what="__name__"), "twice_there.py", "b")
        assert text_of(one) == "twice_there"
        assert text_of(two) != "twice_there"


class TestNeighbours:
    def test_of_the_same_name_in_two_folders_are_two(self, write, loading_server):
        for folder in "ab":
            write(f"WHO = {folder!r}", "helper_of_two.py", folder)
        later = "__import__('helper_of_two').WHO"
        text = "import helper_of_two\n" + SHOWS
        one = write(text.format(name="one", what=f"helper_of_two.WHO + {later}"), "one.py", "a")
        two = write(text.format(name="two", what=f"helper_of_two.WHO + {later}"), "two.py", "b")
        assert text_of(one)[0] == "a"
        assert text_of(two)[0] == "b"
        server = loading_server(one, two)
        for path, expected in ((one, "aa"), (two, "bb")):
            run = Run(load_file(path)[0][1].target, fork_server=server).start()
            assert run.ended().state is State.FINISHED, run.changes[-1].error
            assert expected.encode() in run.frames[0].svg

    def test_in_a_package_are_imported_with_a_dot(self, write):
        write("", "__init__.py", "dotted_model/inner")
        write("", "__init__.py", "dotted_model")
        write("WHO = 'near'", "near.py", "dotted_model/inner")
        write("WHO = 'far'", "far.py", "dotted_model")
        text = "from .near import WHO\nfrom ..far import WHO as FAR\n"
        text += SHOWS.format(name="mine", what="__name__ + WHO + FAR")
        path = write(text, "sim.py", "dotted_model/inner")
        assert text_of(path) == "dotted_model.inner.simnearfar"
        names = [file.name for file in neighbours(path)]
        assert names == ["__init__.py", "far.py", "__init__.py", "near.py"]


class TestNamed:
    @pytest.fixture
    def model(self, write):
        write("", "__init__.py", "named_model")
        write("from streaming import Context\nX = 1\n", "base.py", "named_model")
        write("raise RuntimeError('not for you')", "setup.py", "named_model")
        path = write(SHOWS.format(name="mine", what="1"), "sim.py", "named_model")
        write(SHOWS.format(name="other", what="2"), "more.py", "named_model")
        return path

    def test_a_file_is_itself(self, model):
        assert files_of(model) == [model]

    def test_a_folder_is_its_files_with_simulations(self, model):
        found = Registry()
        found.add_file(model.parent)
        assert [one.name for one in found.all()[:2]] == ["other", "mine"]
        assert [path.name for path in found.files] == ["more.py", "sim.py"]

    def test_a_module_is_its_file_and_a_package_its_folder(self, model, monkeypatch):
        monkeypatch.syspath_prepend(model.parent.parent)
        assert files_of(Path("named_model.sim")) == [model]
        assert model in files_of(Path("named_model"))

    def test_the_settings_take_them_too(self, model, settings):
        settings.LIVESTEP = {"SIMULATIONS": [str(model.parent)]}
        assert [one.name for one in Registry().all()[:2]] == ["other", "mine"]


class TestData:
    def test_lies_in_the_working_directory_of_file_and_step_in_both_engines(
        self, write, loading_server
    ):
        write("7", "prices.csv")
        text = "from pathlib import Path\nTOP = Path('prices.csv').read_text()\n" + SHOWS
        what = "TOP + Path('prices.csv').read_text() + ctx.path('prices.csv').read_text()"
        path = write(text.format(name="mine", what=what))
        before = os.getcwd()
        assert text_of(path) == "777"
        assert os.getcwd() == before
        run = Run(load_file(path)[0][1].target, fork_server=loading_server(path)).start()
        assert run.ended().state is State.FINISHED, run.changes[-1].error
        assert b">777<" in run.frames[0].svg

    def test_where_a_thread_has_no_directory_of_its_own_it_stays_where_it_is(self, monkeypatch):
        monkeypatch.setattr(sources, "_own_directory", lambda: False)
        seen = []

        def look():
            with sources.working_in(Path("/")):
                seen.append(os.getcwd())

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert seen == [os.getcwd()]


class TestTop:
    def test_of_a_script_runs_as_that_of_a_module(self, write):
        text = (
            "import argparse\n"
            "parser = argparse.ArgumentParser()\n"
            "parser.add_argument('--size', type=int, default=5)\n"
            "SIZE = parser.parse_args().size\n"
            + SHOWS.format(name="mine", what="SIZE")
            + "\nif __name__ == '__main__':\n    raise RuntimeError\n"
        )
        assert text_of(write(text)) == "5"

    def test_chooses_how_processes_start_for_itself_only(self, write):
        text = "import multiprocessing\nmultiprocessing.set_start_method('spawn')\n"
        before = multiprocessing.get_start_method()
        path = write(text + SHOWS.format(name="mine", what="1"), "chooses_spawn.py")
        text_of(path)
        assert multiprocessing.get_start_method(allow_none=True) == before
        assert sources.loaded["chooses_spawn"].start_method == "spawn"


class TestSentences:
    """Each that an author can meet when a file is loaded, with the code that causes it."""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "from .helper import f",
                "shows_it.py:1: ImportError: attempted relative import with no known parent "
                "package: put an empty file __init__.py into its folder, or import without the dot",
            ),
            (
                "import argparse\np = argparse.ArgumentParser()\np.add_argument('n')\n"
                "p.parse_args()",
                "shows_it.py:4: SystemExit: it needs arguments of a command line, and has none "
                "here: give them defaults, or make them parameters of the simulation",
            ),
            ("import broken_beside", "broken_beside.py:2: ZeroDivisionError: division by zero"),
            ("import unreadable_beside", "unreadable_beside.py:1: SyntaxError"),
            ("open('nowhere.csv')", "shows_it.py:1: FileNotFoundError"),
        ],
    )
    def test_of_a_file(self, write, text, said):
        write("x = 1\n1 / 0\n", "broken_beside.py")
        write("x = (\n", "unreadable_beside.py")
        with pytest.raises(SimulationFileError) as caught:
            load_file(write(text))
        assert said in str(caught.value)
        sys.modules.pop("shows_it", None)

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            (".", "no simulation in this folder"),
            ("no_such_module_here", "there is no file, no folder and no module of that name"),
            ("no_such_package.inner", "No module named 'no_such_package'"),
        ],
    )
    def test_of_what_names_none(self, tmp_path, monkeypatch, name, said):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SimulationFileError, match=said):
            files_of(Path(name))
