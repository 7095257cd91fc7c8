"""Livestep: a blocking step function, live in the browser, stopped at any instant.

What an author of a simulation imports. Importing it needs no Django.
"""

from streaming.engine.context import Context
from streaming.engine.errors import StopRequested
from streaming.engine.events import Pointer
from streaming.engine.params import Param
from streaming.engine.simulations import simulation

__all__ = ["Context", "Param", "Pointer", "StopRequested", "__version__", "simulation"]

__version__ = "0.1.0"
