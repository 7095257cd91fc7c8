"""What a client is told whose request no page can answer."""

import sys
from typing import Any

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

TRY_AGAIN_S = 5


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say in a sentence what is wrong: Django's `handler400`."""
    if isinstance(exception, DisallowedHost):
        sentence = _(
            "This site has another name than the one in the address. If it is yours, and is to "
            "have this name too, add it to ALLOWED_HOSTS."
        )
    else:
        sentence = _("This request cannot be answered: something in it is wrong, or too large.")
    return HttpResponse(sentence + "\n", status=400, content_type="text/plain; charset=utf-8")


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that a page failed, or that the database cannot be used: Django's `handler500`."""
    is_away = isinstance(sys.exc_info()[1], OperationalError | InterfaceError)
    # Without the request, which has a user, whom the database knows.
    page = render_to_string("streaming/failed.html", {"is_database_away": is_away})
    if not is_away:
        return HttpResponse(page, status=500)
    return HttpResponse(page, status=503, headers={"Retry-After": str(TRY_AGAIN_S)})


async def too_many_requests(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request of an address that makes too many, at little cost: an ASGI application."""
    sentence = _("Too many requests came from your address; please try again in a moment.")
    headers = {"content-type": "text/plain; charset=utf-8", "retry-after": str(TRY_AGAIN_S)}
    lines = [(name.encode(), text.encode()) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": 429, "headers": lines})
    await send({"type": "http.response.body", "body": sentence.encode() + b"\n"})
