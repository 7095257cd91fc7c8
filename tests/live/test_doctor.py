"""`doctor ADDRESS`, through proxies that are wrong in one way each."""

import contextlib
import re
import socket
import threading

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from streaming.management import examination
from streaming.management.examination import examine

WAIT_S = 20
ANSWER = "HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Passes each request on as `rewrite` has it; what begins with HTTP is its own answer."""

    def __init__(self, port, rewrite, holds_back=False):
        self._port, self._rewrite, self._holds_back = port, rewrite, holds_back
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = []
        self._start(self._accept)

    def _start(self, run, *arguments):
        self._threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, client):
        with client, contextlib.suppress(OSError):
            client.settimeout(WAIT_S)
            asked = self._rewrite(read_header(client))
            if asked.startswith("HTTP"):
                client.sendall(asked.encode())
                return
            with socket.create_connection(("127.0.0.1", self._port), WAIT_S) as server:
                server.sendall(asked.encode())
                client.sendall(read_header(server).encode())
                if "Upgrade" not in asked:
                    while content := server.recv(65536):
                        client.sendall(content)
                    return
                if not self._holds_back:
                    client.sendall(server.recv(65536))
                client.recv(1)  # It goes when it has seen enough.

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()


def read_header(connection):
    content = b""
    while not content.endswith(b"\r\n\r\n"):
        content += connection.recv(1) or pytest.fail("the header does not end")
    return content.decode()


@pytest.fixture
def through(server):
    proxies = []

    def through(rewrite, path="/", **options):
        proxies.append(Proxy(server.port, rewrite, **options))
        return wrong_at(proxies[-1].address + path)

    yield through
    for proxy in proxies:
        proxy.close()


def wrong_at(address):
    return [finding for finding in examine(address) if finding.problem]


def closing(request):
    """Have the server close the connection when it has answered."""
    return request if "Upgrade" in request else with_header(request, "Connection: close")


def with_header(request, line):
    return request.replace("\r\n", f"\r\n{line}\r\n", 1)


def without(request, *names):
    for name in names:
        request = re.sub(rf"\r\n{name}:[^\r]*", "", request)
    return request


def test_all_is_well_where_nothing_is_wrong(through):
    assert through(closing) == []


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ("502 Bad Gateway", "reaches no server behind it"),
        ("302 Found\r\nLocation: /login/?next=/healthz", "such as a login wall"),
        ("404 Not Found", "FORCE_SCRIPT_NAME"),
        ("400 Bad Request", "to ALLOWED_HOSTS"),
    ],
)
def test_what_answers_in_the_sites_place_is_said(through, answer, advice):
    (finding,) = through(lambda request: ANSWER.format(answer))
    assert answer[:3] in finding.problem
    assert advice in finding.advice


def test_a_proxy_that_changes_the_host(through, server):
    def rewrite(request):
        return with_header(without(closing(request), "Host"), "Host: localhost:1")

    (finding,) = through(rewrite)
    assert "is refused, and a program is not" in finding.problem
    assert "pass Host on" in finding.advice
    server.wait_for_log("it reached this site as 'http://localhost:1'")


def test_a_proxy_that_takes_upgrade_away(through, server):
    def rewrite(request):
        return with_header(without(request, "Upgrade", "Connection"), "Connection: close")

    (finding,) = through(rewrite)
    assert "got 426" in finding.problem
    assert "proxy_set_header Upgrade" in finding.advice
    server.wait_for_log("without Upgrade")


def test_a_proxy_that_takes_a_prefix_away_unknown_to_the_site(through):
    (finding,) = through(lambda request: closing(request.replace(" /lab/", " /", 1)), "/lab")
    assert "look for the WebSocket at /ws" in finding.problem
    assert finding.advice == "Set FORCE_SCRIPT_NAME=/lab"


def test_a_proxy_that_holds_back_what_the_server_says(through, monkeypatch):
    monkeypatch.setattr(examination, "TIMEOUT_S", 3.0)
    (finding,) = through(closing, holds_back=True)
    assert "the server's first message does not come" in finding.problem
    assert "turn its buffering off" in finding.advice


def test_says_each_thing_and_ends_with_what_it_found(server, capsys):
    call_command("doctor", server.url)
    assert "the WebSocket: good" in capsys.readouterr().out
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    for address, code in ((nowhere, 1), ("localhost:8000", 2)):
        with pytest.raises(CommandError) as refused:
            call_command("doctor", address)
        assert refused.value.returncode == code
    assert "it cannot be reached" in capsys.readouterr().out
