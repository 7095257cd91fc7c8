"""The process engine in a Django project: what the fork server loads, and what it must not have."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from streaming.catalog.fork_server import fork_server, limits
from streaming.catalog.registry import registry
from streaming.engine.errors import EngineError
from streaming.engine.headless import HeadlessSession
from streaming.engine.isolation import forkserver
from streaming.engine.isolation.forkserver import ForkServer, scrubbed_environment
from streaming.engine.simulations import Engine, described
from streaming.engine.snapshot import State
from tests.engine.running import Run, gone
from tests.samples import faults
from tests.servers import ROOT


def ended(simulation, server=fork_server, **params):
    """Run a simulation to its end, and return how that was, and its frames."""
    frames = []
    with HeadlessSession(
        simulation,
        params,
        engine=Engine.PROCESS,
        fork_server=server,
        on_frame=frames.append,
    ) as running:
        assert running.wait(30)
        return running.session.snapshot(), frames


@pytest.fixture
def server():
    servers = []

    def server(*args, **kwargs):
        servers.append(ForkServer(*args, **kwargs))
        return servers[-1]

    yield server
    for started in servers:
        started.close()


def seen_by_a_child(server=fork_server):
    end, frames = ended(described(faults.looks_around), server)
    assert end.state is State.FINISHED, end
    return frames[0].svg.decode()


def test_a_child_has_the_project_loaded_and_none_of_its_secrets(monkeypatch, settings):
    fork_server.close()
    monkeypatch.setenv("DATABASE_URL", "postgres://us:the-secret@nowhere/db")
    monkeypatch.setenv("REDIS_URL", "redis://:the-secret@nowhere/0")
    for name in ("SECRET_KEY", "LIVESTEP_METRICS_TOKEN", "AWS_SECRET_ACCESS_KEY", "OTHER"):
        monkeypatch.setenv(name, "the-secret")
    monkeypatch.setenv("MY_DATA", "where it is")
    settings.LIVESTEP = {"PROCESS_ENVIRONMENT": ["MY_DATA"]}
    text = seen_by_a_child()
    assert "the-secret" not in text
    seen = json.loads(text.split("<text>")[1].split("</text>")[0])
    assert seen["key"] == "not-a-secret"
    assert seen["database"] == "streaming.catalog.no_database"
    assert seen["environment"]["MY_DATA"] == "where it is"
    assert seen["modules"] > 300, "the preload happened: nothing is imported in the child"
    assert seen["serving"] == [], "a child has no use for it"
    fork_server.close()


THEIR_SETTINGS = """
import os
from tests.settings import *
from tests.settings import DATABASES

