import os

import pytest

from streaming.engine.board import SharedBoard, create_memory
from streaming.engine.isolation.forkserver import ForkServer


@pytest.fixture(scope="session")
def fork_server():
    """One for all: it loads nothing, as the simulations here need nothing."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def both_sides():
    """Two boards in the same memory, as the two processes have them."""
    memory = create_memory()
    one, other = SharedBoard(memory), SharedBoard(memory)
    yield one, other
    one.close()
    other.close()
    os.close(memory)
