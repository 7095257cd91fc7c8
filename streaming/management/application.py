"""The ASGI application that `serve` serves: the project's, with static files while debugging."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from streaming.management.arguments import bad_input

# The packages whose middleware serves static files.
SERVERS = ("servestatic", "whitenoise")


def served_application(warn: Callable[[str], object]) -> Any:
    """Return the project's ASGI application.

    While debugging it serves static files, too, as that of `runserver` does.

    Args:
        warn: Called with a sentence if only another program could serve the static files.

    Raises:
        CommandError: If the project names no application, or one that cannot be imported.
    """
    application = _own_application()
    if _has_other_server():
        return application
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        return ASGIStaticFilesHandler(application)
    warn(
        _(
            "Nothing in MIDDLEWARE serves static files, and without them no player works: have "
            "ServeStatic, WhiteNoise or the proxy in front serve %(address)s."
        )
        % {"address": settings.STATIC_URL}
    )
    return application


def _own_application() -> Any:
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        raise bad_input(
            _(
                "ASGI_APPLICATION is not set: expected the application in asgi.py, such as "
                "'mysite.asgi.application'."
            )
        )
    try:
        return import_string(path)
    except ImportError as error:
        raise bad_input(
            _("ASGI_APPLICATION=%(path)r cannot be imported: %(error)s.")
            % {"path": path, "error": error}
        ) from error


def _has_other_server() -> bool:
    """Whether a middleware serves static files, or another host does."""
    if urlsplit(settings.STATIC_URL or "").netloc:
        return True
    return any(name.partition(".")[0] in SERVERS for name in _modules_of_middleware())


def _modules_of_middleware() -> Iterator[str]:
    """Yield where each middleware comes from, and where its base classes do."""
    for path in settings.MIDDLEWARE:
        middleware = import_string(path)
        for part in getattr(middleware, "__mro__", (middleware,)):
            yield part.__module__
