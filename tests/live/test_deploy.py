"""deploy/: nginx before two processes with Redis and PostgreSQL, and what ends them all."""

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from websockets.asyncio import client as asyncio_client
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from development.cluster import Cluster
from development.parts import Livestep, Nginx, PartFailed, Postgres, Redis, free_port
from development.processes import family, has_ended
from streaming.conf import KINDS, Conf
from tests.live.clients import clients_of
from tests.servers import ROOT, START_TIMEOUT_S, STOP_TIMEOUT_S, clean_environment

DEPLOY = ROOT / "deploy"
ELSEWHERE = "127.0.0.2"
needs_servers = [pytest.mark.redis, pytest.mark.postgres, pytest.mark.nginx]


@contextmanager
def short_folder():
    """Where a socket's name is short enough, and PostgreSQL's user can get to its own."""
    with tempfile.TemporaryDirectory(prefix="ls-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="module")
def cluster():
    samples = str(ROOT / "tests" / "samples" / "simulations.py")
    cluster = Cluster(environment=clean_environment(SIMULATIONS=samples))
    cluster.socket_url = cluster.url.replace("http", "ws") + "/ws"
    cluster.start()
    yield cluster
    cluster.stop()
    assert not cluster.folder.exists()


@pytest.fixture
async def open_client(cluster):
    async with clients_of(cluster) as open_client:
        yield open_client


def get(port, address, source=None, tls=None, **headers):
    """Ask for a page; returns the answer, with its text as `text`."""
    options = {"timeout": 20, "source_address": (source, 0) if source else None}
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, context=tls, **options)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, **options)
    )
    try:
        connection.request("GET", address, headers={"Host": f"localhost:{port}", **headers})
        answer = connection.getresponse()
        answer.text = answer.read().decode(errors="replace")
        return answer
    finally:
        connection.close()


def wait_until(is_true):
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def handshakes(cluster, count, source):
    """Ask for WebSockets, all at the same moment; returns the statuses of the answers."""
    place = "127.0.0.1", cluster.nginx.port
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(place, 20, (source, 0)))
            for _ in range(count)
        ]
        for client in clients:
            client.sendall(HANDSHAKE)
        return [int(client.recv(12).split()[1]) for client in clients]


class TestNginx:
    pytestmark = needs_servers

    def test_serves_pages(self, cluster):
        answer = get(cluster.nginx.port, "/simulations/counter/")
        assert answer.status == 200
        assert "<live-step" in answer.text

    def test_serves_static_files_itself_also_those_of_a_later_version(self, cluster):
        """A page of a process that is new may need them while another is still the old one."""
        page = get(cluster.nginx.port, "/").text
        script = re.search(r'/static/streaming/live-step[^"]*\.[0-9a-f]{12}\.js', page)[0]
        answer = get(cluster.nginx.port, script, **{"Accept-Encoding": "gzip"})
        assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
        assert answer.headers["Content-Type"] == "application/javascript"
        assert "immutable" in answer.headers["Cache-Control"]
        (cluster.folder / "var" / "static" / "later.css").write_text("a {}")
        assert get(cluster.nginx.port, "/static/later.css").text == "a {}"
        assert get(cluster.nginx.port, "/static/never.css").status == 404

    async def test_carries_frames(self, open_client):
        client = await open_client()
        await client.start("counter")
        assert (await client.until(type="frame"))["svg"].startswith(b"<svg")

    @pytest.mark.parametrize("name", ["a", "b"])
    async def test_sends_a_session_to_the_process_that_its_id_names(
        self, cluster, open_client, name
    ):
        client = await open_client(query=f"?session={name}-x")
        session = await client.start("counter")
        log = cluster.processes[name].log_path
        wait_until(lambda: f"session {session} started" in log.read_text())
        get(cluster.nginx.port, f"/sessions/{name}-{session}/")
        seen = rf'"GET /sessions/{name}-{session}/" .* "unix:{cluster.folder}/{name}.sock"\n'
        access_log = cluster.folder / "access.log"
        wait_until(lambda: re.search(seen, access_log.read_text()))

    async def test_sends_to_another_when_that_process_is_gone(self, cluster, open_client):
        cluster.processes["b"].kill()
        try:
            client = await open_client(query="?session=b-x")
            session = await client.start("counter")
            assert f"session {session} started" in cluster.processes["a"].log_path.read_text()
            assert get(cluster.nginx.port, "/sessions/b-x/").status == 404
            for _ in range(4):
                assert get(cluster.nginx.port, "/").status == 200
        finally:
            cluster.processes["b"].start()

    def test_sends_to_any_what_names_no_process(self, cluster):
        assert get(cluster.nginx.port, "/sessions/nobody-x/").status == 404
        assert get(cluster.nginx.port, "/sessions/x/").status == 404

    def test_refuses_a_flood_of_handshakes_and_serves_the_others(self, cluster):
        statuses = handshakes(cluster, 90, "127.0.0.9")
        assert statuses.count(101) >= 60
        assert set(statuses) == {101, 429}
        assert handshakes(cluster, 1, "127.0.0.10") == [101]
        assert get(cluster.nginx.port, "/", "127.0.0.9").status == 200

    def test_shows_the_figures_to_nobody_but_its_own_machine(self, cluster):
        assert get(cluster.nginx.port, "/metrics").status == 404
        port = cluster.nginx.operations_port
        assert get(port, "/a/healthz").status == 200
        assert get(port, "/b/metrics").status == 200
        assert get(port, "/").status == 404

    def test_writes_down_no_query(self, cluster):
        get(cluster.nginx.port, "/?token=secret-1")
        get(cluster.nginx.port, "/last")
        access_log = cluster.folder / "access.log"
        wait_until(lambda: '"GET /last" 404' in access_log.read_text())
        assert "secret-1" not in access_log.read_text()


