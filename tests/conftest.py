"""What every test has: nothing may be left behind, and under CI nothing is skipped."""

import os
import shutil
import signal
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.utils import translation

from development.parts import is_installed
from streaming.catalog.fork_server import fork_server
from streaming.runtime import runtime
from tests.parts import NoArchive, NoRecords
from tests.proxy import FaultProxy
from tests.samples import simulations as samples
from tests.servers import ROOT, WHOLE, PlainDaphne, Server

# The first has no window at all, and takes two thirds of the other's time.
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))),
    None,
)
NEEDS = {
    "browser": (CHROMIUM, "chromium is not installed"),
    "redis": (shutil.which("redis-server"), "redis-server is not installed"),
    "gettext": (shutil.which("msgfmt"), "gettext is not installed"),
    "node": (shutil.which("node"), "node is not installed"),
    "nginx": (is_installed("nginx"), "nginx is not installed"),
    "postgres": (is_installed("postgres"), "postgresql is not installed"),
    "celery": (find_spec("celery"), "celery is not installed"),
    "systemd": (shutil.which("systemd-analyze"), "systemd is not installed"),
}


def pytest_configure(config):
    for name, (_, reason) in NEEDS.items():
        config.addinivalue_line("markers", f"{name}: skipped when {reason}, but not under CI")
    config.addinivalue_line("markers", "complains(pattern): what the console may say meanwhile")


# What takes longest begins first, or at the end one process would still run what another waits for.
SLOWEST_FIRST = ("faults", "live", "browser")


def pytest_collection_modifyitems(items):
    items.sort(key=_rank)
    for item in items:
        for name, (found, reason) in NEEDS.items():
            if item.get_closest_marker(name) and not found and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason=reason))


def _rank(item):
    folder = item.path.parent.name
    return SLOWEST_FIRST.index(folder) if folder in SLOWEST_FIRST else len(SLOWEST_FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """What a test printed goes from its process to the one that reports, as UTF-8."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


def step_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("step-")]


@pytest.fixture(scope="session", autouse=True)
def _fork_server_ends():
    yield
    fork_server.close()


# The worker threads that tests have left behind. Those have failed for it, and others shall not.
_left = set()


@pytest.fixture(autouse=True)
def _no_thread_left():
    """A test that leaves a worker thread behind fails."""
    yield
    deadline = time.monotonic() + 2
    new = [thread for thread in step_threads() if thread not in _left]
    for thread in new:
        thread.join(max(0, deadline - time.monotonic()))
    left = [thread for thread in new if thread.is_alive()]
    _left.update(left)
    assert not left


@pytest.fixture(autouse=True)
def _in_english():
    """A request in German leaves its language behind, to all that follow it in this thread."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _samples_reset():
    samples.gate = threading.Semaphore(0)
    samples.entered.clear()
    samples.release.clear()
    yield
    samples.release.set()


@pytest.fixture(autouse=True)
def _rows_only_where_threads_may_write(request, monkeypatch):
    """A row that a thread wrote beside the transaction of its test would be there in the next."""
    marker = request.node.get_closest_marker("django_db")
    is_for_all = marker and marker.kwargs.get("transaction")
    if not is_for_all and "transactional_db" not in request.fixturenames:
        monkeypatch.setattr(runtime.pool, "records", NoRecords())


@pytest.fixture
def no_rows(request, monkeypatch):
    """In a test without a database no row is found there."""
    if not request.node.get_closest_marker("django_db"):
        archive = NoArchive()
        monkeypatch.setattr(runtime.directory, "archive", archive)
        monkeypatch.setattr(runtime.remotes, "archive", archive)


@pytest.fixture
def berlin52():
    return (Path(__file__).parent.parent / "gallery" / "cities" / "berlin52.tsp").read_text()


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """Start a server with the samples beside the gallery; a site of its own for each."""
    path = str(ROOT / "tests" / "samples" / "simulations.py")

    def start_server(kind=Server, **environment):
        return kind(tmp_path_factory.mktemp("server"), **{"SIMULATIONS": path, **environment})

    return start_server


@pytest.fixture(scope="session")
def server(start_server):
    """One server for all tests of the outside, with the whole gallery."""
    server = start_server(
        DJANGO_SETTINGS_MODULE=WHOLE, LIVESTEP_STOP_GRACE="0.1", LIVESTEP_ABANDON_GRACE="2"
    )
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def plain_daphne(start_server):
    """The same, but daphne as it comes."""
    server = start_server(PlainDaphne, LIVESTEP_STOP_GRACE="0.1", LIVESTEP_ABANDON_GRACE="2")
    yield server
    # Not SIGTERM, at which daphne 4.2 may crash.
    server.stop(signal.SIGKILL)


@pytest.fixture
def proxy(server):
    proxy = FaultProxy(server.port)
    yield proxy
    proxy.close()
