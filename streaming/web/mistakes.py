"""What a client is told whose request no page can answer."""

import logging
import sys
from functools import lru_cache
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from streaming.engine.errors import is_shortage
from streaming.logs import is_database_away

logger = logging.getLogger(__name__)

TRY_AGAIN_S = 5


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say in a sentence what is wrong: Django's `handler400`."""
    is_host_unknown = isinstance(exception, DisallowedHost)
    # Without the request: the page's context processors would ask it for its host, or its user.
    page = render_to_string("400.html", {"is_host_unknown": is_host_unknown})
    return HttpResponse(page, status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that a page failed, or cannot be had now: Django's `handler500`."""
    error = sys.exc_info()[1]
    is_away = is_database_away(error)
    is_short = error is not None and is_shortage(error)
    # Without the request, which has a user, whom the database knows.
    context = {"is_database_away": is_away, "is_machine_short": is_short}
    page = render_to_string("500.html", context)
    if not (is_away or is_short):
        return HttpResponse(page, status=500)
    return HttpResponse(page, status=503, headers={"Retry-After": str(TRY_AGAIN_S)})


async def too_many_requests(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request of an address that makes too many, at little cost: an ASGI application."""
    sentence = _("Too many requests came from your address; please try again in a moment.")
    headers = {"content-type": "text/plain; charset=utf-8", "retry-after": str(TRY_AGAIN_S)}
    lines = [(name.encode(), text.encode()) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": 429, "headers": lines})
    await send({"type": "http.response.body", "body": sentence.encode() + b"\n"})


@login_not_required
@csrf_exempt
def no_upgrade(request: HttpRequest) -> HttpResponse:
    """Answer a plain request at the WebSocket's address, and log it if it was to be more."""
    if "Sec-WebSocket-Key" in request.headers:
        _warn_of_proxy(request.META.get("REMOTE_ADDR") or "a unix socket")
    sentence = _(
        "This is the address of a WebSocket, and the request asks for none. If it did in your "
        "browser, a proxy in front of this site takes the headers Upgrade and Connection away."
    )
    return HttpResponse(
        sentence + "\n",
        status=426,
        content_type="text/plain; charset=utf-8",
        headers={"Upgrade": "websocket"},
    )


@lru_cache(maxsize=100)
def _warn_of_proxy(address: str) -> None:
    """Log that a proxy passes no WebSocket on, once for each: pages try again and again."""
    logger.warning(
        "a WebSocket's handshake came from %s without Upgrade: expected the headers `Upgrade: "
        "websocket` and `Connection: Upgrade`, which a proxy in front has to pass on. In nginx: "
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header "
        "Connection upgrade",
        address,
    )
