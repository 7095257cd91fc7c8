"""Workers of an author's own, in both engines: they import the file, and end with its session."""

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from streaming.catalog.registry import load_file
from streaming.engine import forks, leftovers
from streaming.engine.leftovers import kill_started_by
from streaming.engine.snapshot import State
from tests.engine.running import Run, gone

POOLS = """
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import joblib
from streaming import simulation


def square(x):
    return x * x


@simulation
def mine(how: str = "fork"):
    if how == "joblib":
        found = joblib.Parallel(n_jobs=2)(joblib.delayed(square)(x) for x in range(4))
        yield f"<svg>{found}</svg>"
        return
    if how == "executor":
        with ProcessPoolExecutor(2) as pool:
            yield f"<svg>{list(pool.map(square, range(4)))}</svg>"
        return
    with multiprocessing.get_context(how).Pool(2) as pool:
        while True:
            yield f"<svg>{pool.map(square, range(4))}</svg>"
"""
STARTS = """
import os
import subprocess
from streaming import Context, simulation


@simulation
def mine(ctx: Context):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "3600"])
        os._exit(0)
    subprocess.Popen(["sleep", "3601"], start_new_session=True)
    yield "<svg/>"
    ctx.sleep(3600)
"""


@pytest.fixture(params=["thread", "process"])
def runs(request, loading_server):
    """Run the simulation of a file in one of the engines."""

    def runs(path, **params):
        server = loading_server(path) if request.param == "process" else None
        return Run(load_file(path)[0][1].target, fork_server=server, params=params).start()

    return runs


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver", "executor", "joblib"])
def test_a_pool_imports_the_file_and_ends_with_the_step(write, runs, how):
    run = runs(write(POOLS, "has_pools.py"), how=how)
    run.until(lambda: run.frames or run.session.state.ended)
    assert b"[0, 1, 4, 9]" in run.frames[0].svg
    end = run.stop()
    assert end.state in (State.STOPPED, State.FINISHED), end
    if end.stop is not None:
        assert end.stop.how == "flag"
    if how == "joblib" and run.session.engine == "thread":
        commands = [" ".join(child.cmdline()) for child in psutil.Process().children()]
        assert any("loky" in command for command in commands), "they are the next session's, too"


def sleepers():
    """The processes that STARTS has started."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[:2] in (["sleep", "3600"], ["sleep", "3601"])
    ]


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_what_a_step_has_started_ends_with_its_process_also_after_setsid(
    write, loading_server, ends
):
    path = write(STARTS, "starts_others.py")
    run = Run(load_file(path)[0][1].target, fork_server=loading_server(path)).start()
    run.until(lambda: run.frames)
    run.until(lambda: len(sleepers()) == 2)
    started = sleepers()
    if ends == "kill":
        os.kill(run.worker.pid, signal.SIGKILL)
        run.ended()
    else:
        run.stop()
    assert gone(*started)


THREADS = """
import os
import subprocess
from streaming import Context, simulation


@simulation
def mine(ctx: Context, waits: bool = False):
    if waits:
        subprocess.run(["sleep", "3601"], start_new_session=True)
    for command in (["sh", "-c", "sleep 3600 & wait"], ["sleep", "3601"]):
        os.posix_spawnp(command[0], command, os.environ, setsid=True)
    yield "<svg/>"
    ctx.sleep(3600)
