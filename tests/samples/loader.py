"""Loads files of simulations in a fork server, without a project around them."""

from pathlib import Path

from streaming.engine import sources
from streaming.engine.simulations import described
from streaming.engine.warming import warm_up


def load(paths):
    for path in paths:
        for value in list(vars(sources.load(Path(path))).values()):
            if (simulation := described(value)) is not None:
                with sources.working_in(simulation.folder):
                    warm_up(simulation)
