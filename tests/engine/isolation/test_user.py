"""Children that run as another user than the server."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from streaming.engine.errors import EngineError
from streaming.engine.isolation import user as module
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.isolation.user import OtherUser
from streaming.engine.params import Upload
from streaming.engine.snapshot import State
from tests.engine.running import Run
from tests.samples import faults, simulations

NOBODY = 65534


def python_of_nobody():
    """Return a Python of this version that every user may run, or None."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{version}"):
        try:
            subprocess.run([path, "-c", ""], check=True, user=NOBODY, group=NOBODY)
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    return None


def looks(path: str, server: int):
    """Say who runs this, and what comes of reading a file and of signalling the server."""
    found = {"user": os.getuid(), "groups": os.getgroups(), "name": os.environ["USER"]}
    for name, act in {
        "read": lambda: open(path).close(),
        "kill": lambda: os.kill(server, 0),
    }.items():
        try:
            act()
            found[name] = "done"
        except PermissionError:
            found[name] = "refused"
    yield f"<svg>{json.dumps(found)}</svg>"


def reads(table: Path, raw: bytes):
    """Say what is in files, and what comes of a look at what else there is."""
    try:
        others = os.listdir(table.parents[1])
    except PermissionError:
        others = "refused"
    yield f"<svg>{table.read_text()} {raw.decode()} {others}</svg>"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
class TestAnotherUser:
    @pytest.fixture
    def server(self, monkeypatch):
        python = python_of_nobody()
        if python is None:
            pytest.skip("no other user may run this Python")
        if python != sys.executable:
            # Another Python of this version, with modules of its own.
            monkeypatch.setattr(sys, "executable", python)
            paths = [path.replace(sys.base_prefix, "/usr", 1) for path in sys.path]
            monkeypatch.setattr(sys, "path", paths)
        server = ForkServer(user=lambda: "nobody")
        yield server
        server.close()

    def test_runs_children_who_can_neither_read_nor_signal_what_is_the_servers(
        self, server, tmp_path
    ):
        secret = tmp_path / "secret_key"
        secret.touch(mode=0o600)
        params = {"path": str(secret), "server": os.getpid()}
        ran = Run(looks, fork_server=server, params=params).start()
        assert ran.ended().state is State.FINISHED
        found = json.loads(ran.svgs[0])
        assert found == {
            "user": NOBODY, "groups": [], "name": "nobody", "read": "refused", "kill": "refused",
        }  # fmt: skip

    def test_may_read_the_files_among_its_parameters_and_list_no_others(self, server):
        params = {"table": Upload("a.csv", b"1,2", as_path=True), "raw": Upload("b", b"3")}
        ran = Run(reads, fork_server=server, params=params).start()
        assert ran.ended().state is State.FINISHED, ran.session.snapshot().error
        assert ran.svgs == ["1,2 3 refused"]

    @pytest.mark.parametrize("target", [simulations.endless, simulations.stubborn])
    def test_is_stopped_as_any_other(self, server, target):
        ran = Run(target, fork_server=server, stop_grace=0.1).start()
        ran.until_state(State.RUNNING)
        ran.session.request_stop("test")
        assert ran.ended().state is State.STOPPED

    def test_what_becomes_roots_ends_neither_the_fork_server_nor_others(self, server):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            becomes_root = shutil.copy(shutil.which("setpriv"), folder)
            os.chmod(becomes_root, 0o4755)
            other = Run(simulations.endless, fork_server=server).start()
            other.until_state(State.RUNNING)
            params = {"path": becomes_root}
            ran = Run(faults.starts_what_becomes_root, fork_server=server, params=params).start()
            assert ran.ended().state is State.FINISHED
            (left,) = [
                one for one in psutil.Process(server.pid).children() if one.name() == "sleep"
            ]
            assert left.uids().real == 0
            left.kill()
            other.until(lambda: not left.is_running())
            assert other.session.state is State.RUNNING
            other.session.request_stop("test")
            assert other.ended().state is State.STOPPED


def test_one_that_is_not_there_is_said():
    with pytest.raises(EngineError, match="this machine has no user 'nowhere'"):
        OtherUser("nowhere")


def test_what_the_server_lacks_for_it_is_said(monkeypatch):
    monkeypatch.setattr(module, "_effective_capabilities", lambda: 1 << 5)
    with pytest.raises(EngineError, match="it lacks the capabilities SETGID, SETUID"):
        ForkServer(user=lambda: "nobody").start()