SECRET_KEY = os.environ["THEIR_KEY"]
DATABASES["default"]["PASSWORD"] = os.environ["THEIR_PASSWORD"]
password = os.environ["THEIR_PASSWORD"]
SERVICES = [{"address": f"https://us:{os.environ['THEIR_TOKEN']}@nowhere", "retries": 3}]
GATEWAY = {"kind": "card", "token": "the-secret"}
os.environ["READ_FROM_A_FILE"] = os.environ["MPLCONFIGDIR"] = "the-secret-place"
LIVESTEP = {"METRICS_TOKEN": "the-secret"}
"""


def test_settings_have_the_variables_that_they_require_and_simulations_do_not(
    server, tmp_path, monkeypatch
):
    """Of a project that keeps its secrets in variables, and refuses to load without them."""
    (tmp_path / "their_settings.py").write_text(THEIR_SETTINGS)
    monkeypatch.syspath_prepend(tmp_path)
    names = ("THEIR_KEY", "THEIR_PASSWORD", "THEIR_TOKEN")
    theirs = {name: f"the-secret-{name}" for name in names}
    mine = server(
        "streaming.catalog.preload",
        lambda: {"files": [], "broken": []},
        lambda: {**scrubbed_environment(), "DJANGO_SETTINGS_MODULE": "their_settings"},
        lambda: theirs,
    )
    text = seen_by_a_child(mine)
    seen = json.loads(text.split("<text>")[1].split("</text>")[0])
    assert seen["environment"].pop("MPLCONFIGDIR") == "the-secret-place", "it is harmless"
    assert not {*names, "READ_FROM_A_FILE"} & set(seen["environment"])
    assert "the-secret" not in json.dumps(seen)


def test_a_simulation_of_an_installed_app_runs():
    end, _ = ended(registry.get("countdown"), count=1)
    assert (end.state, end.step) == (State.FINISHED, 2)


def test_a_preload_that_fails_is_said_and_not_swallowed(server, tmp_path, monkeypatch, caplog):
    (tmp_path / "bad_loader.py").write_text("def load(argument):\n    raise KeyError('MY_DATA')\n")
    monkeypatch.syspath_prepend(tmp_path)
    end, _ = ended(described(faults.spins), server("bad_loader"))
    assert end.state is State.FAILED
    assert "the process engine cannot start: KeyError: 'MY_DATA'" in end.error
    assert "in load" in caplog.text


def test_the_preload_gets_its_argument_and_everything_that_it_imports_stays(
    server, tmp_path, monkeypatch
):
    (tmp_path / "good_loader.py").write_text(
        "import builtins\ndef load(argument):\n    builtins.loaded = argument\n"
    )
    (tmp_path / "uses_it.py").write_text(
        "import builtins\nfrom streaming import simulation\n"
        "@simulation\ndef show():\n    yield f'<svg>{builtins.loaded}</svg>'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import uses_it

    _, frames = ended(described(uses_it.show), server("good_loader", lambda: {"n": 7}))
    assert b"{'n': 7}" in frames[0].svg


def test_one_that_has_died_is_replaced(server):
    mine = server()
    assert ended(described(faults.exits), mine)[0].state is State.FAILED
    first = mine.pid
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    end, _ = ended(described(faults.exits), mine)
    assert "exit code 3" in end.error
    assert mine.pid != first


def test_one_that_dies_takes_its_children_and_is_said(server):
    mine = server()
    with HeadlessSession(
        described(faults.spins), {}, engine=Engine.PROCESS, fork_server=mine
    ) as running:
        assert running.wait_for_step(2, 30)
        child = running.worker.pid
        os.kill(mine.pid, signal.SIGKILL)
        assert running.wait(30)
        assert gone(child)
        assert "Its process is lost" in running.session.snapshot().error


def test_a_thread_that_an_import_starts_is_said(server, tmp_path, monkeypatch, caplog):
    (tmp_path / "threaded_loader.py").write_text(
        "import threading\ndef load(argument):\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = server("threaded_loader")
    while not mine.wait_ready(1):
        pass
    assert "1 threads run in the fork server" in caplog.text


def test_it_ends_with_close(server):
    mine = server()
    while not mine.wait_ready(1):
        pass
    pid = mine.pid
    mine.close()
    assert gone(pid)
    assert mine.pid is None


def test_only_one_that_has_loaded_for_too_long_is_given_up(server, tmp_path, monkeypatch):
    """Of several sessions that have waited for it, each would end the next one's."""
    (tmp_path / "waits.py").write_text("import time\ndef load(argument):\n    time.sleep(3600)\n")
    monkeypatch.syspath_prepend(tmp_path)
    mine = server("waits")
    mine.start()
    slow = mine.pid
    mine.give_up(after_s=60)
    assert mine.pid == slow
    mine.give_up(after_s=0)
    assert gone(slow)

    quick = server()
    while not quick.wait_ready(1):
        pass
    quick.give_up(after_s=0)
    assert quick.wait_ready(0)


def test_limits_come_from_the_settings(settings):
    settings.LIVESTEP = {"MAX_PROCESS_BYTES": 10**9, "MAX_PROCESS_CPU_SECONDS": 60}
    assert (limits().memory_bytes, limits().cpu_seconds) == (10**9, 60)