class TlsNginx(Nginx):
    """As docs/deployment.md says how: the lines for TLS instead of those without."""

    def __init__(self, folder, names):
        super().__init__(folder, names)
        self.plain_port = free_port()

    def _site(self):
        text = super()._site().replace("#TLS ", "")
        text = re.sub(".*#PLAIN\n", "", text)
        text = re.sub(r"listen \[::\].*\n", "", text)
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.plain_port};")
        text = text.replace("listen 443 ", f"listen 127.0.0.1:{self.port} ")
        return re.sub("/etc/letsencrypt/live/[^/]+", str(self.folder), text)


@pytest.fixture(scope="module")
def process(cluster):
    """A process named c, with the application of whoami.py."""
    environment = cluster.processes["a"].environment
    with short_folder() as folder:
        process = Livestep(
            folder, "c", {**environment, "DJANGO_SETTINGS_MODULE": "tests.live.whoami"}
        )
        process.start()
        yield process
        process.stop()


@pytest.fixture
def start_nginx(process):
    """Start an nginx before that process."""
    started = []

    def start_nginx(kind=Nginx):
        started.append(kind(process.folder, [process.name]))
        started[-1].start()
        return started[-1]

    yield start_nginx
    for nginx in started:
        nginx.stop()


class TestWhoAClientIs:
    pytestmark = needs_servers

    SPOOFED = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "7",
        "X-Forwarded-Proto": "https",
        "Daphne-Root-Path": "/elsewhere",
    }

    def test_is_what_nginx_says_and_not_what_the_client_says(self, start_nginx):
        seen = json.loads(get(start_nginx().port, "/", ELSEWHERE, **self.SPOOFED).text)
        assert seen["client"][0] == ELSEWHERE
        assert seen["client"][1] > 7
        assert seen["scheme"] == "http"
        assert seen["root_path"] == ""
        assert seen["headers"]["x-forwarded-for"] == ELSEWHERE

    def test_of_a_websocket_too(self, start_nginx):
        with connect(
            f"ws://127.0.0.1:{start_nginx().port}/ws",
            additional_headers=self.SPOOFED,
            source_address=(ELSEWHERE, 0),
        ) as client:
            seen = json.loads(client.recv(10))
        assert (seen["client"][0], seen["scheme"], seen["root_path"]) == (ELSEWHERE, "ws", "")

    def test_nothing_but_the_endpoint_becomes_a_websocket(self, start_nginx):
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{start_nginx().port}/x"):
            pass

    @pytest.fixture
    def certificate(self, process):
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
        key, certificate = process.folder / "privkey.pem", process.folder / "fullchain.pem"
        files = ("-keyout", key, "-out", certificate)
        subprocess.run([*command.split(), *files], check=True, stderr=subprocess.DEVNULL)
        return certificate

    async def test_comes_over_tls_or_is_sent_there(self, start_nginx, certificate):
        nginx = start_nginx(TlsNginx)
        tls = ssl.create_default_context(cafile=certificate)
        tls.check_hostname = False
        assert json.loads(get(nginx.port, "/", tls=tls).text)["scheme"] == "https"
        # Not with the client of threads: one in a hundred of its handshakes over TLS hangs.
        async with asyncio_client.connect(f"wss://127.0.0.1:{nginx.port}/ws", ssl=tls) as client:
            assert json.loads(await client.recv())["scheme"] == "wss"
        answer = get(nginx.plain_port, "/x?y=1")
        assert (answer.status, answer.headers["Location"]) == (301, "https://localhost/x?y=1")


