"""The files that an author has written: where they lie, and what lies beside them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

# Folders of what is installed, which may lie below an author's own.
INSTALLED = {"site-packages", "dist-packages"}


def load_source(path: Path, name: str) -> ModuleType:
    """Run a Python file as a module of that name.

    Raises:
        ImportError: If it is no Python file. Else whatever the file raises.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def is_beside(module: ModuleType | None, folder: Path) -> bool:
    """Whether a module's file lies in a folder, or below it, and was not installed there."""
    file = Path(getattr(module, "__file__", None) or "/")
    if folder not in file.parents:
        return False
    return INSTALLED.isdisjoint(file.relative_to(folder).parts)
