"""The pages, and a session over HTTP: its newest frame, its state, and its stop."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import get_script_prefix, reverse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from streaming.catalog import thumbnails
from streaming.catalog.engines import engine_of
from streaming.catalog.forms import controls, params_in_address, presets
from streaming.catalog.plotting import plots
from streaming.catalog.registry import registry
from streaming.cluster.directory import AnySession
from streaming.conf import conf
from streaming.delivery import framing, protocol
from streaming.delivery.framing import AnyFrame
from streaming.delivery.protocol import Verb
from streaming.delivery.shape import ratio_of
from streaming.engine.errors import (
    ClientError,
    Forbidden,
    Unavailable,
    UnknownSession,
    UnknownSimulation,
)
from streaming.engine.simulations import Engine, Simulation
from streaming.engine.snapshot import State
from streaming.identity import Identity, identify, remembering_browser
from streaming.models import StreamSession
from streaming.runtime import runtime
from streaming.sessions.control import Caller
from streaming.sessions.stored import own_sessions

# With so few, one look finds each.
SEARCHABLE_FROM = 12
MOST_QUERY_CHARACTERS = 100
NO_PICTURE = "streaming/ready.svg"
# As high as the player at the top of the gallery: 22rem in pages.css.
POSTER_PX = 352

# What the id of a session may be, as an address has it in its query. The database takes no longer.
SESSION_ID = re.compile(r"[\w-]{1,40}", re.ASCII)

# How long a page waits for another process.
WAIT_S = 5.0

# The document in which the player shows pictures: empty, with a policy of its own. Here no script
# runs and nothing is loaded, but a picture's own styles count, which the page's policy forbids.
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" id="live-step-picture"/>'
PICTURE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:; sandbox allow-same-origin",
    "Cache-Control": "max-age=3600",
}

View = Callable[..., HttpResponseBase]

# Opened as a page of its own, an SVG may neither run a script nor load anything.
FRAME_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def for_users(view: View) -> View:
    """Send a visitor to the login page when the site asks for one."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if conf().LOGIN_REQUIRED and not request.user.is_authenticated:
            # As the browser has it: a proxy may have taken a prefix away.
            prefix = get_script_prefix().rstrip("/")
            return redirect_to_login(prefix + request.get_full_path_info())
        return view(request, *args, **kwargs)

    return guarded


@dataclass(frozen=True, slots=True)
class Card:
    """A simulation in the gallery."""

    simulation: Simulation
    engine: Engine
    picture: str
    # What is shown in its place while somebody points at it; "" for nothing.
    loop: str
    # Whether the picture is drawn for light and for dark.
    adapts: bool


@dataclass(frozen=True, slots=True)
class Poster:
    """What stands in the player's place until the player is there."""

    address: str
    # Whether it is drawn for light and for dark.
    adapts: bool
    width: int
    height: int


@for_users
def gallery(request: HttpRequest) -> HttpResponse:
    everything = registry.all()
    query = request.GET.get("q", "").strip()[:MOST_QUERY_CHARACTERS]
    found = [simulation for simulation in everything if _mentions(simulation, query)]
    shown = None if query else registry.shown()
    own = own_sessions(_owner(request))
    context = {
        "cards": [_card(simulation, own) for simulation in found],
        "query": query,
        "is_searchable": len(everything) > SEARCHABLE_FROM,
        "shown": shown,
        "poster": _shared_picture(shown) if shown else None,
        "running": _running(),
        "own": [] if query else own,
    }
    return page(request, "streaming/gallery.html", context)


def _running() -> int:
    """Return how many sessions run now, in all processes that are heard."""
    states = [runtime.pool.figures()["sessions"]]
    states += [peer.figures.get("sessions", {}) for peer in runtime.peers.others]
    return sum(state.get(State.RUNNING, 0) for state in states)


def _mentions(simulation: Simulation, query: str) -> bool:
    texts = (simulation.name, simulation.title, simulation.description)
    said = " ".join([*texts, *(gettext(text) for text in texts if text)]).casefold()
    return all(word in said for word in query.casefold().split())


