"""System checks: what is wrong in the settings and the simulations, before a client meets it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from channels.security.websocket import OriginValidator
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from streaming.catalog.engines import engine_of, why_no_cluster
from streaming.catalog.registry import registry
from streaming.conf import conf, has_login_wall
from streaming.engine.errors import EngineError, InvalidSimulation, LivestepError, UnknownSimulation
from streaming.engine.isolation.reference import Reference
from streaming.engine.isolation.user import OtherUser
from streaming.engine.pyplot import IN_A_THREAD, uses_pyplot
from streaming.engine.simulations import Engine
from streaming.layer import CONTROL_ALIAS, FRAMES_ALIAS, LOCAL_ALIAS

CORE_LAYER = "channels_redis.core.RedisChannelLayer"
PUBSUB_LAYER = "channels_redis.pubsub.RedisPubSubChannelLayer"
TIMEOUTS = ("socket_timeout", "socket_connect_timeout")
# What the player needs of a page's policy. Images of a blob: are for films and for where there is
# no frame.
PLAYER_SOURCES = {
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "connect-src": ["'self'"],
    "frame-src": ["'self'"],
    "img-src": ["'self'", "blob:"],
}


@register("livestep")
def check_settings(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    try:
        conf()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="livestep.E001")]
    return []


@register("livestep")
def check_process_user(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if check_settings(None) or not (name := conf().PROCESS_USER):
        return []
    try:
        OtherUser(name)
    except EngineError as error:
        return [Error(f"{error}.", id="livestep.E009")]
    return []


@register("livestep")
def check_limits(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of settings that are good each, but not together."""
    if check_settings(None):
        return []
    warnings = []
    if conf().MAX_VIEWERS < conf().MAX_VIEWERS_PER_SESSION:
        warnings.append(
            Warning(
                f"MAX_VIEWERS ({conf().MAX_VIEWERS}) is less than MAX_VIEWERS_PER_SESSION "
                f"({conf().MAX_VIEWERS_PER_SESSION}), which can never be reached.",
                hint="MAX_VIEWERS is for all sessions of a process together.",
                id="livestep.W003",
            )
        )
    if conf().STOP_GRACE >= conf().SHUTDOWN_GRACE:
        warnings.append(
            Warning(
                f"STOP_GRACE ({conf().STOP_GRACE:g} s) is not less than SHUTDOWN_GRACE "
                f"({conf().SHUTDOWN_GRACE:g} s): a shutdown cuts steps off before they are "
                "interrupted.",
                hint="Two seconds more than STOP_GRACE are enough.",
                id="livestep.W004",
            )
        )
    return warnings


