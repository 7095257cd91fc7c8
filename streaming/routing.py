"""The WebSocket endpoint `/ws`: which origins may open it, and in which dialect."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from channels.routing import URLRouter
from channels.security.websocket import OriginValidator
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import re_path

from streaming.conf import conf
from streaming.delivery.protocol import SUBPROTOCOL
from streaming.origins import parse_origin
from streaming.web.livestep import LivestepConsumer
from streaming.web.plain import PlainConsumer

logger = logging.getLogger(__name__)


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Close a WebSocket before it is accepted: the client sees 403.

    Channels' own denier goes through the one thread that all synchronous code shares.
    """
    await receive()
    await send({"type": "websocket.close"})


async def choose_dialect(scope: Any, receive: Any, send: Any) -> Any:
    """Pass a connection to the consumer of the subprotocol that it offers."""
    offered = scope["subprotocols"]
    consumer: Any
    if not offered:
        consumer = PlainConsumer.as_asgi()
    elif SUBPROTOCOL in offered:
        consumer = LivestepConsumer.as_asgi()
    else:
        consumer = refuse
    return await consumer(scope, receive, send)


class SameOriginValidator(OriginValidator):
    """Accepts the site's own origin, those in ALLOWED_ORIGINS, and clients that send none.

    Channels' own compares with fixed patterns, and refuses a handshake without Origin.
    """

    def __init__(self, application: Any) -> None:
        super().__init__(application, [])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        headers = {name: value.decode("latin1") for name, value in scope["headers"]}
        origin, scheme = headers.get(b"origin"), scope.get("scheme", "ws")
        is_allowed = is_allowed_origin(origin, headers, scheme)
        if not is_allowed:
            host = headers.get(b"host", "")
            _warn_of_origin(str(origin), f"{_page_scheme(headers, scheme)}://{host}")
        # Our addresses are known under any prefix, and Channels insists on this one.
        scope = {**scope, "root_path": ""}
        application: Any = self.application if is_allowed else refuse
        return await application(scope, receive, send)


@lru_cache(maxsize=100)
def _warn_of_origin(origin: str, own: str) -> None:
    """Log which pages may not connect, once for each origin: they try again and again."""
    logger.warning(
        "refused a WebSocket from a page of %.200r: it reached this site as %.200r. %s",
        origin,
        own,
        _advice(origin, own),
    )


def _advice(origin: str, own: str) -> str:
    """Say which setting, here or in a proxy, has to be another if the page is this site's own."""
    page, here = parse_origin(origin), parse_origin(own)
    if here is None or not _is_our_host(urlsplit(own).netloc):
        return "ALLOWED_HOSTS lacks this site's host, or a proxy in front changes Host"
    if page is not None and page[1] == here[1] and (page[0], here[0]) == ("https", "http"):
        return (
            f"A proxy in front speaks TLS: set ALLOWED_ORIGINS={origin[:200]!r}, and have it send "
            "X-Forwarded-Proto"
        )
    return (
        "If the page is ours, a proxy in front changes Host (in nginx: proxy_set_header Host "
        f"$http_host), or ALLOWED_ORIGINS lacks {origin[:200]!r}"
    )


def is_allowed_origin(origin: str | None, headers: Mapping[bytes, str], scheme: str) -> bool:
    """Whether a page of that origin may open a connection: scheme, host and port count."""
    if origin is None:
        return True
    given = parse_origin(origin)
    if given is None:
        return False
    if given in map(parse_origin, conf().ALLOWED_ORIGINS):
        return True
    host = headers.get(b"host", "")
    # A name that an attacker points at this server is its own origin, but not our name.
    if not _is_our_host(host):
        return False
    return given == parse_origin(f"{_page_scheme(headers, scheme)}://{host}")


def _is_our_host(host: str) -> bool:
    allowed = settings.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
    return validate_host(split_domain_port(host)[0], allowed)


def _page_scheme(headers: Mapping[bytes, str], scheme: str) -> str:
    proxy = settings.SECURE_PROXY_SSL_HEADER
    if proxy is not None:
        name = proxy[0].removeprefix("HTTP_").replace("_", "-").lower().encode()
        if headers.get(name) == proxy[1]:
            return "https"
    return {"ws": "http", "wss": "https"}.get(scheme, scheme)


websocket_urlpatterns: Any = [
    # Under whatever prefix the pages are: a proxy may leave it there.
    re_path(r"^(?:.*/)?ws$", choose_dialect),
    # Without this, Channels raises on an address that it does not know.
    re_path(r"", refuse),  # type: ignore[arg-type]  # as Channels takes it
]

# What a project puts under "websocket" in its ProtocolTypeRouter. The login session is loaded
# only when somebody asks for it, so a connection without a cookie costs no database query.
websocket_application = SameOriginValidator(
    CookieMiddleware(SessionMiddleware(URLRouter(websocket_urlpatterns)))
)
