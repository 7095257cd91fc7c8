"""Who may start a session now, and who waits for a place."""

from collections import Counter
from collections.abc import Collection
from typing import Protocol

from django.utils.translation import gettext as _

from streaming.conf import conf
from streaming.engine.errors import TooManySessions
from streaming.engine.simulations import LOCAL_ENGINES, Engine
from streaming.identity import Identity, is_same_owner
from streaming.sessions.fairness import in_turn


class Applicant(Protocol):
    """A session that has a place, or wants one."""

    @property
    def id(self) -> str: ...
    @property
    def owner(self) -> Identity: ...
    @property
    def engine(self) -> Engine: ...


class Admission:
    """Places for threads and for processes, and one queue for both.

    A place belongs to a session until its worker has ended; a stuck one keeps it. Free places go
    to whoever's owner has the fewest, and among those to whoever came first.
    """

    def __init__(self) -> None:
        self._holding: list[Applicant] = []
        self._waiting: list[Applicant] = []
        # Those that are about to wait: they count, but are not started yet.
        self._coming: list[Applicant] = []

    def check(
        self,
        owner: Identity,
        engine: Engine,
        *,
        leaving: Collection[Applicant] = (),
        inherits: bool = False,
    ) -> None:
        """See whether an owner may have one more session, now or later.

        Args:
            leaving: The sessions that are about to give their places, or turns, to others.
            inherits: Whether the session in question is to have one of those.

        Raises:
            TooManySessions: If that is one too many for the owner, or for the queue.
        """
        most_own = conf().MAX_SESSIONS_PER_OWNER
        staying = [live for live in self._everybody if live not in leaving]
        own = [live for live in staying if _shares_places(owner, live.owner)]
        if len(own) >= most_own:
            own_waiting = sum(live in self._waiting for live in own)
            raise TooManySessions(
                _(
                    "you have %(own)s sessions, %(waiting)s of them waiting, and %(most)s are the "
                    "most allowed: stop one of them first"
                )
                % {"own": len(own), "waiting": own_waiting, "most": most_own}
            )
        if inherits:
            return
        # Also those that are still on their way to the queue.
        waiting = sum(max(0, self._wanting(one) - places(one)) for one in LOCAL_ENGINES)
        if self._wanting(engine) >= places(engine) and waiting >= conf().MAX_QUEUED:
            raise TooManySessions(
                _(
                    "the server runs the %(places)s %(engine)s sessions that it may, and "
                    "%(waiting)s more wait, the most allowed: try again in a while"
                )
                % {"places": places(engine), "engine": engine, "waiting": waiting}
            )

    def reserve(self, applicant: Applicant) -> None:
        """Count a session that is about to join."""
        self._coming.append(applicant)

    def join(self, applicant: Applicant) -> None:
        """Let a session wait; `admit` says when it may start."""
        if applicant in self._coming:
            self._coming.remove(applicant)
        self._waiting.append(applicant)

    def leave(self, applicant: Applicant) -> None:
        """Free a session's place, or its place in the queue."""
        for group in (self._holding, self._waiting, self._coming):
            if applicant in group:
                group.remove(applicant)

    def admit(self) -> Applicant | None:
        """Give a free place to the session whose turn it is; None when nobody can start."""
        for engine in LOCAL_ENGINES:
            if self.held(engine) < places(engine) and (queue := self._queue(engine)):
                self._waiting.remove(queue[0])
                self._holding.append(queue[0])
                return queue[0]
        return None

    def wanting(self) -> list[Applicant]:
        """Return those who wait though their owners have no place at all, one for each engine."""
        having = {_owner(applicant) for applicant in self._holding}
        first = (next(iter(self._queue(engine)), None) for engine in LOCAL_ENGINES)
        return [one for one in first if one is not None and _owner(one) not in having]

    def positions(self) -> dict[str, int]:
        """Return where each waiting session stands among those of its engine, from 1."""
        return {
            applicant.id: position
            for engine in LOCAL_ENGINES
            for position, applicant in enumerate(self._queue(engine), start=1)
        }

    def held(self, engine: Engine) -> int:
        """Return how many places are taken. On any thread."""
        return sum(applicant.engine is engine for applicant in self._holding)

    @property
    def _everybody(self) -> list[Applicant]:
        return [*self._holding, *self._waiting, *self._coming]

    def _wanting(self, engine: Engine) -> int:
        return sum(applicant.engine is engine for applicant in self._everybody)

    def _queue(self, engine: Engine) -> list[Applicant]:
        """Return those who wait, in the order in which they would get places."""
        places_of = Counter(map(_owner, self._holding))
        waiting = [applicant for applicant in self._waiting if applicant.engine is engine]
        return in_turn(waiting, _owner, places_of)


def places(engine: Engine) -> int:
    """Return how many sessions of an engine may run at once."""
    return conf().MAX_THREAD_SESSIONS if engine is Engine.THREAD else conf().MAX_PROCESS_SESSIONS


def _shares_places(one: Identity, other: Identity) -> bool:
    """Whether two owners count as one for their places: strangers without a cookie do, if they
    come from one address."""
    if is_same_owner(one, other):
        return True
    are_strangers = one.owner_key is None and other.owner_key is None
    return are_strangers and one.address is not None and one.address == other.address


def _owner(applicant: Applicant) -> str:
    # Clients of which nothing is known are an owner each.
    return applicant.owner.places_key or applicant.id
