"""The simulations that can be started: from every installed app and from the files named in
the setting SIMULATIONS."""

import importlib
import linecache
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import SOURCE_SUFFIXES
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

from django.apps import apps
from django.utils.module_loading import module_has_submodule
from django.utils.translation import gettext as _

from streaming.conf import conf
from streaming.engine.errors import LivestepError, UnknownSimulation
from streaming.engine.simulations import Simulation, described
from streaming.engine.sources import load_source

MODULE_NAME = "simulations"

# Where a simulation was found, and the simulation.
Entry = tuple[str, Simulation]


class SimulationFileError(LivestepError):
    """A file of simulations that cannot be used; the text names the file, and the line."""


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

    @property
    def files(self) -> list[Path]:
        """The files that simulations come from, beside the apps."""
        return list(dict.fromkeys([*self.added_files, *map(Path, conf().SIMULATIONS)]))

    def add_file(self, path: Path) -> None:
        """Load one more file.

        Raises:
            SimulationFileError: If it cannot be run or declares no simulation.
        """
        self._added += load_file(path)
        self.added_files.append(path)

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
        with _without_module_of(path):
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
        paths = dict.fromkeys(map(Path, conf().SIMULATIONS))
        return [entry for path in paths if path not in self.broken for entry in load_file(path)]


registry = Registry()


def load_file(path: Path) -> list[Entry]:
    """Run a file and return the simulations that it declares.

    Raises:
        SimulationFileError: If it cannot be run or declares none.
    """
    module_name = _module_name(path)
    module = sys.modules.get(module_name)
    if module is None or module.__file__ != str(path.resolve()):
        module = _run(path, module_name)
    found = list(_declared(module))
    if not found:
        raise SimulationFileError(
            f"{path}: no simulation in it; expected a function or class under @simulation "
            "(from streaming import simulation)"
        )
    return [(str(path), simulation) for simulation in found]


def neighbours(path: Path) -> list[Path]:
    """Return the files beside a file that are imported as modules, by their plain names."""
    return [
        file
        for file in path.resolve().parent.glob("*.py")
        if getattr(sys.modules.get(file.stem), "__file__", None) == str(file)
    ]


def _module_name(path: Path) -> str:
    return f"livestep_file_{path.stem}"


@contextmanager
def _without_module_of(path: Path) -> Iterator[None]:
    """Let a file's module and its neighbours run again when they are imported in this block. If
    that fails, the former modules stay."""
    files = {_module_name(path): path.resolve(), **{file.stem: file for file in neighbours(path)}}
    before = {name: sys.modules.pop(name) for name in files if name in sys.modules}
    for file in files.values():
        # Python tells a compiled file from a newer source by its size and by whole seconds only.
        with suppress(OSError):
            Path(cache_from_source(str(file))).unlink(missing_ok=True)
        linecache.checkcache(str(file))
    importlib.invalidate_caches()
    try:
        yield
    except BaseException:
        sys.modules.update(before)
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
    places: dict[str, list[str]] = {}
    for where, simulation in entries:
        places.setdefault(simulation.name, []).append(where)
    return [(name, where) for name, where in places.items() if len(where) > 1]


def _run(path: Path, module_name: str) -> ModuleType:
    if path.is_dir():
        raise SimulationFileError(f"{path} is a folder: name the Python files in it")
    if not path.is_file():
        raise SimulationFileError(f"{path}: there is no such file")
    if path.suffix not in SOURCE_SUFFIXES:
        raise SimulationFileError(f"{path}: expected a Python file, with the ending .py")
    # The file may import its neighbours, as a script may.
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return load_source(path.resolve(), module_name)
    except (Exception, SystemExit) as error:  # Whatever the author's file raises.
        line = _line_in(path, error)
        raise SimulationFileError(f"{path}:{line}: {type(error).__name__}: {error}") from error


def _line_in(path: Path, error: BaseException) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(path.resolve()):
        return error.lineno or 1
    lines = [
        entry.lineno
        for entry in traceback.extract_tb(error.__traceback__)
        if entry.filename == str(path.resolve()) and entry.lineno
    ]
    return lines[-1] if lines else 1


def _from_apps() -> Iterator[Entry]:
    for app in apps.get_app_configs():
        if app.module is not None and module_has_submodule(app.module, MODULE_NAME):
            module = importlib.import_module(f"{app.name}.{MODULE_NAME}")
            for simulation in _declared(module):
                yield module.__name__, simulation


def _declared(module: ModuleType) -> Iterator[Simulation]:
    for value in vars(module).values():
        simulation = described(value)
        # What a module only imports belongs to the module that declares it.
        if simulation is not None and value.__module__ == module.__name__:
            yield simulation
