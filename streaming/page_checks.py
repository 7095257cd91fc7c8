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
    status, target = _ask(probe)
    if status != 200:
        yield Warning(
            f"{probe} answers {status} {target}".rstrip() + ": a load balancer needs 200, without "
            "a login.",
            hint="Have the middleware that answers first let /healthz, /readyz and /metrics pass: "
            "they are marked with Django's login_not_required.",
            id="livestep.W014",
        )
    elif (answer := _ask(probe, secure=False))[0] != 200:
        yield Warning(
            f"{probe} answers {' '.join(map(str, answer))}".rstrip() + " where TLS is not spoken: "
            "a load balancer that asks the process itself needs 200.",
            hint=r"SECURE_REDIRECT_EXEMPT = [r'^(.*/)?(healthz|readyz|metrics)$']",
            id="livestep.W014",
        )
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
