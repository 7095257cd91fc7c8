"""Children where there is no fork server, as on macOS: each is a program of its own, which loads
what it needs at every start. What it lacks is in docs/deployment.md.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from streaming.engine import sources
from streaming.engine.errors import EngineError, shortage
from streaming.engine.isolation.forkserver import Child, ForkServer, refuse_in_a_child


def server_of_children(*arguments: Any) -> ForkServer:
    """Return what starts children on this system. The arguments are those of `ForkServer`."""
    return ForkServer(*arguments) if hasattr(os, "pidfd_open") else Spawner(*arguments)


class Spawner(ForkServer):
    """Starts a program for each child, and nothing before."""

    def start(self) -> None:
        refuse_in_a_child()

    def wait_ready(self, seconds: float) -> bool:
        self.start()
        return True

    def renew(self) -> None:
        """Nothing: each child loads everything anew."""

    def fork(self, request: dict[str, Any], fds: Sequence[int]) -> Child:
        source = sources.loaded.get(request["reference"]["module"])
        said = {
            "request": {**request, "parent": 0},
            "fds": list(fds),
            "loader": self._loader,
            "lent": dict(self._lent()),
            "file": None if source is None else str(source.path),
        }
        command = [sys.executable, "-P", "-m", "streaming.engine.isolation.spawned"]
        here, there = socket.socketpair()
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, pass_fds=fds, process_group=0, **self._options()
            )
        except OSError as error:
            here.close()
            there.close()
            raise EngineError(f"no process could be started: {shortage(error)}") from error
        name = f"child-{process.pid}"
        threading.Thread(target=_wait_for, args=(process, there), name=name, daemon=True).start()
        assert process.stdin is not None
        with suppress(OSError):  # It may have ended.
            process.stdin.write(json.dumps(said).encode() + b"\n")
            process.stdin.flush()
        return SpawnedChild(here, process)


class SpawnedChild(Child):
    """A child that is a program of its own, and ends when its standard input does."""

    def __init__(self, status: socket.socket, process: "subprocess.Popen[bytes]") -> None:
        super().__init__(status)
        self.pid, self._process = process.pid, process

    def signal(self, number: int) -> None:
        with suppress(PermissionError):  # It has become another user's.
            self._process.send_signal(number)

    def close(self) -> None:
        super().close()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


def _wait_for(process: "subprocess.Popen[bytes]", status: socket.socket) -> None:
    """Tell of a child's end, when what it has started has ended, too."""
    code = process.wait()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    wait_status = -code if code < 0 else code << 8
    with status, suppress(OSError):
        status.send(json.dumps({"status": wait_status}).encode())
