"""Every sentence that an author can meet, with the code that causes it: when a file is loaded, and
while steps are taken, with the line that is said to be at fault."""

# A table, of which each line is a case.
# ruff: noqa: E501

import pytest

from streaming.catalog.registry import load_file
from streaming.engine.errors import LivestepError
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.snapshot import State
from tests.catalog.conftest import forget_files
from tests.engine.running import Run

HEAD = """
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Callable
from django import forms
from streaming import Param, simulation
"""

AT_LOADING = {
    "@simulation(speed=5)\ndef f(): ...": "@simulation has no option 'speed'; there are: title, name",
    "@simulation(fps=99)\ndef f(): ...": "f: fps=99; expected 0 (no clock) to 60",
    "@simulation(steps_per_second=-1)\ndef f(): ...": "f: steps_per_second=-1; expected a number above 0",
    "@simulation(engine='gpu')\ndef f(): ...": "f: engine='gpu'; expected one of 'thread', 'process'",
    "@simulation(name='a b')\ndef f(): ...": "'a b' cannot be a simulation's name",
    "@simulation\ndef läufer(): ...": "letters a to z and A to Z, digits, _ and -; @simulation(name=...) gives it another",
    "@simulation\ndef f(*args, **kwargs): ...": "f takes *args and **kwargs, which name no parameters: name each; or",
    "@simulation\ndef f(size: Annotated[int, Param(10, 1)] = 5): ...": "f: parameter 'size' has a min of 10, above its max of 1",
    "@simulation\ndef f(word: Annotated[str, Param(10, 1)]): ...": "f: parameter 'word' has a min of 10, above its max of 1",
    "import no_such.inner": "FILE:8: ModuleNotFoundError: No module named 'no_such': install what it is from",
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
        "if a decorator made it of a function that names them, write @functools.wraps(function)"
    ),
    "def deco(g):\n    return lambda: g()\n@deco\n@simulation\ndef f(): ...": (
        "f is under @simulation, but is not there any more: another decorator has replaced it"
    ),
    "class A:\n    @simulation\n    def f(self): ...": "f is a method, which needs an object: at the top level",
    "def f(): ...": "no simulation in it; expected a function or class under @simulation",
    "1 / 0": "FILE:8: ZeroDivisionError: division by zero",
    "def f(:": "FILE:8: SyntaxError",
}

# The lines of a generator; or of a file, if it says where its simulation begins.
IN_STEPS = {
    "@simulation  # here\ndef f():\n    print('<svg/>')": "returned None at its first call: `return` the picture",
    "@simulation  # here\ndef f():\n    return 'no picture'": "a frame must hold an <svg> element; got str beginning with 'no picture'",
    "@simulation\nclass F:\n    def step(self): ...\n    def render(self):  # here\n        return None": (
        "got NoneType, which is no frame: the function that draws returns nothing"
    ),
    "yield '<svg/>'\nyield '<svg/>' * (1 // 0)  # here": "failed after step 1: ZeroDivisionError: ",
    "yield lambda: 1 / 0  # here": "failed after step 1: ZeroDivisionError: division by zero",
    "import json\nyield json.loads('{')  # here": "JSONDecodeError: Expecting property name",
    "import sys\nsys.exit('done')  # here\nyield": "it called sys.exit(done); a simulation ends with `return`",
    "import sys\nsys.exit()  # here\nyield": "it called sys.exit(); a simulation ends with `return`",
    "yield input('How many? ')  # here": "it called input(), and nobody is at a keyboard here; ask with a parameter",
    "import pdb\nfor _ in 'ab': pdb.Pdb(nosigint=True).set_trace()  # here\nyield": (
        "it has a breakpoint(), and there is no debugger here"
    ),
    "yield  # here": "a `yield` gave None, which is no frame: write the picture after it",
    "yield {'not': 'a picture'}  # here": "got dict, which is no frame; expected SVG as str or bytes",
    "yield lambda: ['<svg/>']  # here": "got list, which is no frame: yield one picture for each step",
    "yield (x for x in ['<svg/>'])  # here": "got generator, which is no frame: write `yield from` before it",
    "yield lambda: lambda: '<svg/>'  # here": "which is no frame, from a function that was called for it: call it once more",
    "class Canvas:\n    def as_svg(self): ...\nyield Canvas()  # here": "Canvas, which is no frame: perhaps yield what its as_svg() returns",
    "class Canvas:\n    def _repr_svg_(self): return 1\nyield Canvas()  # here": "_repr_svg_() of Canvas must return str or bytes; got int",
    "yield '<svg width=\"3'  # here": "a frame's <svg> tag never ends",
    "yield '<svg>\\ud800</svg>'  # here": "a frame's text cannot be written as UTF-8",
    "yield b'<svg>\\xff</svg>'  # here": "a frame's bytes must be UTF-8, or a PNG or JPEG file",
    "yield b'GIF89a\\xf7'  # here": "a frame's bytes are a GIF; expected SVG, PNG or JPEG",
    "yield b'\\x89PNG\\r\\n\\x1a\\n'  # here": "a frame's PNG file is cut off or damaged",
    "import numpy\nyield numpy.zeros((3, 8, 8))  # here": "for colours: yield numpy.moveaxis(array, 0, -1)",
    "import numpy\nyield numpy.zeros((8, 8)) + 2  # here": "with values from 2 to 2 cannot be shown; expected floats in 0..1: scale it",
    "import numpy\nyield numpy.zeros((8, 8), int) - 1  # here": "expected whole numbers in 0..255: scale it",
    "import numpy\nyield numpy.zeros((8, 8), complex)  # here": "an array of complex128 is no picture; expected uint8, or floats",
}


@pytest.mark.parametrize("code", AT_LOADING)
def test_at_loading_says_what_was_expected_and_what_came(code, write):
    path = write(HEAD + code, "my_sim.py")
    with pytest.raises(LivestepError) as caught:
        load_file(path)
    assert AT_LOADING[code].replace("FILE", path.name) in str(caught.value)


def test_an_error_without_a_text_is_told_by_its_kind(write):
    with pytest.raises(LivestepError, match=r"my_sim\.py:1: ValueError$"):
        load_file(write("raise ValueError", "my_sim.py"))


def written(code):
    """Return the file of a case."""
    if "@simulation" in code:
        return HEAD + code
    return HEAD + "@simulation\ndef f():\n    " + code.replace("\n", "\n    ")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The file of each case, loaded here."""
    folder = tmp_path_factory.mktemp("mistakes")
    files = {code: folder / f"mistake_{number}.py" for number, code in enumerate(IN_STEPS)}
    for code, path in files.items():
        path.write_text(written(code))
    yield files
    forget_files(folder)


@pytest.fixture(scope="module")
def server_of_all(files):
    server = ForkServer("tests.samples.loader", lambda: [str(path) for path in files.values()])
    yield server
    server.close()


@pytest.mark.parametrize("engine", ["thread", "process"])
@pytest.mark.parametrize("code", IN_STEPS)
def test_in_a_step_says_what_to_do_and_where_it_is(code, engine, files, server_of_all):
    ((_, simulation),) = load_file(files[code])
    server = server_of_all if engine == "process" else None
    run = Run(simulation.target, fork_server=server).start()
    end = run.ended()
    assert end.state is State.FAILED
    assert IN_STEPS[code] in end.error
    lines = written(code).split("\n")
    at = next(number for number, line in enumerate(lines) if "# here" in line)
    place = run.session.place
    assert (place.file, place.line, place.code) == (files[code].name, at + 1, lines[at].strip())
    assert place.code in dict(place.around)[place.line]
    assert len(place.around) <= 3
