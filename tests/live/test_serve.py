"""`manage.py serve` behind a proxy and under systemd."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import unix_connect

from streaming.server.systemd import notify
from tests.servers import ROOT, START_TIMEOUT_S, Server, clean_environment, make_site


class UnixServer(Server):
    """Listens on a socket beside its folder."""

    def _start(self, arguments):
        # With what Twisted's descriptions of an address are made of.
        self.path = Path(self.environment["VAR_DIR"]).with_suffix(".a=1:2")
        self._run(
            *(sys.executable, "manage.py", "serve", "--unix-socket", str(self.path), *arguments)
        )
        for line in self.process.stdout:
            self.output += line
            if line.startswith("Ctrl+C"):
                return 0
        raise AssertionError(self.output + self.read_log())

    def get(self, address, **headers):
        """Ask for a page; returns the status, the headers and the text."""
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.path))
        try:
            connection.request("GET", address, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def start(start_server):
    started = []

    def start(**environment):
        started.append(start_server(UnixServer, **environment))
        return started[-1]

    yield start
    for server in started:
        server.close()


class TestUnixSocket:
    def test_serves_pages_and_websockets_and_is_gone_after_the_end(self, start):
        server = start()
        assert f"Livestep listens on {server.path}" in server.output
        assert server.path.stat().st_mode & 0o777 == 0o660
        assert server.get("/")[0] == 200
        with unix_connect(
            str(server.path), uri="ws://localhost/ws", subprotocols=["livestep.v1"]
        ) as client:
            assert '"hello"' in client.recv(10)
        assert server.stop() == 0
        assert not server.path.exists()

    def test_of_a_killed_server_is_replaced(self, start):
        server = start()
        server.process.kill()
        server.wait()
        server.process.stdout.close()
        assert server.path.exists()
        server._start(())
        assert server.get("/")[0] == 200
        assert server.stop() == 0

    def test_where_another_listens_is_refused_and_left_to_it(self, start):
        server = start()
        result = serve(server.environment, server.path)
        assert (result.returncode, "another program listens there" in result.stderr) == (1, True)
        assert server.get("/")[0] == 200
        server.path.unlink()
        assert server.stop() == 0, "a file that somebody else has removed is no error"

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("folder", "a file is there that is no socket"),
            ("nowhere/web.sock", "its folder does not exist"),
            ("x" * 120, "path too long"),
        ],
    )
    def test_that_cannot_be_made_is_said(self, tmp_path, name, said):
        make_site(tmp_path)
        (tmp_path / "folder").mkdir()
        result = serve(clean_environment(VAR_DIR=str(tmp_path)), tmp_path / name)
        assert (result.returncode, said in result.stderr) == (1, True), result.stderr
        assert "Traceback" not in result.stderr

    def test_excludes_a_port(self, tmp_path):
        result = serve(clean_environment(VAR_DIR=str(tmp_path)), tmp_path / "s", "--port", "1")
        assert (result.returncode, "not allowed with argument" in result.stderr) == (2, True)


def test_a_database_that_does_not_answer_is_said(tmp_path):
    """What starts this again, such as systemd, tries on until it does."""
    address = "postgres://livestep@127.0.0.1:1/livestep"
    environment = clean_environment(VAR_DIR=str(tmp_path), DATABASE_URL=address)
    result = serve(environment, tmp_path / "web.sock")
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: The database does not answer: ")
    assert "Traceback" not in result.stderr


def serve(environment, path, *arguments):
    return subprocess.run(
        [sys.executable, "manage.py", "serve", "--unix-socket", str(path), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
    )


ORIGIN = {"Origin": "https://localhost"}
FORWARDED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


def handshake(server, **headers):
    """Open a WebSocket and return the status of the answer."""
    try:
        with unix_connect(str(server.path), uri="ws://localhost/ws", additional_headers=headers):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


class TestProxyHeaders:
    def test_give_the_scheme_of_a_page_and_of_a_websocket(self, start):
        server = start(PROXY_HEADERS="yes")
        assert handshake(server, **ORIGIN, **FORWARDED) == 101
        assert handshake(server, **ORIGIN) == 403

    def test_are_not_believed_without_being_asked_for(self, start):
        assert handshake(start(), **ORIGIN, **FORWARDED) == 403

    def test_send_whoever_came_without_tls_to_where_it_is(self, start):
        server = start(PROXY_HEADERS="yes", ALLOWED_ORIGINS="https://localhost")
        status, headers, _ = server.get("/")
        assert (status, headers["Location"]) == (301, "https://localhost/")
        status, headers, _ = server.get("/", **FORWARDED)
        assert status == 200
        assert "max-age=2592000" in headers["Strict-Transport-Security"]


@pytest.fixture
def systemd(tmp_path):
    """The socket on which systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(START_TIMEOUT_S)
        yield listener


class TestSystemd:
    def test_hears_of_readiness_life_and_end(self, systemd, start):
        server = start(NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="400000")
        assert systemd.recv(100) == b"READY=1"
        for _ in range(3):
            assert systemd.recv(100) == b"WATCHDOG=1"
        server.process.send_signal(signal.SIGTERM)
        said = b"WATCHDOG=1"
        while said == b"WATCHDOG=1":
            said = systemd.recv(100)
        assert said == b"STOPPING=1"
        assert server.wait() == 0

    def test_hears_nothing_of_a_loop_that_hangs(self, systemd, start):
        """A step that keeps the interpreter keeps the loop from saying that it is well."""
        faults = ROOT / "tests" / "samples" / "faults.py"
        server = start(
            NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="200000", SIMULATIONS=str(faults)
        )
        with unix_connect(str(server.path), uri="ws://localhost/ws?simulation=in_c") as client:
            client.send("start")
            systemd.settimeout(2)
            with suppress(TimeoutError):
                while True:
                    said = systemd.recv(100)
            assert said == b"WATCHDOG=1", "the last for two seconds"
            server.process.kill()

    def test_hears_nothing_that_another_process_should_say(self, systemd, start):
        server = start(NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="1000", WATCHDOG_PID="1")
        assert systemd.recv(100) == b"READY=1"
        assert server.stop() == 0
        assert systemd.recv(100) == b"STOPPING=1"

    def test_may_listen_on_an_abstract_address(self, monkeypatch):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(f"\0livestep-test-{os.getpid()}")
            monkeypatch.setenv("NOTIFY_SOCKET", f"@livestep-test-{os.getpid()}")
            listener.settimeout(5)
            notify("READY=1")
            assert listener.recv(100) == b"READY=1"

    @pytest.mark.parametrize("address", ["", "/nowhere/notify", "nonsense"])
    def test_that_is_not_there_is_no_error(self, monkeypatch, address):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
