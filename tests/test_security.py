"""What SECURITY.md promises and no other file of tests shows, and that its table is true."""

import ast
import asyncio
import http.client
import io
import logging
import re
import socket
from copy import copy
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings as site
from websockets.asyncio.client import connect

from project.settings import kept_secret_key
from streaming.catalog.registry import registry
from streaming.identity import Identity
from streaming.logs import TextFormatter
from streaming.process import process
from tests.live.clients import clients_of
from tests.parts import close_sessions, sessions
from tests.servers import ROOT
from tests.visitor import Visitor

WAIT_S = 10
USER = """
from django.contrib.auth.models import User
User.objects.create_superuser("chief", password="chief-password")
"""


@pytest.fixture(scope="module")
def chief(server):
    """A visitor who is logged in and may do everything."""
    server.manage("shell", "-v0", "-c", USER)
    visitor = Visitor(server)
    visitor.log_in("chief", "chief-password")
    return visitor


@pytest.fixture
async def session(server):
    """The id of a session that goes on and has a picture."""
    async with clients_of(server) as open_client:
        client = await open_client()
        session = await client.start("counter")
        await client.until(type="frame")
        yield session


class Inline(HTMLParser):
    """Finds what a page would run, or be dressed in, without a file."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        is_data = given.get("type") == "application/json"
        if tag == "style" or (tag == "script" and "src" not in given and not is_data):
            self.found.append(tag)
        self.found += [name for name in given if name.startswith("on") or name == "style"]
        self.found += [value for value in given.values() if (value or "").startswith("javascript:")]


PAGES = [
    "/",
    "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
    "/simulations/tour/",
    "/sessions/SESSION/",
    "/element/",
    "/nowhere/",
    "/sessions/nowhere/",
    "/admin/",
    "/admin/streaming/streamsession/",
    "/admin/streaming/streamsession/?activity=all",
    "/admin/streaming/streamsession/SESSION/change/",
    "/admin/auth/user/",
]
DATA = ["/sessions/SESSION/frame.svg", "/sessions/SESSION/state.json", "/healthz", "/readyz"]


class TestPages:
    async def get(self, visitor, path, session):
        return await asyncio.to_thread(visitor.get, path.replace("SESSION", session))

    @pytest.mark.parametrize("path", PAGES + DATA)
    async def test_have_the_headers_of_a_careful_site(self, chief, session, path):
        headers = (await self.get(chief, path, session)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'unsafe" not in policy

    @pytest.mark.parametrize("path", PAGES)
    async def test_have_no_inline_code(self, chief, session, path):
        response = await self.get(chief, path, session)
        assert response.status == (404 if "nowhere" in path else 200)
        parts = dict(
            part.strip().split(" ", 1)
            for part in response.headers["Content-Security-Policy"].split(";")
        )
        assert parts["default-src"] == "'none'"
        assert parts["script-src"] == parts["style-src"] == parts["connect-src"] == "'self'"
        assert parts["base-uri"] == "'none'"
        assert parts["form-action"] == "'self'"
        assert parts["frame-ancestors"] == "'self'"
        inline = Inline()
        inline.feed(response.text)
        assert inline.found == []

    async def test_have_no_token_in_their_address_nor_in_themselves(self, server, session):
        async with clients_of(server) as open_client:
            client = await open_client()
            await client.send("start", simulation="counter")
            started = await client.until(type="started")
        visitor = Visitor(server)
        for path in ("/sessions/{}/", "/sessions/{}/state.json", "/sessions/{}/frame.svg"):
            response = await asyncio.to_thread(visitor.get, path.format(started["session"]))
            assert started["token"] not in response.text
        assert started["token"] not in server.read_log()


class TestCookies:
    async def test_are_for_the_server_and_this_site_only(self, server):
        visitor = Visitor(server)
        headers = (await asyncio.to_thread(visitor.get, "/")).headers
        cookie = headers["Set-Cookie"]
        assert cookie.startswith("livestep_browser=")
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie

    async def test_behind_tls_never_leave_it(self, start_server):
        server = await asyncio.to_thread(
            start_server,
            ALLOWED_HOSTS="lab.example",
            ALLOWED_ORIGINS="https://lab.example",
            PROXY_HEADERS="yes",
        )

        def get(path):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
            proxy = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
            connection.request("GET", path, headers={"Host": "lab.example", **proxy})
            with connection.getresponse() as response:
                response.read()
            connection.close()
            return response

        try:
            for path in ("/", "/admin/login/"):
                response = await asyncio.to_thread(get, path)
                assert response.status == 200
                assert "max-age=" in response.headers["Strict-Transport-Security"]
                for cookie in response.headers.get_all("Set-Cookie"):
                    assert "Secure" in cookie
                    assert "SameSite=Lax" in cookie
        finally:
            assert await asyncio.to_thread(server.stop) == 0


class TestLogin:
    def test_gives_the_browser_another_session_key(self, server, chief):
        """Whoever planted, or saw, the one before is not logged in."""
        visitor = Visitor(server)
        visitor.get("/admin/login/")
        planted = copy(next(iter(visitor.jar)))
        planted.name, planted.value = "sessionid", "planted-planted-planted-planted0"
        visitor.jar.set_cookie(planted)
        visitor.log_in("chief", "chief-password")
        assert visitor.cookie("sessionid") != planted.value

    def test_a_key_that_somebody_planted_is_not_taken(self, server):
        response = Visitor(server).get("/", Cookie="sessionid=planted-planted-planted-planted0")
        for cookie in response.headers.get_all("Set-Cookie"):
            assert "planted" not in cookie


class TestIds:
    async def test_of_sessions_and_tokens_cannot_be_guessed(self, no_rows):
        """128 bits and 192 of the system's randomness, six to a character."""
        made = [
            sessions.create(registry.get("counter"), {"level": 1, "size": 4}, Identity())
            for _ in range(4)
        ]
        try:
            ids = {live.id.removeprefix(process.id_prefix) for live in made}
            tokens = {live.token for live in made}
            assert len(ids | tokens) == 8
            assert {len(name) for name in ids} == {22}
            assert {len(token) for token in tokens} == {32}
        finally:
            await close_sessions()

    def test_the_secret_key_is_made_at_random_and_its_owners(self, tmp_path):
        path = tmp_path / "secret_key"
        key = kept_secret_key(path)
        assert len(key) >= 50
        assert path.stat().st_mode & 0o777 == 0o600
        assert kept_secret_key(path) == key
        assert kept_secret_key(tmp_path / "another") != key


