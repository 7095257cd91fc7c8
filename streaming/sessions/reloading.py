"""`serve --reload`: when a file of simulations is saved, it is loaded anew, and its sessions are
started anew with the same parameters."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from streaming.catalog.fork_server import fork_server
from streaming.catalog.forms import as_data, params_form, validate_params
from streaming.catalog.registry import SimulationFileError, neighbours, registry
from streaming.engine.errors import ClientError, EngineError, InvalidParams
from streaming.engine.simulations import Simulation
from streaming.engine.snapshot import State, StopReason
from streaming.engine.traces import Place
from streaming.sessions.control import validated
from streaming.sessions.live import LiveSession
from streaming.sessions.pool import Pool

logger = logging.getLogger(__name__)

LOOK_INTERVAL_S = 0.3
# An editor may write a file in several goes.
SETTLE_S = 0.05

# Of a file that is there: when it was changed, its size, and which file it is.
Signature = tuple[int, int, int]


class WatchedFile:
    """A file of simulations, with what it imports from its own folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._look()

    def is_saved(self) -> bool:
        """Whether any of its files is not as it was at the last `note`."""
        return bool(self.saved())

    def saved(self) -> list[Path]:
        """Return those of its files that are not as they were at the last `note`."""
        # An import that failed may have been of a file that was not there.
        any_new = self.path in registry.broken
        return [
            file
            for file, signature in self._look().items()
            if (self._seen[file] != signature if file in self._seen else any_new)
        ]

    def note(self) -> None:
        """Take its files for seen, as they are now. What has vanished is as it was."""
        self._seen |= self._look()

    def note_new(self) -> None:
        """Take for seen what it imports since."""
        self._seen = self._look() | self._seen

    def _look(self) -> dict[Path, Signature]:
        files = neighbours(self.path)
        if self.path in registry.broken:
            # What cannot be imported is no module, and may be where the mistake is.
            files = list(self.path.resolve().parent.glob("*.py"))
        found = {}
        for file in [self.path.resolve(), *files]:
            with suppress(OSError):  # An editor may be about to put a new one in its place.
                status = file.stat()
                found[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found


class Reloader:
    """Watches the files of simulations on a thread of its own, and loads them there.

    Args:
        pool: The sessions that are started anew.
        say: Called there with each sentence for the console, and whether that is an error.
    """

    def __init__(self, pool: Pool, say: Callable[[str, bool], None]) -> None:
        self._pool, self._say = pool, say
        self._loop: asyncio.AbstractEventLoop | None = None
        self._files = [WatchedFile(path) for path in registry.files]
        self._stop_requested = threading.Event()
        # A daemon: a file that never ends loading must not keep the server from its end.
        self._thread = threading.Thread(target=self._run, name="reloader", daemon=True)

    def start(self) -> None:
        """Begin to watch. Called on the event loop, where the sessions are."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def request_stop(self) -> None:
        self._stop_requested.set()

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; True if it has ended, or never began."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop_requested.wait(LOOK_INTERVAL_S):
            for watched in self._files:
                try:
                    if watched.is_saved():
                        self._reload(watched)
                except Exception:
                    # The top of a thread, which has the next save to live for.
                    logger.exception("%s could not be loaded anew", watched.path)

    def _reload(self, watched: WatchedFile) -> None:
        path = watched.path
        # What was saved; or the file itself, if that is already as it was.
        name = next(iter(watched.saved()), path).name
        # Before it is read: a save that comes meanwhile is another.
        watched.note()
        while not self._stop_requested.wait(SETTLE_S) and watched.is_saved():
            watched.note()
        try:
            found = registry.reload_file(path)
        except SimulationFileError as error:
            # Who watches need not know in which folder it is.
            sentence = str(error).replace(f"{path.resolve().parent}{os.sep}", "")
            sentence = sentence.replace(str(path), path.name)
            self._say(sentence, True)
            names = registry.names_in(path)
            self._on_loop(tell_failure(self._pool, names, sentence, error.place))
            return
        finally:
            watched.note_new()
        with suppress(EngineError):  # The first session that needs it says why there is none.
            fork_server.renew()
        self._say(_("%(file)s was saved and loaded anew.") % {"file": name}, False)
        self._on_loop(restart_sessions(self._pool, name, found))

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done where the sessions are. Waits for that, but not past the end."""
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while not self._stop_requested.is_set():
            if futures.wait([future], LOOK_INTERVAL_S).done:
                future.result()
                return


async def tell_failure(
    pool: Pool, names: list[str], sentence: str, place: Place | None = None
) -> None:
    """Tell the viewers of a file's sessions why it cannot be loaded; where, to those who ask."""
    pool.mistakes |= dict.fromkeys(names, (sentence, place))
    for live in _sessions_of(pool, names):
        live.note_mistake(sentence, place)


async def restart_sessions(pool: Pool, file: str, found: Mapping[str, Simulation | None]) -> None:
    """Start the sessions of simulations that were loaded anew once more, with the same parameters.

    Args:
        file: What the file is called.
        found: Each simulation by its name; None for one that the file no longer declares.
    """
    for name in found:
        pool.mistakes.pop(name, None)
    for live in pool.all():
        if live.session.simulation.name in found:
            live.broken_at = None
            live.withdraw("reload_failed")
    for live in _sessions_of(pool, found):
        simulation = found[live.session.simulation.name]
        # It may have been started since the file was loaded.
        if simulation is live.session.simulation:
            continue
        if simulation is None:
            sentence = _("%(file)s was saved: the simulation %(name)s is no longer in it.")
            live.notify("reloaded", sentence % {"file": file, "name": live.session.simulation.name})
        elif not live.ends_with_its_connection and not await _restarted(
            pool, live, simulation, file
        ):
            continue
        live.request_stop(StopReason.RELOAD)


def _sessions_of(pool: Pool, names: Mapping[str, Any] | list[str]) -> list[LiveSession]:
    """Return the sessions of these simulations that go on, or failed while somebody watches."""
    return [
        live for live in pool.all() if live.session.simulation.name in names and _is_concerned(live)
    ]


def _is_concerned(live: LiveSession) -> bool:
    has_failed = live.session.state is State.FAILED and live.viewers > 0
    return live.successor is None and (live.goes_on or has_failed)


async def _restarted(pool: Pool, live: LiveSession, simulation: Simulation, file: str) -> bool:
    """Start a session anew and tell its viewers; False if it has to go on as it is."""
    try:
        former = live.session.snapshot().params
        params, lost = await validated(carried_over, simulation, former)
        if not _is_concerned(live):
            return False  # It was stopped meanwhile.
        successor = pool.replace(live, simulation, params)
    except Exception as error:
        # A limit or a parameter that is now required, or whatever the author's form raises.
        if not isinstance(error, ClientError):
            logger.exception("session %s could not be started anew", live.id)
        sentence = _("%(file)s was saved, but this session could not be started anew: %(reason)s")
        live.notify("reload_failed", sentence % {"file": file, "reason": error})
        return False
    sentence = _("%(file)s was saved: the session was started anew.") % {"file": file}
    if lost:
        sentence += " " + _("At their defaults: %(names)s.") % {"names": ", ".join(lost)}
    live.notify("reloaded", sentence, session=successor.id)
    return True


def carried_over(
    simulation: Simulation, former: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of a session that is to go on with another version of its simulation.

    Args:
        simulation: The new version.
        former: The values that the session has.

    Returns:
        A value for each parameter, and the names of those former ones that could not be kept.

    Raises:
        InvalidParams: If one has neither a former value nor a default.
    """
    fields = params_form(simulation)().fields
    former = as_data(simulation, former)
    kept = {name: value for name, value in former.items() if name in fields}
    while True:
        try:
            params = validate_params(simulation, kept)
        except InvalidParams as error:
            # A form that judges values together does not say which is the wrong one.
            wrong = kept.keys() & error.fields.keys() or set(kept)
            if not wrong:
                raise
            kept = {name: value for name, value in kept.items() if name not in wrong}
        else:
            return params, [name for name in former if name not in kept]
