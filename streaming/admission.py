"""Who may start a session now."""

from collections.abc import Iterable
from typing import Protocol

from streaming.conf import conf
from streaming.engine.errors import TooManySessions
from streaming.identity import Identity, is_same_owner


class Occupant(Protocol):
    """A session that holds a thread, a stuck one too."""

    owner: Identity


def admit(owner: Identity, occupants: Iterable[Occupant]) -> None:
    """Let an owner start one more session.

    Raises:
        TooManySessions: If that is one too many, for the owner or for the process.
    """
    occupants = list(occupants)
    own = sum(is_same_owner(owner, occupant.owner) for occupant in occupants)
    if own >= conf().MAX_SESSIONS_PER_OWNER:
        raise TooManySessions(
            f"you have {own} sessions going, the most allowed: stop one of them first"
        )
    if len(occupants) >= conf().MAX_THREAD_SESSIONS:
        raise TooManySessions(
            f"the server runs {len(occupants)} sessions, the most it may: try again in a while"
        )
