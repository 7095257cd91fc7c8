"""What the fork server loads before it forks: Django, the installed apps, every simulation.

And what it forgets: a simulation needs neither the site's key nor its database.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

import django
from django.conf import global_settings, settings
from django.views.debug import SafeExceptionReporterFilter

from streaming.catalog.registry import registry
from streaming.engine import figures, pictures
from streaming.engine.simulations import Simulation
from streaming.engine.sources import folder_of, working_in
from streaming.engine.warming import warm_up

logger = logging.getLogger(__name__)

NO_SECRET = "not-a-secret"
DJANGOS_OWN = ("SECRET_KEY", "EMAIL_HOST_PASSWORD")
# Where passwords stand inside of something larger. Each database and cache keeps its name, so that
# nobody is told that the settings lack it.
NAMED: dict[str, dict[str, str]] = {
    "DATABASES": {"ENGINE": "streaming.catalog.no_database"},
    "CACHES": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}
HOLDING_SECRETS: dict[str, Any] = {
    "CHANNEL_LAYERS": {},
    "SECRET_KEY_FALLBACKS": [],
}
# Nobody looks at the admin in a child: its own modules are not imported, nor those of any app.
WITHOUT_ADMIN = {"django.contrib.admin": "django.contrib.admin.apps.SimpleAdminConfig"}
# A shorter variable may stand in any text.
LEAST_SECRET = 6
# Of the containers in a setting.
MOST_DEPTH = 4

# Django's error page knows secrets by their names, and so do we.
sounds_secret = SafeExceptionReporterFilter.hidden_settings.search


class Argument(TypedDict):
    """What the server says of itself."""

    files: list[str]
    # Of SIMULATIONS: what cannot be loaded now, and must not keep the others from it.
    broken: list[str]


def prepare(lent: Mapping[str, str]) -> None:
    """Load the settings and the apps, which may need variables that no simulation may see, and
    forget what is secret in them. Called in the fork server only.

    Args:
        lent: These variables. They are in the environment until this returns.

    Raises:
        Exception: Whatever the settings raise.
    """
    before = set(sys.modules)
    _ = settings.INSTALLED_APPS  # They are read when the first is asked for.
    loaded = [module for name, module in list(sys.modules.items()) if name not in before]
    _forget_secrets(loaded, _secrets_in(lent))
    settings.INSTALLED_APPS = [WITHOUT_ADMIN.get(app, app) for app in settings.INSTALLED_APPS]
    django.setup()


def load(argument: Argument) -> None:
    """Import every simulation. Called in the fork server only.

    Raises:
        Exception: Whatever a simulation's module raises.
    """
    registry.broken = frozenset(map(Path, argument["broken"]))
    for path in argument["files"]:
        registry.add_file(Path(path))
    for simulation in registry.all():
        _warm(simulation)
    pictures.warm_up()
    try:
        figures.warm_up()
    except Exception:
        # It may find no fonts; simulations that draw with it say so.
        logger.exception("matplotlib cannot draw")


def _warm(simulation: Simulation) -> None:
    """Do a simulation's warm-up. One that fails is done by its own sessions, which say why."""
    try:
        with working_in(folder_of(simulation.module)):
            warm_up(simulation)
    except Exception:
        # Author code, and others must not fail with it.
        logger.exception("the warm-up of %s failed", simulation.name)


def _secrets_in(variables: Mapping[str, str]) -> list[str]:
    return [
        value
        for name, value in variables.items()
        # An address may have a password in it.
        if len(value) >= LEAST_SECRET
        and (sounds_secret(name) or "@" in value or "pass" in value.lower())
    ]


def _forget_secrets(modules: Iterable[ModuleType], secrets: list[str]) -> None:
    """Replace what is secret in the settings, and in the modules that they were read from."""
    names = set(filter(str.isupper, dir(settings)))
    for name in names:
        value = getattr(settings, name)
        harmless = _harmless_setting(name, value, secrets)
        if harmless is not value:
            setattr(settings, name, harmless)
    for namespace in map(vars, modules):
        for name, value in list(namespace.items()):
            if name in names:
                namespace[name] = _harmless_setting(name, value, secrets)
            elif not name.startswith("__"):
                namespace[name] = _without(secrets, value)


def _harmless_setting(name: str, value: Any, secrets: list[str]) -> Any:
    if name in NAMED:
        aliases = value if isinstance(value, Mapping) else ()
        return {alias: dict(NAMED[name]) for alias in ("default", *aliases)}
    if name in HOLDING_SECRETS:
        return HOLDING_SECRETS[name]
    is_djangos = hasattr(global_settings, name) and name not in DJANGOS_OWN
    return _without(secrets, value, "" if is_djangos else name, by_name=True)


def _without(
    secrets: list[str], value: Any, name: str = "", *, by_name: bool = False, depth: int = 0
) -> Any:
    """Return a value, or a copy in which nothing is secret.

    Args:
        secrets: No text may hold one of these.
        by_name: Whether a text is a secret, too, if that is what its name sounds like.
    """
    if isinstance(value, str):
        is_named = by_name and sounds_secret(name) is not None
        is_secret = is_named or any(secret in value for secret in secrets)
        return NO_SECRET if is_secret else value
    if type(value) not in (dict, list, tuple) or depth == MOST_DEPTH:
        return value
    pairs = value.items() if type(value) is dict else enumerate(value)
    parts = [
        (key, _without(secrets, part, str(key), by_name=by_name, depth=depth + 1))
        for key, part in pairs
    ]
    if all(harmless is value[key] for key, harmless in parts):
        return value
    return dict(parts) if type(value) is dict else type(value)(part for _key, part in parts)
