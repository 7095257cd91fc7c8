"""The site's settings, from the environment; docs/settings.md lists every variable.

The defaults need nothing: SQLite, an in-memory channel layer, and a secret key that is made on
the first run and kept. They are safe as they stand: DEBUG is off unless asked for.
"""

import os
import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from platformdirs import user_data_path
from pythonjsonlogger.core import RESERVED_ATTRS

from streaming import conf

env = environ.Env()

# The folder is `project` in the repository; in the wheel it is the package `livestep`, which has
# the templates in it and may not be written to.
HERE = Path(__file__).resolve().parent
IS_INSTALLED = __package__ == "livestep"
TEMPLATES_DIR = HERE / "templates" if IS_INSTALLED else HERE.parent / "templates"

# What the site itself writes: database, secret key, collected static files.
VAR_DIR = Path(
    env.str("VAR_DIR", default="")
    or (user_data_path("livestep", appauthor=False) if IS_INSTALLED else HERE.parent / "var")
)
try:
    VAR_DIR.mkdir(parents=True, exist_ok=True)
except OSError as _error:
    raise ImproperlyConfigured(
        f"VAR_DIR={str(VAR_DIR)!r} cannot be made ({_error.strerror}); name a folder that this "
        "user may write to"
    ) from _error


def kept_secret_key(path: Path) -> str:
    """Return the key in a file that only its owner can read; make it when it is missing."""
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(get_random_secret_key())
        try:
            # Two first runs at once must agree on one key: a link fails where a move would win.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()


def yes_or_no(variable: str) -> bool:
    """Return a variable that says yes or no; a word that is neither must not open a site."""
    value = os.environ.get(variable, "").strip().lower()
    if value in ("yes", "true", "on", "1"):
        return True
    if value in ("no", "false", "off", "0", ""):
        return False
    raise ImproperlyConfigured(f"{variable}={value!r}; expected yes or no")


def listed(variable: str, pattern: str = "", expected: str = "") -> list[str]:
    """Return the words of a variable, between commas; one that is not of the pattern is refused."""
    words = [word.strip() for word in env.list(variable, default=[]) if word.strip()]
    for word in words:
        if pattern and not re.fullmatch(pattern, word):
            raise ImproperlyConfigured(f"{variable}: {word!r}; expected {expected}")
    return words


DEBUG = yes_or_no("DEBUG")
SECRET_KEY = env.str("SECRET_KEY", default="") or kept_secret_key(VAR_DIR / "secret_key")
ALLOWED_HOSTS = listed(
    "ALLOWED_HOSTS",
    r"\*|\.?[\w.-]+|\[[0-9a-fA-F:.]+\]",
    "a name such as lab.example, without https:// and port",
) or ["localhost", "127.0.0.1", "[::1]"]

# Whether a proxy in front says who a client is, and sends on nothing that a client says of it.
PROXY_HEADERS = yes_or_no("PROXY_HEADERS")

# Origins other than the site's own whose pages may use it, with their scheme. An https one says
# that the site stands behind a proxy which speaks TLS and sets X-Forwarded-Proto.
ALLOWED_ORIGINS = listed("ALLOWED_ORIGINS")
BEHIND_TLS = any(origin.startswith("https://") for origin in ALLOWED_ORIGINS)
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if BEHIND_TLS else 0
# Only then is it sure that what came over TLS is known.
SECURE_SSL_REDIRECT = BEHIND_TLS and PROXY_HEADERS
# Who asks one process how it is asks it past the proxy.
SECURE_REDIRECT_EXEMPT = [r"^(.*/)?(healthz|readyz|metrics)$"]
# Whether other names under this one speak TLS, and whether browsers are to know before the first
# visit, is for the owner of the domain to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