@register("livestep")
def check_login_wall(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of a WebSocket that is open where every page asks for a login."""
    if check_settings(None) or conf().LOGIN_REQUIRED or not has_login_wall():
        return []
    return [
        Warning(
            "Every page asks for a login, but LOGIN_REQUIRED is off: a stranger may open the "
            "WebSocket, and start and watch sessions.",
            hint="Take LOGIN_REQUIRED out of LIVESTEP: the middleware is enough.",
            id="livestep.W013",
        )
    ]


@register("livestep", deploy=True)
def check_endless_sessions(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if check_settings(None) or conf().LOGIN_REQUIRED or conf().MAX_RUN_SECONDS:
        return []
    return [
        Warning(
            "Anybody can leave sessions behind that never end: with ABANDON=keep, or by asking for "
            "`abandon: keep` at their start.",
            hint="Set MAX_RUN_SECONDS, or LOGIN_REQUIRED=yes.",
            id="livestep.W005",
        )
    ]


@register("livestep")
def check_channel_layer(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    layer = _layers().get(LOCAL_ALIAS)
    backend = "streaming.layer.LocalChannelLayer"
    if layer is None or layer.get("BACKEND") != backend:
        return [
            Error(
                f"CHANNEL_LAYERS needs a layer {LOCAL_ALIAS!r} with the backend {backend}.",
                hint="It carries frames from a session to the viewers in the same process.",
                id="livestep.E002",
            )
        ]
    return []


@register("livestep")
def check_shared_layers(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Look at the layers over which several processes of one site are one."""
    if check_settings(None):
        return []
    if FRAMES_ALIAS not in _layers():
        return [*_alone()]
    if not _is_shared(CONTROL_ALIAS):
        return [
            Error(
                f"CHANNEL_LAYERS has {FRAMES_ALIAS!r} for several processes, but no "
                f"{CONTROL_ALIAS!r} that they could share.",
                hint=f"The same as {FRAMES_ALIAS!r}, with another prefix.",
                id="livestep.E008",
            )
        ]
    return [*_unfit(CONTROL_ALIAS), *_unfit(FRAMES_ALIAS)]


def _alone() -> Iterator[CheckMessage]:
    if _is_shared(CONTROL_ALIAS):
        yield Warning(
            f"CHANNEL_LAYERS has no {FRAMES_ALIAS!r}: each process would know its own sessions "
            "only.",
            hint=f"The same as {CONTROL_ALIAS!r}, with another prefix: Redis cuts a connection "
            "that is full of frames, and it must not be the one that carries a stop.",
            id="livestep.W007",
        )
    elif conf().PROCESS:
        yield Warning(
            f"This process has a name ({conf().PROCESS}), as one of several has, but no channel "
            "layer that several could share: each would know its own sessions only.",
            hint="Set REDIS_URL; or let PROCESS be empty, if there is one process.",
            id="livestep.W006",
        )


def _unfit(alias: str) -> Iterator[CheckMessage]:
    layer = _layers()[alias]
    if layer.get("BACKEND") == CORE_LAYER:
        yield Error(
            f"CHANNEL_LAYERS[{alias!r}] is {CORE_LAYER}: it keeps the oldest messages and drops "
            "the newest, and every WebSocket breaks when Redis restarts.",
            hint=f"Use {PUBSUB_LAYER}.",
            id="livestep.E007",
        )
    elif layer.get("BACKEND") == PUBSUB_LAYER and (missing := _missing_timeouts(layer)):
        yield Warning(
            f"CHANNEL_LAYERS[{alias!r}] has no {' and no '.join(missing)}: a Redis that hangs "
            "would hold everything that is sent to it.",
            hint='"hosts": [{"address": …, "socket_timeout": 2, "socket_connect_timeout": 2}]',
            id="livestep.W008",
        )


def _missing_timeouts(layer: Mapping[str, Any]) -> list[str]:
    hosts = layer.get("CONFIG", {}).get("hosts") or [{}]
    return [
        name
        for name in TIMEOUTS
        if not all(isinstance(host, Mapping) and host.get(name) for host in hosts)
    ]


@register("livestep", deploy=True)
def check_database(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    engine = settings.DATABASES.get("default", {}).get("ENGINE", "")
    if FRAMES_ALIAS not in _layers() or not engine.endswith(".sqlite3"):
        return []
    return [
        Warning(
            "Several processes share one SQLite file: they wait for each other to write, and they "
            "must all be on one machine.",
            hint="Set DATABASE_URL to a PostgreSQL database.",
            id="livestep.W009",
        )
    ]


@register(Tags.security)
def check_origins(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of WebSockets that any page in the world may open with its visitor's cookies."""
    try:
        application = import_string(getattr(settings, "ASGI_APPLICATION", None) or "")
    except ImportError:
        return []  # It cannot be served either, which says why.
    mapping = getattr(application, "application_mapping", {})
    # Not above: it brings the consumers, and with them everything else.
    from streaming.routing import SameOriginValidator

    parts = list(_parts(mapping.get("websocket")))
    if not parts or any(isinstance(part, SameOriginValidator) for part in parts):
        return []
    checked = any(isinstance(part, OriginValidator) for part in parts)
    how = "only as Channels does it, by the host's name," if checked else "not"
    return [
        Warning(
            f'The origin of WebSockets is {how} checked: "websocket" in '
            f"{settings.ASGI_APPLICATION} has no SameOriginValidator.",
            hint="Put streaming.routing.websocket_application there, or your own around "
            "streaming.routing.SameOriginValidator.",
            id="livestep.W010",
        )
    ]


def _parts(application: Any) -> Iterator[Any]:
    """Yield an ASGI application, and what Channels' own classes have wrapped in it."""
    if application is None:
        return
    yield application
    for name in ("inner", "application"):
        yield from _parts(getattr(application, name, None))
    for route in getattr(application, "routes", ()):
        yield from _parts(getattr(route, "callback", None))


@register("livestep")
def check_policy(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of a Content-Security-Policy in which the player cannot do its work."""
    policy = _policy()
    missing = [
        f"{directive} {source}"
        for directive, sources in PLAYER_SOURCES.items()
        for source in sources
        if not _allows(policy, directive, source)
    ]
    if not missing:
        return []
    return [
        Warning(
            f"The Content-Security-Policy keeps <live-step> from working: {', '.join(missing)} "
            "is missing.",
            hint="Without frame-src it shows pictures as images, which take more memory and cannot "
            "be touched; without the others it shows nothing.",
            id="livestep.W012",
        )
    ]


def _policy() -> Mapping[str, Any]:
    """Return the directives of Django's own policy, or of django-csp's."""
    middleware = settings.MIDDLEWARE
    if "django.middleware.csp.ContentSecurityPolicyMiddleware" in middleware:
        return getattr(settings, "SECURE_CSP", None) or {}
    if "csp.middleware.CSPMiddleware" not in middleware:
        return {}
    policy = getattr(settings, "CONTENT_SECURITY_POLICY", None) or {}
    return policy.get("DIRECTIVES", {"default-src": ["'self'"]})  # type: ignore[no-any-return]


def _allows(policy: Mapping[str, Any], directive: str, source: str) -> bool:
    """Whether a policy lets a page load from there, as far as that can be told."""
    order = (
        (directive, "child-src", "default-src")
        if directive == "frame-src"
        else (
            directive,
            "default-src",
        )
    )
    given = next((policy[name] for name in order if policy.get(name)), None)
    if given is None:
        return True
    allowed = [given] if isinstance(given, str) else [str(one) for one in given]
    if source == "'self'":
        # A host may be this one.
        return any(one == source or not one.startswith(("'", "data:", "blob:")) for one in allowed)
    return source in allowed


@register(Tags.security, deploy=True)
def check_hosts(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "ALLOWED_HOSTS has '*': the origin of a WebSocket is compared with whatever name the "
            "client says that this server has.",
            hint="List the names under which the site is reached.",
            id="livestep.W011",
        )
    ]


@register("livestep")
def check_server(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of daphne as it comes: a client of the plain dialect could fill its memory."""
    apps = list(settings.INSTALLED_APPS)
    if "daphne" not in apps:
        return []
    # Not above: it brings daphne and Twisted's reactor, which not every project has.
    from streaming.server.daphne import what_is_unknown

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
    return [
        *_missing_default(),
        *_misplaced(),
        *_placed_nowhere(),
        *_drawing_in_threads(),
        *_clashing(clashes),
    ]


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
        if engine_of(simulation).has_process:
            try:
                Reference.to(simulation)
            except InvalidSimulation as error:
                yield Error(f"{error}.", id="livestep.E005")


def _placed_nowhere() -> Iterator[CheckMessage]:
    names = [each.name for each in registry.all() if engine_of(each) is Engine.CLUSTER]
    if names and (missing := why_no_cluster()):
        yield Warning(
            f'{", ".join(names)}: engine="cluster", and this site can have no compute machines: '
            f"{missing}.",
            hint="Until then no session of them can be started.",
            id="livestep.W017",
        )


def _drawing_in_threads() -> Iterator[CheckMessage]:
    for simulation in registry.all():
        if engine_of(simulation) is Engine.THREAD and uses_pyplot(simulation):
            yield Warning(
                f"{simulation.name}: {IN_A_THREAD}",
                hint='Leave engine="thread" away, or draw with matplotlib.figure.Figure().',
                id="livestep.W016",
            )


def _clashing(clashes: list[tuple[str, list[str]]]) -> list[CheckMessage]:
    return [
        Error(
            f"Two simulations have the name {name!r}: in {' and in '.join(places)}.",
            hint="Give one of them another: @simulation(name=...).",
            id="livestep.E004",
        )
        for name, places in clashes
    ]


def _layers() -> Mapping[str, Any]:
    return getattr(settings, "CHANNEL_LAYERS", {})


def _is_shared(alias: str) -> bool:
    layer = _layers().get(alias, {})
    return not layer.get("BACKEND", "InMemoryChannelLayer").endswith("InMemoryChannelLayer")
