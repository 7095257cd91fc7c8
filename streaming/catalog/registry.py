"""The simulations that can be started: from every installed app and from the files named in
the setting SIMULATIONS."""

import argparse
import importlib
import importlib.util
import linecache
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.machinery import SOURCE_SUFFIXES
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

from django.apps import apps
from django.utils.module_loading import module_has_submodule
from django.utils.translation import gettext as _

from streaming.catalog.forms import check_form
from streaming.conf import conf
from streaming.engine import sources
from streaming.engine.errors import LivestepError, UnknownSimulation, told
from streaming.engine.simulations import (
    Simulation,
    declared_in,
    described,
)
from streaming.engine.traces import Place, place_in

MODULE_NAME = "simulations"

# What a file of a folder has if it declares simulations.
DECLARES = re.compile(r"^[ \t]*@(?:\w+\.)*simulation\b|=[ \t]*simulation\(", re.MULTILINE)

# Where a simulation was found, and the simulation.
Entry = tuple[str, Simulation]


class SimulationFileError(LivestepError):
    """A file of simulations that cannot be used; the text names the file, and the line. `place` is
    that line, where it is one of the author's code."""

    place: Place | None = None


class Registry:
    """Finds the simulations when they are first asked for, and keeps them."""

    def __init__(self) -> None:
        # By where they were found. None until they were looked for.
        self._found: list[Entry] | None = None
        self._added: list[Entry] = []
        self.added_files: list[Path] = []
        # Files that were saved and cannot be loaded now: others must not fail with them. Replaced,
        # never changed, since other threads read it.
        self.broken: frozenset[Path] = frozenset()

    def all(self) -> list[Simulation]:
        """Return every simulation; the ones from files come first."""
        return [simulation for _, simulation in self._everything()]

    def get(self, name: str) -> Simulation:
        """Return a simulation by its name.

        Raises:
            UnknownSimulation: If there is none; the message lists those there are.
        """
        for simulation in self.all():
            if simulation.name == name:
                return simulation
        known = ", ".join(simulation.name for simulation in self.all()) or _("none")
        raise UnknownSimulation(
            _("there is no simulation %(name)r; there are: %(known)s")
            % {"name": name[:64], "known": known}
        )

    @property
    def default_name(self) -> str:
        """The simulation of a client that names none."""
        if conf().DEFAULT_SIMULATION:
            return conf().DEFAULT_SIMULATION
        return self._everything()[0][1].name if self.files else "ising"

    def shown(self) -> Simulation | None:
        """Return the simulation that may run on the first page, for everybody and by itself.

        Not one of a file, unless a setting names it: that may be somebody's training run.
        """
        if self.files and not conf().DEFAULT_SIMULATION:
            return None
        return self.example()

    def example(self) -> Simulation | None:
        """Return the simulation of a client that names none, if it needs no parameters."""
        found = next((one for one in self.all() if one.name == self.default_name), None)
        if found is None or any(spec.required for spec in found.params):
            return None
        return found

    @property
    def files(self) -> list[Path]:
        """The files that simulations come from, beside the apps."""
        return list(dict.fromkeys([*self.added_files, *_named(conf().SIMULATIONS)]))

    def add_file(self, path: Path) -> None:
        """Load one more file, or those of a folder, or a module that is given by its name.

        Raises:
            SimulationFileError: If one cannot be run or declares no simulation.
        """
        for file in files_of(path):
            self._added += load_file(file)
            self.added_files.append(file)

    def names_in(self, path: Path) -> list[str]:
        """Return the names of the simulations that a file declared when it was loaded last."""
        return [simulation.name for where, simulation in self._everything() if where == str(path)]

    def reload_file(self, path: Path) -> dict[str, Simulation | None]:
        """Run a file again, and the files beside it that it imported. On any thread.

        Returns:
            By its name each simulation that the file declares, and None for each that it did.

        Raises:
            SimulationFileError: If it cannot be run or declares no simulation; all stays as it was.
        """
        where = str(path)
        former = self.names_in(path)
        self.broken |= {path}
        with _loaded_again(path):
            fresh = load_file(path)
            added = _replaced(self._added, where, fresh)
            found = _replaced(self._found or [], where, fresh)
            for name, places in _clashes([*added, *found]):
                raise SimulationFileError(
                    f"{path}: two simulations have the name {name!r}, in "
                    f"{' and in '.join(places)}: give one another, @simulation(name=...)"
                )
        self._added, self._found = added, found
        self.broken -= {path}
        return dict.fromkeys(former) | {simulation.name: simulation for _, simulation in fresh}

    def clashes(self) -> list[tuple[str, list[str]]]:
        """Return each name that stands for several simulations, with where they are."""
        return _clashes(self._everything())

    def _everything(self) -> list[Entry]:
        if self._found is None:
            self._found = [*self._from_files(), *_from_apps()]
        return [*self._added, *self._found]

    def _from_files(self) -> list[Entry]:
        paths = _named(conf().SIMULATIONS)
        return [entry for path in paths if path not in self.broken for entry in load_file(path)]