INSTALLED_APPS = [
    f"{__package__}.apps.SiteConfig",
    # Before staticfiles: its runserver is daphne's, with our server. Daphne itself is not in this
    # list: as an app it brings Twisted into every process, into those that serve nothing as well.
    "streaming",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "gallery",
]
# The extra `gallery` brings what these simulations need: four libraries, ten times the rest.
if all(map(find_spec, ("matplotlib", "networkx", "numpy", "sklearn"))):
    INSTALLED_APPS.append("gallery.numerical")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",  # After the login session, before the pages.
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "streaming.web.middleware.in_one_thread",  # The last.
]

ROOT_URLCONF = f"{__package__}.urls"
ASGI_APPLICATION = f"{__package__}.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [TEMPLATES_DIR],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def not_an_address(variable: str, example: str) -> ImproperlyConfigured:
    # Not as a whole: it may hold a password.
    return ImproperlyConfigured(
        f"{variable}={os.environ[variable]!r:.12}…; expected an address such as {example}"
    )


try:
    with warnings.catch_warnings(action="ignore"):  # Of a scheme that it does not know.
        DATABASES = {
            "default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")
        }
    _is_database = bool(DATABASES["default"].get("ENGINE"))
except ValueError:
    _is_database = False
if not _is_database:
    raise not_an_address(
        "DATABASE_URL",
        "sqlite:////srv/livestep/db.sqlite3, or postgres://NAME:PASSWORD@HOST:5432/DATABASE",
    )
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A network that is gone is found out in seconds; project/apps.py sees to a server that hangs.
    _patience = {"connect_timeout": 3, "tcp_user_timeout": 5000}
    DATABASES["default"]["OPTIONS"] = _patience | DATABASES["default"].get("OPTIONS", {})
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Readers beside the one writer, and a wait instead of "database is locked"; but nobody waits
    # for long where another program keeps it so.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 2,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }

REDIS_URL = env.str("REDIS_URL", default="")


def is_redis(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("redis", "rediss", "unix") and (parts.port or 0) >= 0
    except ValueError:
        return False


if REDIS_URL and not is_redis(REDIS_URL):
    raise not_an_address("REDIS_URL", "redis://127.0.0.1:6379/0")
CHANNEL_LAYERS: dict[str, Any] = {
    "local": {"BACKEND": "streaming.layer.LocalChannelLayer"},
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}
if REDIS_URL:
    # Without timeouts a Redis that hangs would hold everything that is sent to it.
    _host = {
        "address": REDIS_URL,
        "socket_timeout": 2,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
    }
    # Control and frames over connections of their own: Redis cuts the one that cannot be read
    # fast enough, and that must not be the one that carries a stop.
    for _alias in ("default", "frames"):
        CHANNEL_LAYERS[_alias] = {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [_host], "prefix": f"livestep.{_alias}"},
        }

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
# Collected, static files are compressed, browsers keep them for ever, and nginx can serve them.
# Packaged, they are served from where they are installed, and nothing has to be collected.
STATIC_FILES = env.str("STATIC_FILES", default="collected")
if STATIC_FILES not in ("collected", "packaged"):
    raise ImproperlyConfigured(f"STATIC_FILES={STATIC_FILES!r}; expected collected or packaged")
_storage = (
    f"{__package__}.storage.StaticStorage"
    if STATIC_FILES == "collected"
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": _storage},
}
if STATIC_FILES == "packaged":
    SERVESTATIC_USE_FINDERS = True
    SERVESTATIC_MAX_AGE = 0  # The browser asks whether they have changed.

# Where the site is, if it is not at the root of its host: "/lab". The proxy may strip it or not.
FORCE_SCRIPT_NAME = env.str("FORCE_SCRIPT_NAME", default="").rstrip("/") or None
if FORCE_SCRIPT_NAME and not re.fullmatch(r"(/[^/\s?#]+)+", FORCE_SCRIPT_NAME):
    raise ImproperlyConfigured(
        f"FORCE_SCRIPT_NAME={FORCE_SCRIPT_NAME!r}; expected a path such as /lab"
    )
# Origins whose pages may show this site's in a frame. Browsers then do without X-Frame-Options.
FRAME_ANCESTORS = listed("FRAME_ANCESTORS")

