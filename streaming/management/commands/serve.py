"""`manage.py serve [FILE.py]`: the site on daphne, with one more file of simulations."""

import errno
import fcntl
import os
import shlex
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from daphne.server import reactor
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.template.loader import get_template
from django.urls import NoReverseMatch, get_resolver, get_script_prefix, reverse
from django.utils.translation import gettext as _
from twisted.internet.endpoints import quoteStringArgument

from streaming.catalog.engines import engine_of
from streaming.catalog.fork_server import fork_server
from streaming.catalog.registry import registry
from streaming.conf import conf
from streaming.engine.errors import EngineError, LivestepError
from streaming.engine.frames import MOST_FRAME_BYTES
from streaming.engine.simulations import Engine
from streaming.management.application import served_application
from streaming.management.arguments import typed
from streaming.management.base import SettingsCommand
from streaming.management.listening import BACKLOG, listen
from streaming.process import process
from streaming.runtime import runtime
from streaming.server.daphne import leave, server_class
from streaming.server.init import go_on_in_child
from streaming.server.systemd import Systemd
from streaming.sessions.memory import settle_memory
from streaming.sessions.reloading import Reloader
from streaming.web.mistakes import server_error

BAD_INPUT = 2
# Our own limits are far below; daphne's holds for what it sends, too.
MAX_MESSAGE_BYTES = MOST_FRAME_BYTES + 4096
PING_INTERVAL_S = 10
PING_TIMEOUT_S = 20
HTTP_TIMEOUT_S = 60
# Daphne believes the first entry of a list, so the proxy must overwrite what a client has sent.
FORWARDED_HEADERS = {
    "proxy_forwarded_address_header": "X-Forwarded-For",
    "proxy_forwarded_port_header": "X-Forwarded-Port",
    "proxy_forwarded_proto_header": "X-Forwarded-Proto",
}
# Those that are asked for first, and what they are made from.
PAGES = tuple(f"streaming/{name}.html" for name in ("base", "gallery", "player", "field"))
# The reloader ends at once, unless it is in the middle of loading a file.
RELOADER_WAIT_S = 1.0


