"""The fork server, from the outside: a process that has everything loaded and forks a child for
each session.

Not multiprocessing's: that one hides a failed preload, hands the whole environment on, outlives a
killed server as long as a child lives, and leaves files behind (docs/architecture.md).
"""

import ctypes
import errno
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Protocol

from streaming.engine import sources
from streaming.engine.errors import SHORT_OF, EngineError, shortage
from streaming.engine.isolation.pipe import is_readable
from streaming.engine.isolation.user import OtherUser

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5.0
# It is asked every second whether it goes on. One that is silent for a second may have been
# stopped, and is continued; one that is silent for two, or again and again, is killed and replaced.
PULSE_S = 1.0
# In slices: where the whole machine stands still, so does the count.
SLICE_S = 0.1
CONTINUED_AFTER_SLICES = 10
KILLED_AFTER_SLICES = 20
MOST_CONTINUED = 3
MAX_MESSAGE_BYTES = 128 * 1024
PR_SET_DUMPABLE = 4
# Tells a fork server that it is asked for no more children.
RETIRE = b"retire"

# What a child sees of the server's environment: how Python, the locale and libraries are to be,
# and nothing that could be a secret.
HARMLESS = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV")
HARMLESS_PREFIXES = ("LC_", "PYTHON", "MPL", "LD_LIBRARY", "DYLD_")
# One thread for each library: the children are what shares the cores.
ONE_THREAD = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


def is_harmless(name: str) -> bool:
    """Whether a simulation may see a variable that nobody has named."""
    return name in HARMLESS or name.startswith(HARMLESS_PREFIXES)


def scrubbed_environment(passed_on: Sequence[str] = ()) -> dict[str, str]:
    """Return this process's environment without what a simulation has no business with."""
    kept = {
        name: value for name, value in os.environ.items() if is_harmless(name) or name in passed_on
    }
    return {**dict.fromkeys(ONE_THREAD, "1"), "MPLBACKEND": "agg", **kept}


