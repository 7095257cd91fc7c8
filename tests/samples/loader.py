"""Loads files of simulations in a fork server, without a project around them."""

from pathlib import Path

from streaming.engine import sources


def load(paths):
    for path in paths:
        sources.load(Path(path))