registry = Registry()


@cache
def _named(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the files that the setting names."""
    return tuple(dict.fromkeys(path for name in names for path in files_of(Path(name))))


def load_file(path: Path) -> list[Entry]:
    """Run a file and return the simulations that it declares.

    Raises:
        SimulationFileError: If it cannot be run or declares none.
    """
    module = _run(path)
    found = list(_declared(module))
    if not found:
        if hidden := declared_in(module):
            raise SimulationFileError(
                f"{path}: {hidden[0]} is under @simulation, but is not there any more: another "
                "decorator has replaced it, or it stands inside of a class or function. Put "
                "@simulation on top, at the top level of the file"
            )
        raise SimulationFileError(
            f"{path}: no simulation in it; expected a function or class under @simulation "
            "(from streaming import simulation)"
        )
    return [(str(path), simulation) for simulation in found]


def files_of(path: Path) -> list[Path]:
    """Return the files with simulations that something names: a file itself, those of a folder, or
    what a module's name stands for.

    Raises:
        SimulationFileError: If it names nothing.
    """
    if path.is_dir():
        files = [file for file in sorted(path.glob("*.py")) if _may_declare(file)]
        if not files:
            raise SimulationFileError(
                f"{path}: no simulation in this folder; expected a Python file with a function or "
                "class under @simulation (from streaming import simulation)"
            )
        return files
    name = str(path)
    if path.exists() or path.suffix in SOURCE_SUFFIXES or not name.replace(".", "a").isidentifier():
        return [path]
    origin = _origin_of(name)
    return [path] if origin is None else files_of(origin)


def _origin_of(name: str) -> Path | None:
    """Return the file, or the folder, of a module that Python finds from here."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        spec = importlib.util.find_spec(name)
    except Exception as error:  # A package's own code runs.
        raise SimulationFileError(f"{name}: {told(error)}") from error
    if spec is None or spec.origin is None:
        raise SimulationFileError(f"{name}: there is no file, no folder and no module of that name")
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def _may_declare(file: Path) -> bool:
    try:
        return DECLARES.search(file.read_text(errors="replace")) is not None
    except OSError:
        return False


def neighbours(path: Path) -> list[Path]:
    """Return the files that a file has imported from its folder, or from its package."""
    source = sources.source_of(path)
    known = sources.loaded.get(source.module, source)
    modules = {**known.beside, **sources.modules_below(source.root)}
    files = {Path(module.__file__) for module in modules.values() if module.__file__}
    return sorted(file for file in files - {source.path} if file.suffix in SOURCE_SUFFIXES)


@contextmanager
def _loaded_again(path: Path) -> Iterator[None]:
    """Let a file and its neighbours run again when they are imported in this block. If that fails,
    the former modules stay."""
    files = [path.resolve(), *neighbours(path)]
    before = sources.forget(path)
    for file in files:
        # Python tells a compiled file from a newer source by its size and by whole seconds only.
        with suppress(OSError):
            Path(cache_from_source(str(file))).unlink(missing_ok=True)
        linecache.checkcache(str(file))
    try:
        yield
    except BaseException:
        sources.bring_back(path, before)
        raise


def _replaced(entries: Sequence[Entry], where: str, fresh: Sequence[Entry]) -> list[Entry]:
    """Put the simulations of a place where its former ones stood, if it had any."""
    places = [place for place, _ in entries]
    if where not in places:
        return list(entries)
    first = places.index(where)
    others = [entry for entry in entries[first:] if entry[0] != where]
    return [*entries[:first], *fresh, *others]


def _clashes(entries: Sequence[Entry]) -> list[tuple[str, list[str]]]:
    """Return each name that was declared more than once, with the places. The second in a file may
    have replaced the first."""
    counts = Counter(simulation.name for _, simulation in entries)
    places: dict[str, dict[str, None]] = {}
    for where, simulation in entries:
        for line in simulation.lines:
            places.setdefault(simulation.name, {})[f"{where}, line {line}"] = None
    return [
        (name, list(where)) for name, where in places.items() if len(where) > 1 or counts[name] > 1
    ]


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise SimulationFileError(f"{path}: there is no such file")
    if path.suffix not in SOURCE_SUFFIXES:
        raise SimulationFileError(f"{path}: expected a Python file, with the ending .py")
    with _said_of(path):
        return sources.load(path)


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Say in a sentence what an author's file raises, and in which line.

    Raises:
        SimulationFileError: If it raises anything.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        file, line = _place_of(path, error)
        failure = SimulationFileError(f"{file}:{line}: {_reason(error)}")
        failure.place = place_in(str(file), line)
        raise failure from error


def _place_of(path: Path, error: BaseException) -> tuple[Path, int]:
    """Return the last file of the author's, and the line in it, that an error came through."""
    source = sources.source_of(path)
    ours = [source.path, *neighbours(path)]
    places = [
        (Path(entry.filename), entry.lineno)
        for entry in traceback.extract_tb(error.__traceback__)
        if entry.lineno and (Path(entry.filename) in ours or _is_new_below(source.root, entry))
    ]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((Path(error.filename), error.lineno or 1))
    file, line = places[-1] if places else (source.path, 1)
    return (path if file == source.path else file), line


def _is_new_below(root: Path, entry: traceback.FrameSummary) -> bool:
    file = Path(entry.filename)
    return root in file.parents and sources.INSTALLED.isdisjoint(file.relative_to(root).parts)


def _reason(error: BaseException) -> str:
    passed = {entry.filename for entry in traceback.extract_tb(error.__traceback__)}
    if isinstance(error, SystemExit) and argparse.__file__ in passed:
        return (
            "SystemExit: it needs arguments of a command line, and has none here: give them "
            "defaults, or make them parameters of the simulation"
        )
    said = told(error)
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        return f"{said}: put an empty file __init__.py into its folder, or import without the dot"
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return (
            f"{said}: install what it is from into the environment that runs this, perhaps by "
            f"`pip install {package}`; a file of yours has to lie beside this one"
        )
    return said


def _from_apps() -> Iterator[Entry]:
    for app in apps.get_app_configs():
        if app.module is not None and module_has_submodule(app.module, MODULE_NAME):
            module = _module_of_app(f"{app.name}.{MODULE_NAME}")
            for simulation in _declared(module):
                yield module.__name__, simulation


def _module_of_app(name: str) -> ModuleType:
    """Import the simulations of an app.

    Raises:
        SimulationFileError: If they cannot be imported.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:  # A folder without __init__.py.
        return importlib.import_module(name)
    with _said_of(Path(spec.origin)):
        return importlib.import_module(name)


def _declared(module: ModuleType) -> Iterator[Simulation]:
    # Once, whatever other names it has there.
    for value in {id(value): value for value in vars(module).values()}.values():
        simulation = described(value)
        # What a module only imports belongs to the module that declares it.
        if simulation is not None and simulation.module == module.__name__:
            check_form(simulation)
            yield simulation
