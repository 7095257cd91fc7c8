"""System checks: what is wrong in the settings and the simulations, before a client meets it."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from streaming.conf import conf
from streaming.engine.errors import InvalidSimulation, LivestepError, UnknownSimulation
from streaming.engine.reference import Reference
from streaming.engine.simulations import Engine
from streaming.registry import registry
from streaming.relay import LAYER_ALIAS


@register("livestep")
def check_settings(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    try:
        conf()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="livestep.E001")]
    return []


@register("livestep")
def check_channel_layer(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get(LAYER_ALIAS)
    backend = "streaming.layer.LocalChannelLayer"
    if layer is None or layer.get("BACKEND") != backend:
        return [
            Error(
                f"CHANNEL_LAYERS needs a layer {LAYER_ALIAS!r} with the backend {backend}.",
                hint="It carries frames from a session to the viewers in the same process.",
                id="livestep.E002",
            )
        ]
    return []


@register("livestep")
def check_server(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of daphne as it comes: a client of the plain dialect could fill its memory."""
    apps = list(settings.INSTALLED_APPS)
    if "daphne" not in apps:
        return []
    # Not above: it brings daphne and Twisted's reactor, which not every project has.
    from streaming.server import what_is_unknown

    if unknown := what_is_unknown():
        return [
            Warning(
                f"The server is daphne as it comes, without backpressure: {unknown}.",
                hint="Install the version of daphne that requirements.txt names.",
                id="livestep.W001",
            )
        ]
    if "streaming" in apps and apps.index("daphne") < apps.index("streaming"):
        return [
            Warning(
                "`runserver` is daphne's own, without backpressure.",
                hint="List streaming before daphne in INSTALLED_APPS.",
                id="livestep.W002",
            )
        ]
    return []


@register("livestep")
def check_simulations(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if check_settings(None):
        return []
    try:
        clashes = registry.clashes()
    except LivestepError as error:
        return [Error(f"A simulation cannot be loaded: {error}", id="livestep.E003")]
    return [*_missing_default(), *_misplaced(), *_clashing(clashes)]


def _missing_default() -> Iterator[CheckMessage]:
    name = conf().DEFAULT_SIMULATION
    try:
        registry.get(name or registry.default_name)
    except UnknownSimulation as error:
        if name:
            yield Error(f"DEFAULT_SIMULATION: {error}.", id="livestep.E006")


def _misplaced() -> Iterator[CheckMessage]:
    """Find what is to run in a process of its own, which would not find it."""
    for simulation in registry.all():
        if (simulation.engine or conf().ENGINE) is Engine.PROCESS:
            try:
                Reference.to(simulation)
            except InvalidSimulation as error:
                yield Error(f"{error}.", id="livestep.E005")


def _clashing(clashes: list[tuple[str, list[str]]]) -> list[CheckMessage]:
    return [
        Error(
            f"Two simulations have the name {name!r}: in {' and in '.join(places)}.",
            hint="Give one of them another: @simulation(name=...).",
            id="livestep.E004",
        )
        for name, places in clashes
    ]