# Pictures are shown in a frame with a policy of its own (streaming.web.views.picture), or as <img>
# of a blob: where that cannot be, and no page needs inline code.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "frame-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'", *FRAME_ANCESTORS],
    },
}

# The language of the commands, and of the pages for visitors who ask for none of LANGUAGES.
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="") or "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
if LANGUAGE_CODE not in ("en-us", *dict(LANGUAGES)):
    raise ImproperlyConfigured(f"LANGUAGE_CODE={LANGUAGE_CODE!r}; expected en or de")
LOCALE_PATHS = [TEMPLATES_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "admin:login"

LOG_FORMAT = env.str("LOG_FORMAT", default="text")
if LOG_FORMAT not in ("text", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT={LOG_FORMAT!r}; expected text or json")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR"):
    raise ImproperlyConfigured(f"LOG_LEVEL={LOG_LEVEL!r}; expected DEBUG, INFO, WARNING or ERROR")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "session": {"()": "streaming.logs.SessionField", "otherwise": None},
        "mistake": {"()": "streaming.logs.ClientsMistake"},
        "not_now": {"()": "streaming.logs.NotNow"},
        "gone": {"()": "streaming.logs.GoneClient"},
    },
    "formatters": {
        "text": {
            "()": "streaming.logs.TextFormatter",
            "fmt": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        },
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": ["levelname", "name", "message"],
            "rename_fields": {"levelname": "level", "name": "logger"},
            "timestamp": "time",
            "static_fields": {
                "process": env.str("LIVESTEP_PROCESS", default="") or str(os.getpid()),
            },
            # Django adds the whole request to its lines: its address may hold a token.
            "reserved_attrs": [*RESERVED_ATTRS, "request"],
        },
    },
    "handlers": {
        "console": {
            "class": "streaming.logs.Handler",
            "formatter": LOG_FORMAT,
            "filters": ["session"],
        },
    },
    # Of others only what is wrong.
    "root": {"handlers": ["console"], "level": "ERROR" if LOG_LEVEL == "ERROR" else "WARNING"},
    "loggers": {
        "streaming": {"level": LOG_LEVEL},
        "django.request": {"filters": ["not_now"]},
        "asyncio": {"filters": ["gone"]},
        **{
            f"django.security.{name}": {"filters": ["mistake"]}
            for name in (
                "DisallowedHost",
                "RequestDataTooBig",
                "TooManyFieldsSent",
                "TooManyFilesSent",
            )
        },
        # While Redis is away it writes a traceback each second; cluster/bus.py says it once.
        "channels_redis": {"level": "CRITICAL"},
    },
}


def read(variable: str, kind: type) -> Any:
    """Return a variable as the kind of value that a setting has; whether it may be this one is
    looked at later, by streaming/conf.py."""
    text = os.environ[variable]
    if kind is bool:
        return yes_or_no(variable)
    if kind is tuple:
        return [word.strip() for word in text.split(",") if word.strip()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError as error:
            expected = "a whole number" if kind is int else "a number"
            raise ImproperlyConfigured(f"{variable}={text!r}; expected {expected}") from error
    return text


LIVESTEP: dict[str, Any] = {
    "SIMULATIONS": listed("SIMULATIONS"),
    "ALLOWED_ORIGINS": ALLOWED_ORIGINS,
}
_prefixed = {f"LIVESTEP_{name}": name for name in conf.KINDS if name not in LIVESTEP}
for _variable in sorted(os.environ):
    if not _variable.startswith("LIVESTEP_") or not os.environ[_variable]:
        continue
    if _variable not in _prefixed:
        raise ImproperlyConfigured(
            f"{_variable} is no variable of Livestep; known are LIVESTEP_ and "
            f"{', '.join(sorted(_prefixed.values()))}"
        )
    _name = _prefixed[_variable]
    LIVESTEP[_name] = read(_variable, conf.KINDS[_name].type)
# Kept where all processes of this machine find them.
LIVESTEP.setdefault("FILES_DIR", str(VAR_DIR))
if REDIS_URL:
    LIVESTEP.setdefault("BROKER_URL", REDIS_URL)
