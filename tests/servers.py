"""A real server: `manage.py serve` in a process of its own, with a database of its own."""

import atexit
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30


# A process of the whole gallery takes half as long again to start.
LIGHT, WHOLE = "tests.light", "project.settings"


def clean_environment(settings=LIGHT, **given):
    """Return this process's environment without what says how a site is to be.

    Args:
        settings: Those of the site; None for a site of another project.
    """
    foreign = ("LIVESTEP_", "DJANGO_", "SIMULATIONS", "HOST", "PORT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    if settings is not None:
        kept["DJANGO_SETTINGS_MODULE"] = settings
    return {**kept, "PYTHONUNBUFFERED": "1", **given}


def manage(environment, *command, root=ROOT, program=sys.executable, **options):
    """Run one of the site's commands to its end."""
    return subprocess.run(
        [program, "manage.py", *command],
        cwd=root,
        env=environment,
        check=True,
        timeout=START_TIMEOUT_S,
        **options,
    )


def prepare(environment, **where):
    """Make the database and the static files of a site."""
    manage(environment, "migrate", "--verbosity", "0", **where)
    manage(environment, "collectstatic", "--noinput", "--verbosity", "0", **where)


@cache
def _prepared():
    """Return the folder of a site as it is before anybody was there; made once."""
    folder = Path(tempfile.mkdtemp(prefix="livestep-site-"))
    atexit.register(shutil.rmtree, folder)
    prepare(clean_environment(WHOLE, VAR_DIR=str(folder)))
    return folder


def make_site(folder):
    """Give a folder the database and the static files of this site."""
    shutil.copytree(_prepared(), folder, dirs_exist_ok=True)


class Server:
    """Serves until `stop`. The folder takes the database, the key and the static files."""

    # Where the project's manage.py is, which Python runs it, and how that is typed.
    root = ROOT
    program = sys.executable
    command = ()

    def __init__(self, folder, *arguments, **environment):
        settings = LIGHT if self.root == ROOT else None
        self.environment = clean_environment(settings, **{"VAR_DIR": str(folder), **environment})
        self.folder = Path(folder)
        self.prepare()
        self.log = open(Path(folder) / "server.log", "w+")  # noqa: SIM115  # stop() closes it
        self.output = ""
        self.port = self._start(arguments)
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket_url = f"ws://127.0.0.1:{self.port}/ws"

    def prepare(self):
        if "DATABASE_URL" in self.environment or self.root != ROOT:
            prepare(self.environment, root=self.root, program=self.program)
        elif not (self.folder / "db.sqlite3").exists():
            make_site(self.folder)

    def _start(self, arguments):
        """Start the process and return the port where it listens."""
        command = self.command or (self.program, "manage.py")
        self._run(*command, "serve", "--port", "0", *arguments)
        for line in self.process.stdout:
            self.output += line
            if line.startswith("Ctrl+C"):
                break
        found = re.search(r"Livestep is at http://127\.0\.0\.1:(\d+)/", self.output)
        assert found, self.output + self.read_log()
        return int(found[1])

    def _run(self, *command, **options):
        self.process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            **{"stderr": self.log, **options},
        )

    def manage(self, *command, **options):
        where = {"root": self.root, "program": self.program}
        return manage(self.environment, *command, **where, **options)

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def wait_for_log(self, text, more_than=0):
        """Wait until the log has a text so often. Blocks."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.read_log().count(text) <= more_than:
            assert time.monotonic() < deadline, self.read_log()
            time.sleep(0.05)

    @property
    def memory(self):
        """The bytes that its process itself has in memory."""
        return psutil.Process(self.process.pid).memory_info().rss

    def wait(self):
        """Wait for its end; returns the exit status."""
        return self.process.wait(STOP_TIMEOUT_S)

    def stop(self, number=signal.SIGTERM):
        """End it; returns the exit status."""
        self.process.send_signal(number)
        try:
            return self.wait()
        finally:
            self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


class PlainDaphne(Server):
    """The same site on daphne as it comes."""

    def _start(self, arguments):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        number = str(listener.fileno())
        application = "project.asgi:application"
        self._run(
            *(sys.executable, "-m", "daphne", "--fd", number, application),
            pass_fds=(listener.fileno(),),
        )
        listener.close()
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            # The listening socket is there already; it answers when daphne does.
            with socket.create_connection(("127.0.0.1", port), START_TIMEOUT_S) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                if client.recv(1):
                    return port
            assert time.monotonic() < deadline, self.read_log()
