"""pyplot: which simulations use it, and what it keeps of them.

It has one current figure, and keeps every figure, for the whole process: two sessions in threads
draw into each other's. So a simulation that uses it has a process of its own, unless its author
says otherwise.
"""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from streaming.engine import figures
from streaming.engine.simulations import Simulation
from streaming.engine.sources import is_below

PYPLOT = "matplotlib.pyplot"
# What draws with pyplot, as a file imports it, wherever in the file that stands.
IMPORTS_PYPLOT = re.compile(
    r"^[ \t]*(?:import[ \t]+(?:.*,[ \t]*)?(?:matplotlib\.pyplot|matplotlib\.pylab|pylab|seaborn)\b"
    r"|from[ \t]+(?:matplotlib\.pyplot|matplotlib\.pylab|pylab|seaborn)\b"
    r"|from[ \t]+matplotlib[ \t]+import[ \t]+.*\b(?:pyplot|pylab)\b)",
    re.MULTILINE,
)
# What may happen where it is used in a thread.
IN_A_THREAD = (
    "pyplot draws in a thread here: two sessions at once may show each other's figures, and "
    "mathtext and tight_layout may fail."
)

# Guards the two below.
_closing_lock = threading.Lock()
_sessions = 0
_numbers_before: frozenset[int] = frozenset()


@contextmanager
def closed_at_the_end() -> Iterator[None]:
    """Close the figures that pyplot keeps of a session whose steps this thread takes.

    pyplot does not know whose a figure is. So those that this thread has drawn are closed, and with
    the last of several sessions all that have come since the first of them began.
    """
    global _sessions, _numbers_before
    with _closing_lock:
        _sessions += 1
        if _sessions == 1:
            _numbers_before = frozenset(_kept_figures())
    try:
        yield
    finally:
        with _closing_lock:
            _sessions -= 1
            for number, figure in _kept_figures().items():
                if number not in _numbers_before and (not _sessions or figures.has_drawn(figure)):
                    sys.modules[PYPLOT].close(number)


def _kept_figures() -> dict[int, Any]:
    # A window belongs to the thread that has opened it.
    # Another session may be importing pyplot just now: then there is no figure yet.
    gcf = getattr(sys.modules.get("matplotlib._pylab_helpers"), "Gcf", None)
    if gcf is None or sys.modules["matplotlib"].get_backend().lower() != "agg":
        return {}
    managers = gcf.figs
    return {number: manager.canvas.figure for number, manager in list(managers.items())}


_found: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def uses_pyplot(simulation: Simulation) -> bool:
    """Whether the file of a simulation, or one beside it that it uses, imports pyplot."""
    target = simulation.target
    try:
        if target not in _found:
            _found[target] = _uses_pyplot(sys.modules.get(simulation.module), set())
        return _found[target]
    except (TypeError, AttributeError):  # A callable of the author's own.
        return False


def _uses_pyplot(module: ModuleType | None, seen: set[str]) -> bool:
    file = getattr(module, "__file__", None)
    if module is None or file is None or file in seen:
        return False
    seen.add(file)
    try:
        if IMPORTS_PYPLOT.search(Path(file).read_text(errors="replace")):
            return True
    except OSError:
        return False
    used = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in list(vars(module).values())
    }
    near = [sys.modules.get(name) for name in used if isinstance(name, str)]
    return any(
        _uses_pyplot(one, seen)
        for one in near
        if one is not None and is_below(one, Path(file).parent)
    )
