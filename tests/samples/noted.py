"""A simulation that notes in a file that it begins, and that it ends."""

import time
from pathlib import Path

from streaming import simulation
from tests.samples.simulations import svg


@simulation(engine="process")
def noted(notes: str):
    """Write a plus, and a moment later a minus."""
    for sign in "+-":
        with Path(notes).open("a") as file:
            file.write(sign)
        yield svg(sign)
        time.sleep(0.05)
