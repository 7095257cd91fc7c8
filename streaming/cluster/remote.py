"""Sessions that run in other processes, as this one's viewers and pages have them.

Everything here runs on the event loop, but for what says otherwise.
"""

import asyncio
import json
import logging
import time
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from django.utils.translation import gettext as _

from streaming.cluster.bridge import Watching
from streaming.cluster.bus import Bus, Message
from streaming.cluster.orders import Orders
from streaming.cluster.peers import Peers
from streaming.cluster.placing import Placing
from streaming.conf import conf
from streaming.delivery import framing, protocol
from streaming.delivery.fanout import Dialect, Fanout
from streaming.delivery.framing import AnyFrame
from streaming.delivery.notices import Notices
from streaming.delivery.window import Window
from streaming.engine.errors import Forbidden, LivestepError, Unavailable, WrongState
from streaming.engine.series import Series
from streaming.engine.snapshot import State
from streaming.sessions.control import Caller
from streaming.sessions.live import check_crowd
from streaming.sessions.stored import Archive, StoredSession, over
from streaming.sessions.tables import on_table_thread

logger = logging.getLogger(__name__)

# How often the process that runs a session is told how many watch here.
WATCH_S = 1.0
# Of what it plots. Thinned on the event loop: so many take less than 10 ms.
MOST_POINTS = 10_000
# How often it is looked after.
LOOK_S = 0.5
# How often the database is asked about a session whose process is silent.
READ_S = 2.0
GLANCE_S = 2.0
# A long table is written and compressed first. The longest has less than 8 MB.
TABLE_S = 4.0
MAX_TABLE_BYTES = 16 * 1024 * 1024
# How often it is looked whose turn is next.
TURNS_S = 1.0
RECONNECTING, WAITING = "reconnecting", "waiting"
MACHINE_IS_THERE = "A compute machine is there: the session waits for a free place."
# What a session's row knows better than its viewers here, who saw it until its process was lost.
OF_THE_END = ("state", "epoch", "viewers", "stop", "error")


