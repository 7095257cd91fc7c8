"""Sessions as the database knows them: what outlives their process."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from streaming.delivery import protocol
from streaming.delivery.fanout import Dialect, Fanout
from streaming.delivery.window import Window
from streaming.engine.errors import WrongState
from streaming.engine.frames import Frame
from streaming.engine.snapshot import State
from streaming.identity import Identity
from streaming.models import LastFrame, StreamSession, state_word
from streaming.sessions.pool import unknown
from streaming.sessions.records import KEEP_S, owner_hash


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session of which only the row is left, or which cannot be asked now.

    Args:
        message: Its `session` message, as its process said it last.
        frame: Its last frame, if it has ended and made one.
        owner_key: What its owner's sessions have in common; "" if that is nobody known.
    """

    message: dict[str, Any]
    frame: Frame | None
    owner_key: str = ""

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
        """Let a window have how it ended, and the last frame; nothing follows."""
        self.report(window)
        if self.frame is not None:
            fanout = Fanout(self.id, lambda frames, deflate: None)
            window.offer(fanout.parcel(self.frame, dialect, final=True))

    def detach(self, window: Window, *, lost: bool = False) -> None:
        """Nothing was begun for a window, so nothing ends."""

    def report(self, window: Window, answers: str | None = None) -> None:
        window.post(protocol.encode(self.message, answers))

    def belongs_to(self, identity: Identity) -> bool:
        """Whether somebody is known to be its owner, or may control every session. Who has only
        the token is not: it is gone with the session's process."""
        is_owner = self.owner_key == owner_hash(identity.owner_key) != ""
        return is_owner or identity.controls_all


def over(state: State) -> WrongState:
    """Return why nothing can be done any more to a session that has ended."""
    return WrongState(
        _("the session is %(state)s and can no longer be controlled") % {"state": state_word(state)}
    )


def find_stored(session_id: str) -> StoredSession:
    """Read a session from the database. It waits: not on the event loop.

    Raises:
        UnknownSession: If there is none, or it ended too long ago.
        DatabaseError: If the database does not answer.
    """
    row = StreamSession.objects.filter(pk=session_id).first()
    since = timezone.now() - timedelta(seconds=KEEP_S)
    if row is None or not row.message or (row.ended is not None and row.ended < since):
        raise unknown(session_id)
    return StoredSession(_message(row), _last_frame(row), row.owner_key)


def _message(row: StreamSession) -> dict[str, Any]:
    message = {**row.message, "params": row.params, "state": row.state, "epoch": row.epoch}
    if row.state == State.LOST:
        message |= {"viewers": 0, "stop": None, "error": {"message": row.error}}
    return message


def _last_frame(row: StreamSession) -> Frame | None:
    if row.ended is None:
        return None
    kept = LastFrame.objects.filter(pk=row.pk).first()
    if kept is None:
        return None
    frame, _final = protocol.decode_frame(bytes(kept.message))
    return frame
