"""The pages: the list of simulations, one simulation ready to start, one session to watch."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from streaming.conf import conf
from streaming.engine.errors import UnknownSession, UnknownSimulation
from streaming.engine.params import plain
from streaming.engine.simulations import Simulation
from streaming.forms import live_names, params_form
from streaming.identity import remember_browser
from streaming.registry import registry
from streaming.sessions import sessions

View = Callable[..., HttpResponse]


def for_users(view: View) -> View:
    """Send a visitor to the login page when the site asks for one."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if conf().LOGIN_REQUIRED and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return view(request, *args, **kwargs)

    return guarded


@for_users
def gallery(request: HttpRequest) -> HttpResponse:
    return render(request, "streaming/gallery.html", {"simulations": registry.all()})


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
        "form": params_form(simulation)(initial=initial),
        "live_names": live_names(simulation),
        "session_id": session_id,
        # The script puts the id in; an id holds no character that would need escaping.
        "session_address": reverse("streaming:session", args=["SESSION"]),
    }
    return render(request, "streaming/player.html", context)
