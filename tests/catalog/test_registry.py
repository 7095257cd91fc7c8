import re

import pytest

from streaming.catalog.registry import Registry, SimulationFileError, load_file
from streaming.engine.errors import UnknownSimulation

ONE = """
from streaming import simulation

@simulation
def mine():
    yield "<svg/>"
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="my_sim.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


class TestApps:
    def test_finds_those_of_every_installed_app(self):
        names = [simulation.name for simulation in Registry().all()]
        assert names[:3] == ["tour", "ising", "countdown"]
        assert "finite" in names

    def test_an_unknown_name_is_told_the_known_ones(self):
        with pytest.raises(
            UnknownSimulation, match=r"no simulation 'nope'; there are: tour, ising"
        ):
            Registry().get("nope")


class TestFiles:
    def test_a_file_adds_its_simulations_first(self, write, settings):
        settings.LIVESTEP = {"SIMULATIONS": [str(write(ONE))]}
        registry = Registry()
        assert registry.all()[0].name == "mine"
        assert registry.default_name == "mine"

    def test_without_a_file_ising_is_the_default(self, settings):
        assert Registry().default_name == "ising"
        settings.LIVESTEP = {"DEFAULT_SIMULATION": "tour"}
        assert Registry().default_name == "tour"

    def test_a_file_may_import_its_neighbours(self, write):
        write("LEVEL = 3", "neighbour_of_my_sim.py")
        path = write("import neighbour_of_my_sim" + ONE)
        assert load_file(path)[0][1].name == "mine"

    def test_what_a_file_only_imports_is_not_its_own(self, write):
        path = write("from gallery.simulations import ising" + ONE)
        assert [simulation.name for _, simulation in load_file(path)] == ["mine"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x = 1\ndef broken(:\n", "my_sim.py:2: SyntaxError"),
            ("\n\n1 / 0\n", "my_sim.py:3: ZeroDivisionError: division by zero"),
            ("import nowhere_at_all", "my_sim.py:1: ModuleNotFoundError"),
            ("raise SystemExit(1)", "my_sim.py:1: SystemExit"),
            (
                "from streaming import simulation\n@simulation\ndef bad(x): ...\n",
                "my_sim.py:2: InvalidSimulation: bad: parameter 'x' needs a type",
            ),
            (
                "def mine(): ...",
                "no simulation in it; expected a function or class under @simulation",
            ),
        ],
    )
    def test_an_error_names_the_file_and_the_line(self, write, text, said):
        with pytest.raises(SimulationFileError, match=said) as failure:
            load_file(write(text))
        place = failure.value.place
        if re.search(r":\d", said):
            assert said.startswith(f"{place.file}:{place.line}: ")
            assert dict(place.around)[place.line] in text
        else:
            assert place is None

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(SimulationFileError, match="there is no such file"):
            load_file(tmp_path / "none.py")

    def test_a_file_that_is_not_python_is_refused(self, write):
        with pytest.raises(SimulationFileError, match=r"with the ending \.py"):
            load_file(write(ONE, "my_sim.txt"))

    def test_two_with_one_name_are_a_clash(self, write):
        registry = Registry()
        registry.add_file(write(ONE.replace("mine", "ising")))
        ((name, places),) = registry.clashes()
        assert name == "ising"
        assert len(places) == 2

    @pytest.mark.parametrize(
        "second", ["@simulation\ndef same", '@simulation(name="same")\ndef other']
    )
    def test_two_with_one_name_in_one_file_are_told_by_their_lines(self, write, second):
        """Also where the second replaces the first, which is not there any more."""
        text = "from streaming import simulation\n"
        text += f"@simulation\ndef same(): ...\n\n{second}(): ...\n"
        registry = Registry()
        path = write(text)
        registry.add_file(path)
        clash = ("same", [f"{path}, line 2", f"{path}, line 5"])
        assert clash in registry.clashes()

    def test_one_with_two_names_in_its_file_is_no_clash(self, write):
        registry = Registry()
        path = write(ONE + "\nother = mine\n")
        registry.add_file(path)
        assert registry.names_in(path) == ["mine"]
        assert registry.clashes() == []

    def test_a_file_that_is_loaded_again_has_its_names_once(self, write):
        registry = Registry()
        path = write(ONE)
        registry.add_file(path)
        path.write_text("\n\n" + ONE)
        registry.reload_file(path)
        assert registry.clashes() == []
