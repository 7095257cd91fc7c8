"""The programs that a site is made of, each on loopback and in a folder that it is given: for
`make cluster` and for the tests. What the machine itself runs of them is not touched."""

import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from development.processes import end_all, family, signal_all

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "deploy" / "nginx.conf"
LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 60.0
# More than a server takes whose sessions do not end: SHUTDOWN_GRACE, STOP_GRACE and 11 s.
STOP_TIMEOUT_S = 30.0
# What a program has started ends with it, or a little later.
CHILDREN_END_S = 2.0
ANSWER_TIMEOUT_S = 2.0
LOOK_S = 0.02
LOG_TAIL = 2000
# Below those that the kernel gives to outgoing connections, which could be taken at any time.
FREE_PORTS = range(20_000, 32_000)
# A part listens some time after it was given one.
_given_ports: set[int] = set()
PACKAGES = {"redis-server": "redis-server", "postgres": "postgresql", "nginx": "nginx"}


class PartFailed(Exception):
    """A part is missing, or did not start; the message says what to do."""


class Part(ABC):
    """A program and the processes that it starts.

    Args:
        folder: Takes its data and its log.
        name: Of the log, and in messages.
    """

    # What ends it in order.
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.log_path = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        # The one that was asked to end.
        self._asked: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers: at first, and again after any end.

        Raises:
            PartFailed: If it does not.
        """
        self.begin()
        self.wait_until_ready()

    @abstractmethod
    def begin(self) -> None:
        """Start it. Returns before it answers."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it does what it is there for; an OSError also says that it does not."""

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if not self.is_running:
                raise PartFailed(f"{self.name} has ended:\n{self._last_words()}")
            with suppress(OSError):
                if self.answers():
                    return
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.name} does not answer:\n{self._last_words()}")
            time.sleep(LOOK_S)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process that was started; the others are below it."""
        if self._process is None:
            raise ValueError(f"{self.name} was not started")
        return self._process.pid

    def processes(self) -> list[psutil.Process]:
        """Return all of its processes; none when the first has ended."""
        return family(self.pid) if self.is_running else []

    def request_stop(self) -> None:
        """Ask it to end, once: a server that is asked again ends at once, whatever it has begun.
        Returns at once."""
        if self.is_running:
            self.resume()
            if self._asked is not self._process:
                self._asked = self._process
                os.kill(self.pid, self.stop_signal)

    def stop(self) -> None:
        """Ask it to end, wait for that, and kill what is left of it. Blocks."""
        if self._process is None:
            return
        left = self.processes()
        self.request_stop()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        left += self.processes()
        self._process.kill()
        self._process.wait()
        end_all(left, CHILDREN_END_S)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all of its processes, and wait for their end. Blocks."""
        left = self.processes()
        signal_all(left, number)
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)
        end_all(left, CHILDREN_END_S)

    def pause(self) -> None:
        """Hold all of its processes, like a machine that hangs."""
        held: list[psutil.Process] = []
        # Those that are held start no others, so that nobody is missed in the end.
        while others := [process for process in self.processes() if process not in held]:
            signal_all(others, signal.SIGSTOP)
            held += others

    def resume(self) -> None:
        signal_all(self.processes(), signal.SIGCONT)

    def _run(
        self, *command: str | Path, environment: Mapping[str, str], user: str | None = None
    ) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT if user is None else "/",  # Where another user may be, too.
                env=environment,
                # Ctrl+C in a terminal is meant for who has started this, who ends it in order.
                start_new_session=True,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else [],
            )

    def _last_words(self) -> str:
        text = self.log_path.read_text(errors="replace")
        return text[-LOG_TAIL:].strip() or "It has said nothing."


