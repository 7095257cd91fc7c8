"""Every case of docs/cookbook.md runs as it stands there; that of PyTorch, which is large, where
somebody has installed it."""

import re
from importlib.util import find_spec

import pytest

from streaming.catalog.forms import validate_params
from streaming.catalog.registry import load_file
from streaming.engine.frames import fault_of
from streaming.testing import pictures
from tests.servers import ROOT

TEXT = (ROOT / "docs" / "cookbook.md").read_text()
CASES = re.findall(r"^## ([^\n]+)\n\n```python\n(.+?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_has_no_other_code():
    assert len(CASES) == TEXT.count("```python") >= 8


# What is too large to be installed for one case.
LARGE = ("torch", "numba")
HERE = [
    case
    for case in CASES
    if all(f"import {name}" not in case[1] or find_spec(name) for name in LARGE)
]


@pytest.mark.parametrize(("title", "code"), HERE, ids=[title for title, _ in HERE])
def test_case_runs_as_it_stands(title, code, tmp_path):
    """From the file to two pictures that a browser shows, with the parameters' defaults."""
    path = tmp_path / f"cookbook_{CASES.index((title, code))}.py"
    path.write_text(code)
    ((_, simulation),) = load_file(path)
    params = validate_params(simulation, {})
    drawn = pictures(simulation.target, 2, params=params)
    assert len(drawn) == 2
    assert [fault_of(svg.encode()) for svg in drawn] == [None, None]
    assert drawn[0] != drawn[1] or title == "Waiting for the network"
