import sys

import pytest

from streaming.engine import sources
from streaming.engine.isolation.forkserver import ForkServer


@pytest.fixture
def write(tmp_path):
    def write(text, name="shows_it.py", folder=""):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    for name, source in list(sources.loaded.items()):
        if tmp_path in source.path.parents:
            del sources.loaded[name]
            for module in [name, *source.beside]:
                sys.modules.pop(module, None)
            sys.path[:] = [folder for folder in sys.path if folder != str(source.root)]


@pytest.fixture(scope="module")
def loading_server():
    """A fork server that loads the files that a test names."""
    files = []
    server = ForkServer("tests.samples.loader", lambda: [str(path) for path in files])

    def loaded(*paths):
        files[:] = paths
        server.renew()
        return server

    yield loaded
    server.close()