"""


@pytest.mark.parametrize("waits", [False, True])
def test_what_a_step_has_started_ends_with_its_thread(write, waits):
    """Also after setsid, and if the step waits for it, deaf to anything else."""
    with subprocess.Popen(["sleep", "30"]) as of_another_thread:
        path = write(THREADS, "starts_programs.py")
        target = load_file(path)[0][1].target
        run = Run(target, params={"waits": waits}, stop_grace=0.1).start()
        run.until(lambda: len(sleepers()) == 2 - waits)
        started = sleepers()
        end = run.stop()
        assert (end.state, end.stop.how) == (State.STOPPED, "interrupt" if waits else "flag")
        assert gone(*started)
        assert of_another_thread.poll() is None
        of_another_thread.kill()


def test_programs_that_were_killed_are_not_looked_for_again(monkeypatch):
    """An interrupt that does not arrive is tried a hundred times a second, on the event loop."""

    def look():
        # On a thread of its own: whatever that of the tests has started is theirs.
        thread = threading.get_native_id()
        with subprocess.Popen(["sleep", "30"]) as program:
            killed = kill_started_by(thread)
            assert killed == {program.pid}
            monkeypatch.setattr(leftovers, "parents", lambda: pytest.fail("all were read"))
            assert kill_started_by(thread, known=killed) == set()

    with ThreadPoolExecutor(1) as executor:
        executor.submit(look).result()


def test_what_a_step_has_started_ends_with_the_fork_server(write, loading_server):
    path = write(STARTS, "starts_more.py")
    server = loading_server(path)
    run = Run(load_file(path)[0][1].target, fork_server=server).start()
    run.until(lambda: run.frames)
    run.until(lambda: len(sleepers()) == 2)
    started = sleepers()
    server.close()
    assert gone(*started)
    run.ended()


class TestForked:
    """What a process has that ours has forked, in a thread of a step or anywhere."""

    def forked(self, look):
        """Return what a function says in a forked process, which has begun as workers do."""
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                forks.default_signals()
                forks.cover_sockets()
                os.write(writes, repr(look()).encode())
            finally:
                os._exit(0)
        os.close(writes)
        os.waitpid(pid, 0)
        with open(reads) as said:
            return said.read()

    def test_has_the_systems_own_signal_handlers(self):
        before = signal.signal(signal.SIGTERM, lambda *args: None)
        try:
            said = self.forked(lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        finally:
            signal.signal(signal.SIGTERM, before)
        assert said == "True"

    def test_loses_no_signal_that_comes_as_it_begins(self):
        """A pool that is ended at once sends one to workers that have not yet begun."""
        program = """
import os, signal, time
from streaming.engine import forks
signal.signal(signal.SIGTERM, lambda *args: None)
default_signals = forks.default_signals
def late():
    os.kill(os.getpid(), signal.SIGTERM)
    default_signals()
forks.default_signals = late
forks.after_forks(lambda: None)
pid = os.fork()
if pid == 0:
    time.sleep(3600)
print(os.WTERMSIG(os.waitpid(pid, 0)[1]), signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
        )
        assert ran.stdout == f"{signal.SIGTERM.value} set()\n", ran.stderr

    def test_has_no_socket_that_leads_out(self, tmp_path):
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.socket(socket.AF_UNIX) as named,
        ):
            named.bind(str(tmp_path / "socket"))
            control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with control, other:
                theirs = [each.fileno() for each in (listener, named, control)]
                said = self.forked(lambda: [os.readlink(f"/proc/self/fd/{fd}") for fd in theirs])
                assert said == repr(["/dev/null"] * 3)
                assert listener.getsockname()[1], "ours is as it was"

    def test_keeps_a_pair_by_which_it_talks_with_its_author(self):
        one, other = socket.socketpair()
        with one, other:
            assert self.forked(lambda: other.send(b"x")) == "1"
            assert one.recv(1) == b"x"


def test_a_pool_of_a_thread_can_end_its_workers_and_they_hold_no_port(tmp_path):
    """In a process as the server is: it hears signals in Python, and listens."""
    (tmp_path / "has_a_pool.py").write_text(POOLS)
    program = f"""
import os, signal, socket, sys
sys.path.insert(0, {str(tmp_path)!r})
from has_a_pool import mine
from tests.engine.running import Run
signal.signal(signal.SIGTERM, lambda *args: None)
listener = socket.create_server(("127.0.0.1", 0))
for _ in range(5):
    run = Run(mine, params={{"how": "fork"}}).start()
    run.until(lambda: run.frames)
    assert run.stop().stop.how == "flag"
run = Run(mine, params={{"how": "fork"}}).start()
run.until(lambda: run.frames)
print(listener.getsockname()[1], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    with socket.create_server(("127.0.0.1", int(ran.stdout))):
        pass
