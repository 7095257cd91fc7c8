import subprocess
import sys

import pytest

from streaming.engine.errors import InvalidSimulation
from streaming.engine.isolation.reference import Reference
from streaming.engine.simulations import describe, described, simulation
from streaming.engine.sources import load_source
from tests.samples import faults


@simulation(name="by_another_name")
def at_the_top():
    yield "<svg/>"


def not_declared():
    yield "<svg/>"


class Holder:
    @simulation
    @staticmethod
    def inside():
        yield "<svg/>"


def test_finds_what_stands_at_the_top_of_a_module():
    reference = Reference.to(described(at_the_top))
    assert (reference.module, reference.attribute) == (__name__, "at_the_top")
    assert reference.find() is described(at_the_top)


def test_finds_what_was_never_declared():
    found = Reference.to(describe(not_declared, name="mine")).find()
    assert (found.target, found.name) == (not_declared, "mine")


def test_finds_it_where_the_module_has_to_be_imported_first():
    reference = Reference.to(described(faults.spins)).as_dict()
    program = (
        "from streaming.engine.isolation.reference import Reference; "
        f"print(Reference(**{reference!r}).find().title)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("Spins\n", "")


@pytest.mark.parametrize("module", ["livestep_file_my_sim", "__main__"])
def test_finds_it_in_a_file_that_is_no_importable_module(tmp_path, module):
    path = tmp_path / "my_sim.py"
    path.write_text(
        "from streaming import simulation\n@simulation\ndef mine():\n    yield '<svg/>'\n"
    )
    loaded = load_source(path, "livestep_file_my_sim")
    del sys.modules["livestep_file_my_sim"]
    assert loaded.mine
    found = Reference(module, "mine", str(path), "mine").find()
    assert found.name == "mine"
    sys.modules.pop("livestep_file_my_sim", None)
    sys.modules.pop("__livestep__", None)


def test_a_closure_and_a_lambda_are_refused_with_a_sentence():
    def closure():
        yield "<svg/>"

    for target in (closure, lambda: "<svg/>"):
        with pytest.raises(InvalidSimulation, match="at the top level of a file"):
            Reference.to(describe(target, name="mine"))