class Redis(Part):
    """A Redis that keeps what it was told, also when it is killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "redis")
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"

    def begin(self) -> None:
        self._run(
            *(find_program("redis-server"), "--bind", LOOPBACK, "--port", str(self.port)),
            *("--dir", self.folder, "--save", "", "--appendonly", "yes"),
            environment=os.environ,
        )

    def answers(self) -> bool:
        return self.command("PING").startswith(b"+PONG")

    def command(self, *words: str) -> bytes:
        """Send a command; returns the beginning of its answer. Blocks."""
        with socket.create_connection((LOOPBACK, self.port), ANSWER_TIMEOUT_S) as client:
            client.sendall(" ".join(words).encode() + b"\r\n")
            return client.recv(100)


class Postgres(Part):
    """A PostgreSQL with one database and its owner. It does not run as root: there, another
    user runs it."""

    stop_signal = signal.SIGINT  # SIGTERM would wait for every client to leave.

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "postgres")
        self._data = folder / "postgres"
        self._user: str | None = None
        self.port = free_port()
        self._password = secrets.token_urlsafe(16)
        self.url = f"postgres://livestep:{self._password}@{LOOPBACK}:{self.port}/postgres"

    def begin(self) -> None:
        program = find_program("postgres")
        if not self._data.exists():
            self._make_database(program.with_name("initdb"))
        self._run(
            *(program, "-D", self._data, "-h", LOOPBACK, "-p", str(self.port)),
            # Nothing here has to outlive the machine: only its own end.
            *("-k", "", "-c", "fsync=off"),
            environment=self._environment,
            user=self._user,
        )

    def answers(self) -> bool:
        program = find_program("postgres").with_name("pg_isready")
        command = [str(program), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        return subprocess.run(command).returncode == 0

    def _make_database(self, initdb: Path) -> None:
        password = self.folder / "password"
        password.touch(0o600)
        password.write_text(self._password)
        self._data.mkdir(0o700)
        if os.geteuid() == 0:
            self._user = _another_user()
            for path in (password, self._data):
                shutil.chown(path, self._user)
        self._run(
            *(initdb, "-D", self._data, "-U", "livestep", "-A", "scram-sha-256"),
            *("--pwfile", password, "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
            environment=self._environment,
            user=self._user,
        )
        if self._process is not None and self._process.wait(START_TIMEOUT_S) != 0:
            raise PartFailed(f"initdb has failed:\n{self._last_words()}")

    @property
    def _environment(self) -> dict[str, str]:
        # Whoever runs this may have a PostgreSQL elsewhere.
        return {key: value for key, value in os.environ.items() if not key.startswith("PG")}


class Livestep(Part):
    """One process of the site, on a socket NAME.sock in the folder."""

    def __init__(self, folder: Path, name: str, environment: Mapping[str, str]) -> None:
        super().__init__(folder, name)
        self.socket_path = folder / f"{name}.sock"
        self.environment = {**environment, "LIVESTEP_PROCESS": name, "PYTHONUNBUFFERED": "1"}

    def begin(self) -> None:
        self._run(
            *(sys.executable, "manage.py", "serve", "--unix-socket", self.socket_path),
            environment=self.environment,
        )

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_TIMEOUT_S)
            client.connect(str(self.socket_path))
            client.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1")


class Compute(Part):
    """A compute machine of the site.

    Args:
        environment: The settings of the site.
        options: More of `manage.py compute`.
    """

    def __init__(
        self, folder: Path, name: str, environment: Mapping[str, str], *options: str
    ) -> None:
        super().__init__(folder, name)
        self.environment = {**environment, "LIVESTEP_PROCESS": name, "PYTHONUNBUFFERED": "1"}
        self.options = options
        # Where the log of this run begins.
        self._log_from = 0

    def begin(self) -> None:
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._run(
            *(sys.executable, "manage.py", "compute", *self.options),
            environment=self.environment,
        )

    def answers(self) -> bool:
        with self.log_path.open("rb") as log:
            log.seek(self._log_from)
            return b" places, queues " in log.read()


class Nginx(Part):
    """The nginx of deploy/nginx.conf, without TLS, before the sockets in the folder.

    Args:
        names: Those of the processes.
        port: Where it listens; 0 for a free one.
    """

    def __init__(self, folder: Path, names: Sequence[str], port: int = 0) -> None:
        super().__init__(folder, "nginx")
        self._names = names
        self.port, self.operations_port = port or free_port(), free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.config_path = folder / "nginx.conf"

    def begin(self) -> None:
        _check_port(self.port)
        self.config_path.write_text(self._config())
        self._run(
            *(find_program("nginx"), "-p", self.folder, "-c", self.config_path, "-e", "stderr"),
            environment=os.environ,
        )

    def answers(self) -> bool:
        socket.create_connection((LOOPBACK, self.port), ANSWER_TIMEOUT_S).close()
        return True

    def _config(self) -> str:
        places = "client_body", "proxy", "fastcgi", "uwsgi", "scgi"
        return "\n".join(
            [
                # The sockets are for the user that has started this.
                "user root;" if os.geteuid() == 0 else "",
                "daemon off;",
                "worker_processes 1;",
                f"pid {self.folder}/nginx.pid;",
                "events { worker_connections 4096; }",
                "http {",
                "include /etc/nginx/mime.types;",
                *(f"{place}_temp_path {self.folder}/nginx-{place};" for place in places),
                self._site(),
                "}",
            ]
        )

    def _site(self) -> str:
        servers = "\n".join(f"    server unix:{self.folder}/{name}.sock;" for name in self._names)
        text = SITE.read_text()
        for pattern, here in (
            (r"(?m)(^    server unix:\S+;\n)+", servers + "\n"),
            (r"/run/livestep/", f"{self.folder}/"),
            (r"/var/lib/livestep/static/", f"{self.folder}/var/static/"),
            (r"/var/log/nginx/livestep\.log", f"{self.folder}/access.log"),
            (r"(?m)^ *listen \[::\]:80;.*\n", ""),
            (r"(?m)^    listen 80;", f"    listen {LOOPBACK}:{self.port};"),
            (r"listen 127\.0\.0\.1:8081;", f"listen {LOOPBACK}:{self.operations_port};"),
            (r"server_name lab\.example;", "server_name localhost;"),
            (r"Host lab\.example;", "Host localhost;"),
        ):
            text, count = re.subn(pattern, here, text)
            if not count:
                raise PartFailed(f"{SITE} has nothing like {pattern}, which is to be replaced")
        return text


def find_program(name: str) -> Path:
    """Return where a program is.

    Raises:
        PartFailed: If it is nowhere; the message says what to install.
    """
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in (*newest, *map(Path, os.get_exec_path()), Path("/usr/sbin")):
        if os.access(folder / name, os.X_OK):
            return folder / name
    raise PartFailed(f"{name} is not installed: apt install {PACKAGES[name]}")


def is_installed(name: str) -> bool:
    with suppress(PartFailed):
        return bool(find_program(name))
    return False


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    while True:
        port = random.choice(FREE_PORTS)
        with suppress(PartFailed):
            _check_port(port)
            if port not in _given_ports:
                _given_ports.add(port)
                return port


def _check_port(port: int) -> None:
    # Asked for now: a program that cannot have its port may not say so, while another answers.
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise PartFailed(
            f"cannot listen on {LOOPBACK}, port {port}: {error.strerror}. Choose another, such as "
            "make cluster PORT=9000"
        ) from error


def _another_user() -> str:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise PartFailed("PostgreSQL does not run as root, and there is no user postgres or nobody")
