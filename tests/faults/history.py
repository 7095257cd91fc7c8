"""What every client has seen of a run, and what must be true of it.

The checks are pure functions of a history; each returns what offends against it, so that a run
which fails shows where.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

ENDED = {"stopped", "finished", "failed", "stuck", "lost"}
# How much of a history an offence is shown with.
BEFORE = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that a client was told about a session.

    Args:
        at: Seconds since the run began.
        attendance: Which time it is that the client attends a session: each begins anew with the
            session's state and newest frame.
        place: The process that it is connected to; "nginx" for whichever that has chosen.
        what: "frame", "session", or "unknown" for a session that is said not to be.
        mark: Which beginning of the simulation a frame is of.
    """

    at: float
    client: str
    attendance: int
    place: str
    session: str
    what: str
    epoch: int = 0
    seq: int = 0
    final: bool = False
    state: str = ""
    mark: str = ""

    def __str__(self):
        told = {
            "frame": f"frame {self.seq} of epoch {self.epoch}{' (final)' if self.final else ''}",
            "session": f"epoch {self.epoch}: {self.state}, seq {self.seq}",
            "unknown": "unknown",
        }[self.what]
        where = f"{self.client}/{self.attendance} at {self.place}"
        return f"{self.at:7.2f} s {where}: {self.session}: {told}"


@dataclass(frozen=True, slots=True)
class Offence:
    """What is wrong, and the part of the history that shows it, in its order."""

    sentence: str
    shown_by: tuple[Seen, ...]

    def __str__(self):
        return "\n    ".join([self.sentence, *map(str, self.shown_by)])


def frames_that_go_back(history):
    """Within an epoch, and while a client attends a session, `seq` never goes back."""
    for seen in _attendances(history):
        newest = {}
        for place, one in enumerate(seen):
            if one.what == "frame":
                if one.seq < newest.get(one.epoch, 0):
                    yield _offence("seq has gone back", seen, place)
                newest[one.epoch] = max(one.seq, newest.get(one.epoch, 0))


def frames_after_the_final_one(history):
    for seen in _attendances(history):
        is_over = False
        for place, one in enumerate(seen):
            if one.what == "frame":
                if is_over:
                    yield _offence("a frame has followed the final one", seen, place)
                is_over = is_over or one.final


def frames_of_a_lost_session(history):
    """Who was told that a session is lost sees nothing new of it: a frame that still comes is of an
    earlier epoch, which a client does not show."""
    for seen in _attendances(history):
        lost_in = None
        for place, one in enumerate(seen):
            if one.state == "lost":
                lost_in = one.epoch
            if one.what == "frame" and lost_in is not None and one.epoch >= lost_in:
                yield _offence("a frame has followed the session's loss", seen, place)


def ends_that_are_taken_back(history):
    """A session that has ended does not go on, and an epoch does not return."""
    for seen in _attendances(history):
        states = [(place, one) for place, one in enumerate(seen) if one.what == "session"]
        for (_, before), (place, one) in pairwise(states):
            if before.state in ENDED and one.state not in ENDED:
                yield _offence("a session that had ended goes on", seen, place)
            if one.epoch < before.epoch:
                yield _offence("an epoch has returned", seen, place)


def ends_that_differ(history):
    """All who hear how a session has ended hear the same; a stuck one may be stopped after all."""
    for session, seen in _sessions(history).items():
        last = {}
        for one in seen:
            if one.what == "session" and one.state in ENDED:
                last[one.client] = one
        if len({(one.state, one.epoch) for one in last.values()}) > 1:
            yield Offence(f"clients differ in how {session} has ended", tuple(last.values()))


def workers_of_one_session(history):
    """All frames of a session come from one beginning of its simulation."""
    for session, seen in _sessions(history).items():
        first = {}
        for one in seen:
            if one.what == "frame":
                first.setdefault(one.mark, one)
        if len(first) > 1:
            yield Offence(f"{session} has had {len(first)} workers", tuple(first.values()))


def beginnings_of_one_session(lines):
    """A simulation begins once for each session: of each label there is one line at most."""
    found = defaultdict(list)
    for line in lines:
        found[line.partition(" ")[0]].append(line)
    for label, several in found.items():
        if len(several) > 1:
            yield Offence(f"{label} has begun {len(several)} times: {several}", ())


def last_frames_that_are_not_final(history, attending):
    """Who attends a session to its end is shown the final frame last, unless it is lost.

    Args:
        attending: The session that each client attends at the end of the history.
    """
    finals = defaultdict(set)
    for client, session in attending.items():
        seen = [one for one in history if (one.client, one.session) == (client, session)]
        if not seen:
            yield Offence(f"{client} has heard nothing of {session}", ())
            continue
        seen = [one for one in seen if one.attendance == seen[-1].attendance]
        states = [one for one in seen if one.what == "session"]
        frames = [one for one in seen if one.what == "frame"]
        if not states or states[-1].state not in ENDED:
            yield _offence(f"{client} has not heard of the end of {session}", seen, len(seen) - 1)
        elif states[-1].state != "lost" and states[-1].seq:
            if not frames or not frames[-1].final:
                sentence = f"{client} is not shown the final frame of {session}"
                yield _offence(sentence, seen, len(seen) - 1)
            else:
                finals[session].add(frames[-1].seq)
    for session, seqs in finals.items():
        if len(seqs) > 1:
            yield Offence(f"clients differ in the final frame of {session}: {sorted(seqs)}", ())


def ends_that_the_database_has_otherwise(history, attending, rows):
    """The end that the last clients heard of is the one that is stored.

    Args:
        rows: The state and the epoch of each session.
    """
    for session in sorted(set(attending.values())):
        states = [one for one in history if (one.session, one.what) == (session, "session")]
        stored = rows.get(session)
        if states and stored != [states[-1].state, states[-1].epoch]:
            yield Offence(f"the database has {session} as {stored}", (states[-1],))


def sessions_that_are_forgotten(history):
    """A session that anybody was told of is known for an hour, whatever becomes of its process."""
    for seen in _sessions(history).values():
        for place, one in enumerate(seen):
            if one.what == "unknown":
                yield _offence(f"{one.session} is forgotten", seen, place)
                break


CHECKS = (
    frames_that_go_back,
    frames_after_the_final_one,
    frames_of_a_lost_session,
    ends_that_are_taken_back,
    ends_that_differ,
    workers_of_one_session,
    sessions_that_are_forgotten,
)


def _attendances(history):
    found = defaultdict(list)
    for one in history:
        found[one.client, one.attendance, one.session].append(one)
    return found.values()


def _sessions(history):
    found = defaultdict(list)
    for one in history:
        found[one.session].append(one)
    return found


def _offence(sentence, seen, place):
    return Offence(sentence, tuple(seen[max(0, place - BEFORE) : place + 1]))
