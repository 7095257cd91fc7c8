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
    forget_files(tmp_path)


def forget_files(folder):
    """Let Python forget what was loaded from files in a folder."""
    for name, source in list(sources.loaded.items()):
        if folder in source.path.parents:
            del sources.loaded[name]
            for module in [name, *source.beside]:
                sys.modules.pop(module, None)
            sys.path[:] = [each for each in sys.path if each != str(source.root)]


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
