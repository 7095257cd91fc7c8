"""The versions that are tested together: at least those that the package says it is for."""

import datetime
import re
import tomllib
from types import SimpleNamespace

from development import matrix
from tests.servers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


class Today:
    """Stands for `datetime.date`."""

    def __init__(self, day):
        self.today = lambda: day


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


def test_by_turns_it_is_each_pair_on_another_day(monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(matrix, "find_python", lambda version: None if version == "3.12" else "p")
    monkeypatch.setattr(matrix, "_outcome", lambda *pair: ran.append(pair[:3:2]) or "passed")
    monkeypatch.setattr("sys.argv", ["matrix", "--turn", "--python=3.12", "--python=3.13"])
    for day in range(3):
        today = datetime.date(2026, 11, 27 + day)
        monkeypatch.setattr(matrix, "datetime", SimpleNamespace(date=Today(today)))
        assert matrix.main() == 0
    assert sorted(ran) == [("3.13", "5.2"), ("3.13", "6.0"), ("3.13", "6.1")]
    said = capsys.readouterr().out
    assert "Python 3.13, Django 6.0: left out: another day" in said
    assert "Python 3.12, Django 6.0: left out: no such Python on this machine" in said


def test_what_fails_fails_the_run(monkeypatch, capsys):
    monkeypatch.setattr(matrix, "find_python", lambda version: "p")
    monkeypatch.setattr(matrix, "_outcome", lambda *pair: "failed: 1 failed, 2 passed")
    monkeypatch.setattr("sys.argv", ["matrix", "--python=3.13", "--django=6.1"])
    assert matrix.main() == 1
    assert "Python 3.13, Django 6.1: failed: 1 failed, 2 passed" in capsys.readouterr().out
