"""The simulations that can be started: from every installed app and from the files named in
the setting SIMULATIONS."""

import importlib
import sys
import traceback
from collections.abc import Iterator
from importlib.machinery import SOURCE_SUFFIXES
from pathlib import Path
from types import ModuleType

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from streaming.conf import conf
from streaming.engine.errors import LivestepError, UnknownSimulation
from streaming.engine.reference import load_source
from streaming.engine.simulations import Simulation, described

MODULE_NAME = "simulations"


class SimulationFileError(LivestepError):
    """A file of simulations that cannot be used; the text names the file, and the line."""


class Registry:
    """Finds the simulations when they are first asked for, and keeps them."""

    def __init__(self) -> None:
        # By where they were found. None until they were looked for.
        self._found: list[tuple[str, Simulation]] | None = None
        self._added: list[tuple[str, Simulation]] = []
        self.added_files: list[Path] = []

    def all(self) -> list[Simulation]:
        """Return every simulation, those of files first."""
        return [simulation for _, simulation in self._everything()]

    def get(self, name: str) -> Simulation:
        """Return a simulation by its name.

        Raises:
            UnknownSimulation: If there is none; the message lists those there are.
        """
        for simulation in self.all():
            if simulation.name == name:
                return simulation
        known = ", ".join(simulation.name for simulation in self.all()) or "none"
        raise UnknownSimulation(f"there is no simulation {name[:64]!r}; there are: {known}")

    @property
    def default_name(self) -> str:
        """The simulation of a client that names none."""
        if conf().DEFAULT_SIMULATION:
            return conf().DEFAULT_SIMULATION
        from_files = [*self._added, *(self._from_files() if conf().SIMULATIONS else [])]
        return from_files[0][1].name if from_files else "ising"

    def add_file(self, path: Path) -> None:
        """Load one more file.

        Raises:
            SimulationFileError: If it cannot be run or declares no simulation.
        """
        self._added += load_file(path)
        self.added_files.append(path)

    def clashes(self) -> list[tuple[str, list[str]]]:
        """Return each name that stands for several simulations, with where they are."""
        places: dict[str, list[str]] = {}
        for where, simulation in self._everything():
            places.setdefault(simulation.name, []).append(where)
        return [(name, where) for name, where in places.items() if len(where) > 1]

    def _everything(self) -> list[tuple[str, Simulation]]:
        if self._found is None:
            self._found = [*self._from_files(), *_from_apps()]
        return [*self._added, *self._found]

    def _from_files(self) -> list[tuple[str, Simulation]]:
        return [
            entry for path in dict.fromkeys(conf().SIMULATIONS) for entry in load_file(Path(path))
        ]


registry = Registry()


def load_file(path: Path) -> list[tuple[str, Simulation]]:
    """Run a file and return the simulations that it declares.

    Raises:
        SimulationFileError: If it cannot be run or declares none.
    """
    module_name = f"livestep_file_{path.stem}"
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


def _from_apps() -> Iterator[tuple[str, Simulation]]:
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
