"""Which engine a simulation runs in: its own choice, what it needs, or the site's."""

import os

from streaming.conf import conf
from streaming.engine.errors import InvalidSimulation
from streaming.engine.isolation.reference import Reference
from streaming.engine.pyplot import uses_pyplot
from streaming.engine.simulations import Engine, Simulation


def engine_of(simulation: Simulation) -> Engine:
    """Return where the steps of a simulation are taken when nobody asks for something else."""
    if simulation.engine is not None:
        return simulation.engine
    if uses_pyplot(simulation) and _can_have_a_process(simulation):
        return Engine.PROCESS
    return conf().ENGINE


def _can_have_a_process(simulation: Simulation) -> bool:
    try:
        Reference.to(simulation)
    except InvalidSimulation:
        return False
    return hasattr(os, "fork")