class TestParts:
    @pytest.fixture
    def folder(self):
        with short_folder() as folder:
            yield folder

    @pytest.mark.redis
    def test_redis_keeps_its_data_and_port_through_its_death(self, folder):
        part = Redis(folder)
        part.start()
        try:
            with redis.Redis.from_url(part.url) as client:
                client.set("x", "y")
            part.kill()
            assert not part.is_running
            part.start()
            with redis.Redis.from_url(part.url) as client:
                assert client.get("x") == b"y"
        finally:
            part.stop()

    @pytest.mark.postgres
    def test_postgres_too_and_can_be_held(self, folder):
        part = Postgres(folder)
        part.start()
        try:
            with psycopg.connect(part.url) as connection:
                connection.execute("CREATE TABLE x AS SELECT 7")
            part.pause()
            processes = part.processes()
            assert len(processes) > 3
            held = {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
            wait_until(lambda: {process.status() for process in processes} <= held)
            part.resume()
            with psycopg.connect(part.url) as connection:
                connection.execute("INSERT INTO x VALUES (8)")
            processes = part.processes()
            part.kill()
            assert all(map(has_ended, processes))
            part.start()
            with psycopg.connect(part.url) as connection:
                assert connection.execute("SELECT * FROM x").fetchall() == [(7,), (8,)]
            processes = part.processes()
        finally:
            part.stop()
        assert all(map(has_ended, processes))
        part.stop()  # Again, which is no error.

    @pytest.mark.nginx
    def test_one_that_does_not_start_says_why(self, folder):
        part = Nginx(folder, ["x"])
        part._site = lambda: "nonsense;"
        with pytest.raises(PartFailed, match=r"nginx has ended:\n.*unknown directive"):
            part.start()

    @pytest.mark.redis
    def test_one_that_is_held_can_be_stopped(self, folder):
        part = Redis(folder)
        part.start()
        part.pause()
        part.stop()
        assert not part.is_running


class TestCommand:
    """`make cluster`."""

    pytestmark = needs_servers

    @pytest.fixture
    def folder(self):
        with short_folder() as folder:
            yield folder
            assert list(folder.iterdir()) == []

    @pytest.fixture
    def start(self, folder):
        """Start it and read on to a line; what it had started must have ended with it."""
        started, below = [], []

        def start(*arguments, until="", **environment):
            process = subprocess.Popen(
                [sys.executable, "-m", "development.cluster", "--port", "0", *arguments],
                cwd=ROOT,
                env={**clean_environment(TMPDIR=str(folder)), **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.append(process)
            for line in process.stdout if until else ():
                if line.startswith(until):
                    break
            below.extend(family(process.pid))
            return process

        yield start
        for process in started:
            process.kill()
            process.communicate()
        assert all(map(has_ended, below))

    def test_ends_everything_at_ctrl_c(self, start):
        process = start(until="Ctrl+C")
        assert len(family(process.pid)) > 8
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_TIMEOUT_S)
        assert process.returncode == 0

    def test_ends_everything_while_it_starts(self, start):
        process = start(until="Starting")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=START_TIMEOUT_S)
        assert process.returncode == 0
        assert "Livestep is at" not in out

    def test_ends_everything_when_a_part_does_not_start(self, start):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            process = start("--port", str(taken.getsockname()[1]))
            _, said = process.communicate(timeout=START_TIMEOUT_S)
        assert (process.returncode, "cannot listen on 127.0.0.1" in said) == (1, True)
        assert "Traceback" not in said

    def test_says_what_to_install(self, start):
        process = start(PATH="/nowhere")
        _, said = process.communicate(timeout=START_TIMEOUT_S)
        assert said == "redis-server is not installed: apt install redis-server\n"
        assert process.returncode == 1

    @pytest.mark.parametrize("arguments", [("--processes", "0"), ("--port", "eighty")])
    def test_says_what_is_wrong(self, start, arguments):
        process = start(*arguments)
        _, said = process.communicate(timeout=START_TIMEOUT_S)
        assert (process.returncode, "expected a number from" in said) == (2, True)


def variables(text):
    """The variables of an environment file: those that are set, and those in comments."""
    found = re.findall(r"^(#?)([A-Z][A-Z_]*)=(.*)$", text, re.MULTILINE)
    return (
        {name: value for hidden, name, value in found if not hidden},
        {name: value for hidden, name, value in found if hidden},
    )


ENVIRONMENT_FILE = """\
# A comment; and one of the other kind:
; NAME=commented

DATABASE_URL=postgres://ada:a&b@db/lab?sslmode=require&application_name=$HOME
  SPACED=yes
no variable

EMPTY=
QUOTED="two words"
EQUALS=a=b
COMMAND=$(touch made)`touch made`
LAST=without an end of its line"""


def test_the_manage_script_reads_values_as_systemd_does(tmp_path):
    """Not as a shell, to which & and $ mean something."""
    (tmp_path / "livestep.env").write_text(ENVIRONMENT_FILE)
    script = (DEPLOY / "livestep-manage").read_text()
    for of_the_site, here in {
        "/etc/livestep/livestep.env": str(tmp_path / "livestep.env"),
        "/opt/livestep": str(tmp_path),
        "runuser -u livestep -- .venv/bin/python": sys.executable,
    }.items():
        assert of_the_site in script
        script = script.replace(of_the_site, here)
    (tmp_path / "manage.py").write_text(
        "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    )
    result = subprocess.run(
        ["sh", "-c", script, "livestep-manage", "check", "--deploy"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments, seen = json.loads(result.stdout)
    assert arguments == ["check", "--deploy"]
    assert seen["HOME"] == "/var/lib/livestep"
    assert {name: seen[name] for name in seen if name.isupper()}.items() >= {
        "DATABASE_URL": "postgres://ada:a&b@db/lab?sslmode=require&application_name=$HOME",
        "SPACED": "yes",
        "EMPTY": "",
        "QUOTED": "two words",
        "EQUALS": "a=b",
        "COMMAND": "$(touch made)`touch made`",
        "LAST": "without an end of its line",
    }.items()
    assert "NAME" not in seen
    assert not (tmp_path / "made").exists()


class TestEnvironmentFile:
    given, defaults = variables((DEPLOY / "livestep.env").read_text())

    def test_has_every_setting(self):
        source = (ROOT / "project" / "settings.py").read_text()
        site = set(re.findall(r'(?:env\.\w+|yes_or_no|listed)\(\s*"([A-Z_]+)"', source))
        known = {*site, *(f"LIVESTEP_{name}" for name in KINDS if name not in site), "HOST", "PORT"}
        documented = (ROOT / "docs" / "settings.md").read_text()
        # The unit says it.
        assert {*self.given, *self.defaults} == known - {"LIVESTEP_PROCESS"}
        for name in known:
            assert f"`{name.removeprefix('LIVESTEP_')}`" in documented

    def test_has_each_default_as_it_is(self):
        """But for those that depend on the cores, and those that say nothing."""
        ours = [name for name in self.defaults if name.startswith("LIVESTEP_")]
        for name in filter(self.defaults.get, ours):
            default = Conf.__dataclass_fields__[name.removeprefix("LIVESTEP_")].default
            match default:
                case bool():
                    assert self.defaults[name] == ("yes" if default else "no")
                case int() | float():
                    assert float(self.defaults[name]) == default
                case _:
                    assert self.defaults[name] == default

    def test_makes_a_site_without_a_warning(self, tmp_path):
        result = subprocess.run(
            [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
            cwd=ROOT,
            env=clean_environment(
                **{**self.given, "VAR_DIR": str(tmp_path), "LIVESTEP_PROCESS": "a"}
            ),
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
        )
        assert result.returncode == 0, result.stderr


@pytest.mark.systemd
class TestUnits:
    @pytest.fixture(params=["livestep", "livestep-compute"])
    def unit(self, request, tmp_path):
        """The unit of the process a, or of the compute machine a, of a site that is here."""
        for name in (f"{request.param}@.service", "livestep.target"):
            text = (DEPLOY / name).read_text()
            text = text.replace("/opt/livestep/.venv/bin/python", sys.executable)
            (tmp_path / name).write_text(text)
        return tmp_path / f"{request.param}@a.service"

    def analyze(self, *arguments):
        result = subprocess.run(
            ["systemd-analyze", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
            timeout=20,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    def test_are_as_systemd_expects(self, unit):
        target = unit.with_name("livestep.target")
        unit.symlink_to(template_of(unit))
        said = self.analyze("verify", "--man=no", "--recursive-errors=no", unit, target).stderr
        assert str(unit.parent) not in said

    def test_let_a_process_do_little(self, unit):
        unit.write_text(template_of(unit).read_text())
        self.analyze("security", "--offline=yes", "--threshold=20", unit)


def template_of(unit):
    return unit.with_name(unit.name.replace("@a", "@"))
