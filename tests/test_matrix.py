"""The versions that are tested together: at least those that the package says it is for."""

import re
import tomllib

from development import matrix
from tests.servers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def classified(what):
    found = (re.fullmatch(rf"{what} :: (\d+\.\d+)", each) for each in PROJECT["classifiers"])
    return [each[1] for each in found if each]


def test_are_those_of_the_package():
    assert classified("Framework :: Django") == list(matrix.DJANGOS)
    assert set(classified("Programming Language :: Python")) <= set(matrix.PYTHONS)


def test_each_pair_has_its_own_django_and_all_else_as_it_is_pinned():
    needed = list(matrix.requirements("requirements-dev.txt"))
    assert not any(line.startswith(("Django==", "-r", "#")) for line in needed)
    assert {"channels==4.3.2", "numpy==2.4.6", "pytest==9.2.0"} <= set(needed)


def test_what_cannot_be_is_left_out_and_said(monkeypatch, capsys):
    monkeypatch.setattr(matrix, "find_python", lambda version: None)
    monkeypatch.setattr("sys.argv", ["matrix", "--python", "3.11", "--django=5.2", "--django=6.1"])
    assert matrix.main() == 0
    said = capsys.readouterr().out
    assert "Python 3.11, Django 5.2: left out: no such Python on this machine" in said
    assert "Python 3.11, Django 6.1: left out: it needs Python 3.12" in said
