"""`{% load livestep %}`: the player in a template, `{% live_step "tour" size=200 %}`."""

import json
from collections.abc import Iterator
from typing import Any

from django import template
from django.conf import settings
from django.forms import ModelChoiceField
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, get_script_prefix, reverse

from streaming.catalog.forms import params_form, validate_params
from streaming.catalog.registry import registry
from streaming.engine.errors import InvalidParams, UnknownSimulation
from streaming.engine.params import plain
from streaming.engine.simulations import Simulation
from streaming.identity import browser_of, remember_browser
from streaming.web import markdown
from streaming.web.words import script_words

register = template.Library()

register.filter("markdown", markdown.to_html)
register.filter("markdown_text", markdown.to_text)

CONTROLS = {True: "full", False: None, "full": "full", "bar": "bar"}


@register.inclusion_tag("streaming/live_step.html", takes_context=True)
def live_step(
    context: template.Context,
    simulation: str,
    *,
    controls: bool | str = True,
    autoplay: bool = False,
    **params: Any,
) -> dict[str, Any]:
    """Show a player of a simulation, with these parameters.

    Args:
        simulation: Its name.
        controls: True, False, or "bar" for a few.
        autoplay: Whether it starts by itself.
        params: The parameters that are not to have their defaults.

    Raises:
        TemplateSyntaxError: If there is no such simulation, or it does not take these parameters.
    """
    if not isinstance(simulation, str):
        raise template.TemplateSyntaxError(
            f"live_step: expected the name of a simulation, got {simulation!r:.80}"
        )
    try:
        found = registry.get(simulation)
        params = _as_sent(found, params)
        validate_params(found, params)
    except UnknownSimulation as error:
        raise template.TemplateSyntaxError(f"live_step: {error}") from error
    except InvalidParams as error:
        raise template.TemplateSyntaxError(
            f"live_step {simulation!r}: {' '.join(_lines(error))}"
        ) from error
    if controls not in CONTROLS:
        raise template.TemplateSyntaxError(
            f'live_step: controls={controls!r}; expected True, False or "bar"'
        )
    return {
        "simulation": found,
        "params": json.dumps(params, default=str) if params else "",
        "controls": CONTROLS[controls],
        "autoplay": autoplay,
        "page": _page_of(simulation),
        "greeting": _greeting(context),
    } | live_step_words(context)


@register.inclusion_tag("streaming/live_step_words.html", takes_context=True)
def live_step_words(context: template.Context) -> dict[str, Any]:
    """Bring the words of the player in the language of the page, once."""
    # Where the outermost template keeps what its tags have in common.
    seen = context.dicts[0].setdefault("live_step_words_are_there", [])
    if seen:
        return {"words": None}
    seen.append(True)
    return {"words": script_words()}


@register.simple_tag
def login_address() -> str:
    """Return where a visitor logs in; "" in a project that has no such page."""
    try:
        return resolve_url(settings.LOGIN_URL)
    except NoReverseMatch:
        return ""


@register.simple_tag
def socket_address() -> str:
    """Return where the pages' WebSocket is: under the same prefix as they are."""
    try:
        return reverse("streaming:socket")
    except NoReverseMatch:  # A project need not have our pages.
        return f"{get_script_prefix()}ws"


def _as_sent(simulation: Simulation, params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters as the page sends them: a row of a model is its key."""
    fields = params_form(simulation)().fields
    return {
        name: field.prepare_value(value)
        if isinstance(field := fields.get(name), ModelChoiceField)
        else plain(value)
        for name, value in params.items()
    }


def _greeting(context: template.Context) -> str:
    """Return the script that gives the browser of a page an id, if it has none: a session that is
    started here is its own on every page."""
    request = context.get("request")
    if request is None or browser_of(request.session, request.COOKIES) is not None:
        return ""
    try:
        return reverse("streaming:browser")
    except NoReverseMatch:  # A project need not have our pages.
        remember_browser(request)
        return ""


def _lines(error: InvalidParams) -> Iterator[str]:
    for name, messages in error.fields.items():
        yield f"{name}: {' '.join(messages)}"


def _page_of(simulation: str) -> str:
    try:
        return reverse("streaming:simulation", args=[simulation])
    except NoReverseMatch:  # A project need not have our pages.
        return ""
