"""What the fork server loads before it forks: Django, the installed apps, every simulation.

And what it forgets: a simulation needs neither the site's key nor its database.
"""

from pathlib import Path
from typing import Any, TypedDict

import django
from django.conf import global_settings, settings
from django.views.debug import SafeExceptionReporterFilter

from streaming.catalog.registry import registry

NO_SECRET = "not-a-secret"
DJANGOS_OWN = ("SECRET_KEY", "EMAIL_HOST_PASSWORD")
# Where passwords stand inside of something larger.
HOLDING_SECRETS: dict[str, Any] = {
    "DATABASES": {"default": {"ENGINE": "django.db.backends.dummy"}},
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
    "CHANNEL_LAYERS": {},
}


class Argument(TypedDict):
    """What the server says of itself."""

    files: list[str]
    # Of SIMULATIONS: what cannot be loaded now, and must not keep the others from it.
    broken: list[str]


def load(argument: Argument) -> None:
    """Import everything that a session may need. Called in the fork server only.

    Raises:
        Exception: Whatever the settings or a simulation's module raise.
    """
    _forget_secrets()
    django.setup()
    registry.broken = frozenset(map(Path, argument["broken"]))
    for path in argument["files"]:
        registry.add_file(Path(path))
    registry.all()


def _forget_secrets() -> None:
    # Secrets of other apps, which Django's error page recognises by their names.
    sounds_secret = SafeExceptionReporterFilter.hidden_settings.search
    theirs = (
        name for name in dir(settings) if sounds_secret(name) and not hasattr(global_settings, name)
    )
    for name in (*DJANGOS_OWN, *theirs):
        if isinstance(getattr(settings, name, None), str):
            setattr(settings, name, NO_SECRET)
    settings.SECRET_KEY_FALLBACKS = []
    for name, harmless in HOLDING_SECRETS.items():
        setattr(settings, name, harmless)
