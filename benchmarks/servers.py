"""The servers that are measured, each in a process of its own, and what they are measured by."""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The checkouts that are compared: this one, and an older one if the environment names it.
ROOTS = {"now": ROOT}
if before := os.environ.get("BEFORE"):
    ROOTS["before"] = Path(before)
# Also of one that a profiler runs.
START_TIMEOUT_S = 120


class BareLoop:
    """The same step in a loop that does nothing else, in a process of its own."""

    def __enter__(self) -> "BareLoop":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.step"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, seconds: float) -> float:
        """Return its frames per second."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n")
        return float(self._process.stdout.readline())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def serving(
    command: list[str], port: int, environment: dict[str, str], root: Path = ROOT
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command, cwd=root, env={**os.environ, **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{command} does not serve")
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def answers() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.answers_app:app", "--port", str(port)]
    with serving(command, port, {}):
        yield f"ws://127.0.0.1:{port}"


@contextlib.contextmanager
def yardstick() -> Iterator[tuple[str, int]]:
    """The process-per-session server; gives its address and its process."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.yardstick", str(port)]
    with serving(command, port, {}) as process:
        yield f"ws://127.0.0.1:{port}", process.pid


@contextlib.contextmanager
def livestep_process(
    root: Path = ROOT, under: Sequence[str] = (), **settings: str
) -> Iterator[tuple[str, int]]:
    """Livestep with the benchmark's simulations; gives its address and its process.

    Args:
        root: Where the code is: here, or in another checkout.
        under: A command that runs the server, such as a profiler.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "VAR_DIR": folder,
            "SIMULATIONS": str(ROOT / "benchmarks" / "simulations.py"),
            "LIVESTEP_FPS": "0",
            "LIVESTEP_PROCESS_ENVIRONMENT": "STEP_ROUNDS",
            "LIVESTEP_MAX_THREAD_SESSIONS": "64",
            "LIVESTEP_MAX_PROCESS_SESSIONS": "64",
            **settings,
        }
        for step in ("migrate", "collectstatic --noinput"):
            subprocess.run(
                [sys.executable, "manage.py", *step.split(), "--verbosity", "0"],
                cwd=root, env={**os.environ, **environment}, check=True,
            )  # fmt: skip
        command = [*under, sys.executable, "manage.py", "serve", "--port", str(port)]
        with serving(command, port, environment, root) as process:
            yield f"ws://127.0.0.1:{port}", process.pid


@contextlib.contextmanager
def livestep() -> Iterator[str]:
    with livestep_process() as (address, _):
        yield address


def p(values: list[float], percent: int) -> str:
    """Return a percentile as text."""
    if len(values) < 2:
        return "-" if not values else f"{values[0]:.1f}"
    return f"{statistics.quantiles(values, n=100, method='inclusive')[percent - 1]:.1f}"
