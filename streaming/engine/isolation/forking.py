"""The fork server's own program: loads, then forks a child for each request.

    python -m streaming.engine.isolation.forking CONTROL PULSE SERVER_PID LOADER ARGUMENT

It ends when its control socket does, which is when the server has ended, however it did; and its
children end when it does, since the kernel kills them then. One that is retired ends after them.
It runs one thread and no author's code, but for what importing a simulation runs.
"""

import contextlib
import errno
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from streaming.engine.errors import shortage
from streaming.engine.isolation import child
from streaming.engine.isolation.child import die_with_parent
from streaming.engine.isolation.forkserver import (
    MAX_MESSAGE_BYTES,
    RETIRE,
    hide_this_process,
    is_harmless,
    note_forked,
)

# The status socket, and what `child.main` takes.
CHILDS_DESCRIPTORS = 5
MOST_DESCRIPTORS = 1 + CHILDS_DESCRIPTORS


def main() -> None:
    control_fd, pulse_fd, server_pid, loader, argument = sys.argv[1:]
    note_forked()
    _allow_descriptors()
    control, pulse = (socket.socket(fileno=int(fd)) for fd in (control_fd, pulse_fd))
    # While it loads it does not listen to the socket, so the kernel has to watch for it.
    die_with_parent(int(server_pid))
    _load(control, loader, json.loads(argument), _borrow(pulse))
    # From now on the socket tells, and the thread that started this process may end.
    die_with_parent(0)
    threads = len(os.listdir("/proc/self/task"))
    control.send(json.dumps({"threads": threads}).encode())
    Forker(control, pulse).run()


def _borrow(pulse: socket.socket) -> dict[str, str]:
    """Ask for the variables that this process has for a time. Until `_load` has given them back,
    children of an earlier fork server cannot look into this one."""
    hide_this_process()
    pulse.send(b"?")
    content, memories, _, _ = socket.recv_fds(pulse, 1, 1)
    if not content or not memories:
        raise SystemExit("the server is gone, or this process may open no file")
    with open(memories[0], "rb") as file:
        file.seek(0)
        lent: dict[str, str] = json.load(file)
    return lent


@contextlib.contextmanager
def _lent(variables: Mapping[str, str]) -> Iterator[None]:
    """Have some more variables in this block. What it sets itself goes with them, as secrets may
    come from a file, too; what is harmless stays."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in tuple(os.environ):
            if name not in before and (name in variables or not is_harmless(name)):
                del os.environ[name]


def _load(control: socket.socket, loader: str, argument: Any, lent: Mapping[str, str]) -> None:
    try:
        if not loader:
            hide_this_process(hide=False)
        else:
            module = importlib.import_module(loader)
            if hasattr(module, "prepare"):
                with _lent(lent):
                    module.prepare(lent)
            # The children are forked from this, and have to be able to look at themselves.
            hide_this_process(hide=False)
            module.load(argument)
    except BaseException as error:
        said = {"error": f"{type(error).__name__}: {error}"[:500], "traceback": _tail_of_trace()}
        control.send(json.dumps(said).encode())
        raise SystemExit(1) from error
    # What is there now stays for ever: not looking at it keeps its pages shared with the children.
    gc.collect()
    gc.freeze()


def _allow_descriptors() -> None:
    """Have as many descriptors as the system lets us: two for each child."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _tail_of_trace() -> str:
    return traceback.format_exc()[-8000:]


class Forker:
    """Forks on request, and reports each child's end to whoever asked for it.

    Args:
        control: Brings the requests.
        pulse: Brings the question whether it goes on, which is answered at once.
    """

    def __init__(self, control: socket.socket, pulse: socket.socket) -> None:
        self._control, self._pulse = control, pulse
        self._selector = selectors.DefaultSelector()
        # By the descriptor that becomes readable when the child ends: its pid, who is told.
        self._children: dict[int, tuple[int, socket.socket]] = {}
        self._is_retired = False

    def run(self) -> None:
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._pulse, selectors.EVENT_READ)
        self._answer()
        while self._children or not self._is_retired:
            for key, _ in self._selector.select():
                if key.fileobj is self._pulse:
                    self._answer(asked=True)
                elif key.fileobj is not self._control:
                    self._reap(key.fd)
                elif not self._take_request():
                    self._kill_all()
                    return

    def _answer(self, *, asked: bool = False) -> None:
        try:
            if not asked or self._pulse.recv(1):
                self._pulse.send(b"!", socket.MSG_DONTWAIT)
                return
        except OSError:
            pass
        # Nobody is there who would ask again: the control socket tells what that means.
        self._selector.unregister(self._pulse)

    def _take_request(self) -> bool:
        try:
            content, fds, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, MOST_DESCRIPTORS)
        except ConnectionResetError:  # It was closed before anybody read that we are ready.
            return False
        if not content:
            return False
        if content == RETIRE:
            self._is_retired = True
        if fds:  # Else there was no descriptor left to tell it by: it sees the socket close.
            status_fd, *rest = fds
            status = socket.socket(fileno=status_fd)
            try:
                self._fork(json.loads(content), status, rest)
            except OSError as error:
                _tell(status, {"error": f"no process could be started: {shortage(error)}"})
                status.close()
            for fd in rest:
                os.close(fd)
        return True

    def _fork(self, request: dict[str, Any], status: socket.socket, fds: list[int]) -> None:
        if len(fds) < CHILDS_DESCRIPTORS:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pid = os.fork()
        if pid == 0:
            self._become_child(request, status, fds)
        pidfd = -1
        try:
            pidfd = os.pidfd_open(pid)
            self._selector.register(pidfd, selectors.EVENT_READ)
        except OSError:
            if pidfd >= 0:
                os.close(pidfd)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._children[pidfd] = (pid, status)
        _tell(status, {"pid": pid}, [pidfd])

    def _become_child(self, request: dict[str, Any], status: socket.socket, fds: list[int]) -> None:
        """Run the child, and never return."""
        try:
            # A child that kept these would hide from others that we have ended.
            self._selector.close()
            self._control.close()
            self._pulse.close()
            status.close()
            for pidfd, (_, others) in self._children.items():
                os.close(pidfd)
                others.close()
            child.main(request, *fds)
        except BaseException:  # noqa: BLE001  # The top of a process.
            traceback.print_exc()
        finally:
            # At once: what the fork server would do at its exit is not for its children.
            os._exit(child.BROKEN)

    def _reap(self, pidfd: int) -> None:
        pid, status = self._children.pop(pidfd)
        self._selector.unregister(pidfd)
        # Before it is reaped, while its number still stands for it: whatever it has started.
        _kill_group(pid)
        _, wait_status = os.waitpid(pid, 0)
        _tell(status, {"status": wait_status})
        status.close()
        os.close(pidfd)

    def _kill_all(self) -> None:
        for pid, _ in self._children.values():
            _kill_group(pid)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _tell(
    status: socket.socket, message: dict[str, Any], fds: tuple[int, ...] | list[int] = ()
) -> None:
    with contextlib.suppress(OSError):  # Whoever asked may be gone.
        socket.send_fds(status, [json.dumps(message).encode()], fds)


if __name__ == "__main__":
    main()
