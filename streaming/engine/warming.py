"""What a simulation does once in a process, before its first step: compiling, say."""

from collections.abc import Callable
from typing import Any

from streaming.engine.simulations import Simulation

_done: set[Callable[[], Any]] = set()


def is_cold(simulation: Simulation) -> bool:
    """Whether a simulation has a warm-up that this process, or the one it was forked from, has not
    done."""
    return simulation.warm_up is not None and simulation.warm_up not in _done


def warm_up(simulation: Simulation) -> None:
    """Do a simulation's warm-up. Runs author code, and raises what it raises."""
    if simulation.warm_up is not None:
        simulation.warm_up()
        _done.add(simulation.warm_up)