def _card(simulation: Simulation, own: Sequence[StreamSession]) -> Card:
    picture = thumbnails.address_of(simulation) or _newest_frame(simulation, own)
    return Card(
        simulation,
        engine_of(simulation),
        picture or static(NO_PICTURE),
        thumbnails.address_of(simulation, thumbnails.LOOP),
        thumbnails.adapts(thumbnails.still_of(simulation)),
    )


def _newest_frame(simulation: Simulation, own: Sequence[StreamSession]) -> str:
    """Return where the newest frame of a visitor's own session is: what others have made may be
    for their eyes only."""
    drawn = (one for one in own if one.simulation == simulation.name and one.frames)
    newest = next(drawn, None)
    return reverse("streaming:frame", args=[newest.pk]) if newest else ""


def _shared_picture(shown: Simulation) -> Poster:
    """Return the newest frame of the session at the top, or else the picture of its simulation."""
    live = runtime.pool.shared
    frame = live.session.frame if live and live.session.simulation is shown else None
    if live is None or frame is None:
        return _poster(picture_of(shown), thumbnails.still_of(shown))
    return _poster(reverse("streaming:frame", args=[live.id]), frame.svg)


def _poster(address: str, svg: bytes) -> Poster:
    return Poster(address, thumbnails.adapts(svg), round(POSTER_PX * ratio_of(svg)), POSTER_PX)


def picture_of(simulation: Simulation) -> str:
    """Return the address of what is shown of a simulation before there is a frame."""
    return thumbnails.address_of(simulation) or static(NO_PICTURE)


@require_safe
@for_users
def thumbnail(request: HttpRequest, name: str, kind: str) -> HttpResponse:
    """Give the picture that stands beside the file of a simulation."""
    found = next((one for one in registry.all() if one.name == name), None)
    svg = found and thumbnails.read(found, kind)
    if not svg:
        raise Http404(_("this simulation has no such picture"))
    return HttpResponse(svg, content_type="image/svg+xml", headers=FRAME_HEADERS)


@for_users
def element(request: HttpRequest) -> HttpResponse:
    """Show the player in other pages' clothes."""
    example = registry.example()
    if example is None:
        raise Http404(_("there is no simulation that could be shown here"))
    return page(request, "streaming/element.html", {"example": example})


@login_not_required
@require_safe
@xframe_options_exempt  # It is empty. Browsers look at all pages around it, and not all are ours.
def picture(request: HttpRequest) -> HttpResponse:
    """Give the player the document in which it shows pictures."""
    return HttpResponse(PICTURE, content_type="image/svg+xml", headers=PICTURE_HEADERS)


def simulation_or_404(name: str) -> Simulation:
    """Return a simulation.

    Raises:
        Http404: If there is none of that name.
    """
    try:
        return registry.get(name)
    except UnknownSimulation as error:
        raise Http404(str(error)) from error


@for_users
def simulation(request: HttpRequest, name: str) -> HttpResponse:
    """Show one simulation, ready to start."""
    found = simulation_or_404(name)
    initial, errors = params_in_address(found, request.GET)
    return _player(request, found, initial=initial, errors=errors)


@for_users
def session(request: HttpRequest, session_id: str) -> HttpResponse:
    """Show one session, wherever it runs: the link to share."""
    try:
        said = state_of(session_id)
        simulation = registry.get(said["simulation"])
    except (UnknownSession, UnknownSimulation) as error:
        raise Http404(str(error)) from error
    return _player(request, simulation, session_id, initial=said["params"])


_STATUSES: dict[type[ClientError], int] = {UnknownSession: 404, Unavailable: 503}


