"""What a browser would meet on its way to a site, through every proxy in between: tried one after
the other, with what came, what was expected, and the setting that has to be another."""

import http.client
import json
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from os import urandom
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from django.utils.translation import gettext as _

from streaming.delivery.protocol import SUBPROTOCOL

TIMEOUT_S = 10.0
MOST_BYTES = 1024 * 1024
MOST_HEADER_BYTES = 64 * 1024
NGINX_UPGRADE = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection upgrade;"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has shown; no problem if all is well."""

    subject: str
    problem: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def said(self) -> str:
        target = self.headers.get("location", "")
        return f"{self.status} to {target:.200}" if target else str(self.status)

    def json(self) -> dict[str, Any]:
        try:
            content = json.loads(self.body)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}


def examine(address: str) -> Iterator[Finding]:
    """Try a site from outside, and yield what is found. Blocks for as long as it takes to answer,
    at most ten seconds for each look.

    Args:
        address: Of the gallery, as a browser has it: with its scheme, and with its prefix if any.
    """
    base = urlsplit(address if address.endswith("/") else f"{address}/")
    try:
        health = _get(base, "healthz")
    except (OSError, http.client.HTTPException) as error:
        yield Finding(_("the site"), _("it cannot be reached: %(error)s") % {"error": error})
        return
    problem = _problem_of_health(health, base)
    yield problem or Finding(_("the site"))
    if problem is None:
        for look in (_look_at_readiness, _look_at_pages, _look_at_socket):
            try:
                yield from look(base)
            except (OSError, http.client.HTTPException) as error:
                said = _("it answered, and does no longer: %(error)s") % {"error": error}
                yield Finding(_("the site"), said)


def _problem_of_health(health: Answer, base: SplitResult) -> Finding | None:
    if health.status == 200 and health.json().get("status") == "ok":
        return None
    target = urlsplit(health.headers.get("location", ""))
    if health.status == 400:
        advice = _("Add %(host)s to ALLOWED_HOSTS, or have the proxy pass Host on.")
    elif target.scheme == "https" and base.scheme == "http" and target.path.endswith("/healthz"):
        advice = _("Ask for https: the site is there.")
    elif health.status in (301, 302, 303, 307, 308, 401, 403):
        advice = _(
            "Something before the pages, such as a login wall, keeps /healthz, /readyz and "
            "/metrics from programs that look after the site: let these three pass."
        )
    elif health.status in (502, 503, 504):
        advice = _("A proxy answers, and reaches no server behind it: is it running, and where?")
    else:
        advice = _(
            "No Livestep is here. If it is under another path, name that; if it should be under "
            "this one, set FORCE_SCRIPT_NAME."
        )
    problem = _("/healthz: expected 200 and JSON, got %(said)s") % {"said": health.said}
    return Finding(_("the site"), problem, advice % {"host": base.netloc})


def _look_at_readiness(base: SplitResult) -> Iterator[Finding]:
    ready = _get(base, "readyz")
    checks = ready.json().get("checks", {"readyz": ready.said})
    wrong = [f"{name}: {said}" for name, said in checks.items() if said != "ok"]
    yield Finding(_("what it needs"), " ".join(wrong) if ready.status != 200 else "")


def _look_at_pages(base: SplitResult) -> Iterator[Finding]:
    page = _get(base, "element/")
    if page.status == 404:  # Without a simulation that needs no parameters it is not there.
        page = _get(base, "")
    if page.status in (302, 401, 403):
        yield Finding(_("the pages, which ask for a login"))
        return
    if page.status != 200:
        problem = _("expected 200, got %(said)s") % {"said": page.said}
        yield Finding(_("the pages"), problem, _("The server's log says why."))
        return
    text = page.body.decode(errors="replace")
    yield _compare(base, re.search(r'<live-step [^>]*src="([^"]+)"', text))
    if script := re.search(r'src="([^"]+\.js)"', text):
        static = _get(base, script[1])
        is_script = "javascript" in static.headers.get("content-type", "")
        yield Finding(
            _("the scripts"),
            ""
            if static.status == 200 and is_script
            else _("%(path)s: expected a script, got %(said)s")
            % {"path": script[1], "said": static.said},
            _(
                "Run collectstatic, and see who serves STATIC_URL: the proxy, or ServeStatic or "
                "WhiteNoise in MIDDLEWARE."
            ),
        )


