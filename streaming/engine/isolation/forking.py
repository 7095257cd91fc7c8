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
import math
import os
import resource
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streaming.engine.errors import shortage, told
from streaming.engine.isolation import child
from streaming.engine.isolation.child import MEMORY_SIGNAL, die_with_parent
from streaming.engine.isolation.family import (
    adopt_orphans,
    children_of,
    descendants_of,
    is_resource_tracker,
    memory_used_by,
    parents,
)
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

# How often it looks at what its children use: as often as it takes if one that far from its limit
# takes so much in a second.
MOST_BYTES_PER_S = 4 * 1024**3
SHORTEST_LOOK_S, LONGEST_LOOK_S = 0.05, 1.0
# And how often for what they have started.
LOOK_FOR_MORE_S = 2.0
# A child above its limit has a MemoryError raised. It is killed when that has not helped soon, or
# when it uses so many times as much as then.
OVER_MEMORY_S, STILL_GROWS = 0.5, 1.25
# What has been killed is gone soon, unless it hangs in the kernel.
GONE_S, GONE_POLL_S = 0.5, 0.001
# A resource tracker has that long for its work.
TRACKER_S = 2.0


def main() -> None:
    control_fd, pulse_fd, server_pid, loader, argument = sys.argv[1:]
    note_forked()
    _allow_descriptors()
    control, pulse = (socket.socket(fileno=int(fd)) for fd in (control_fd, pulse_fd))
    # While it loads it does not listen to the socket, so the kernel has to watch for it.
    die_with_parent(int(server_pid))
    _load(control, loader, json.loads(argument), _borrow(pulse))
    adopt_orphans()
    # From now on the socket tells, and the thread that started this process may end.
    die_with_parent(0)
    threads = len(os.listdir("/proc/self/task"))
    control.send(json.dumps({"threads": threads}).encode())
    Forker(control, pulse).run()


def _borrow(pulse: socket.socket) -> dict[str, str]:
    """Ask for the variables that this process has for a time. Until `_load` has given them back,
    children of an earlier fork server cannot look into this one."""
    hide_this_process()
    memories: list[int] = []
    with contextlib.suppress(OSError):  # The server may have ended meanwhile.
        pulse.send(b"?")
        _, memories, _, _ = socket.recv_fds(pulse, 1, 1)
    if not memories:
        raise SystemExit(1)
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
        module = prepare(loader, lent)
        if module is not None:
            module.load(argument)
    except BaseException as error:
        said = {"error": told(error)[:500], "traceback": tail_of_trace()}
        control.send(json.dumps(said).encode())
        raise SystemExit(1) from error
    # What is there now stays for ever: not looking at it keeps its pages shared with the children.
    gc.collect()
    gc.freeze()


def prepare(loader: str, lent: Mapping[str, str]) -> Any:
    """Return the module of that name, if there is one, prepared: it has some more variables while
    settings and apps load."""
    module: Any = importlib.import_module(loader) if loader else None
    if hasattr(module, "prepare"):
        with _lent(lent):
            module.prepare(lent)
    # The children are forked from this, and have to be able to look at themselves.
    hide_this_process(hide=False)
    return module


