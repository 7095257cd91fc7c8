"""What a visitor gives to others: an address as a QR code, and the player alone, for the frame of
another page."""

import io
import json

import segno
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from streaming.catalog.forms import params_in_address
from streaming.engine.params import plain
from streaming.web.views import (
    FRAME_HEADERS,
    SESSION_ID,
    for_users,
    page,
    picture_of,
    simulation_or_404,
)

# A phone reads no code with more in it, and it would take long to make.
LONGEST_ADDRESS = 1000


@require_safe
@for_users
def session_code(request: HttpRequest, session_id: str) -> HttpResponse:
    """Give the address of a session as a QR code."""
    return _code(request.build_absolute_uri(reverse("streaming:session", args=[session_id])))


@require_safe
@for_users
def simulation_code(request: HttpRequest, name: str) -> HttpResponse:
    """Give the address of a simulation, with the parameters in this one, as a QR code."""
    query = request.META["QUERY_STRING"]
    address = reverse("streaming:simulation", args=[name]) + (f"?{query}" if query else "")
    return _code(request.build_absolute_uri(address))


def _code(address: str) -> HttpResponse:
    if len(address) > LONGEST_ADDRESS:
        raise Http404(_("this address is too long for a QR code"))
    drawn = io.BytesIO()
    # White around it, in the dark as well: else no phone reads it.
    segno.make_qr(address).save(
        drawn, kind="svg", light="#fff", omitsize=True, xmldecl=False, svgclass=None, lineclass=None
    )
    return HttpResponse(drawn.getvalue(), content_type="image/svg+xml", headers=FRAME_HEADERS)


@for_users
def embedded(request: HttpRequest, name: str) -> HttpResponse:
    """Show the player and nothing else. FRAME_ANCESTORS says whose pages may have it in a frame."""
    simulation = simulation_or_404(name)
    params, _errors = params_in_address(simulation, request.GET)
    session = request.GET.get("session", "")
    given = {name: plain(value) for name, value in params.items()}
    context = {
        "simulation": simulation,
        "poster": picture_of(simulation),
        "session_id": session if SESSION_ID.fullmatch(session) else "",
        "params": json.dumps(given, default=str) if given else "",
    }
    return page(request, "streaming/embedded.html", context)
