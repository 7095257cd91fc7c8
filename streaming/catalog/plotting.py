"""Which simulations plot, as far as their source shows it: the page keeps room for their lines."""

import inspect
import re
from functools import cache
from tokenize import TokenError

from streaming.engine.simulations import Simulation

PLOTS = re.compile(r"ctx\.plot\(")


@cache
def plots(simulation: Simulation) -> bool:
    """Whether a simulation is seen to call `ctx.plot`. One that calls it elsewhere, or by another
    name, has its lines below everything else, where nothing moves when they come."""
    target = inspect.unwrap(getattr(simulation.target, "func", simulation.target))
    try:
        return PLOTS.search(inspect.getsource(target)) is not None
    except (OSError, TypeError, SyntaxError, TokenError):
        # An object that is called, one without a file, or with another one by now.
        return False
