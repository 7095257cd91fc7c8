"""How another process finds a simulation: by the module that it stands in, and its name there."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from streaming.engine.errors import InvalidSimulation
from streaming.engine.simulations import Simulation, describe, described
from streaming.engine.sources import load_source


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a simulation stands. `file` is for a module that cannot be imported by its name."""

    module: str
    attribute: str
    file: str | None
    name: str

    @classmethod
    def to(cls, simulation: Simulation) -> "Reference":
        """Say where a simulation stands.

        Raises:
            InvalidSimulation: If it is not at the top level of a module.
        """
        module = sys.modules.get(simulation.module)
        attribute = None if module is None else _attribute(module, simulation)
        if module is None or attribute is None:
            raise InvalidSimulation(
                f"{simulation.name} cannot run in a process of its own, since that would not find "
                "it: it is made inside a function, or a lambda. Write it with `def` or `class` at "
                "the top level of a file"
            )
        return cls(module.__name__, attribute, getattr(module, "__file__", None), simulation.name)

    def find(self) -> Simulation:
        """Return the simulation, in a process that may have to load its module first.

        Raises:
            InvalidSimulation: If it is not there.
        """
        found: Any = self._load()
        for part in self.attribute.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            raise InvalidSimulation(f"{self.module} has no {self.attribute} in another process")
        return described(found) or describe(found, name=self.name)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def _load(self) -> ModuleType:
        if self.module in sys.modules and self.module != "__main__":
            return sys.modules[self.module]
        try:
            if self.module != "__main__":
                return importlib.import_module(self.module)
        except ModuleNotFoundError:
            if self.file is None:
                raise
        return load_source(Path(self.file or ""), self.module.replace("__main__", "__livestep__"))


def _attribute(module: ModuleType, simulation: Simulation) -> str | None:
    is_it: Callable[[Any], bool] = lambda value: (  # noqa: E731
        value is simulation.target or described(value) is simulation
    )
    for name, value in vars(module).items():
        if is_it(value):
            return name
    # In a class, say.
    path = getattr(simulation.target, "__qualname__", "<lambda>")
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return path if found is not None and is_it(found) else None