def _compare(base: SplitResult, found: re.Match[str] | None) -> Finding:
    expected = f"{base.path}ws"
    if found is None or urlsplit(found[1]).path == expected:
        return Finding(_("the pages"))
    return Finding(
        _("the pages"),
        _("they look for the WebSocket at %(found)s, and you came by %(path)s")
        % {"found": found[1], "path": base.path},
        _("Set FORCE_SCRIPT_NAME=%(prefix)s") % {"prefix": base.path.rstrip("/") or '""'},
    )


def _look_at_socket(base: SplitResult) -> Iterator[Finding]:
    origin = f"{base.scheme}://{base.netloc}"
    answer, greeting = _open_socket(base, origin)
    subject = _("the WebSocket")
    said = {"origin": origin, "said": answer.said}
    if answer.status == 101:
        problem = "" if greeting else _("it opens, and the server's first message does not come")
        advice = _("A proxy holds back what the server says: turn its buffering off for /ws.")
    elif answer.status == 403 and _open_socket(base, None)[0].status == 101:
        problem = _("a page of %(origin)s is refused, and a program is not") % said
        advice = _(
            "Have the proxy pass Host on, and X-Forwarded-Proto if it speaks TLS (then with "
            "ALLOWED_ORIGINS=%(origin)s). The server's log says what it got."
        )
    elif answer.status == 500:
        problem = _("expected 101, got %(said)s") % said
        advice = _(
            "The application fails there, and the server's log says why. If it knows no "
            "WebSockets, as the asgi.py that Django makes: put websocket_application under "
            '"websocket" of a ProtocolTypeRouter (docs/django.md).'
        )
    else:
        problem = _("expected 101, got %(said)s") % said
        advice = _("The proxy has to pass the headers Upgrade and Connection on. In nginx: ")
        advice += NGINX_UPGRADE
    yield Finding(subject, problem, advice % said)


def _get(base: SplitResult, path: str) -> Answer:
    address = urlsplit(urljoin(base.geturl(), path))
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    with closing(kind(address.netloc, timeout=TIMEOUT_S)) as connection:
        connection.request("GET", f"{address.path}?{address.query}".rstrip("?"))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read(MOST_BYTES))


def _open_socket(base: SplitResult, origin: str | None) -> tuple[Answer, str]:
    """Try to open the WebSocket, and return the answer and the server's first message."""
    lines = [
        f"GET {base.path}ws HTTP/1.1",
        f"Host: {base.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {b64encode(urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        *([] if origin is None else [f"Origin: {origin}"]),
    ]
    with _connect(base) as connection, connection.makefile("rb") as reader:
        connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin1"))
        words = reader.readline(MOST_HEADER_BYTES).split()
        if len(words) < 2 or not words[1].isdigit():
            raise http.client.BadStatusLine(b" ".join(words).decode("latin1")[:100])
        headers = http.client.parse_headers(reader)
        answer = Answer(int(words[1]), {name.lower(): text for name, text in headers.items()})
        try:
            greeting = _read_text(reader) if answer.status == 101 else ""
        except TimeoutError:
            greeting = ""
        return answer, greeting


def _connect(base: SplitResult) -> socket.socket:
    host, port = base.hostname or "", base.port or (443 if base.scheme == "https" else 80)
    connection = socket.create_connection((host, port), TIMEOUT_S)
    if base.scheme != "https":
        return connection
    return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def _read_text(reader: Any) -> str:
    """Return the text of one WebSocket frame from a server; "" if none comes."""
    header = reader.read(2)
    if len(header) < 2:
        return ""
    size = header[1] & 0x7F
    if size > 125:
        size = int.from_bytes(reader.read(2 if size == 126 else 8))
    text: bytes = reader.read(min(size, MOST_BYTES))
    return text.decode(errors="replace")
