"""What this process asks others about their sessions, and has them do."""

from dataclasses import asdict
from typing import Any

from streaming.cluster.owners import Owners
from streaming.cluster.peers import ANSWER_S, Peers
from streaming.delivery import protocol
from streaming.engine.snapshot import Receipt
from streaming.process import Process
from streaming.sessions.control import Caller
from streaming.sessions.stored import unknown


class Orders:
    """Asks the process of a session. On the event loop, but for what says otherwise."""

    def __init__(self, process: Process, peers: Peers, owners: Owners) -> None:
        self._process, self._peers, self.owners = process, peers, owners

    def is_reachable(self, session_id: str) -> bool:
        """Whether the process of a session that is not of this one is there. On any thread."""
        process = self.owners.process_of(session_id)
        return self._is_elsewhere(process) and self._peers.hears(process)

    def may_answer(self, session_id: str) -> bool:
        """Whether it is there, or may be, since this process has only begun to listen."""
        process = self.owners.process_of(session_id)
        return self._is_elsewhere(process) and self._peers.may_answer(process)

    async def ask(
        self, what: str, session_id: str, *, answer_s: float = ANSWER_S, **fields: Any
    ) -> dict[str, Any]:
        """Ask the process of a session about it.

        Raises:
            Unavailable: If it does not answer, or there are no others.
            ClientError: What it says instead.
        """
        process = self.owners.process_of(session_id)
        if not self._is_elsewhere(process):
            raise unknown(session_id)
        return await self._peers.ask(process, what, session_id, answer_s=answer_s, **fields)

    async def attach(
        self, session_id: str, caller: Caller, *, answer_s: float
    ) -> tuple[dict[str, Any], bool]:
        """Return a session's `session` message, and whether the caller may control it.

        Raises:
            As `ask`.
        """
        fields = caller_fields(caller)
        answer = await self.ask("attach", session_id, answer_s=answer_s, **fields)
        return answer["status"], answer["can_control"]

    async def order(
        self,
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
        answer = await self.ask(
            "obey",
            session_id,
            answer_s=answer_s + wait_s,
            command=protocol.encode(content),
            wait_s=wait_s,
            **caller_fields(caller),
        )
        status: dict[str, Any] = answer["status"]
        return status

    async def confide(self, session_id: str, what: list[str], caller: Caller) -> dict[str, Any]:
        """Return what the process of a session tells only those who may control it.

        Raises:
            As `ask`.
        """
        answer = await self.ask("confide", session_id, parts=what, **caller_fields(caller))
        told: dict[str, Any] = answer["told"]
        return told

    def point(self, session_id: str, content: dict[str, Any], caller: Caller) -> None:
        """Tell the process of a session what a caller did on its picture. There is no answer."""
        process = self.owners.process_of(session_id)
        if self._is_elsewhere(process):
            said = {"command": protocol.encode(content), **caller_fields(caller)}
            self._peers.point(process, session_id, said)

    def _is_elsewhere(self, process: str) -> bool:
        """Whether a name may be that of another process."""
        return self._process.has_others and process not in ("", self._process.name)


def caller_fields(caller: Caller) -> dict[str, Any]:
    """Return a caller as a message between processes has it."""
    identity = asdict(caller.identity)
    if not isinstance(identity["user_id"], int | None):
        identity["user_id"] = str(identity["user_id"])
    return {"identity": identity, "token": caller.token, "by": caller.by}


def receipt(status: dict[str, Any]) -> str:
    """Return in words how a session was stopped, from its `session` message."""
    stop = status["stop"]
    return str(Receipt(**stop)) if stop else str(status["state"])
