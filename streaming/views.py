"""The pages, and a session over HTTP: its newest frame, its state, and its stop."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from streaming.conf import conf
from streaming.delivery import protocol
from streaming.engine.errors import ClientError, Forbidden, UnknownSession, UnknownSimulation
from streaming.engine.params import plain
from streaming.engine.simulations import Engine, Simulation
from streaming.forms import controls
from streaming.identity import identify, is_same_owner, remember_browser
from streaming.registry import registry
from streaming.sessions import LiveSession, sessions

# With so few, one look finds each.
SEARCHABLE_FROM = 12
MOST_QUERY_CHARACTERS = 100
NO_PICTURE = "streaming/ready.svg"

View = Callable[..., HttpResponse]

# Opened as a page of its own, an SVG may neither run a script nor load anything.
FRAME_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def for_users(view: View) -> View:
    """Send a visitor to the login page when the site asks for one."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if conf().LOGIN_REQUIRED and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return view(request, *args, **kwargs)

    return guarded


@dataclass(frozen=True, slots=True)
class Card:
    """A simulation in the gallery."""

    simulation: Simulation
    engine: Engine
    picture: str


@for_users
def gallery(request: HttpRequest) -> HttpResponse:
    remember_browser(request.session)
    everything = registry.all()
    query = request.GET.get("q", "").strip()[:MOST_QUERY_CHARACTERS]
    found = [simulation for simulation in everything if _mentions(simulation, query)]
    context = {
        "cards": [_card(simulation) for simulation in found],
        "query": query,
        "is_searchable": len(everything) > SEARCHABLE_FROM,
        # What nobody can start by itself is not shown at the top.
        "shown": None if query else _shown(everything),
    }
    return render(request, "streaming/gallery.html", context)


def _mentions(simulation: Simulation, query: str) -> bool:
    texts = (simulation.name, simulation.title, simulation.description)
    said = " ".join([*texts, *(gettext(text) for text in texts if text)]).casefold()
    return all(word in said for word in query.casefold().split())


def _card(simulation: Simulation) -> Card:
    picture = static(_picture(simulation))
    return Card(simulation, simulation.engine or conf().ENGINE, picture)


@cache
def _picture(simulation: Simulation) -> str:
    """Return the path of a simulation's picture: NAME.svg among the static files of its app."""
    app = simulation.target.__module__.partition(".")[0]
    path = f"{app}/{simulation.name}.svg"
    return path if finders.find(path) else NO_PICTURE


def _shown(everything: list[Simulation]) -> Simulation | None:
    """Return the simulation that runs at the top of the gallery, if it needs no parameters."""
    found = next((one for one in everything if one.name == registry.default_name), None)
    if found is None or any(spec.required for spec in found.params):
        return None
    return found


@for_users
def element(request: HttpRequest) -> HttpResponse:
    """Show the player in other pages' clothes."""
    example = _shown(registry.all())
    if example is None:
        raise Http404(_("there is no simulation that could be shown here"))
    return render(request, "streaming/element.html", {"example": example})


@for_users
def simulation(request: HttpRequest, name: str) -> HttpResponse:
    """Show one simulation, ready to start."""
    try:
        found = registry.get(name)
    except UnknownSimulation as error:
        raise Http404(str(error)) from error
    return _player(request, found)


@for_users
def session(request: HttpRequest, session_id: str) -> HttpResponse:
    """Show one session: the link to share."""
    try:
        live = sessions.get(session_id)
    except UnknownSession as error:
        raise Http404(str(error)) from error
    params = live.session.snapshot().params
    initial = {name: plain(value) for name, value in params.items()}
    return _player(request, live.session.simulation, session_id, initial)


def says_errors(view: View) -> View:
    """Answer a client's mistake as the WebSocket does, with the status that fits."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except ClientError as error:
            status = 404 if isinstance(error, UnknownSession) else 403
            return _json(protocol.error_message(error), status=status)

    return guarded


@require_safe
@for_users
@says_errors
def frame(request: HttpRequest, session_id: str) -> HttpResponse:
    """Give a session's newest frame. While somebody asks, frames are made."""
    live = sessions.get(session_id)
    live.glance()
    frame = live.session.frame
    if frame is None:
        raise UnknownSession(_("this session has made no frame yet: ask again in a moment"))
    response = HttpResponse(frame.svg, content_type="image/svg+xml", headers=FRAME_HEADERS)
    etag = f'"{protocol.EPOCH}-{frame.seq}"'
    response["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or response


@require_safe
@for_users
@says_errors
def state(request: HttpRequest, session_id: str) -> HttpResponse:
    return _json(sessions.get(session_id).state())


@csrf_exempt  # Who shows the token needs no cookie, and so can be tricked by no other page.
@require_POST
@says_errors
def stop(request: HttpRequest, session_id: str) -> HttpResponse:
    """Stop a session for who holds its token or, with a CSRF token, for its owner."""
    authorization = request.headers.get("Authorization")
    if authorization is None:
        return _stop_own(request, session_id)
    kind, _separator, token = authorization.partition(" ")
    live = sessions.get(session_id)
    if kind.lower() != "bearer" or not live.shows_token(token.strip()):
        raise Forbidden(_("expected `Authorization: Bearer` and the token that `started` gave"))
    return _stop(live)


@csrf_protect
def _stop_own(request: HttpRequest, session_id: str) -> HttpResponse:
    live = sessions.get(session_id)
    identity = identify(request.user, request.session)
    if not identity.controls_all and not is_same_owner(identity, live.owner):
        raise Forbidden(_("only who started this session may stop it"))
    return _stop(live)


def _stop(live: LiveSession) -> HttpResponse:
    live.request_stop("client")
    return _json(live.state())


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
    initial: dict[str, Any] | None = None,
) -> HttpResponse:
    # So that the WebSocket of a later visit is known to come from the same browser.
    remember_browser(request.session)
    context = {
        "simulation": simulation,
        "controls": list(controls(simulation, initial)),
        "session_id": session_id,
        # The script puts the id in; an id holds no character that would need escaping.
        "session_address": reverse("streaming:session", args=["SESSION"]),
    }
    return render(request, "streaming/player.html", context)
