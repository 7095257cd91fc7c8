"""The program of a child where there is no fork server: it loads what the session's simulation
needs, then takes its steps.

It reads what to do from the first line of standard input, and ends when that does, which is when
the server has ended: by a thread, so not in the middle of a call into C that holds the interpreter.
"""

import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

from streaming.engine import sources
from streaming.engine.errors import told
from streaming.engine.isolation import child, pipe
from streaming.engine.isolation.forking import prepare, tail_of_trace
from streaming.engine.isolation.forkserver import note_forked


def main() -> None:
    note_forked()
    said = json.loads(_first_line())
    try:
        prepare(said["loader"], said["lent"])
        if said["file"] is not None:
            sources.load(Path(said["file"]))
    except BaseException as error:  # noqa: BLE001  # The top of a process.
        _say_failure(said["fds"][0], error)
        os._exit(child.DONE)
    child.main(said["request"], *said["fds"])


def _first_line() -> bytes:
    """Read what to do, and end this process with all that it has started when nothing follows."""
    source = open(os.dup(0), "rb")  # noqa: SIM115  # Kept until the end.
    # The author's code has no keyboard.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    line = source.readline()

    def end_with_the_server() -> None:
        source.read()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_the_server, daemon=True).start()
    return line


def _say_failure(pipe_fd: int, error: BaseException) -> None:
    ended: dict[str, Any] = {
        "error": f"the process engine cannot start: {told(error)}"[:500],
        "traceback": tail_of_trace(),
        "interrupted": False,
    }
    with socket.socket(fileno=pipe_fd) as connection:
        pipe.send(connection, {"kind": "ended", **ended})


if __name__ == "__main__":
    main()