class TestLog:
    @pytest.fixture
    def written(self):
        """Log as the site does in text, and return what is written."""
        options = dict(site.LOGGING["formatters"]["text"])
        assert options.pop("()") == "streaming.logs.TextFormatter"
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(TextFormatter(**options))
        logger = logging.getLogger("tests.security")
        logger.propagate = False
        logger.addHandler(handler)

        def written(*arguments, **named):
            logger.warning(*arguments, **named)
            return stream.getvalue()

        yield written
        logger.removeHandler(handler)

    @pytest.mark.parametrize("break_", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028"])
    def test_a_text_cannot_pass_for_a_line_of_its_own(self, written, break_):
        faked = f"x{break_}2026-01-01 00:00:00,000 INFO streaming.sessions.pool: session s1 ended"
        log = written("session %s prints: %s", "s1", faked)
        lines = log.splitlines()
        assert re.match(
            r"\d{4}-\d\d-\d\d .* WARNING tests\.security: session s1 prints: x", lines[0]
        )
        assert all(line.startswith("    ") for line in lines[1:])

    def test_a_text_commands_no_terminal(self, written):
        log = written("session %s prints: %s", "s1", "\x1b[2J\x9b1A \u202egnp.exe\x00")
        assert log.endswith("\\x1b[2J\\x9b1A \\u202egnp.exe\\x00\n")

    def test_a_traceback_is_indented_and_its_error_cannot_pass_for_a_line(self, written):
        error = ValueError("bad\n2026-01-01 00:00:00,000 INFO streaming: all is well")
        log = written("a form failed", exc_info=error)
        assert [line for line in log.splitlines() if not line.startswith("    ")] == [
            log.splitlines()[0]
        ]
        assert "ValueError: bad" in log

    async def test_what_a_visitor_sends_is_one_line_of_a_real_servers(self, server):
        before = len(server.read_log())
        visitor = Visitor(server)
        path = "/nowhere%0A2026-01-01%2000:00:00,000%20INFO%20streaming:%20planted/"
        assert (await asyncio.to_thread(visitor.get, path)).status == 404
        await asyncio.to_thread(server.wait_for_log, "planted")
        (line,) = [line for line in server.read_log()[before:].splitlines() if "planted" in line]
        assert re.match(
            r"\d{4}-\d\d-\d\d [\d:,]+ WARNING django\.request: Not Found: /nowhere", line
        )


def ask(server, head, body=b""):
    """Return the status of the only answer to a request, written byte by byte."""
    with socket.create_connection(("127.0.0.1", server.port), WAIT_S) as client:
        client.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
        answer = b""
        while received := client.recv(65536):
            answer += received
    statuses = re.findall(rb"^HTTP/1\.[01] (\d+)", answer, re.M)
    assert len(statuses) == 1
    return int(statuses[0])


POST = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


class TestRequests:
    def test_that_are_clear_are_answered(self, server):
        assert ask(server, GET + b"X-Any: thing") == 200

    @pytest.mark.parametrize(
        "head",
        [
            POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked",
            POST + b"Content-Length: 4\r\nContent-Length: 50",
            POST + b"Content-Length: +4",
            POST + b"Content-Length : 4",
            POST + b"Transfer-Encoding: xchunked",
            GET + b"X Any: thing",
            GET + b"X-Any: a\rX-Other: b",
            GET + b"X-Any: a\x00b",
            GET + b"X-Any: a\x0bb",
            GET + b"Host: evil.test",
        ],
    )
    def test_that_a_proxy_may_read_in_another_way_are_refused(self, server, head):
        """What one of the two takes for the body, the other would take for another request."""
        smuggled = b"0\r\n\r\nGET /admin/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert ask(server, head, smuggled) == 400

    @pytest.mark.parametrize("name", [b"X_Forwarded_Proto", b"X-Forwarded-Proto"])
    def test_a_client_cannot_say_that_it_came_by_tls(self, server, name):
        """Without PROXY_HEADERS, and never with the name that WSGI would confuse with it."""
        assert ask(server, GET + name + b": https") == 200
        visitor = Visitor(server)
        headers = visitor.get("/", **{name.decode(): "https"}).headers
        assert "Secure" not in headers["Set-Cookie"]


class TestCompression:
    async def test_nobody_gets_the_server_to_inflate(self, server):
        """A client offers permessage-deflate: a kilobyte could be a gigabyte."""
        async with connect(server.socket_url, compression="deflate") as client:
            assert client.protocol.extensions == []


# The table in SECURITY.md.


def rows():
    text = (ROOT / "SECURITY.md").read_text()
    table = re.findall(r"^\|(.+)\|$", text, re.M)[2:]
    return [[cell.strip() for cell in row.split("|")] for row in table]


def names_in(path):
    """Return the names of a file's tests, as pytest's ids have them without parameters."""
    names = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if is_test(inner)}
        elif is_test(node):
            names.add(node.name)
    return names


def is_test(node):
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return is_function and node.name.startswith("test_")


class TestTable:
    def test_has_a_threat_an_answer_and_a_test_in_each_row(self):
        assert len(rows()) >= 30
        for threat, answer, tests in rows():
            assert threat
            assert answer.endswith(".")
            assert re.fullmatch(r"`[\w/.:]+`(, `[\w/.:]+`)*", tests), threat

    def test_names_tests_that_exist(self):
        for threat, _answer, tests in rows():
            for name in re.findall(r"`(.+?)`", tests):
                path, _, test = name.partition("::")
                assert Path(ROOT / path).is_file(), threat
                assert test in names_in(path), threat