def _allow_descriptors() -> None:
    """Have as many descriptors as the system lets us: two for each child."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tail_of_trace() -> str:
    return traceback.format_exc()[-8000:]


@dataclass(slots=True)
class _Child:
    """A child of a session, or what a session that has ended has left; that has no status."""

    pid: int
    status: socket.socket | None
    # When to look at its memory next, and when to kill it.
    look_at: float = math.inf
    kill_at: float = math.inf
    memory_bytes: int = 0
    # What it has started, as of the last look.
    family: list[int] = field(default_factory=list)
    # When it was first seen above its limit; infinite while it is not.
    over_since: float = math.inf
    over_bytes: int = 0


class Forker:
    """Forks on request, and reports each child's end to whoever asked for it.

    Args:
        control: Brings the requests.
        pulse: Brings the question whether it goes on, which is answered at once.
    """

    def __init__(self, control: socket.socket, pulse: socket.socket) -> None:
        self._control, self._pulse = control, pulse
        self._selector = selectors.DefaultSelector()
        # By the descriptor that becomes readable when the child ends.
        self._children: dict[int, _Child] = {}
        # What importing the simulations has started.
        self._own = frozenset(children_of(os.getpid(), parents()))
        self._look_for_more_at = 0.0
        # Whether something that a session has left goes on in spite of being killed.
        self._is_haunted = False
        self._is_retired = False

    def run(self) -> None:
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._pulse, selectors.EVENT_READ)
        self._answer()
        while self._children or not self._is_retired:
            for key, _ in self._selector.select(self._until_next_look()):
                if key.fileobj is self._pulse:
                    self._answer(asked=True)
                elif key.fileobj is not self._control:
                    self._reap(key.fd)
                elif not self._take_request():
                    self._kill_all()
                    return
            self._look()

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
        limit = request["memory_bytes"]
        look_at = time.monotonic() if limit else math.inf
        pidfd = self._watch(_Child(pid, status, look_at, memory_bytes=limit))
        _tell(status, {"pid": pid}, [pidfd])

    def _watch(self, watched: _Child) -> int:
        pidfd = -1
        try:
            pidfd = os.pidfd_open(watched.pid)
            self._selector.register(pidfd, selectors.EVENT_READ)
        except OSError:
            if pidfd >= 0:
                os.close(pidfd)
            os.kill(watched.pid, signal.SIGKILL)
            os.waitpid(watched.pid, 0)
            raise
        self._children[pidfd] = watched
        return pidfd

    def _become_child(self, request: dict[str, Any], status: socket.socket, fds: list[int]) -> None:
        """Run the child, and never return."""
        try:
            # A child that kept these would hide from others that we have ended.
            self._selector.close()
            self._control.close()
            self._pulse.close()
            status.close()
            for pidfd, other in self._children.items():
                os.close(pidfd)
                if other.status is not None:
                    other.status.close()
            child.main(request, *fds)
        except BaseException:  # noqa: BLE001  # The top of a process.
            traceback.print_exc()
        finally:
            # At once: what the fork server would do at its exit is not for its children.
            os._exit(child.BROKEN)

    def _reap(self, pidfd: int) -> None:
        ended = self._children[pidfd]
        self._selector.unregister(pidfd)
        if ended.status is not None:
            # All that it has started is ours now, and came after it.
            self._end_orphans(above=ended.pid)
        del self._children[pidfd]
        _, wait_status = os.waitpid(ended.pid, 0)
        os.close(pidfd)
        if ended.status is not None:
            _tell(ended.status, {"status": wait_status})
            ended.status.close()

    def _end_orphans(self, above: int = 0) -> None:
        """End what a session has left, before anybody is told of its end."""
        deadline = time.monotonic() + GONE_S
        while (orphans := self._orphans(parents(above))) and time.monotonic() < deadline:
            for pid in orphans:
                if is_resource_tracker(pid):
                    self._let_end(pid, kill_at=time.monotonic() + TRACKER_S)
                    continue
                try:
                    # None of them can be reaped by anybody else: the number still means it.
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, os.WNOHANG)
                except PermissionError:
                    # It has become another user's, as what sudo starts: only that user may end it.
                    self._let_end(pid)
            time.sleep(GONE_POLL_S)
        self._is_haunted = bool(orphans)

    def _let_end(self, pid: int, kill_at: float = math.inf) -> None:
        """Wait, among other things, for the end of what a session has left."""
        with contextlib.suppress(OSError):  # The next look tries again.
            self._watch(_Child(pid, None, kill_at=kill_at))

    def _orphans(self, of_all: dict[int, int]) -> set[int]:
        known = {watched.pid for watched in self._children.values()}
        return children_of(os.getpid(), of_all) - known - self._own

    def _until_next_look(self) -> float | None:
        """Return the seconds until it is time to look at a child, None for never."""
        dates = [min(watched.look_at, watched.kill_at) for watched in self._children.values()]
        next_at = min(dates, default=math.inf)
        if self._is_haunted:
            return SHORTEST_LOOK_S
        return None if next_at == math.inf else max(0.0, next_at - time.monotonic())

    def _look(self) -> None:
        now = time.monotonic()
        if self._is_haunted:
            self._end_orphans()
        due = [each for each in self._children.values() if now >= min(each.look_at, each.kill_at)]
        if due and now > self._look_for_more_at:
            self._look_for_more_at = now + LOOK_FOR_MORE_S
            of_all = parents()
            for watched in self._children.values():
                watched.family = descendants_of(watched.pid, of_all)
            if self._orphans(of_all):
                self._end_orphans()
        for watched in due:
            if now >= watched.kill_at:
                _kill([watched.pid])
                watched.kill_at = math.inf
            if watched.memory_bytes:
                self._look_at_memory(watched, now)

    def _look_at_memory(self, watched: _Child, now: float) -> None:
        """See whether a child, or something that it has started, is over its limit."""
        limit = watched.memory_bytes
        used = memory_used_by(watched.pid, limit // 2)
        most = max([used, *(memory_used_by(pid, limit // 2) for pid in watched.family)])
        wait = (limit - most) / MOST_BYTES_PER_S
        watched.look_at = now + min(LONGEST_LOOK_S, max(SHORTEST_LOOK_S, wait))
        if most <= limit:
            watched.over_since = math.inf
            return
        is_own = used == most
        if watched.over_since > now:
            watched.over_since, watched.over_bytes = now, used
            if is_own:
                with contextlib.suppress(PermissionError):  # It has become another user's.
                    os.kill(watched.pid, MEMORY_SIGNAL)
                return
        grows = used > STILL_GROWS * watched.over_bytes
        if not is_own or grows or now > watched.over_since + OVER_MEMORY_S:
            if watched.status is not None:
                _tell(watched.status, {"memory": most})
            watched.memory_bytes, watched.look_at = 0, math.inf
            _kill([watched.pid])

    def _kill_all(self) -> None:
        """End every child with what it has started. What they start meanwhile is ended, too."""
        _kill(set(descendants_of(os.getpid(), parents())) - self._own)
        self._end_orphans()


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _tell(
    status: socket.socket, message: dict[str, Any], fds: tuple[int, ...] | list[int] = ()
) -> None:
    with contextlib.suppress(OSError):  # Whoever asked may be gone.
        socket.send_fds(status, [json.dumps(message).encode()], fds)


if __name__ == "__main__":
    main()
