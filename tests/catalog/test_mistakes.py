"""Every sentence that an author can meet when a file is loaded, with the code that causes it."""

# A table, of which each line is a case.
# ruff: noqa: E501

import pytest

from streaming.catalog.registry import load_file
from streaming.engine.errors import LivestepError

HEAD = """
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Callable
from django import forms
from streaming import Param, simulation
"""

MISTAKES = {
    "@simulation(speed=5)\ndef f(): ...": "@simulation has no option 'speed'; there are: title, name",
    "@simulation(fps=99)\ndef f(): ...": "f: fps=99; expected 0 (no clock) to 60",
    "@simulation(steps_per_second=-1)\ndef f(): ...": "f: steps_per_second=-1; expected a number above 0",
    "@simulation(engine='gpu')\ndef f(): ...": "f: engine='gpu'; expected one of 'thread', 'process'",
    "@simulation(name='a b')\ndef f(): ...": "'a b' cannot be a simulation's name",
    "simulation(3)": "expected a function, a generator function or a class, got int",
    "@simulation\nclass F: ...": "f: its class needs a method step()",
    "@simulation\nclass F:\n    def step(self): ...\n    async def render(self): ...": (
        "f: its method render() cannot be async; step() may be"
    ),
    "@simulation\ndef f(size): ...": "f: parameter 'size' needs a type or a default value",
    "@simulation\ndef f(size: int | str = 1): ...": "f: parameter 'size' has the type int | str; expected",
    "@simulation\ndef f(size: dict = None): ...": "perhaps `| None`; or say with @simulation(form=...)",
    "@simulation\ndef f(size: int = None): ...": "f: parameter 'size' has the default None; expected",
    "@simulation\ndef f(size: int = 'a'): ...": "has the default 'a'; expected a value of type int",
    "@simulation\ndef f(size: Annotated[int, Param(1, 5)] = 9): ...": "default 9, outside of 1 to 5",
    "@simulation\ndef f(size: tuple[int, int] = (1,)): ...": "expected a value of type tuple, of 2 values",
    "@simulation\ndef f(size: tuple[int, str] = (1, 'a')): ...": "need one type that a single control",
    "@simulation\ndef f(size: int = 1, /): ...": "is positional-only, but parameters are passed by name",
    "@simulation\ndef f(size: 'Nowhere' = 1): ...": "f: its signature cannot be read: name 'Nowhere'",
    "@simulation\ndef f(file: Path = Path('a')): ...": "is a file that a person chooses, and cannot have",
    "@simulation\ndef f(file: Annotated[bytes, Param(live=True)]): ...": "is a file: it cannot be live",
    "@dataclass\nclass D:\n    f: bytes\n@simulation\ndef f(d: D): ...": (
        "f: parameter 'd.f' is a file; a file needs a parameter of its own"
    ),
    "@dataclass\nclass D:\n    x: Any = None\n@simulation\ndef f(d: D): ...": "f: parameter 'd.x' has the type",
    "@dataclass\nclass D:\n    x: int = 1\n@simulation\ndef f(d: D | None = None): ...": (
        "f: parameter 'd' is an object of several fields: it cannot be None"
    ),
    "class F(forms.Form):\n    at = forms.SplitDateTimeField()\n@simulation(form=F)\ndef f(at): ...": (
        "f: the field 'at' of its form is a SplitDateTimeField with a SplitDateTimeWidget"
    ),
    "def deco(g):\n    def inner(*a, **k): return g(*a, **k)\n    return inner\n"
    "@simulation\n@deco\ndef f(size: int = 1): ...": (
        "inner is what a decorator made, which hides the function and its parameters"
    ),
    "def deco(g):\n    return lambda: g()\n@deco\n@simulation\ndef f(): ...": (
        "f is under @simulation, but is not there any more: another decorator has replaced it"
    ),
    "class A:\n    @simulation\n    def f(self): ...": "f is a method, which needs an object: at the top level",
    "def f(): ...": "no simulation in it; expected a function or class under @simulation",
    "1 / 0": "my_sim.py:8: ZeroDivisionError: division by zero",
    "def f(:": "my_sim.py:8: SyntaxError",
}


@pytest.mark.parametrize("code", MISTAKES)
def test_says_what_was_expected_and_what_came(code, tmp_path):
    path = tmp_path / "my_sim.py"
    path.write_text(HEAD + code)
    with pytest.raises(LivestepError) as caught:
        load_file(path)
    assert MISTAKES[code] in str(caught.value)
