"""The fast tests on each Python with each Django that people have.

    python -m development.matrix [--python 3.13] [--django 6.1] [--turn] [-- TESTS]

With `--turn` it is one of the pairs, another each day. Each pair has an environment of its own
under var/matrix, which is kept for the next time. A Python that is neither on this machine nor
installed by uv is left out, and the summary says so.
"""

import argparse
import datetime
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "var" / "matrix"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# And the first Python that each takes.
DJANGOS = {"5.2": "3.11", "6.0": "3.12", "6.1": "3.12"}
# What checks types and templates, and what drives a browser: the tests below need neither.
UNNEEDED = {
    *("Django", "mypy", "django-stubs", "types-channels", "djlint", "djade"),
    *("playwright", "axe-playwright-python"),
}
# Servers, browsers and minutes.
SLOW = ("browser", "live", "faults", "test_javascript.py")
PYTEST = ("-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider")


def main() -> int:
    """Run every pair that was asked for; 1 if the tests of one fail."""
    arguments = _arguments()
    pythons = {version: find_python(version) for version in arguments.python}
    pairs = [(version, django) for version in arguments.python for django in arguments.django]
    left_out = {pair: why for pair in pairs if (why := _hindrance(*pair, pythons))}
    able = [pair for pair in pairs if pair not in left_out]
    if arguments.turn and able:
        turn = able[datetime.date.today().toordinal() % len(able)]
        left_out |= {pair: "left out: another day" for pair in able if pair != turn}
    outcomes = {}
    for version, django in pairs:
        pair = f"Python {version}, Django {django}"
        if (version, django) in left_out:
            outcomes[pair] = left_out[version, django]
            continue
        print(f"{pair} …", flush=True)  # noqa: T201
        outcomes[pair] = _outcome(version, str(pythons[version]), django, arguments.tests)
        print(f"    {outcomes[pair]}", flush=True)  # noqa: T201
    print("\n".join(f"{pair}: {outcome}" for pair, outcome in outcomes.items()))  # noqa: T201
    return int(any("failed" in outcome for outcome in outcomes.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="matrix", description=__doc__)
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--django", action="append", choices=list(DJANGOS))
    parser.add_argument("--turn", action="store_true", help="one of the pairs, by the date")
    parser.add_argument("tests", nargs="*", help="for pytest; all of the fast ones without")
    arguments = parser.parse_args()
    arguments.python = arguments.python or PYTHONS
    arguments.django = arguments.django or list(DJANGOS)
    return arguments


def _hindrance(version: str, django: str, pythons: dict[str, str | None]) -> str:
    """Say why a pair is left out; "" if it need not be."""
    if _number(version) < _number(first := DJANGOS[django]):
        return f"left out: it needs Python {first}"
    if pythons[version] is None:
        return "left out: no such Python on this machine, and uv has none"
    return ""


def _outcome(version: str, python: str, django: str, tests: Sequence[str]) -> str:
    folder = FOLDER / f"{version}-{django}"
    try:
        environment = _environment(folder, python, django)
    except subprocess.CalledProcessError as error:
        return f"failed: {error.cmd[-1]} cannot be installed, see {folder}.log"
    options = [f"--ignore=tests/{name}" for name in SLOW]
    with open(f"{folder}.log", "w") as log:
        ran = subprocess.run(
            [environment, *PYTEST, *options, *tests], cwd=ROOT, stdout=log, stderr=log, check=False
        )
    last = Path(f"{folder}.log").read_text().rstrip().rpartition("\n")[2].strip("= ")
    return last if ran.returncode == 0 else f"failed: {last}, see {folder}.log"


def _environment(folder: Path, python: str, django: str) -> str:
    """Return the Python of an environment that has what the tests need; makes it at first.

    Raises:
        subprocess.CalledProcessError: If something cannot be installed; the log says why.
    """
    own = folder / "bin" / "python"
    FOLDER.mkdir(parents=True, exist_ok=True)
    needed = FOLDER / f"{django}.txt"
    needed.write_text("\n".join([*requirements("requirements-dev.txt"), f"Django~={django}.0"]))
    with open(f"{folder}.log", "w") as log:
        for command in (
            [python, "-m", "venv", str(folder)] if not own.exists() else [],
            [str(own), "-m", "pip", "install", "-q", "-r", str(needed)],
        ):
            if command:
                subprocess.run(command, check=True, stdout=log, stderr=log)
    return str(own)


def requirements(name: str) -> Iterator[str]:
    """Yield the lines of a file of requirements, with those of the files that it names, but for
    what is not needed here, and for Django."""
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("-r "):
            yield from requirements(line.removeprefix("-r "))
        elif line and not line.startswith("#") and re.split(r"[=\[]", line)[0] not in UNNEEDED:
            yield line


def find_python(version: str) -> str | None:
    """Return a Python of a version: on the path, of pyenv, or of uv, which may install it."""
    ours = Path.home() / ".pyenv" / "versions"
    found = [shutil.which(f"python{version}"), *map(str, ours.glob(f"{version}.*/bin/python"))]
    if uv := shutil.which("uv"):
        subprocess.run([uv, "python", "install", "-q", version], check=False)
        asked = subprocess.run(
            [uv, "python", "find", version], capture_output=True, text=True, check=False
        )
        found.append(asked.stdout.strip())
    return next((python for python in found if python and _is(python, version)), None)


def _is(python: str, version: str) -> bool:
    """Whether a program is a Python of a version: pyenv has stand-ins that are not."""
    program = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    return asked.stdout.strip() == version


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    sys.exit(main())
