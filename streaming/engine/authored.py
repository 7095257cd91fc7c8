"""A package for the files of authors whose own name another module has.

Such a file is found by its name here: the file's, and a mark of its folder. So any process that has
the folder on its path can import it, as the workers of a pool do.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

# It has modules, and none of them lies beside this file.
__path__: list[str] = []


def name_for(path: Path) -> str:
    """Return the name under which a file is imported from this package."""
    return f"{__name__}.{_plain(path)}_{_mark(path.parent)}"


class Finder:
    """Finds the modules of this package on Python's path."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, last = name.rpartition(".")
        if package != __name__:
            return None
        plain, _, mark = last.rpartition("_")
        folders = (folder for folder in map(Path, sys.path) if _mark(folder) == mark)
        files = (file for folder in folders for file in folder.glob("*.py"))
        found = next((file for file in files if _plain(file) == plain), None)
        return None if found is None else importlib.util.spec_from_file_location(name, found)


def _plain(path: Path) -> str:
    return path.stem.replace(".", "_")


def _mark(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]


sys.meta_path.append(Finder)
