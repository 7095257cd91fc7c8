"""Sessions that run in other processes, as this one's viewers and pages have them.

Everything here runs on the event loop, but for what says otherwise.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TypeVar

from channels.db import database_sync_to_async
from django.db import DatabaseError
from django.utils.translation import gettext as _

from streaming.cluster.bridge import Watching
from streaming.cluster.bus import Message, bus
from streaming.cluster.peers import ANSWER_S, caller_fields, cluster
from streaming.delivery import protocol
from streaming.delivery.fanout import Dialect, Fanout
from streaming.delivery.window import Window
from streaming.engine.errors import ClientError, LivestepError, Unavailable, UnknownSession
from streaming.engine.snapshot import Receipt, State
from streaming.sessions.control import STAFF, Caller, may_control
from streaming.sessions.live import LiveSession, check_crowd
from streaming.sessions.pool import sessions, unknown
from streaming.sessions.stored import StoredSession, find_stored, over

logger = logging.getLogger(__name__)

# How often the process that runs a session is told who watches here.
WATCH_S = 1.0
# How often it is looked after.
LOOK_S = 0.5
# How often the database is asked about a session whose process is silent.
READ_S = 2.0
# How long a viewer waits for the session's process before the database has to do.
ATTACH_S = 1.5
GLANCE_S = 2.0
RECONNECTING = "reconnecting"
# What a session's row knows better than who has watched it until its process was lost.
OF_THE_END = ("state", "epoch", "viewers", "stop", "error")

Result = TypeVar("Result")


class RemoteSession:
    """A session of another process, while somebody watches it here.

    Args:
        status: Its `session` message, as it was last.
    """

    def __init__(self, session_id: str, status: dict[str, Any]) -> None:
        self.id = session_id
        self._process = process_of(session_id)
        self._fanout = Fanout(session_id, self._note_demand)
        self._status = status
        self._revision = 1
        self._notices: dict[str, dict[str, Any]] = {}
        # Whether anybody can take a frame, and what its process was told of that and of viewers.
        self._wants_frames = self._told_wants_frames = False
        self._told_viewers = 0
        # How many watch it in other processes.
        self._elsewhere = int(status["viewers"])
        self._frame_seq, self._has_final = 0, False
        self._told_at = self._read_at = float("-inf")
        self._is_cut_off = False
        # Whether the database is to be asked, since its process knows nothing of it.
        self._must_read = False
        # Whether its process should say everything again.
        self._is_fresh = True
        # Whether the last viewer that left may want to come back.
        self._has_lost_viewer = False

    @property
    def viewers(self) -> int:
        return len(self._fanout)

    @property
    def has_ended(self) -> bool:
        return State(self._status["state"]).ended

    @property
    def is_complete(self) -> bool:
        """Whether nothing more comes."""
        # The thread of a stuck one may end after all.
        if not self.has_ended or self._status["state"] == State.STUCK:
            return False
        has_frame_to_come = self._status["seq"] and self._status["state"] != State.LOST
        return self._has_final or not has_frame_to_come

    def attach(self, window: Window, dialect: Dialect) -> None:
        """Let a window have this session: its state and newest frame at once, then what comes.

        Raises:
            TooManySessions: If it has as many viewers as it may.
        """
        check_crowd(self._elsewhere + self.viewers)
        if not self.viewers:
            # The fan-out has forgotten its frame with its last viewer.
            self._frame_seq, self._has_final, self._is_fresh = 0, False, True
        self._fanout.add(window, dialect)
        self.report(window)
        for notice in self._notices.values():
            window.post(protocol.encode(notice))
        self.tell()

    def detach(self, window: Window, *, lost: bool = False) -> None:
        self._fanout.remove(window)
        self._has_lost_viewer = lost
        self.tell()

    def report(self, window: Window, answers: str | None = None) -> None:
        """Tell one viewer how the session was when it was heard last."""
        self._revision += 1
        self._fanout.tell(window, protocol.encode(self._status, answers), self._revision)

    async def obey(self, content: dict[str, Any], caller: Caller) -> None:
        """Have its process do what a client's message asks for.

        Raises:
            ClientError: What that process says instead, or that it does not answer.
        """
        if self.has_ended and content["type"] != "stop":
            raise over(State(self._status["state"]))
        if self.has_ended and not cluster.hears(self._process):
            return  # It has stopped already.
        # What came of it is said to all viewers, before the answer.
        await order(self.id, content, caller)

    def tell(self, *, fresh: bool = False) -> None:
        """Tell its process who watches here, and what is known."""
        self._told_at = time.monotonic()
        self._is_fresh = self._is_fresh or fresh
        self._told_wants_frames, self._told_viewers = self._wants_frames, self.viewers
        said = Watching(
            viewers=self.viewers,
            wants_frames=self._wants_frames,
            seq=self._frame_seq,
            final=self._has_final,
            fresh=self._is_fresh,
            lost=self._has_lost_viewer,
        )
        bus.post(self._process, "watch", keep_s=WATCH_S, session=self.id, said=asdict(said))

    def hear(self, text: str) -> None:
        """Take what its process says to the viewers."""
        message = json.loads(text)
        if message.get("type") == "session":
            self._is_fresh = False
            self.hear_status(message)
        elif message.get("type") == "notice":
            self._notices[str(message.get("code"))] = message
            self._fanout.post(text, None, None)

    def hear_status(self, status: dict[str, Any]) -> None:
        if status["epoch"] < self._status["epoch"] or self._has_gone_back(status):
            return
        if status["step"] != self._status["step"] or status["state"] != self._status["state"]:
            self._notices.pop("slow_step", None)
            self._notices.pop("pausing", None)
        if State(status["state"]).ended:
            self._notices.pop("server_stopping", None)
        self._status = status
        self._elsewhere = max(0, int(status["viewers"]) - self._told_viewers)
        self._revision += 1
        self._fanout.post(protocol.encode(status), None, self._revision)

    def _has_gone_back(self, status: dict[str, Any]) -> bool:
        """Whether a message was overtaken by another that says how the session has ended."""
        return self.has_ended and not State(status["state"]).ended

    def hear_frame(self, payload: bytes) -> None:
        try:
            frame, final = protocol.decode_frame(payload)
        except ValueError:
            logger.warning("a frame of session %s could not be read", self.id)
            return
        # Of one that was given up for lost nothing more is shown.
        if self._status["state"] != State.LOST and (frame.seq > self._frame_seq or final):
            self._frame_seq, self._has_final = frame.seq, final
            self._fanout.offer(frame, final=final)

    def look(self, now: float) -> bool:
        """See whether its process is there, and tell it who watches; True if it is not, and the
        database should be asked."""
        if self.is_complete:
            return False
        hears = cluster.hears(self._process) and bus.is_connected
        if hears and self._is_cut_off:
            self._is_cut_off = False
            self._notices.pop(RECONNECTING, None)
            self.tell(fresh=True)
        elif not hears and not self._is_cut_off:
            self._is_cut_off = True
            self._say_cut_off()
        elif now - self._told_at >= (LOOK_S if self._is_fresh else WATCH_S):
            self.tell()
        if self._must_read or (not hears and now - self._read_at >= READ_S):
            self._read_at, self._must_read = now, False
            return True
        return False

    def read_soon(self) -> None:
        """Have the database asked, since it knows better than its process."""
        self._must_read = True

    def _say_cut_off(self) -> None:
        sentence = "The process that runs this session does not answer: reconnecting…"
        notice = self._notices[RECONNECTING] = protocol.notice_message(RECONNECTING, sentence)
        self._fanout.post(protocol.encode(notice), None, None)

    def adopt(self, stored: StoredSession) -> None:
        """Take from the database how it has ended."""
        if not stored.has_ended or self.is_complete:
            return
        self._notices.pop(RECONNECTING, None)
        message = stored.message
        if stored.state is State.LOST and message["step"] < self._status["step"]:
            # Its viewers have seen it go on after its row was written last.
            message = {**self._status, **{name: message[name] for name in OF_THE_END}}
        self.hear_status(message)
        if stored.frame is not None and stored.state is not State.LOST:
            self._frame_seq, self._has_final = stored.frame.seq, True
            self._fanout.offer(stored.frame, final=True)

    def _note_demand(self, frames: bool, deflate: bool) -> None:
        self._wants_frames = frames
        # That nobody can take one just now may wait for the next message: it is so for a moment
        # after each frame.
        if frames and not self._told_wants_frames:
            self.tell()


Attended = LiveSession | RemoteSession | StoredSession


class Remotes:
    """The sessions of other processes that are watched here. One task looks after them."""

    def __init__(self) -> None:
        self._sessions: dict[str, RemoteSession] = {}
        self._looking: asyncio.Task[None] | None = None
        # Those of which the database is to be asked, one after the other.
        self._unread: dict[str, RemoteSession] = {}
        self._reading: asyncio.Task[None] | None = None
        # Those who have asked for a frame over HTTP.
        self._glances: dict[str, list[asyncio.Future[bytes]]] = {}
        cluster.viewers_afar = lambda: self.viewers
        bus.on("text", self._hear_text)
        bus.on("frame", self._hear_frame)
        bus.on("glance", self._hear_glance)
        bus.on("gone", lambda message: self._read_soon([message["session"]]))
        bus.on("lost", lambda message: self._read_soon(message["sessions"]))

    async def find(self, session_id: str, caller: Caller) -> tuple[Attended, bool]:
        """Return a session wherever it is, and whether the caller may control it.

        Raises:
            UnknownSession: If there is none, or it ended too long ago.
            Unavailable: If neither its process nor the database answers.
        """
        if _may_be_elsewhere(session_id) and cluster.may_answer(process_of(session_id)):
            with suppress(Unavailable, UnknownSession):
                answer = await ask("attach", session_id, answer_s=ATTACH_S, **caller_fields(caller))
                known = self._sessions.get(session_id)
                found = known or RemoteSession(session_id, answer["status"])
                return found, answer["can_control"]
        stored = await read_stored(session_id)
        if stored.has_ended:
            return stored, False
        # It goes on, as far as anybody knows, in a process that does not answer. Who asked at the
        # same time may have it already: of two, one would never hear of it again.
        found = self._sessions.get(session_id) or RemoteSession(session_id, stored.message)
        # Its process decides about each order, once it answers again.
        return found, stored.belongs_to(caller.identity)

    def keep(self, remote: RemoteSession) -> None:
        """Look after a session that is watched from now on."""
        self._sessions[remote.id] = remote
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(), name="remote sessions")

    async def frame(self, session_id: str) -> bytes | None:
        """Return the newest frame of a session of another process, as it goes over the wire."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        waiting = self._glances.setdefault(session_id, [])
        waiting.append(future)
        try:
            answer = await ask("frame", session_id, answer_s=GLANCE_S)
            if not answer["has_frame"]:
                return None
            return await asyncio.wait_for(future, GLANCE_S)
        except TimeoutError as error:
            raise Unavailable(_("the frame did not arrive: try again")) from error
        finally:
            waiting.remove(future)
            if not waiting:
                self._glances.pop(session_id, None)

    @property
    def viewers(self) -> int:
        """How many of this process's viewers watch sessions of others. On any thread."""
        return sum(remote.viewers for remote in list(self._sessions.values()))

    def close(self) -> None:
        for task in (self._looking, self._reading):
            if task is not None:
                task.cancel()
        self._looking = self._reading = None
        self._sessions.clear()
        self._unread.clear()

    def _hear_text(self, message: Message) -> None:
        if (remote := self._sessions.get(message["session"])) is not None:
            remote.hear(message["text"])

    def _hear_frame(self, message: Message) -> None:
        if (remote := self._sessions.get(message["session"])) is not None:
            remote.hear_frame(message["payload"])

    def _hear_glance(self, message: Message) -> None:
        for future in self._glances.get(message["session"], ()):
            if not future.done():
                future.set_result(message["payload"])

    def _read_soon(self, session_ids: list[str]) -> None:
        for session_id in session_ids:
            if (remote := self._sessions.get(session_id)) is not None:
                remote.read_soon()

    async def _look_on(self) -> None:
        while self._sessions:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            for session_id, remote in list(self._sessions.items()):
                if not remote.viewers:
                    del self._sessions[session_id]
                elif remote.look(now):
                    self._read(remote)

    def _read(self, remote: RemoteSession) -> None:
        """Have the database asked about a session. It may take its time, and nobody else's."""
        self._unread[remote.id] = remote
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_on(), name="remote sessions reading")

    async def _read_on(self) -> None:
        while self._unread:
            remote = self._unread.pop(next(iter(self._unread)))
            try:
                remote.adopt(await read_stored(remote.id))
            except LivestepError as error:
                logger.debug("session %s: %s", remote.id, error)
            except Exception:
                logger.exception("session %s could not be read", remote.id)


