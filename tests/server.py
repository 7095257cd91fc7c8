"""A real server: `manage.py serve` in a process of its own, with a database of its own."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 60


def clean_environment(**given):
    """Return this process's environment without what says how a site is to be."""
    foreign = ("LIVESTEP_", "DJANGO_", "SIMULATIONS", "HOST", "PORT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PYTHONUNBUFFERED": "1", **given}


class Server:
    """Serves until `stop`. The folder takes the database, the key and the static files."""

    def __init__(self, folder, *arguments, **environment):
        self.environment = clean_environment(VAR_DIR=str(folder), **environment)
        self.manage("migrate", "--verbosity", "0")
        self.manage("collectstatic", "--noinput", "--verbosity", "0")
        self.log = open(Path(folder) / "server.log", "w+")  # noqa: SIM115  # stop() closes it
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", "0", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.output = ""
        for line in self.process.stdout:
            self.output += line
            if line.startswith("Ctrl+C"):
                break
        found = re.search(r"Livestep is at (http://127\.0\.0\.1:(\d+))/", self.output)
        assert found, self.output + self.read_log()
        self.url, self.port = found[1], int(found[2])
        self.socket_url = f"ws://127.0.0.1:{self.port}/ws"

    def manage(self, *command, **options):
        return subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            check=True,
            timeout=START_TIMEOUT_S,
            **options,
        )

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        # Not SIGTERM: daphne 4.2 may crash on it while sockets are fresh (django/daphne).
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.process.stdout.close()
        self.log.close()
