"""Sessions as the database knows them: what outlives their process."""

import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from channels.db import database_sync_to_async
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from streaming.delivery import framing, protocol
from streaming.delivery.fanout import Dialect, Fanout
from streaming.delivery.framing import AnyFrame
from streaming.delivery.protocol import Verb
from streaming.delivery.series import series_of, table_of
from streaming.delivery.window import Window
from streaming.engine.errors import Forbidden, Unavailable, UnknownSession, WrongState
from streaming.engine.snapshot import State
from streaming.identity import Identity, owner_hash, token_hash
from streaming.models import LastFrame, LastLines, StreamSession, state_word
from streaming.process import name_in
from streaming.sessions.control import Caller
from streaming.sessions.rows import KEEP_S
from streaming.sessions.tables import on_table_thread

# What the first page lists of an owner's.
MOST_OWN = 6


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session of which only the row is left, or which cannot be asked now.

    Args:
        message: Its `session` message, as its process said it last.
        last_frame: Its last frame, if it has ended and made one.
        lines: What it has plotted, if it has ended: as `series` messages.
        owner_key: What its owner's sessions have in common; "" if that is nobody known.
        process: The name of the process that runs it or has run it; "" while it waits for one.
        token_hash: Of the token that its starter was given, while it waits for a process.
    """

    message: dict[str, Any]
    last_frame: AnyFrame | None
    owner_key: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    process: str = ""
    token_hash: str = ""
    lines: Sequence[str] = ()

    # It may be asked, though its process may not; and nobody counts those who watch it.
    is_reachable = True
    viewers_here = 0

    @property
    def id(self) -> str:
        return str(self.message["session"])

    @property
    def state(self) -> State:
        return State(self.message["state"])

    @property
    def has_ended(self) -> bool:
        return self.state.ended

    def attach(self, window: Window, dialect: Dialect) -> None:
        """Let a window have how it ended, its lines and the last frame; nothing follows."""
        self.report(window)
        for message in self.lines if dialect is not None else ():
            window.post(message)
        if self.last_frame is not None:
            fanout = Fanout(self.id, lambda frames, deflate: None)
            window.offer(fanout.parcel(self.last_frame, dialect, final=True))

    def detach(self, window: Window, *, lost: bool = False) -> None:
        """Nothing was begun for a window, so nothing ends."""

    def status(self) -> dict[str, Any]:
        return self.message

    async def frame(self) -> AnyFrame | None:
        return self.last_frame

    async def table(self) -> bytes:
        return await on_table_thread(lambda: table_of(series_of(self.lines)))

    def report(
        self,
        window: Window,
        answers: str | None = None,
        *,
        params: bool = True,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        window.post(protocol.encode(protocol.with_more(self.message, more), answers))

    async def confide(self, what: Collection[str], caller: Caller) -> dict[str, Any]:
        """Return all parameters, if they are asked for; what it printed is not kept.

        Raises:
            Forbidden: If the caller is known not to be its owner.
        """
        self._check_belongs_to(caller.identity)
        return protocol.told_params(self.params, whole=True) if "params" in what else {}

    async def obey(self, content: Mapping[str, Any], caller: Caller) -> None:
        """Refuse what cannot be done any more; it has stopped already.

        Raises:
            WrongState: If something else than a stop, or a look, is asked for.
            Forbidden: If the caller is known not to be its owner.
        """
        if content["type"] not in (Verb.STOP, Verb.STATUS):
            raise over(self.state)
        self._check_belongs_to(caller.identity)

    def keeps_control(self, caller: Caller) -> bool:
        """Nothing is left to be controlled, so nothing can be taken away."""
        return True

    async def stack(self) -> str:
        raise over(self.state)

    def _check_belongs_to(self, identity: Identity) -> None:
        if not self.belongs_to(identity):
            raise Forbidden(_("only who started this session may stop it"))

    def belongs_to(self, identity: Identity) -> bool:
        """Whether somebody is known to be its owner, or may control every session. A caller that
        has only the token is not: it is gone with the session's process."""
        is_owner = self.owner_key == owner_hash(identity.owner_key) != ""
        return is_owner or identity.controls_all

    def obeys(self, caller: Caller) -> bool:
        """Whether a caller may control it while it waits for a process, and the token is known."""
        if caller.token is not None and token_hash(caller.token) == self.token_hash:
            return True
        return self.belongs_to(caller.identity)


def unknown(session_id: str) -> UnknownSession:
    """Return the error for a session that nobody knows, or no longer."""
    return UnknownSession(
        _("there is no session %(id)r here: it never was, or it ended too long ago")
        % {"id": session_id[:40]}
    )


def over(state: State) -> WrongState:
    """Return why nothing can be done any more to a session that has ended."""
    return WrongState(
        _("the session is %(state)s and can no longer be controlled") % {"state": state_word(state)}
    )


class Archive:
    """The sessions that the database knows."""

    def find(self, session_id: str) -> StoredSession:
        """Read a session. It waits: not on the event loop.

        Raises:
            UnknownSession: If there is none, or it ended too long ago.
            DatabaseError: If the database does not answer.
        """
        # With its placement in one question: between two it could be claimed.
        row = StreamSession.objects.select_related("placement").filter(pk=session_id).first()
        since = timezone.now() - timedelta(seconds=KEEP_S)
        if row is None or not row.message or (row.ended is not None and row.ended < since):
            raise unknown(session_id)
        return StoredSession(
            _message(row),
            _last_frame(row),
            row.owner_key,
            row.all_params,
            name_in(row.process),
            _token_hash(row),
            _last_lines(row),
        )

    async def read(self, session_id: str) -> StoredSession:
        """Read a session on a thread of its own.

        Raises:
            UnknownSession: If there is none, or it ended too long ago.
            Unavailable: If the database does not answer.
        """
        try:
            return await database_sync_to_async(self.find, thread_sensitive=False)(session_id)
        except DatabaseError as error:
            raise Unavailable(_("the database does not answer: try again in a moment")) from error


def _message(row: StreamSession) -> dict[str, Any]:
    message = {
        **row.message,
        **protocol.told_params(row.all_params),
        "state": row.state,
        "epoch": row.epoch,
    }
    if row.state == State.LOST:
        message |= {"viewers": 0, "stop": None, "error": {"message": row.error}}
    return message


def _token_hash(row: StreamSession) -> str:
    placement = getattr(row, "placement", None)
    return "" if placement is None else str(placement.token_hash)


def _last_frame(row: StreamSession) -> AnyFrame | None:
    if row.ended is None:
        return None
    kept = LastFrame.objects.filter(pk=row.pk).first()
    if kept is None:
        return None
    frame, _final = framing.decode_frame(bytes(kept.message))
    return frame


def _last_lines(row: StreamSession) -> list[str]:
    kept = None if row.ended is None else LastLines.objects.filter(pk=row.pk).first()
    return zlib.decompress(bytes(kept.messages)).decode().split("\n") if kept else []


def own_sessions(owner: Identity) -> list[StreamSession]:
    """Return an owner's newest sessions that can be watched; none if the database is away."""
    if owner.owner_key is None:
        return []
    watchable = Q(ended=None) | Q(ended__gt=timezone.now() - timedelta(seconds=KEEP_S))
    rows = StreamSession.objects.filter(watchable, owner_key=owner_hash(owner.owner_key))
    with suppress(DatabaseError):
        return list(rows.only("title", "state", "step", "simulation", "frames")[:MOST_OWN])
    return []