def test_a_stop_of_the_session_that_started_it_does_not_end_its_loading(
    server, tmp_path, monkeypatch
):
    """The kernel takes the end of that session's thread for the end of a parent."""
    (tmp_path / "waits.py").write_text(
        "import pathlib, time\n"
        "def load(path):\n    while not pathlib.Path(path).exists(): time.sleep(0.01)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    go_on = tmp_path / "go_on"
    mine = server("waits", lambda: str(go_on))
    first = Run(faults.sleeps, fork_server=mine).start()
    while mine.pid is None:
        first.worker.join(0.001)
    pid = mine.pid
    second = Run(faults.sleeps, fork_server=mine).start()
    first.stop()
    first.ended()
    go_on.touch()
    second.until(lambda: second.frames)
    assert mine.pid == pid
    second.stop()
    second.ended()


def test_at_the_limit_of_descriptors_only_the_new_session_fails(server):
    mine = server()
    runs = [Run(faults.sleeps, fork_server=mine).start()]
    runs[0].until(lambda: runs[0].frames)
    resource.prlimit(mine.pid, resource.RLIMIT_NOFILE, (24, 24))
    while runs[-1].session.state != "failed":
        assert len(runs) < 20
        runs.append(Run(faults.sleeps, fork_server=mine).start())
        runs[-1].until(lambda: runs[-1].frames or runs[-1].session.state == "failed")
    assert len(runs) > 2
    assert runs[0].session.state == "running"
    for run in runs:
        run.stop()
        run.ended()


class TestOneThatIsStopped:
    """By SIGSTOP: nothing tells that but its silence."""

    @pytest.fixture
    def stopped(self, server):
        mine = server()
        ended(described(faults.exits), mine)  # It has loaded, and has said so.
        os.kill(mine.pid, signal.SIGSTOP)
        return mine

    def until(self, fact):
        deadline = time.monotonic() + 30
        while not fact():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_is_continued_and_a_start_goes_on(self, stopped, caplog):
        pid = stopped.pid
        run = Run(faults.sleeps, fork_server=stopped).start()
        # It is silent for a moment only: it is continued as soon as that is noticed.
        self.until(lambda: "it may have been stopped" in caplog.text)
        run.until(lambda: run.frames)
        run.stop()
        self.until(lambda: not stopped.is_silent)
        assert stopped.pid == pid

    def test_by_its_own_child_again_and_again_is_replaced(self, server, caplog):
        mine = server()
        hostile = Run(faults.stops_its_parent, fork_server=mine).start()
        hostile.until(lambda: hostile.frames)
        first = mine.pid
        assert hostile.worker.join(30)
        assert "the fork server is killed" in caplog.text
        assert hostile.changes[-1].state is State.FAILED
        self.until(lambda: mine.pid not in (None, first) and not mine.is_silent)
        assert ended(described(faults.exits), mine)[0].error

    def test_lets_a_session_that_waits_for_it_be_stopped(self, stopped, monkeypatch):
        monkeypatch.setattr(forkserver, "CONTINUED_AFTER_SLICES", 600)
        monkeypatch.setattr(forkserver, "KILLED_AFTER_SLICES", 600)
        run = Run(faults.sleeps, fork_server=stopped).start()
        run.until_state(State.QUEUED)
        run.session.request_stop("client")
        assert run.worker.join(5)
        assert run.changes[-1].state is State.STOPPED

    def test_tells_how_a_child_ended_meanwhile(self, server):
        mine = server()
        run = Run(faults.spins, fork_server=mine, stop_grace=0.1).start()
        run.until_in_step(2)
        os.kill(mine.pid, signal.SIGSTOP)
        assert run.stop().state is State.STOPPED

    def test_ends_with_close(self, stopped):
        pid = stopped.pid
        began = time.monotonic()
        stopped.close()
        assert gone(pid)
        assert time.monotonic() - began < forkserver.CLOSE_TIMEOUT_S

    def test_while_it_loads_is_continued(self, server, tmp_path, monkeypatch):
        (tmp_path / "stops_loader.py").write_text(
            "import os, signal\ndef load(argument):\n    os.kill(os.getpid(), signal.SIGSTOP)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        mine = server("stops_loader")
        self.until(lambda: mine.wait_ready(0.1))


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_a_thread_that_cannot_be_had_lets_the_next_start_try_again(server, monkeypatch, error):
    """Nor does anybody wait for ever, or keep a descriptor."""

    def fails(*args, **kwargs):
        raise error

    mine = server()
    before = psutil.Process().num_fds()
    with monkeypatch.context() as patch:
        target = threading.Thread if isinstance(error, RuntimeError) else subprocess
        patch.setattr(target, "start" if target is threading.Thread else "Popen", fails)
        with pytest.raises(EngineError, match=r"no more processes or threads|no memory left"):
            mine.start()
    assert psutil.Process().num_fds() == before
    assert ended(described(faults.exits), mine)[0].error


def test_a_script_without_a_guard_does_not_start_itself_for_ever(tmp_path):
    path = tmp_path / "my_script.py"
    path.write_text(
        "from streaming import simulation\n"
        "from streaming.testing import assert_stops_within\n\n"
        "@simulation\ndef mine(ctx):\n    while True:\n        yield '<svg/>'\n"
        "        ctx.sleep(0.01)\n\n"
        "assert_stops_within(mine, 5, engine='process')\n"
    )
    result = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert "if __name__ ==" in result.stderr