remotes = Remotes()


async def find(session_id: str, caller: Caller) -> tuple[Attended, bool]:
    """Return a session wherever it is, and whether the caller may control it.

    Raises:
        UnknownSession: If there is none, or it ended too long ago.
        Unavailable: If neither its process nor the database answers.
    """
    with suppress(UnknownSession):
        live = sessions.get(session_id)
        return live, may_control(live, caller)
    return await remotes.find(session_id, caller)


async def ask(
    what: str, session_id: str, *, answer_s: float = ANSWER_S, **fields: Any
) -> dict[str, Any]:
    """Ask the process of a session about it.

    Raises:
        Unavailable: If it does not answer, or there are no others.
        ClientError: What it says instead.
    """
    if not _may_be_elsewhere(session_id):
        raise unknown(session_id)
    return await cluster.ask(process_of(session_id), what, session_id, answer_s=answer_s, **fields)


async def order(
    session_id: str,
    content: dict[str, Any],
    caller: Caller,
    *,
    wait_s: float = 0,
    answer_s: float = ANSWER_S,
) -> dict[str, Any]:
    """Have the process of a session do what a client's message asks for; returns its `session`
    message then.

    Args:
        wait_s: How long its end may be waited for.

    Raises:
        As `ask`.
    """
    answer = await ask(
        "obey",
        session_id,
        answer_s=answer_s + wait_s,
        command=protocol.encode(content),
        wait_s=wait_s,
        **caller_fields(caller),
    )
    status: dict[str, Any] = answer["status"]
    return status


