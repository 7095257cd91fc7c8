"""System checks that ask for pages as a stranger does, through the middleware of a project."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse

from streaming.checks import check_settings
from streaming.conf import conf

# What lets the probes pass, by whether they are asked for with TLS.
HINTS = {
    True: "Have the middleware that answers first let /healthz, /readyz and /metrics pass: they "
    "are marked with Django's login_not_required.",
    False: r"SECURE_REDIRECT_EXEMPT = [r'^(.*/)?(healthz|readyz|metrics)$']",
}


@register("livestep", deploy=True)
def check_strangers(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of probes that are behind a login, and of a WebSocket that alone is not."""
    try:
        # The picture's empty document needs neither static files nor the database.
        probe, page = reverse("streaming:healthz"), reverse("streaming:picture")
    except NoReverseMatch:  # A project need not have our pages.
        return []
    return [] if check_settings(None) else [*_look(probe, page)]


def _look(probe: str, page: str) -> Iterator[CheckMessage]:
    for secure, hint in HINTS.items():
        status, target = _ask(probe, secure=secure)
        if status != 200:
            how = "with TLS" if secure else "without TLS"
            yield Warning(
                f"{probe} answers {status} {target}".rstrip() + f" {how}: a load balancer, which "
                "may ask the process itself, needs 200, without a login.",
                hint=hint,
                id="livestep.W014",
            )
            break
    status, target = _ask(page)
    if (status in (401, 403) or _is_login(target)) and not conf().LOGIN_REQUIRED:
        yield Warning(
            f"{page} asks for a login ({status}), but a stranger may open the WebSocket, and start "
            "and watch sessions.",
            hint="Set LOGIN_REQUIRED in LIVESTEP: no middleware is in front of a WebSocket.",
            id="livestep.W015",
        )


def _ask(path: str, *, secure: bool = True) -> tuple[int, str]:
    from django.test import Client  # Not above: it brings much that no server needs.

    names = [name for name in settings.ALLOWED_HOSTS if not name.startswith(("*", ".", "["))]
    client = Client(raise_request_exception=False)
    response = client.get(path, secure=secure, SERVER_NAME=names[0] if names else "localhost")
    return response.status_code, response.get("Location", "")


def _is_login(target: str) -> bool:
    try:
        login = resolve_url(settings.LOGIN_URL)
    except NoReverseMatch:
        return False
    return bool(target) and urlsplit(target).path == urlsplit(login).path