class Command(SettingsCommand):
    help = (
        "Serve the site with daphne, over HTTP and WebSocket. FILE is a file with simulations of "
        "your own, beside those of the installed apps; or a folder of such files, or a module."
    )
    requires_system_checks = ()  # After the file is loaded, so that they see it too.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            nargs="?",
            type=Path,
            metavar="FILE",
            help="a file with @simulation in it, a folder or a module (several: $SIMULATIONS)",
        )
        parser.add_argument(
            "--host",
            default=os.environ.get("HOST") or "127.0.0.1",
            help="address to listen on (default: $HOST or 127.0.0.1)",
        )
        place = parser.add_mutually_exclusive_group()
        place.add_argument(
            "--port",
            default=os.environ.get("PORT") or "8000",
            help="port to listen on, 0 for any free one (default: $PORT or 8000)",
        )
        place.add_argument(
            "--unix-socket",
            type=Path,
            metavar="PATH",
            help=_(
                "listen on this socket instead of a port, for a proxy on the same machine; its "
                "user and group may connect"
            ),
        )
        parser.add_argument(
            "--proxy-headers",
            action="store_true",
            default=getattr(settings, "PROXY_HEADERS", False),
            help=_(
                "take a client's address and scheme from X-Forwarded-For and X-Forwarded-Proto, "
                "which a proxy in front must set, whatever the client sent (default: "
                "$PROXY_HEADERS)"
            ),
        )
        parser.add_argument(
            "--reload",
            action="store_true",
            help=_(
                "when a file of simulations is saved, load it anew and start its sessions anew "
                "with the same parameters"
            ),
        )

        parser.add_argument(
            "--migrate",
            action="store_true",
            help=_("bring the database up to date first, as `livestep serve` does"),
        )
        parser.add_argument(
            "--open", action="store_true", help=_("open the page in the browser of this desktop")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if os.getpid() == 1:
            go_on_in_child()
        host, port, path = options["host"], _port(options["port"]), options["unix_socket"]
        _load_simulations(options["file"])
        self.check()
        reloader = self._reloader() if options["reload"] else None
        _check_migrations(migrate=options["migrate"])
        _check_static_files()
        _load_pages()
        application = served_application(self.stderr.write)
        _warm_up()
        if path is None:
            listener = listen(host, port)
            say_where = partial(self._say_where, host, listener.getsockname()[1], options)
            # Twisted takes a copy of the descriptor and closes this one.
            endpoint = f"fd:fileno={listener.detach()}"
        else:
            _make_way(path)
            say_where = partial(self._say_socket, path)
            address = quoteStringArgument(str(path))  # type: ignore[no-untyped-call]  # Twisted's
            endpoint = f"unix:address={address}:mode=660:backlog={BACKLOG}:lockfile=0"
        self._claim_database()
        headers = FORWARDED_HEADERS if options["proxy_headers"] else {}
        systemd = Systemd(reactor)
        server = server_class()(
            application=application,
            endpoints=[endpoint],
            server_name="livestep",
            http_timeout=HTTP_TIMEOUT_S,
            websocket_timeout=-1,  # How long a socket may live is our policy, not the server's.
            websocket_connect_timeout=5,
            websocket_max_message_size=MAX_MESSAGE_BYTES,
            websocket_max_frame_size=MAX_MESSAGE_BYTES,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            application_close_timeout=5,
            verbosity=0,
            ready_callable=partial(self._get_ready, say_where, systemd),
            **headers,
        )
        if reloader is not None:
            reactor.callLater(0, reloader.start)
        # Before the server's own, which takes its time.
        reactor.addSystemEventTrigger("before", "shutdown", systemd.say_stopping)
        server.run()
        systemd.stop()
        if reloader is not None:
            reloader.request_stop()
            reloader.join(RELOADER_WAIT_S)
        leave()

    def _claim_database(self) -> None:
        """Say it if another server has this one's SQLite file, and neither knows of the other."""
        if process.has_others or (path := _sqlite_file()) is None:
            return
        # Held until the process ends, however it ends.
        claim = os.open(f"{path}.server", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(claim)
            self.stderr.write(
                _(
                    "Another server uses the database %(path)s, and neither knows of the other's "
                    "sessions: a link works only where it was made. Give each a VAR_DIR of its "
                    "own, or both REDIS_URL and DATABASE_URL."
                )
                % {"path": path}
            )

    def _reloader(self) -> Reloader:
        if not registry.files:
            raise CommandError(
                _("--reload: there is no file to watch: name FILE.py, or set SIMULATIONS."),
                returncode=BAD_INPUT,
            )
        return Reloader(runtime.pool, self._say_reload)

    def _say_reload(self, sentence: str, is_error: bool) -> None:
        out = self.stderr if is_error else self.stdout
        out.write(sentence)
        out.flush()

    def _get_ready(self, say_where: Callable[[], None], systemd: Systemd) -> None:
        with suppress(OSError):  # A reader that has enough, as `head`; a disk that is full.
            say_where()
        systemd.start()
        settle_memory()

    def _say_socket(self, path: Path) -> None:
        self.stdout.write(f"Livestep listens on {path}\nCtrl+C ends it.")
        self.stdout.flush()

    def _say_where(self, host: str, port: int, options: dict[str, Any]) -> None:
        root = f"http://{_reached_as(host)}:{port}"
        # A project need not have our pages, nor the admin.
        address = page = root + (_path_of("streaming:gallery") or get_script_prefix())
        if options["file"] is not None or conf().SIMULATIONS:
            own = _path_of("streaming:simulation", registry.default_name)
            if own is not None:
                page = root + own
                self.stdout.write(f"Your simulation: {page}")
        self.stdout.write(f"Livestep is at {address}")
        if (admin := _path_of("admin:index")) is not None:
            # In another terminal it would be another folder's database.
            folder = f"VAR_DIR={shlex.quote(var)} " if (var := os.environ.get("VAR_DIR")) else ""
            self.stdout.write(
                f"The admin is at {root}{admin} - make its first user in another terminal:\n"
                f"    {folder}{typed('createsuperuser')}"
            )
        self.stdout.write("Ctrl+C ends it.")
        self.stdout.flush()
        if options["open"]:
            # A browser in the terminal returns when it is left.
            threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise CommandError(
            f"--port: expected a number from 0 to 65535, got {text!r}", returncode=BAD_INPUT
        )
    return int(text)


def _load_simulations(file: Path | None) -> None:
    """Load every simulation now: an author's error belongs here, not into a visitor's page."""
    try:
        if file is not None:
            registry.add_file(file)
        registry.all()
    except LivestepError as error:
        raise CommandError(str(error), returncode=BAD_INPUT) from error


def _load_pages() -> None:
    """Load what pages are made of, that which says why there is none above all: later there may be
    no descriptor for it."""
    for engine in engines.all():
        if isinstance(engine, DjangoTemplates):
            engine.engine.template_context_processors  # noqa: B018  # Looked at, they are imported.
    for name in PAGES:
        get_template(name)
    if apps.is_installed("django.contrib.sessions"):
        import_module(settings.SESSION_ENGINE).SessionStore()
    gettempdir()  # It writes a file to find one.
    "".encode("unicode_escape")  # Django's log of a request that failed.
    if get_resolver().resolve_error_handler(500) is server_error:
        server_error(HttpRequest())


def _warm_up() -> None:
    """Start the fork server now, if sessions are meant to need it: the first will not wait."""
    if Engine.PROCESS in map(engine_of, registry.all()):
        try:
            fork_server.start()
        except EngineError as error:
            raise CommandError(str(error)) from error


def _check_migrations(*, migrate: bool) -> None:
    """See that the database is up to date, or bring it there."""
    try:
        if migrate and _is_behind():
            with _alone():
                call_command("migrate", interactive=False, skip_checks=True, verbosity=0)
        is_behind = _is_behind()
    except OperationalError as error:
        # Whoever starts this may try again: systemd does.
        raise CommandError(
            _("The database does not answer: %(reason)s.") % {"reason": str(error).splitlines()[0]}
        ) from error
    if is_behind:
        raise CommandError("The database is not up to date: run `manage.py migrate` first.")
    connections.close_all()


def _is_behind() -> bool:
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@contextmanager
def _alone() -> Iterator[None]:
    """Have another server that begins with the same SQLite file wait. Blocks."""
    with ExitStack() as stack:
        if (path := _sqlite_file()) is not None:
            file = stack.enter_context(open(f"{path}.migrating", "w"))
            fcntl.flock(file, fcntl.LOCK_EX)
            stack.callback(Path(file.name).unlink, missing_ok=True)
        yield


def _check_static_files() -> None:
    """See that the pages find their scripts: without them each page would be an error."""
    if settings.DEBUG or not isinstance(staticfiles_storage, ManifestFilesMixin):
        return
    missing = [
        path
        for finder in get_finders()
        for path, _storage in finder.list([])
        if path.startswith("streaming/") and path not in staticfiles_storage.hashed_files
    ]
    if missing:
        raise CommandError(
            _(
                "The static files are not collected, or are those of another version "
                "(%(path)s is missing): run `manage.py collectstatic` first."
            )
            % {"path": missing[0]}
        )


def _sqlite_file() -> Path | None:
    database = settings.DATABASES[DEFAULT_DB_ALIAS]
    name = str(database["NAME"])
    is_file = database["ENGINE"] == "django.db.backends.sqlite3" and "memory" not in name
    return Path(name) if is_file else None


def _path_of(name: str, *args: str) -> str | None:
    """Return the path of a page; None if the project does not have it."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return None


def _reached_as(host: str) -> str:
    """Return how a browser on this machine names an address that a server listens on."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    name = everywhere.get(host, host)
    return f"[{name}]" if ":" in name else name


def _make_way(path: Path) -> None:
    """See that a socket file can be made, and remove one that a killed server has left."""
    try:
        if path.is_socket():
            _remove_if_stale(path)
        # Twisted would only log that it could not.
        with socket.socket(socket.AF_UNIX) as trial:
            trial.bind(str(path))
        path.unlink()
    except OSError as error:
        reason = {
            errno.EADDRINUSE: _("a file is there that is no socket"),
            errno.ENOENT: _("its folder does not exist"),
        }.get(error.errno or 0, error.strerror or str(error))
        raise CommandError(
            _("Cannot listen on %(path)s: %(reason)s.") % {"path": path, "reason": reason}
        ) from error


def _remove_if_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.setblocking(False)  # One that is too busy to take it in is alive, too.
        try:
            visitor.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise CommandError(
        _("Cannot listen on %(path)s: another program listens there.") % {"path": path}
    )
