"""An author's files: under which names they are imported, and what surrounds them.

A file is imported as Python itself would import it from its folder, so that the workers of a pool,
which import it again, find it under its name.
"""

import ctypes
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from streaming.engine import authored

# Folders of what is installed, which may lie below an author's own.
INSTALLED = {"site-packages", "dist-packages"}
CLONE_FS = 0x200


@dataclass(slots=True)
class Source:
    """A file that was loaded. `root` is the folder from which Python finds its module."""

    path: Path
    root: Path
    module: str
    # What was imported from below the root, by its name: another root may have the same names.
    beside: dict[str, ModuleType] = field(default_factory=dict)
    # How multiprocessing is to start processes, if the file has said so.
    start_method: str | None = None

    @property
    def folder(self) -> Path:
        return self.path.parent


# By the names of their modules. Replaced by those who load, one after the other.
loaded: dict[str, Source] = {}
# What was imported before the first of them, and is not theirs.
_before: frozenset[str] = frozenset()
# What was put on Python's path for them.
added: set[str] = set()


def source_of(path: Path) -> Source:
    """Say under which name a file is imported, and from where."""
    path = path.resolve()
    names = [] if path.stem == "__init__" else [path.stem]
    root = path.parent
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        names.insert(0, root.name)
        root = root.parent
    name = ".".join(names)
    if "." in path.stem or not _is_free(names[0], root):
        # Another module has this name, as where a file chess.py imports the library.
        return Source(path, path.parent, authored.name_for(path))
    return Source(path, root, name)


def _is_free(name: str, root: Path) -> bool:
    """Whether a module of that name is found below a root, and nowhere before it."""
    found = sys.modules.get(name)
    if found is not None and not is_below(found, root):
        return False
    others = [folder for folder in sys.path if folder != str(root) and folder not in added]
    spec = importlib.machinery.PathFinder.find_spec(name, others)
    return spec is None and name not in sys.builtin_module_names


def load(path: Path) -> ModuleType:
    """Run a file as a module, or return the module if that was done.

    Raises:
        ImportError: If it is no Python file. Else whatever the file raises.
    """
    global _before
    _before = _before or frozenset(name.partition(".")[0] for name in sys.modules)
    source = source_of(path)
    imported = sys.modules.get(source.module)
    if imported is not None and _file_of(imported) == source.path:
        # By another file, perhaps, which stands beside it.
        loaded.setdefault(source.module, source)
        return imported
    with _surroundings_of(source), working_in(source.folder):
        if "." in source.module and not source.module.startswith(authored.__name__):
            module = importlib.import_module(source.module)
        else:
            module = load_source(source.path, source.module)
        source.beside = modules_below(source.root)
    loaded[source.module] = source
    return module


def forget(path: Path) -> dict[str, ModuleType]:
    """Let a file, and all that it has imported from below its root, be loaded again.

    Returns:
        The modules by their names, for `bring_back`.
    """
    source = source_of(path)
    forgotten = modules_below(source.root)
    if source.module in sys.modules:
        forgotten[source.module] = sys.modules[source.module]
    for name in forgotten:
        del sys.modules[name]
    loaded.pop(source.module, None)
    importlib.invalidate_caches()
    return forgotten


def bring_back(path: Path, modules: dict[str, ModuleType]) -> None:
    """Have a file be what it was before `forget`."""
    source = source_of(path)
    source.beside = modules
    sys.modules.update(modules)
    loaded[source.module] = source


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
        sys.modules.pop(name, None)
        raise
    return module


def modules_below(root: Path) -> dict[str, ModuleType]:
    """Return the modules that were imported from below a root since the first file was loaded."""
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in _before and is_below(module, root)
    }


def is_below(module: ModuleType, root: Path) -> bool:
    """Whether a module's file lies below a folder, and was not installed there."""
    file = _file_of(module)
    if file is None or root not in file.parents:
        return False
    return INSTALLED.isdisjoint(file.relative_to(root).parts)


def _file_of(module: ModuleType) -> Path | None:
    # Not by the attribute: some modules import others when they are asked for one.
    file = getattr(module, "__dict__", {}).get("__file__")
    return Path(file) if isinstance(file, str) else None


@contextmanager
def _surroundings_of(source: Source) -> Iterator[None]:
    """Have the file's own neighbours be found, no command line, and its choices its own."""
    arguments, sys.argv = sys.argv, [str(source.path)]
    shelved = _shelve_namesakes(source.root)
    _put_on_path(source.root)
    before = _exchange_start_method(None)
    try:
        yield
    finally:
        sys.argv = arguments
        for name, module in shelved.items():
            sys.modules.setdefault(name, module)
        source.start_method = _exchange_start_method(before)


def _shelve_namesakes(root: Path) -> dict[str, ModuleType]:
    """Take away what was imported from other roots and has the name of something in this one."""
    shelved = {}
    for other in loaded.values():
        for name in other.beside if other.root != root else ():
            top = name.partition(".")[0]
            is_namesake = (root / f"{top}.py").is_file() or (root / top / "__init__.py").is_file()
            if is_namesake and name in sys.modules:
                shelved[name] = sys.modules.pop(name)
    return shelved


def _put_on_path(root: Path) -> None:
    """Have modules below a root be found after what is installed, and before other roots."""
    ours = str(root)
    if ours in sys.path and ours not in added:
        return
    added.add(ours)
    others = [folder for folder in sys.path if folder in added and folder != ours]
    sys.path[:] = [folder for folder in sys.path if folder not in added] + [ours, *others]


def _exchange_start_method(method: str | None) -> str | None:
    """Set how multiprocessing starts processes, None for its default; return what was set."""
    processes: Any = sys.modules.get("multiprocessing")
    if processes is None:
        return None
    before: str | None = processes.get_start_method(allow_none=True)
    if before != method:
        processes.set_start_method(method, force=True)
    return before


def enter(module: str) -> None:
    """Be a process for one file only: with its neighbours, its choices, in its folder."""
    source = loaded.get(module)
    if source is None:
        return
    _shelve_namesakes(source.root)
    sys.modules.update(source.beside)
    _put_on_path(source.root)
    sys.argv = [str(source.path)]
    if source.start_method is not None:
        _exchange_start_method(source.start_method)
    with suppress(OSError):  # Where it may not look, it can still be imported from.
        os.chdir(source.folder)


@contextmanager
def working_in(folder: Path | None) -> Iterator[None]:
    """Have a folder be the working directory of this thread, and of none that runs beside it.

    Where the system does not let a thread have one of its own, as in some containers, it stays what
    it is.
    """
    is_alone = threading.current_thread() is threading.main_thread()
    if folder is None or not (is_alone or _own_directory()):
        yield
        return
    before = None
    with suppress(OSError):  # Either may be gone, or closed to this user.
        before = os.getcwd()
        os.chdir(folder)
    try:
        yield
    finally:
        if before is not None:
            with suppress(OSError):
                os.chdir(before)


def _own_directory() -> bool:
    try:
        return bool(ctypes.CDLL(None).unshare(CLONE_FS) == 0)
    except AttributeError:  # It is not Linux.
        return False


def folder_of(module: str) -> Path | None:
    """Return the folder in which the steps of a module's simulations work, if its file was loaded
    here."""
    source = loaded.get(module)
    return None if source is None else source.folder