class Child:
    """A forked child: its signals and its end. For the thread that asked for it, but `signal`."""

    def __init__(self, status: socket.socket) -> None:
        self.status = status
        self.pid = 0
        # What it used when it was killed for that; 0 if it was not.
        self.memory_used = 0
        self._pidfd = -1
        # Guards the descriptor against its closing.
        self._lock = threading.Lock()

    def read_status(self) -> int | None:
        """Take one message of the fork server: first the child's pid, then perhaps that it is
        killed for its memory, then its wait status.

        Returns:
            The wait status, or None for another message.

        Raises:
            EngineError: If there is no child, or nobody any more who would know.
        """
        content, pidfds, _, _ = socket.recv_fds(self.status, 1024, 1)
        if not content:
            raise EngineError("the process that starts the others has ended")
        said = json.loads(content)
        if "error" in said:
            raise EngineError(said["error"])
        if "pid" in said:
            if not pidfds:  # There was no room for it here; the child sees us gone, and ends.
                raise EngineError(f"no process could be started: {SHORT_OF[errno.EMFILE]}")
            self.pid, self._pidfd = said["pid"], pidfds[0]
            return None
        if "memory" in said:
            self.memory_used = said["memory"]
            return None
        return int(said["status"])

    def signal(self, number: int) -> None:
        """Send a signal, unless the child has ended, or become another user's, as what sudo starts.
        Never hits another process."""
        with self._lock, suppress(ProcessLookupError, PermissionError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        self.status.close()
        with self._lock:
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1


_is_forked = False


def note_forked() -> None:
    """Note that this process is a fork server, or a child of one."""
    global _is_forked
    _is_forked = True


def is_forked() -> bool:
    """Whether this process is a fork server, or a child of one: it steps, and serves nobody."""
    return _is_forked


def refuse_in_a_child() -> None:
    """Refuse to start processes in one that was started.

    Raises:
        EngineError: A script that runs sessions and has a simulation in it would start itself for
            ever.
    """
    if _is_forked:
        raise EngineError(
            "a simulation's process starts no others: put what starts sessions under "
            '`if __name__ == "__main__":`'
        )


class ForkServer:
    """Forks children from a process that has loaded what they need.

    It starts when it is first needed, or by `start`, and ends with `close` or with this process,
    however that ends. One that has died is replaced at the next fork.

    Args:
        loader: A module whose `load(argument)` the process calls before it forks; empty for none.
            Its `prepare(lent)`, if it has one, is called before that.
        argument: Says what it gets, when it starts.
        environment: Says which variables it gets.
        lent: Says which more it has while `prepare` runs. No other process can read them.
        user: Says as which user it runs, and its children; empty for the server's own.
    """

    def __init__(
        self,
        loader: str = "",
        argument: Callable[[], Any] = lambda: None,
        environment: Callable[[], Mapping[str, str]] = scrubbed_environment,
        lent: Callable[[], Mapping[str, str]] = dict,
        user: Callable[[], str] = str,
    ) -> None:
        self._loader, self._argument = loader, argument
        self._environment, self._lent, self._user = environment, lent, user
        # Guards everything below.
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._control: socket.socket | None = None
        self._ready = False
        # Whether it has not answered for a second. Written by the thread that watches it.
        self._silent = False
        # Those that live only for as long as the children that they have.
        self._retired: list[tuple[subprocess.Popen[bytes], socket.socket]] = []

    @property
    def is_of_another_user(self) -> bool:
        """Whether its children run as another user than this process."""
        return bool(self._user())

    def start(self) -> None:
        """Start the process unless it runs. Returns before it has loaded.

        Raises:
            EngineError: If this system cannot have it.
        """
        with self._lock:
            self._start()

    def wait_ready(self, seconds: float) -> bool:
        """Wait until it can fork; False if that took longer. It starts if it does not run.

        Raises:
            EngineError: If it cannot load what it should; the traceback is in the log.
        """
        with self._lock:
            self._start()
            if self._ready:
                return True
            assert self._control is not None
            if not is_readable(self._control, seconds):
                return False
            content = self._control.recv(MAX_MESSAGE_BYTES)  # It is there.
            said: dict[str, Any] = {"error": "it ended while loading"}
            if content:
                said = json.loads(content)
            if "error" in said:
                self._end()
                logger.error("the fork server cannot load:\n%s", said.get("traceback", said))
                raise EngineError(f"the process engine cannot start: {said['error']}")
            if said["threads"] > 1:
                logger.warning(
                    "%d threads run in the fork server once everything is imported; children will "
                    "not have them: start threads in a step, not at import", said["threads"] - 1,
                )  # fmt: skip
            self._ready = True
            return True

    def fork(self, request: dict[str, Any], fds: Sequence[int]) -> Child:
        """Have a child forked, once `wait_ready` was true. Its descriptors are copies of `fds`.

        Raises:
            EngineError: If the process has died since. One that has not got the request any more
                is told by the child's `read_status`.
        """
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            try:
                with self._lock:
                    if self._control is not None and self._process is not None:
                        content = json.dumps({**request, "parent": self._process.pid}).encode()
                        socket.send_fds(self._control, [content], [there.fileno(), *fds])
            except OSError as error:
                here.close()
                raise EngineError(f"no process could be started: {shortage(error)}") from error
        return Child(here)

    def renew(self) -> None:
        """Have the next children forked from a process that has loaded everything anew.

        The former one, if any, ends with the last child that it has.

        Raises:
            EngineError: If there can be no other one.
        """
        with self._lock:
            self._bury_retired()
            if self._process is None or self._control is None:
                return
            with suppress(OSError):  # It may have ended.
                self._control.send(RETIRE)
            self._retired.append((self._process, self._control))
            self._process, self._control, self._ready = None, None, False
            self._start()

    def close(self) -> None:
        """End the process and every child of it."""
        with self._lock:
            self._end()
            self._silent = False
            for process, control in self._retired:
                _finish(process, control)
            self._retired.clear()

    @property
    def pid(self) -> int | None:
        """The process, if it runs."""
        with self._lock:
            return None if self._process is None else self._process.pid

    @property
    def is_silent(self) -> bool:
        """Whether it should answer and has not for a second. On any thread, and at once."""
        return self._silent

    def give_up(self, after_s: float) -> None:
        """Kill a process that has loaded for so long. The next is new: of several sessions that
        have waited, only the first ends it."""
        with self._lock:
            loads_for = time.monotonic() - self._started_at
            if self._process is not None and not self._ready and loads_for >= after_s:
                self._process.kill()
                self._end()

    def _start(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                return
            logger.error("the fork server ended with %s", self._process.returncode)
            self._end()
        refuse_in_a_child()
        hide_this_process()
        argument = json.dumps(self._argument())
        with ExitStack() as ours, ExitStack() as theirs:
            control, pulse = _pair(ours, theirs), _pair(ours, theirs)
            ends = [control[1].fileno(), pulse[1].fileno()]
            command = [
                # Not what lies in the working directory, which may be called as a module of Python.
                sys.executable, "-P", "-m", "streaming.engine.isolation.forking",
                *map(str, ends), str(os.getpid()), self._loader, argument,
            ]  # fmt: skip
            options = {"pass_fds": ends, **self._options()}
            lent = json.dumps(dict(self._lent())).encode()
            self._process = _spawn(command, options, pulse[0], lent, self._note_pulse)
            self._started_at = time.monotonic()
            # One that does not read is found out; nobody may wait for it before that.
            control[0].setblocking(False)
            self._control = control[0]
            self._silent = False
            ours.pop_all()

    def _options(self) -> dict[str, Any]:
        """Return in what environment, and as which user, a program of ours is started."""
        user = OtherUser(name) if (name := self._user()) else None
        environment = {**self._environment(), **(user.variables() if user else {})}
        # What was added for files of simulations is added there, too, as they are loaded.
        paths = (path or os.getcwd() for path in sys.path if path not in sources.added)
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        # What files print while they load is no part of what a command answers.
        stdout = sys.__stderr__ and sys.__stderr__.fileno()
        return {"env": environment, "stdout": stdout, **(user.options() if user else {})}

    def _note_pulse(self, process: "subprocess.Popen[bytes]", *, silent: bool, dead: bool) -> None:
        """Note what the thread that watches a process has found."""
        if process is not self._process:
            return  # It is retired, or was ended.
        self._silent = silent
        if dead:
            try:
                self.start()
            except EngineError as error:
                logger.error("the fork server cannot be replaced: %s", error)  # noqa: TRY400

    def _end(self) -> None:
        self._ready = False
        if self._process is not None and self._control is not None:
            _finish(self._process, self._control)
        self._process = self._control = None

    def _bury_retired(self) -> None:
        for process, control in tuple(self._retired):
            if process.poll() is not None:
                control.close()
                self._retired.remove((process, control))


def hide_this_process(*, hide: bool = True) -> None:
    """Have the kernel refuse others of this user, such as children, this process's environment,
    memory and descriptors; or no longer. Another program begins without that."""
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is not None and prctl(PR_SET_DUMPABLE, int(not hide), 0, 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        logger.warning("child processes can read this one's environment: %s", reason)


def _pair(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours.enter_context(here), theirs.enter_context(there)


def _finish(process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
    control.close()
    process.send_signal(signal.SIGCONT)  # A stopped one would not see it.
    try:
        process.wait(CLOSE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _NotePulse(Protocol):
    def __call__(self, process: "subprocess.Popen[bytes]", *, silent: bool, dead: bool) -> None: ...


def _spawn(
    command: Sequence[str],
    options: Mapping[str, Any],
    pulse: socket.socket,
    lent: bytes,
    note: _NotePulse,
) -> "subprocess.Popen[bytes]":
    """Start the process, on a thread that lives for as long as it does, and watches it.

    The kernel takes the end of the thread that started a process for the end of its parent, and
    the thread of the session that needs the process first may end while it loads.
    """
    started: queue.SimpleQueue[subprocess.Popen[bytes] | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                # A Ctrl+C in the terminal is for the server, which then ends us.
                process_group=0,
                **options,
            )
        except BaseException as error:  # noqa: BLE001  # Or whoever waits would wait for ever.
            started.put(error)
            return
        started.put(process)
        with pulse:
            _lend(process, pulse, lent)
            _watch(process, pulse, note)
        with suppress(ChildProcessError):  # It may have been waited for.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    try:
        threading.Thread(target=run, name="fork-server", daemon=True).start()
    except RuntimeError as error:
        raise EngineError(f"the process engine cannot start: {shortage(error)}") from error
    process = started.get()
    if isinstance(process, BaseException):
        raise EngineError(f"the process engine cannot start: {shortage(process)}") from process
    return process


def _lend(process: "subprocess.Popen[bytes]", pulse: socket.socket, lent: bytes) -> None:
    """Give a process the variables that it is lent, when it asks: nobody can look into it then."""
    while not is_readable(pulse, PULSE_S):
        process.send_signal(signal.SIGCONT)
    if not _is_there(pulse):
        return
    memory = os.memfd_create("livestep-lent", os.MFD_CLOEXEC)
    try:
        os.write(memory, lent)
        socket.send_fds(pulse, [b"!"], [memory])
    except OSError as error:
        logger.error("the fork server gets no variables: %s", shortage(error))  # noqa: TRY400
        process.kill()
    finally:
        os.close(memory)


def _watch(process: "subprocess.Popen[bytes]", pulse: socket.socket, note: _NotePulse) -> None:
    """Ask a process again and again whether it goes on, until it has ended.

    It may have been stopped: by somebody who looks after the machine, or by a child of its own.
    """
    # While it loads it cannot answer; when it has, it says so unasked.
    while not is_readable(pulse, PULSE_S):
        process.send_signal(signal.SIGCONT)
    continued = 0
    while continued < MOST_CONTINUED:
        slices = _wait_for_answer(process, pulse, note)
        if slices >= KILLED_AFTER_SLICES:
            break
        if not _is_there(pulse):
            return
        if slices >= CONTINUED_AFTER_SLICES:
            continued += 1
            logger.warning("the fork server answers again")
            note(process, silent=False, dead=False)
        else:
            continued = 0
        if is_readable(pulse, PULSE_S):
            return  # Nobody has asked: it is its end.
        with suppress(OSError):
            pulse.send(b"?")
    logger.error("the fork server is killed, with the sessions it has: it does not answer")
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(CLOSE_TIMEOUT_S)
    note(process, silent=True, dead=True)


def _wait_for_answer(
    process: "subprocess.Popen[bytes]", pulse: socket.socket, note: _NotePulse
) -> int:
    """Wait for an answer, or the end, and return how many slices that took."""
    slices = 0
    while not is_readable(pulse, SLICE_S) and slices < KILLED_AFTER_SLICES:
        slices += 1
        if slices == CONTINUED_AFTER_SLICES:
            logger.warning("the fork server does not answer: it may have been stopped")
            note(process, silent=True, dead=False)
            process.send_signal(signal.SIGCONT)
    return slices


def _is_there(pulse: socket.socket) -> bool:
    with suppress(OSError):
        return bool(pulse.recv(1))
    return False
