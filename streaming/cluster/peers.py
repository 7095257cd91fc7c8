"""The processes of one site: which are there, and what one asks another about a session.

Everything here runs on the event loop, but for what says otherwise.
"""

import asyncio
import json
import logging
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from streaming.cluster.bus import BEAT_S, Bus, Message
from streaming.delivery import protocol
from streaming.engine.errors import ClientError, Unavailable, error_of
from streaming.engine.events import Pointer
from streaming.engine.snapshot import StopReason
from streaming.identity import Identity
from streaming.sessions.control import Caller, may_control, point
from streaming.sessions.live import LiveSession
from streaming.sessions.pool import Pool
from streaming.sessions.tables import on_table_thread

logger = logging.getLogger(__name__)

# A question is asked again after so long, until it is answered or given up.
REPEAT_S = 0.3
ANSWER_S = 10.0
# A process that was not heard for so long is gone, or cut off.
GONE_S = 3.0
# A process that the first one has not named for so long says to all that it is there. What the
# first one has heard may be a second old, and half a second goes by until it looks: all before
# GONE_S.
COUNTED_S = 1.25
# So many processes look after the leases of all.
MOST_LOOKERS = 3
# What was answered to an order is remembered for so long, so that one that comes twice is obeyed
# once. The oldest are forgotten beyond these limits.
REMEMBER_S = 2 * ANSWER_S
MAX_ANSWERS = 10_000
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_PEERS = 256
# What somebody did on a picture says nothing to a simulation that hears it later than that.
POINTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Another process, as it, or the first process for it, was heard last."""

    name: str
    incarnation: str
    process: str
    heard_at: float
    figures: Mapping[str, Any]


class Peers:
    """Knows the other processes, asks them and answers them, from `start` until `stop`.

    Each process says every second that it is there, to the one whose name is the first; that one
    says to all whom it hears. So each gets one message a second, however many there are. A process
    that is not named, as one that is new, or all of them when the first is gone, says it to all.

    Args:
        bus: What is said and heard.
        pool: The sessions that are asked about.
        figures: Returns what the others should know of this process.
    """

    def __init__(self, bus: Bus, pool: Pool, figures: Callable[[], Mapping[str, Any]]) -> None:
        self._bus, self._pool, self._figures = bus, pool, figures
        self._peers: dict[str, Peer] = {}
        self._beating: asyncio.Task[None] | None = None
        # When the first process named this one last.
        self._counted_at = float("-inf")
        self._count = 0
        self._asked: dict[str, asyncio.Future[Message]] = {}
        self._answering: dict[str, asyncio.Task[None]] = {}
        # What was answered to orders lately, and when, in that order.
        self._answered: dict[str, tuple[float, str]] = {}
        self._answered_bytes = 0
        # When another process of this one's name was heard.
        self._clash_at = float("-inf")
        self._began = float("-inf")
        self._answers_to = {
            "attach": self._attach,
            "obey": self._obey,
            "confide": self._confide,
            "stack": self._stack,
            "frame": self._frame,
            "table": self._table,
        }
        bus.on("alive", self._hear_peer)
        bus.on("roll", self._hear_roll)
        bus.on("ask", self._hear_question)
        bus.on("answer", self._hear_answer)
        bus.on("pointer", self._hear_pointer)

    def start(self) -> None:
        """Say every second that this process is there."""
        if self._bus.process.has_others and (self._beating is None or self._beating.done()):
            self._began = time.monotonic()
            self._beating = asyncio.create_task(self._beat_on(), name="cluster")

    def stop(self) -> None:
        """End everything that `start` began, and what is being answered."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        for answering in self._answering.values():
            answering.cancel()
        self._answered.clear()
        self._answered_bytes = 0
        self._peers.clear()

    @property
    def others(self) -> list[Peer]:
        """The other processes that are there. On any thread."""
        now = time.monotonic()
        return [peer for peer in list(self._peers.values()) if now - peer.heard_at < GONE_S]

    @property
    def is_alone(self) -> bool:
        """Whether no other process is there that viewers could go to, as far as this one could have
        heard. A compute machine serves no pages."""
        if not self._bus.process.has_others:
            return True
        serving = [peer for peer in self.others if "compute" not in peer.figures]
        return not serving and not self.has_just_begun

    @property
    def has_just_begun(self) -> bool:
        """Whether this process has not listened for long enough to have heard all others."""
        return time.monotonic() - self._began < GONE_S

    @property
    def is_first(self) -> bool:
        """Whether this process does what one of all has to do: its name is the first."""
        return self._first == self._bus.process.name

    @property
    def first(self) -> Peer | None:
        """The other process that does what one of all has to do; None if this one does it."""
        return self._peers.get(self._first)

    @property
    def _first(self) -> str:
        return min([self._bus.process.name, *(peer.name for peer in self.others)])

    @property
    def looks_after_leases(self) -> bool:
        """Whether this process is one of the few that look after the leases of all. Which ones is
        chance, so that they seldom are on one machine, and gone together."""
        own = self._bus.process.incarnation
        return sum(peer.incarnation < own for peer in self.others) < MOST_LOOKERS

    @property
    def has_name_clash(self) -> bool:
        """Whether another process says that it has this one's name. On any thread."""
        return time.monotonic() - self._clash_at < GONE_S

    def may_answer(self, name: str) -> bool:
        """Whether a process is there, or may be, since this one has only begun to listen."""
        return bool(name) and (self.hears(name) or self.has_just_begun)

    def hears(self, name: str) -> bool:
        """Whether a process is there."""
        peer = self._peers.get(name)
        return peer is not None and time.monotonic() - peer.heard_at < GONE_S

    async def ask(
        self, process: str, what: str, session_id: str, *, answer_s: float = ANSWER_S, **fields: Any
    ) -> dict[str, Any]:
        """Ask another process about a session of its own, until it answers.

        Raises:
            Unavailable: If it does not answer.
            ClientError: What it says instead.
        """
        if not self._bus.is_running:
            raise Unavailable(_("the other processes cannot be reached from here"))
        self._count += 1
        question = f"{self._bus.process.incarnation}.{self._count}"
        answer = self._asked[question] = asyncio.get_running_loop().create_future()
        fields |= {"id": question, "what": what, "session": session_id}
        fields["language"] = translation.get_language()
        deadline = time.monotonic() + answer_s
        try:
            while not answer.done():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Unavailable(
                        _("the process that runs this session does not answer: try again")
                    )
                wait = min(REPEAT_S, left)
                self._bus.post(process, "ask", keep_s=wait, **fields)
                await asyncio.wait([answer], timeout=wait)
        finally:
            del self._asked[question]
        said = json.loads(answer.result()["text"])
        if said["error"] is not None:
            raise error_of(said["error"])
        result: dict[str, Any] = said["result"]
        return result

    def point(self, process: str, session_id: str, said: dict[str, Any]) -> None:
        """Tell another process what somebody did on the picture of a session of its own."""
        self._bus.post(process, "pointer", keep_s=POINTER_S, session=session_id, **said)

    # What this process hears.

    def _hear_pointer(self, message: Message) -> None:
        with suppress(ClientError):  # There is no answer.
            event = protocol.command(json.loads(message["command"]))
            if isinstance(event, Pointer):
                point(self._pool.get(message["session"]), event, _caller(message))

    def _hear_roll(self, message: Message) -> None:
        """Take from the first process which others are there, and how long each was silent."""
        self._hear_peer(message)
        now, own = time.monotonic(), self._bus.process
        if message["incarnation"] == own.incarnation:
            return
        for name, incarnation, process, silent_s, figures in message["peers"]:
            if incarnation == own.incarnation:
                self._counted_at = now
            elif name != own.name:
                self._note(Peer(name, incarnation, process, now - silent_s, figures))

    def _hear_peer(self, message: Message) -> None:
        name, incarnation = message["from"], message["incarnation"]
        if incarnation == self._bus.process.incarnation:
            return
        now = time.monotonic()
        if name == self._bus.process.name:
            if not self.has_name_clash:
                logger.error(
                    "another process, %s, has this one's name %r: give each its own "
                    "LIVESTEP_PROCESS",
                    message["process"],
                    name,
                )
            self._clash_at = now
            return
        self._note(Peer(name, incarnation, message["process"], now, message["figures"]))

    def _note(self, peer: Peer) -> None:
        known = self._peers.get(peer.name)
        if known is not None and known.heard_at >= peer.heard_at:
            return
        if len(self._peers) >= MAX_PEERS and known is None:
            del self._peers[min(self._peers.values(), key=lambda peer: peer.heard_at).name]
        self._peers[peer.name] = peer

    def _hear_answer(self, message: Message) -> None:
        answer = self._asked.get(message["id"])
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _hear_question(self, message: Message) -> None:
        question = message["id"]
        if question in self._answered:
            self._send_answer(message, self._answered[question][1])
        elif question not in self._answering:
            answering = asyncio.create_task(self._take(message), name="cluster answering")
            self._answering[question] = answering
            answering.add_done_callback(lambda task: self._answering.pop(question))

    async def _take(self, message: Message) -> None:
        text = await self._answer(message)
        # Any other question changes nothing, and may be answered again.
        if message["what"] == "obey":
            self._remember(message["id"], text)
        self._send_answer(message, text)

    def _send_answer(self, message: Message, text: str) -> None:
        self._bus.post(message["from"], "answer", id=message["id"], text=text)

    def _remember(self, question: str, text: str) -> None:
        now = time.monotonic()
        self._answered[question] = (now, text)
        self._answered_bytes += len(text)
        for old, (answered_at, former) in list(self._answered.items()):
            if (
                now - answered_at < REMEMBER_S
                and len(self._answered) <= MAX_ANSWERS
                and self._answered_bytes <= MAX_ANSWER_BYTES
            ):
                break
            del self._answered[old]
            self._answered_bytes -= len(former)

    async def _answer(self, message: Message) -> str:
        """Answer a question, in JSON: a parameter may be what the layer could not carry."""
        with translation.override(message.get("language")):
            try:
                live = self._pool.get(message["session"])
                result = await self._answers_to[message["what"]](live, message)
                return protocol.encode({"result": result, "error": None})
            except ClientError as error:
                return protocol.encode({"error": protocol.error_message(error)})
            except Exception:
                logger.exception("a question of another process could not be answered")
                failure = ClientError(_("the server failed"))
                return protocol.encode({"error": protocol.error_message(failure)})

    def is_known_to_live(self, incarnation: str) -> bool:
        """Whether it is that of this process, or of one that is heard. On any thread."""
        if incarnation == self._bus.process.incarnation:
            return True
        return any(peer.incarnation == incarnation for peer in self.others)

    async def _beat_on(self) -> None:
        while True:
            self._beat()
            await asyncio.sleep(BEAT_S / 2)
            self._beat_between()
            await asyncio.sleep(BEAT_S / 2)

    def _beat_between(self) -> None:
        """Say it to all at once if the first process has fallen silent."""
        if not self.is_first and not self._is_counted:
            self._beat()

    def _beat(self) -> None:
        said = {"process": str(self._bus.process), "figures": self._figures()}
        if self.is_first:
            self._bus.broadcast("roll", peers=self._roll(), **said)
        elif self._is_counted:
            self._bus.post(self._first, "alive", keep_s=BEAT_S, **said)
        else:
            self._bus.broadcast("alive", **said)

    @property
    def _is_counted(self) -> bool:
        """Whether the first process names this one to all. Of two with one name it names one, and
        each is to hear of the other."""
        return time.monotonic() - self._counted_at < COUNTED_S and not self.has_name_clash

    def _roll(self) -> list[list[Any]]:
        """Return whom this process hears, and for how many seconds it has not."""
        now = time.monotonic()
        return [
            [peer.name, peer.incarnation, peer.process, now - peer.heard_at, dict(peer.figures)]
            for peer in self.others
        ]

    # What is answered.

    async def _attach(self, live: LiveSession, message: Message) -> dict[str, Any]:
        return {"can_control": may_control(live, _caller(message)), "status": live.status()}

    async def _obey(self, live: LiveSession, message: Message) -> dict[str, Any]:
        await live.obey(json.loads(message["command"]), _caller(message))
        live.say()
        if message["wait_s"]:
            await live.wait_until_ended(message["wait_s"])
        return {"status": live.status()}

    async def _confide(self, live: LiveSession, message: Message) -> dict[str, Any]:
        return {"told": await live.confide(message["parts"], _caller(message))}

    async def _stack(self, live: LiveSession, message: Message) -> dict[str, Any]:
        return {"stack": await live.stack()}

    async def _frame(self, live: LiveSession, message: Message) -> dict[str, Any]:
        """Have the newest frame sent over the other line, where large things belong."""
        await live.frame()
        parcel = live.newest_parcel()
        if parcel is not None:
            fields = {"session": live.id, "payload": parcel.payload}
            await self._bus.send_frame(message["from"], "glance", **fields)
        return {"has_frame": parcel is not None}

    async def _table(self, live: LiveSession, message: Message) -> dict[str, Any]:
        """Have all that was plotted sent, over the same line."""
        table = await live.table()
        if table:
            payload = await on_table_thread(zlib.compress, table)
            await self._bus.send_frame(message["from"], "table", session=live.id, payload=payload)
        return {"has_table": bool(table)}


def _caller(message: Message) -> Caller:
    return Caller(Identity(**message["identity"]), message["token"], StopReason(message["by"]))