async def read_stored(session_id: str) -> StoredSession:
    """Return a session as the database knows it.

    Raises:
        UnknownSession: If there is none, or it ended too long ago.
        Unavailable: If the database does not answer.
    """
    try:
        return await database_sync_to_async(find_stored, thread_sensitive=False)(session_id)
    except DatabaseError as error:
        raise Unavailable(_("the database does not answer: try again in a moment")) from error


def process_of(session_id: str) -> str:
    """Return the name of the process that a session's id begins with."""
    return session_id.partition("-")[0]


def _may_be_elsewhere(session_id: str) -> bool:
    return bus.has_others and process_of(session_id) != bus.name


def is_reachable(session_id: str) -> bool:
    """Whether the process of a session that is not of this one is there. On any thread."""
    return _may_be_elsewhere(session_id) and cluster.hears(process_of(session_id))


def from_page(
    session_id: str, work: Callable[[], Coroutine[Any, Any, Result]], timeout: float
) -> Result:
    """Await what another process is asked, from the thread of a page, which waits.

    An address may be anybody's: for what no process has that is there, nobody waits.

    Args:
        work: Begins the asking, on the event loop.

    Raises:
        UnknownSession: If it cannot be another process's.
        Unavailable: If that process is not there, or took too long.
        ClientError: What the work raises.
    """
    if not _may_be_elsewhere(session_id):
        raise unknown(session_id)
    silent = Unavailable(_("the process that runs this session does not answer"))
    loop = bus.loop
    if loop is None or not is_reachable(session_id):
        raise silent
    future = asyncio.run_coroutine_threadsafe(work(), loop)
    try:
        return future.result(timeout)
    except TimeoutError as error:
        future.cancel()
        raise silent from error


def stop_from_command(ids: list[str], timeout_s: float) -> dict[str, str]:
    """Stop sessions of running servers, from a command.

    Returns:
        How each was stopped, by its id, but for those whose process did not answer.
    """
    return asyncio.run(_stop_each(ids, timeout_s))


async def _stop_each(ids: list[str], timeout_s: float) -> dict[str, str]:
    bus.start(as_guest=True)
    try:
        said = await asyncio.gather(*(_stop_one(session_id, timeout_s) for session_id in ids))
    finally:
        await bus.stop()
    return {pk: sentence for pk, sentence in zip(ids, said, strict=True) if sentence}


async def _stop_one(session_id: str, timeout_s: float) -> str:
    caller = Caller(STAFF, by="command")
    try:
        status = await order(
            session_id, {"type": "stop"}, caller, wait_s=timeout_s / 2, answer_s=timeout_s / 2
        )
    except ClientError as error:
        logger.warning("session %s could not be stopped: %s", session_id, error)
        return ""
    return receipt(status)


def receipt(status: dict[str, Any]) -> str:
    """Return in words how a session was stopped, from its `session` message."""
    stop = status["stop"]
    return str(Receipt(**stop)) if stop else str(status["state"])
