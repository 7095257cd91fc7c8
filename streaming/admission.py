"""Who may start a session now, and who waits for a place."""

from collections import Counter
from typing import Protocol

from streaming.conf import conf
from streaming.engine.errors import TooManySessions
from streaming.engine.simulations import Engine
from streaming.identity import Identity, is_same_owner


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

    def check(self, owner: Identity, engine: Engine) -> None:
        """See whether an owner may have one more session, now or later.

        Raises:
            TooManySessions: If that is one too many for the owner, or for the queue.
        """
        most_own = conf().MAX_SESSIONS_PER_OWNER
        own = [live for live in self._everybody if is_same_owner(owner, live.owner)]
        if len(own) >= most_own:
            waiting = sum(live in self._waiting for live in own)
            raise TooManySessions(
                f"you have {len(own)} sessions, {waiting} of them waiting, and {most_own} are "
                "the most allowed: stop one of them first"
            )
        must_wait = self._wanting(engine) >= places(engine)
        if must_wait and len(self._waiting) >= conf().MAX_QUEUED:
            raise TooManySessions(
                f"the server runs the {places(engine)} {engine} sessions that it may, and "
                f"{len(self._waiting)} more wait, the most allowed: try again in a while"
            )

    def join(self, applicant: Applicant) -> None:
        """Let a session wait; `admit` says when it may start."""
        self._waiting.append(applicant)

    def leave(self, applicant: Applicant) -> None:
        """Free a session's place, or its place in the queue."""
        for group in (self._holding, self._waiting):
            if applicant in group:
                group.remove(applicant)

    def admit(self) -> Applicant | None:
        """Give a free place to the session whose turn it is; None when nobody can start."""
        for engine in Engine:
            if self._held(engine) < places(engine) and (queue := self._queue(engine)):
                self._waiting.remove(queue[0])
                self._holding.append(queue[0])
                return queue[0]
        return None

    def positions(self) -> dict[str, int]:
        """Return where each waiting session stands among those of its engine, from 1."""
        return {
            applicant.id: position
            for engine in Engine
            for position, applicant in enumerate(self._queue(engine), start=1)
        }

    @property
    def _everybody(self) -> list[Applicant]:
        return [*self._holding, *self._waiting]

    def _held(self, engine: Engine) -> int:
        return sum(applicant.engine is engine for applicant in self._holding)

    def _wanting(self, engine: Engine) -> int:
        return sum(applicant.engine is engine for applicant in self._everybody)

    def _queue(self, engine: Engine) -> list[Applicant]:
        """Return those who wait, in the order in which they would get places."""
        places_of = Counter(map(_owner, self._holding))
        waiting = [applicant for applicant in self._waiting if applicant.engine is engine]
        queue = []
        while waiting:
            # Of those that are equal `min` takes the first, who has waited longest.
            following = min(waiting, key=lambda applicant: places_of[_owner(applicant)])
            waiting.remove(following)
            places_of[_owner(following)] += 1
            queue.append(following)
        return queue


def places(engine: Engine) -> int:
    """Return how many sessions of an engine may run at once."""
    return conf().MAX_THREAD_SESSIONS if engine is Engine.THREAD else conf().MAX_PROCESS_SESSIONS


def _owner(applicant: Applicant) -> str:
    # Clients that could not be recognised again are an owner each.
    return applicant.owner.owner_key or applicant.id