class RemoteSession:
    """A session of another process, while somebody watches it here.

    Args:
        status: Its `session` message, as it was last.
        process: The name of the process that has it; "" while it waits for one.
        remotes: Looks after it while somebody watches.
    """

    def __init__(
        self,
        session_id: str,
        status: dict[str, Any],
        *,
        process: str,
        bus: Bus,
        peers: Peers,
        remotes: "Remotes",
    ) -> None:
        self.id = session_id
        self._bus, self._peers, self._remotes = bus, peers, remotes
        self._process = process
        self._series = Series(MOST_POINTS)
        self._fanout = Fanout(session_id, self._note_demand, self._series, conf().MAX_FRAME_BYTES)
        self._status = status
        self._notices = Notices()
        self._notices.note_place(State(status["state"]), status["step"])
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
        # Why it waits, as its viewers were told.
        self._hindrance = ""

    @property
    def is_reachable(self) -> bool:
        """Whether its process is there, or may be; of one that waits, the database is asked."""
        return self.waits or self._peers.may_answer(self._process)

    @property
    def waits(self) -> bool:
        """Whether it waits for a process to claim it, as far as is known here."""
        return not self._process and not self.has_ended

    @property
    def viewers_here(self) -> int:
        """How many watch it in this process. On any thread."""
        return len(self._fanout)

    @property
    def has_ended(self) -> bool:
        return State(self._status["state"]).ended

    @property
    def is_complete(self) -> bool:
        """Whether nothing more comes."""
        # The thread of a stuck one may end after all.
        if not State(self._status["state"]).is_over:
            return False
        has_frame_to_come = self._status["seq"] and self._status["state"] != State.LOST
        return self._has_final or not has_frame_to_come

    def attach(self, window: Window, dialect: Dialect) -> None:
        """Let a window have this session: its state and newest frame at once, then what comes.

        Raises:
            TooManySessions: If it has as many viewers as it may.
        """
        check_crowd(self._elsewhere + self.viewers_here)
        if not self.viewers_here:
            # The fan-out has forgotten its frame with its last viewer.
            self._frame_seq, self._has_final, self._is_fresh = 0, False, True
        self._fanout.add(window, dialect)
        if dialect is not None:
            self.report(window)
            for notice in self._notices:
                window.post(protocol.encode(notice))
        elif line := plain_line(self._status):
            window.post(line)
        self._remotes.keep(self)
        self.tell()

    def detach(self, window: Window, *, lost: bool = False) -> None:
        self._fanout.remove(window)
        self._has_lost_viewer = lost
        self.tell()

    def report(
        self,
        window: Window,
        answers: str | None = None,
        *,
        params: bool = True,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell one viewer how the session was when it was heard last.

        Args:
            params: Whether the parameters are told, which its process tells when they change.
            more: What it is told beside that, from `confide`.
        """
        status = self._status if params else protocol.without_params(self._status)
        text = protocol.encode(protocol.with_more(status, more), answers)
        self._fanout.tell(window, text, None)

    async def confide(self, what: Collection[str], caller: Caller) -> dict[str, Any]:
        """Have its process tell what it printed last. Long texts among the parameters stay there.

        Raises:
            ClientError: What that process says instead, or that it does not answer.
        """
        if self.has_ended and not self._peers.hears(self._process):
            return {}  # It is gone with its process.
        return await self._remotes.orders.confide(self.id, [*{*what} - {"params"}], caller)

    def status(self) -> dict[str, Any]:
        """Return the `session` message, as it was heard last. On any thread."""
        return self._status

    async def frame(self) -> AnyFrame | None:
        """Have its process send the newest frame.

        Raises:
            Unavailable: If it does not answer.
        """
        return None if self.waits else await self._remotes.frame(self.id)

    async def table(self) -> bytes:
        """Have its process send all that is kept of what it has plotted.

        Raises:
            Unavailable: If it does not answer.
        """
        return b"" if self.waits else await self._remotes.table(self.id)

    async def stack(self) -> str:
        """Ask its process where its Python code is now.

        Raises:
            ClientError: What that process says instead, or that it does not answer.
        """
        if self.waits:
            return "It has not started yet.\n"
        return str((await self._remotes.orders.ask("stack", self.id))["stack"])

    def keeps_control(self, caller: Caller) -> bool:
        """No: only its process knows. The client asks it when it comes back."""
        return False

    async def obey(self, content: Mapping[str, Any], caller: Caller) -> None:
        """Have its process do what a client's message asks for.

        Raises:
            ClientError: What that process says instead, or that it does not answer.
        """
        if content["type"] == "pointer":
            self._remotes.orders.point(self.id, dict(content), caller)
            return
        if self.has_ended and content["type"] not in ("stop", "status"):
            raise over(State(self._status["state"]))
        if self.has_ended and not self._peers.hears(self._process):
            return  # It has stopped already.
        if self.waits and await self._obey_waiting(content, caller):
            return
        # What came of it is said to all viewers, before the answer.
        self.accept(await self._remotes.orders.order(self.id, dict(content), caller))

    async def _obey_waiting(self, content: Mapping[str, Any], caller: Caller) -> bool:
        """Do what a client's message asks for while no process has it; False if one has it now.

        Raises:
            ClientError: If the caller may not, or it cannot be done.
        """
        stored = await self._remotes.archive.read(self.id)
        if stored.state is not State.QUEUED:
            self.adopt(stored)
            return self.has_ended
        if not stored.obeys(caller):
            raise Forbidden(_("you are watching this session; only its owner may control it"))
        if content["type"] == "status":
            return True
        if content["type"] != "stop":
            raise WrongState(
                _("the session waits for a compute machine; until it runs it can only be stopped")
            )
        is_done = await self._remotes.placing.end_waiting(self.id, caller.by)
        self.adopt(await self._remotes.archive.read(self.id))
        return is_done

    def move_to(self, process: str) -> None:
        """Note which process has claimed it."""
        if process and process != self._process:
            self._process = process
            # Its orders go there, too: the claim may have been read before it is heard.
            self._remotes.note_owner(self.id, process)
            self.note_turn(None, "")
            self.tell(fresh=True)

    def note_turn(self, position: int | None, hindrance: str) -> None:
        """Note where it stands in its queue, and why it waits if that is not only for a place."""
        if position != self._status.get("queue_position"):
            self.hear_status({**self._status, "queue_position": position})
        if hindrance == self._hindrance:
            return
        self._hindrance = hindrance
        notice = protocol.notice_message(WAITING, hindrance or MACHINE_IS_THERE)
        if hindrance:
            self._notices.keep(notice)
        else:
            self._notices.withdraw(WAITING)
        if self.waits:
            self._fanout.post(protocol.encode(notice), None, None)

    def tell(self, *, fresh: bool = False) -> None:
        """Tell its process how many watch here, and what is known."""
        if not self._process:
            return
        self._told_at = time.monotonic()
        self._is_fresh = self._is_fresh or fresh
        self._told_wants_frames, self._told_viewers = self._wants_frames, self.viewers_here
        said = Watching(
            viewers=self.viewers_here,
            wants_frames=self._wants_frames,
            seq=self._frame_seq,
            final=self._has_final,
            fresh=self._is_fresh,
            lost=self._has_lost_viewer,
        )
        self._bus.post(
            self._process,
            "watch",
            keep_s=WATCH_S,
            session=self.id,
            said=asdict(said),
            joined=self._bus.has_joined(self.id),
        )

    def hear(self, text: str) -> None:
        """Take what its process says to the viewers."""
        message = json.loads(text)
        if message.get("type") == "session":
            self._is_fresh = False
            self.hear_status(message)
        elif message.get("type") == "notice":
            self._notices.keep(message)
            self._fanout.post(text, None, None)
        elif message.get("type") == "series":
            self._series.hear(message)
            self._fanout.telling.note_news()

    def hear_status(self, status: dict[str, Any]) -> None:
        if self.accept(status):
            self._fanout.post(protocol.encode(status), plain_line(status), None)

    def accept(self, status: dict[str, Any]) -> bool:
        """Take a `session` message for how it is now, unless it is an old one; True if it was."""
        if status["epoch"] < self._status["epoch"] or self._has_gone_back(status):
            return False
        self._notices.note_place(State(status["state"]), status["step"])
        if "params" not in status:  # They have not changed.
            known = {name: self._status[name] for name in protocol.PARAMS if name in self._status}
            status = {**status, **known}
        self._status = status
        self._elsewhere = max(0, int(status["viewers"]) - self._told_viewers)
        return True

    def _has_gone_back(self, status: dict[str, Any]) -> bool:
        """Whether a message was overtaken by another that says how the session has ended."""
        return self.has_ended and not State(status["state"]).ended

    def hear_frame(self, payload: bytes) -> None:
        try:
            frame, final = framing.decode_frame(payload)
        except ValueError:
            logger.warning("a frame of session %s could not be read", self.id)
            return
        # Of one that was given up for lost nothing more is shown.
        if self._status["state"] != State.LOST and (frame.seq > self._frame_seq or final):
            self._frame_seq, self._has_final = frame.seq, final
            self._fanout.offer(frame, final=final)

    def look(self, now: float) -> bool:
        """See whether its process is there, and tell it how many watch here. True if it is not
        there, and the database should be asked."""
        if self.is_complete:
            return False
        if self.waits:
            must_read, self._must_read = self._must_read, False
            return must_read
        hears = self._peers.hears(self._process) and self._bus.is_connected
        if hears and self._is_cut_off:
            self._is_cut_off = False
            self._notices.withdraw(RECONNECTING)
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
        notice = protocol.notice_message(RECONNECTING, sentence)
        self._notices.keep(notice)
        self._fanout.post(protocol.encode(notice), None, None)

    def adopt(self, stored: StoredSession) -> None:
        """Take from the database how it has ended."""
        if not stored.has_ended:
            self.move_to(stored.process)
        if not stored.has_ended or self.is_complete:
            return
        self._notices.withdraw(RECONNECTING)
        self._notices.withdraw(WAITING)
        message = stored.message
        if stored.state is State.LOST and message["step"] < self._status["step"]:
            # Its viewers have seen it go on after its row was written last.
            message = {**self._status, **{name: message[name] for name in OF_THE_END}}
        self.hear_status(message)
        for lines in stored.lines:
            self.hear(lines)
        last_frame = stored.last_frame
        if last_frame is not None and stored.state is not State.LOST:
            self._frame_seq, self._has_final = last_frame.seq, True
            self._fanout.offer(last_frame, final=True)

    def _note_demand(self, frames: bool, deflate: bool) -> None:
        self._wants_frames = frames
        # That nobody can take one just now may wait for the next message: it is so for a moment
        # after each frame.
        if frames and not self._told_wants_frames:
            self.tell()


class Remotes:
    """The sessions of other processes that are watched here. One task looks after them."""

    def __init__(
        self, bus: Bus, peers: Peers, orders: Orders, placing: Placing, archive: Archive
    ) -> None:
        self._bus, self._peers, self.orders, self.placing = bus, peers, orders, placing
        self.archive = archive
        # When it was looked whose turn is next; the look, since a database may take its time.
        self._turns_at = float("-inf")
        self._turning: asyncio.Task[None] | None = None
        self._sessions: dict[str, RemoteSession] = {}
        self._looking: asyncio.Task[None] | None = None
        # The sessions that the database is to be asked about, one after the other.
        self._unread: dict[str, RemoteSession] = {}
        self._reading: asyncio.Task[None] | None = None
        # Pages that have asked for a frame, or a table, by that and the session.
        self._asking: dict[tuple[str, str], list[asyncio.Future[bytes]]] = {}
        bus.on("text", self._hear_text)
        bus.on("frame", self._hear_frame)
        bus.on("channel", self._hear_channel)
        bus.on("glance", partial(self._hear_large, "frame"))
        bus.on("table", partial(self._hear_large, "table"))
        bus.on("gone", lambda message: self._read_soon([message["session"]]))
        bus.on("lost", lambda message: self._read_soon(message["sessions"]))
        bus.on("claimed", self._hear_claim)

    def get(self, session_id: str, status: dict[str, Any]) -> RemoteSession:
        """Return a session that was just heard of; the one that is watched here already, if it is.

        Of two, one would never hear of it again.
        """
        known = self._sessions.get(session_id)
        process = self.orders.owners.process_of(session_id)
        if known is None:
            return RemoteSession(
                session_id,
                status,
                process=process,
                bus=self._bus,
                peers=self._peers,
                remotes=self,
            )
        known.accept(status)
        known.move_to(process)
        return known

    def note_owner(self, session_id: str, process: str) -> None:
        self.orders.owners.note(session_id, process)

    def keep(self, remote: RemoteSession) -> None:
        """Look after a session that is watched from now on."""
        self._sessions[remote.id] = remote
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(), name="remote sessions")

    async def frame(self, session_id: str) -> AnyFrame | None:
        """Return the newest frame of a session of another process.

        Raises:
            Unavailable: If that process does not answer, or sends something else.
        """
        payload = await self._fetch("frame", session_id, GLANCE_S)
        try:
            return None if payload is None else framing.decode_frame(payload)[0]
        except ValueError as error:
            raise _not_arrived() from error

    async def table(self, session_id: str) -> bytes:
        """Return all that is kept of what a session of another process has plotted, as a table.

        Raises:
            Unavailable: If that process does not answer, or sends something else.
        """
        payload = await self._fetch("table", session_id, TABLE_S)
        try:
            return b"" if payload is None else await on_table_thread(_inflated, payload)
        except zlib.error as error:
            raise _not_arrived() from error

    async def _fetch(self, what: str, session_id: str, answer_s: float) -> bytes | None:
        """Have a process send something large of its session, over the line of the frames; None
        if there is none.

        Raises:
            Unavailable: If it does not arrive.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        waiting = self._asking.setdefault((what, session_id), [])
        waiting.append(future)
        try:
            answer = await self.orders.ask(what, session_id, answer_s=answer_s)
            return await asyncio.wait_for(future, answer_s) if answer[f"has_{what}"] else None
        except TimeoutError as error:
            raise _not_arrived() from error
        finally:
            waiting.remove(future)
            if not waiting:
                self._asking.pop((what, session_id), None)

    @property
    def viewers(self) -> int:
        """How many of this process's viewers watch sessions of others. On any thread."""
        return sum(remote.viewers_here for remote in list(self._sessions.values()))

    def close(self) -> None:
        for task in (self._looking, self._reading, self._turning):
            if task is not None:
                task.cancel()
        self._looking = self._reading = self._turning = None
        self._sessions.clear()
        self._unread.clear()

    def _hear_claim(self, message: Message) -> None:
        if (remote := self._sessions.get(message["session"])) is not None:
            remote.move_to(message["from"])

    def _hear_text(self, message: Message) -> None:
        if (remote := self._sessions.get(message["session"])) is not None:
            remote.hear(message["text"])

    def _hear_frame(self, message: Message) -> None:
        if (remote := self._sessions.get(message["session"])) is not None:
            remote.hear_frame(message["payload"])

    def _hear_channel(self, message: Message) -> None:
        if message["session"] in self._sessions:
            self._bus.join(message["session"])

    def _hear_large(self, what: str, message: Message) -> None:
        for future in self._asking.get((what, message["session"]), ()):
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
                if not remote.viewers_here:
                    del self._sessions[session_id]
                    self._bus.leave(session_id)
                elif remote.look(now):
                    self._read(remote)
            if now - self._turns_at >= TURNS_S and (self._turning is None or self._turning.done()):
                self._turns_at = now
                self._turning = asyncio.create_task(self._look_at_turns(), name="remote turns")

    async def _look_at_turns(self) -> None:
        """Tell the sessions that wait where they stand. One that does not wait any longer is
        looked for in the database."""
        waiting = [remote for remote in self._sessions.values() if remote.waits]
        if not waiting:
            return
        try:
            turns = await self.placing.turns()
        except Unavailable as error:
            logger.debug("the queue could not be read: %s", error)
            return
        for remote in waiting:
            if remote.id in turns:
                position, one = turns[remote.id]
                remote.note_turn(position, self.placing.hindrance(one))
            else:
                remote.read_soon()

    def _read(self, remote: RemoteSession) -> None:
        """Have the database asked about a session. It may take its time, and nobody else's."""
        self._unread[remote.id] = remote
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_on(), name="remote sessions reading")

    async def _read_on(self) -> None:
        while self._unread:
            remote = self._unread.pop(next(iter(self._unread)))
            try:
                remote.adopt(await self.archive.read(remote.id))
            except LivestepError as error:
                logger.debug("session %s: %s", remote.id, error)
            except Exception:
                logger.exception("session %s could not be read", remote.id)


def _inflated(payload: bytes) -> bytes:
    return zlib.decompressobj().decompress(payload, MAX_TABLE_BYTES)


def _not_arrived() -> Unavailable:
    return Unavailable(_("what was asked for did not arrive: try again"))


def plain_line(status: Mapping[str, Any]) -> str | None:
    """What the plain dialect says of a state: only that a simulation failed."""
    if status["state"] not in (State.FAILED, State.STUCK):
        return None
    said = (status.get("error") or {}).get("message", "")
    return f"error: {' '.join(said.split())}"
