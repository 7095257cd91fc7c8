import pytest

from streaming.engine.isolation.forkserver import ForkServer


@pytest.fixture(scope="session")
def fork_server():
    """One for all: it loads nothing, as the simulations here need nothing."""
    server = ForkServer()
    yield server
    server.close()
