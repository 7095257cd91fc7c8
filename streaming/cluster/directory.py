"""Where a session is, and what can be done with it: the same, wherever that is."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.utils.translation import gettext as _

from streaming.cluster.orders import Orders
from streaming.cluster.remote import Remotes
from streaming.conf import conf
from streaming.delivery.fanout import Dialect
from streaming.delivery.framing import AnyFrame
from streaming.delivery.window import Window
from streaming.engine.errors import TooManySessions, Unavailable, UnknownSession
from streaming.engine.simulations import Engine
from streaming.engine.snapshot import State
from streaming.models import StreamSession
from streaming.process import name_in
from streaming.sessions.control import Caller, may_control
from streaming.sessions.pool import Pool
from streaming.sessions.stored import Archive, StoredSession

# How long a viewer waits for the session's process before the database has to do.
ATTACH_S = 1.5

Result = TypeVar("Result")
ReadStored = Callable[[str], Awaitable[StoredSession]]


class AnySession(Protocol):
    """A session that runs here, or in another process, or of which only the row is left.

    On the event loop, but for `status`, which is for any thread.
    """

    @property
    def id(self) -> str: ...

    @property
    def is_reachable(self) -> bool:
        """Whether it can be asked now."""

    @property
    def viewers_here(self) -> int:
        """How many of this process's viewers watch it, as far as they count for its limits."""

    def status(self) -> dict[str, Any]:
        """Return its `session` message, as it was heard last."""

    async def frame(self) -> AnyFrame | None:
        """Return its newest frame, if there is one.

        Raises:
            Unavailable: If its process does not answer.
        """

    async def table(self) -> bytes:
        """Return all that is kept of what it has plotted, as a table; empty if that is nothing.

        Raises:
            Unavailable: If its process does not answer.
        """

    def attach(self, window: Window, dialect: Dialect) -> None:
        """Let a window have its state and its newest frame at once, then what comes.

        Raises:
            TooManySessions: If it has as many viewers as it may.
        """

    def detach(self, window: Window, *, lost: bool = False) -> None:
        """Let a window go. A viewer whose connection was lost may want to come back."""

    def report(
        self,
        window: Window,
        answers: str | None = None,
        *,
        params: bool = True,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell one viewer how it is, as an answer to a message with that id.

        Args:
            params: Whether the parameters are told even if they have not changed.
            more: What it is told beside that, from `confide`.
        """

    async def confide(self, what: Collection[str], caller: Caller) -> dict[str, Any]:
        """Return the parts of its `session` message that only those are told who may control it,
        as far as they can be had.

        Args:
            what: `params` for all of them, with long texts; `output` for what it printed last, and
                where it failed.

        Raises:
            ClientError: If the caller may not control it, or its process does not answer.
        """

    async def obey(self, content: Mapping[str, Any], caller: Caller) -> None:
        """Do what a client's message asks for.

        Raises:
            ClientError: If the caller may not, or it cannot be done, or nobody answers.
        """

    def keeps_control(self, caller: Caller) -> bool:
        """Whether a caller whose rights have changed may still control it."""

    async def stack(self) -> str:
        """Return where its Python code is now.

        Raises:
            ClientError: If it has no code that runs, or its process does not answer.
        """


class Directory:
    """Finds sessions: first here, then in the process that has it as far as is known, then by the
    database, which knows what became of it or which process has claimed it."""

    def __init__(self, pool: Pool, orders: Orders, remotes: Remotes, archive: Archive) -> None:
        self._pool, self._orders, self._remotes = pool, orders, remotes
        self.archive = archive

    async def find(
        self, session_id: str, caller: Caller, *, read: ReadStored | None = None
    ) -> tuple[AnySession, bool]:
        """Return a session wherever it is, and whether the caller may control it.

        Args:
            read: Reads the session from the database, if not as the archive does.

        Raises:
            UnknownSession: If there is none, or it ended too long ago.
            Unavailable: If neither its process nor the database answers.
        """
        with suppress(UnknownSession):
            live = self._pool.get(session_id)
            return live, may_control(live, caller)
        known = self._orders.owners.process_of(session_id)
        if (found := await self._ask_process(session_id, caller)) is not None:
            return found
        stored = await (read or self.archive.read)(session_id)
        if stored.has_ended:
            return stored, False
        self._orders.owners.note(session_id, stored.process)
        is_news = self._orders.owners.process_of(session_id) != known
        if is_news and (found := await self._ask_process(session_id, caller)) is not None:
            return found
        # It waits for a process; or it goes on, as far as anybody knows, in one that does not
        # answer, and decides about each order once it answers again.
        return self._remotes.get(session_id, stored.message), stored.obeys(caller)

    async def _ask_process(self, session_id: str, caller: Caller) -> tuple[AnySession, bool] | None:
        """Return what the process of a session says of it; None if it does not answer."""
        if self._orders.may_answer(session_id):
            with suppress(Unavailable, UnknownSession):
                status, can_control = await self._orders.attach(
                    session_id, caller, answer_s=ATTACH_S
                )
                return self._remotes.get(session_id, status), can_control
        return None

    def from_page(
        self,
        session_id: str,
        work: Callable[[AnySession], Awaitable[Result]],
        *,
        timeout: float,
        caller: Caller | None = None,
    ) -> Result:
        """Do something with a session on the thread of a page, which waits.

        An address may be anybody's: for what no process has that is there, nobody waits.

        Args:
            work: Called on the event loop.
            timeout: In seconds.

        Raises:
            UnknownSession: If there is none, or it ended too long ago.
            Unavailable: If its process is not there, or took too long.
            ClientError: What the work raises.
        """
        silent = Unavailable(_("the process that runs this session does not answer: try again"))
        # On the page's own thread, whose database connection is open already.
        read = sync_to_async(self.archive.find)

        async def find_and_work() -> Result:
            async with asyncio.timeout(timeout):
                session, _can_control = await self.find(session_id, caller or Caller(), read=read)
                if not session.is_reachable:
                    raise silent
                return await work(session)

        try:
            return async_to_sync(find_and_work)()
        except TimeoutError as error:
            raise silent from error

    def status_for_page(self, session_id: str, *, timeout: float) -> dict[str, Any]:
        """Return a session's `session` message, on the thread of a page.

        Raises:
            As `from_page`; what the database knows will do where a process does not answer.
        """
        with suppress(Unavailable):
            return self.from_page(session_id, _status, timeout=timeout)
        return self.archive.find(session_id).message

    def live_row(self, session_id: str) -> dict[str, Any] | None:
        """Return the row of a session of this process as it would be written now; None for
        another's. On any thread."""
        try:
            return self._pool.get(session_id).row()
        except UnknownSession:
            return None

    def is_held(self, session_id: str) -> bool:
        """Whether a process that is there has something left of a session: it goes on, or holds
        its thread. Of another process's only that the process is there. On any thread."""
        try:
            return self._pool.get(session_id).is_held
        except UnknownSession:
            return self._orders.is_reachable(session_id)

    def is_going(self, row: StreamSession) -> bool:
        """Whether a session goes on as far as its row and the processes say: it waits, or its
        process is there. On any thread."""
        if row.ended is not None:
            return False
        waits = row.engine == Engine.CLUSTER and row.state == State.QUEUED
        self._orders.owners.note(row.pk, name_in(row.process))
        return waits or self.is_held(row.pk)

    @property
    def viewers(self) -> int:
        """How many viewers this process has, wherever their sessions run. On any thread."""
        return self._pool.viewers_here + self._remotes.viewers

    def check_room(self, *, leaving: AnySession | None) -> None:
        """Refuse one more viewer than this process may have.

        Args:
            leaving: The session that the viewer would leave for another.

        Raises:
            TooManySessions: If there is no room.
        """
        most = conf().MAX_VIEWERS
        leaves_room = leaving is not None and leaving.viewers_here > 0
        if self.viewers - leaves_room >= most:
            raise TooManySessions(
                _("this server has %(most)s viewers, the most allowed") % {"most": most}
            )


async def _status(session: AnySession) -> dict[str, Any]:
    return session.status()
