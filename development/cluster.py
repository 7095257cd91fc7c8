"""`make cluster`: a whole site on this machine, with several processes behind nginx."""

import argparse
import os
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from development.parts import (
    LOOPBACK,
    ROOT,
    START_TIMEOUT_S,
    Compute,
    Livestep,
    Nginx,
    Part,
    PartFailed,
    Postgres,
    Redis,
    find_program,
)

NAMES = string.ascii_lowercase[:16]
PLACES = 2
LOOK_S = 0.5
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Cluster:
    """Redis, PostgreSQL, processes of Livestep, and nginx before them, in a folder that goes
    with them.

    Args:
        processes: How many; the first is called a.
        computes: How many compute machines; the first is called compute1.
        places: How many sessions each of them may run at once.
        port: nginx's; 0 for a free one.
        environment: To which the processes' settings are added.

    Raises:
        PartFailed: If a program is not installed.
    """

    def __init__(
        self,
        processes: int = 2,
        port: int = 0,
        environment: Mapping[str, str] = os.environ,
        computes: int = 0,
        places: int = PLACES,
    ) -> None:
        for program in ("redis-server", "postgres", "nginx"):
            find_program(program)
        # In a short place: the name of a socket has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="livestep-"))
        # PostgreSQL, as another user, has to get to its own folder in it.
        self.folder.chmod(0o711)
        self.redis, self.postgres = Redis(self.folder), Postgres(self.folder)
        self.settings = {
            "REDIS_URL": self.redis.url,
            "DATABASE_URL": self.postgres.url,
            "VAR_DIR": str(self.folder / "var"),
            "PROXY_HEADERS": "yes",
        }
        self._environment = {**environment, **self.settings}
        self.processes = {
            name: Livestep(self.folder, name, self._environment) for name in NAMES[:processes]
        }
        self.computes = {
            name: Compute(self.folder, name, self._environment, "--places", str(places))
            for name in (f"compute{number}" for number in range(1, computes + 1))
        }
        # All of Livestep, by their names.
        self.ours: dict[str, Part] = {**self.processes, **self.computes}
        self.nginx = Nginx(self.folder, list(self.processes), port)
        self.url = self.nginx.url
        self.parts: list[Part] = [
            *(self.redis, self.postgres, *self.ours.values(), self.nginx),
        ]

    def start(self, is_over: threading.Event | None = None) -> None:
        """Start everything, unless it is over meanwhile. Blocks for some seconds.

        Raises:
            PartFailed: If a part does not start; then the others are ended, too.
        """
        try:
            for start in (self._start_servers, self._prepare, self._start_processes):
                if is_over is None or not is_over.is_set():
                    start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, in order, and remove the folder. Blocks."""
        with ExitStack() as stack:
            # The last one first, whatever becomes of the others.
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for part in (self.redis, self.postgres, *self.ours.values()):
                stack.callback(part.stop)
            for process in self.ours.values():
                stack.callback(process.request_stop)
            stack.callback(self.nginx.stop)

    def manage(self, *command: str, **options: Any) -> "subprocess.Popen[str]":
        """Start manage.py with the settings of the processes."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self._environment,
            text=True,
            start_new_session=True,
            **options,
        )

    def _start_servers(self) -> None:
        for part in (self.redis, self.postgres):
            part.begin()
        for part in (self.redis, self.postgres):
            part.wait_until_ready()

    def _prepare(self) -> None:
        commands = (
            ["migrate", "--verbosity", "0"],
            ["collectstatic", "--noinput", "--verbosity", "0"],
        )
        running = [self.manage(*command, stderr=subprocess.PIPE) for command in commands]
        try:
            for command, process in zip(commands, running, strict=True):
                _, said = process.communicate(timeout=START_TIMEOUT_S)
                if process.returncode != 0:
                    raise PartFailed(f"manage.py {command[0]} has failed:\n{said.strip()}")
        finally:
            for process in running:
                process.kill()
                process.communicate()

    def _start_processes(self) -> None:
        for process in self.ours.values():
            process.begin()
        for process in self.ours.values():
            process.wait_until_ready()
        self.nginx.start()


def main() -> int:
    options = _options()
    is_over = threading.Event()
    for number in END_SIGNALS:
        # No exception: it could come between the start of a part and the note that it has to end.
        signal.signal(number, lambda *_: is_over.set())
    try:
        cluster = Cluster(options.processes, options.port, computes=options.computes)
        _say(
            f"Starting Redis, PostgreSQL, {options.processes} processes, "
            f"{options.computes} compute machines and nginx…"
        )
        cluster.start(is_over)
    except PartFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        if not is_over.is_set():
            _say_where(cluster)
        _wait(cluster, is_over)
    finally:
        _say("Ending it…")
        cluster.stop()
    return 0


def _wait(cluster: Cluster, is_over: threading.Event) -> None:
    """Wait until it is over; say meanwhile what has ended by itself."""
    running = list(cluster.parts)
    while not is_over.wait(LOOK_S):
        for part in [part for part in running if not part.is_running]:
            running.remove(part)
            _say(f"{part.name} has ended; the others go on. Its log: {part.log_path}")


def _say_where(cluster: Cluster) -> None:
    names = ", ".join(cluster.processes)
    settings = " ".join(f"{name}='{value}'" for name, value in cluster.settings.items())
    _say(
        f"Livestep is at {cluster.url}/, with the processes {names} behind nginx\n"
        f"Sessions of the engine cluster (all, with LIVESTEP_ENGINE=cluster) run on: "
        f"{', '.join(cluster.computes) or 'no machine'}\n"
        f"The admin is at {cluster.url}/admin/ - make its first user in another terminal:\n"
        f"    {settings} {sys.executable} manage.py createsuperuser\n"
        f"One process: http://{LOOPBACK}:{cluster.nginx.operations_port}/a/readyz and /a/metrics\n"
        f"Logs: {cluster.folder}/*.log\n"
        "Ctrl+C ends it, and removes its data."
    )


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m development.cluster",
        description="Run a whole site on this machine: several processes of Livestep, Redis, "
        "PostgreSQL, and nginx before them, from the machine's own packages, on loopback. Its data "
        "is gone at the end.",
    )
    parser.add_argument(
        "--processes",
        type=_number(1, len(NAMES)),
        default=2,
        metavar="N",
        help=f"processes of Livestep, 1 to {len(NAMES)} (default: 2)",
    )
    parser.add_argument(
        "--computes",
        type=_number(0, len(NAMES)),
        default=2,
        metavar="N",
        help=f"compute machines, 0 to {len(NAMES)} (default: 2)",
    )
    parser.add_argument(
        "--port",
        type=_number(0, 65535),
        default=os.environ.get("PORT") or "8000",
        help="nginx's port, 0 for any free one (default: $PORT or 8000)",
    )
    return parser.parse_args()


def _number(low: int, high: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"expected a number from {low} to {high}, got {text!r}"
            )
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