def says_errors(view: View) -> View:
    """Answer a client's mistake as the WebSocket does, with the status that fits."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except ClientError as error:
            status = _STATUSES.get(type(error), 403)
            return _json(protocol.error_message(error), status=status)

    return guarded


@require_safe
@for_users
@says_errors
def frame(request: HttpRequest, session_id: str) -> HttpResponse:
    """Give a session's newest frame. While somebody asks, frames are made."""

    async def newest(session: AnySession) -> AnyFrame | None:
        return await session.frame()

    frame = runtime.directory.from_page(session_id, newest, timeout=WAIT_S)
    if frame is None:
        raise UnknownSession(_("this session has made no frame yet: ask again in a moment"))
    response = HttpResponse(frame.svg, content_type="image/svg+xml", headers=FRAME_HEADERS)
    etag = f'"{framing.EPOCH}-{frame.seq}"'
    response["ETag"] = etag
    answer = get_conditional_response(request, etag=etag, response=response) or response
    # A 304 begins without them, and what it says of the policy holds for what the browser has kept.
    for name, value in FRAME_HEADERS.items():
        answer[name] = value
    return answer


@require_safe
@for_users
@says_errors
def state(request: HttpRequest, session_id: str) -> HttpResponse:
    return _json(state_of(session_id))


def state_of(session_id: str) -> dict[str, Any]:
    """Return a session's `session` message, wherever it runs or has run."""
    return runtime.directory.status_for_page(session_id, timeout=WAIT_S)


@login_not_required  # The token is enough.
@csrf_exempt  # A client with the token needs no cookie, so no other page can trick it.
@require_POST
@says_errors
def stop(request: HttpRequest, session_id: str) -> HttpResponse:
    """Stop a session for a client with its token or, with a CSRF token, for its owner."""
    authorization = request.headers.get("Authorization")
    if authorization is None:
        return _stop_own(request, session_id)
    kind, _separator, token = authorization.partition(" ")
    try:
        return _stop(session_id, Caller(token=token.strip() if kind.lower() == "bearer" else None))
    except Forbidden as error:
        sentence = _("expected `Authorization: Bearer` and the token that `started` gave")
        raise Forbidden(sentence) from error


def _stop_own(request: HttpRequest, session_id: str) -> HttpResponse:
    @csrf_protect
    def stop(request: HttpRequest) -> HttpResponse:
        return _stop(session_id, Caller(_owner(request)))

    answer = stop(request)
    if answer.status_code == HTTPStatus.FORBIDDEN:  # It is Django's page.
        raise Forbidden(
            _("expected a CSRF token, or `Authorization: Bearer` and a session's token")
        )
    return answer


def _owner(request: HttpRequest) -> Identity:
    return identify(request.user, request.session, request.COOKIES)


def _stop(session_id: str, caller: Caller) -> HttpResponse:
    async def stop(session: AnySession) -> dict[str, Any]:
        await session.obey({"type": Verb.STOP}, caller)
        return session.status()

    try:
        status = runtime.directory.from_page(session_id, stop, timeout=WAIT_S, caller=caller)
    except Forbidden as error:
        raise Forbidden(_("only who started this session may stop it")) from error
    return _json(status)


def _json(message: Any, *, status: int = 200) -> HttpResponse:
    return HttpResponse(
        protocol.encode(message),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _player(
    request: HttpRequest,
    simulation: Simulation,
    session_id: str = "",
    *,
    initial: dict[str, Any],
    errors: dict[str, list[str]] | None = None,
) -> HttpResponse:
    context = {
        "simulation": simulation,
        "controls": controls(simulation, initial, errors),
        "presets": presets(simulation),
        "plots": plots(simulation),
        "session_id": session_id,
        "poster": picture_of(simulation),
        "preview": request.build_absolute_uri(
            reverse("streaming:frame", args=[session_id]) if session_id else picture_of(simulation)
        ),
        # The script puts the id in; an id holds no character that would need escaping.
        "session_address": reverse("streaming:session", args=["SESSION"]),
    }
    return page(request, "streaming/player.html", context)


def page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Render a page, whose browser the WebSocket of a later visit is known to come from."""
    return remembering_browser(request, lambda: render(request, template, context))
