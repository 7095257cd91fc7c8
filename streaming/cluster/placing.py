"""Sessions on compute machines, as the process knows them that was asked for one.

Starting one writes its row, with which it waits (claims.py), and sends a message that says so
(broker.py). The message is only a knock at the door: the machine that takes it claims whose turn it
is. So a message that comes twice does nothing, and one that is lost is found missing here: there
are to be as many messages in a queue as sessions wait in it.

Everything here runs on the event loop, but for what says otherwise.
"""

import asyncio
import json
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from streaming.catalog.engines import why_no_cluster
from streaming.catalog.forms import as_data
from streaming.cluster import claims
from streaming.cluster.broker import Broker
from streaming.cluster.bus import Bus
from streaming.cluster.claims import Waiting
from streaming.cluster.database import DatabaseThread
from streaming.cluster.peers import Peers
from streaming.conf import conf
from streaming.delivery import framing, protocol
from streaming.engine.errors import ServerStopping, Unavailable
from streaming.engine.params import Upload
from streaming.engine.session import Session
from streaming.engine.simulations import Abandon, Engine, Simulation
from streaming.engine.snapshot import StopReason
from streaming.identity import Identity, owner_hash, token_hash
from streaming.process import PLACED_PREFIX
from streaming.sessions.live import Wishes
from streaming.sessions.records import ANSWER_S
from streaming.sessions.rows import row

logger = logging.getLogger(__name__)

# How often it is looked whether messages are missing.
LOOK_S = 2.0
# More than that are not sent at once: the next look sends the others.
MOST_AT_ONCE = 1000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Placed:
    """A session that was started and waits: its token, and its `session` message."""

    id: str
    token: str
    status: dict[str, Any]


class Placing:
    """Places sessions, and sees to it that machines hear of those that wait, from `start` until
    `stop`.

    Args:
        broker: Carries the messages.
        is_stopping: Whether this process is about to end.
    """

    def __init__(
        self, bus: Bus, peers: Peers, broker: Broker, is_stopping: Callable[[], bool]
    ) -> None:
        self._bus, self._peers, self._broker = bus, peers, broker
        self._is_stopping = is_stopping
        # Those of which no message was sent yet, by their queue: ids, and names of simulations.
        self._unsent: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False
        self._database = DatabaseThread("placing")
        # The ids of those that waited at the last look.
        self._seen: set[str] = set()
        # How many wait in each queue, as of the last look of any process. On any thread.
        self.lengths: Mapping[str, int] = {}

    def start(self) -> None:
        if (self._task is None or self._task.done()) and not why_no_cluster():
            self._woken = asyncio.Event()
            self._task = asyncio.create_task(self._tend_on(), name="placing")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._broker.close()
        self._database.close()

    async def place(
        self,
        simulation: Simulation,
        params: Mapping[str, Any],
        owner: Identity,
        *,
        fps: float | None = None,
        abandon: Abandon | None = None,
        abandon_grace: float | None = None,
        sets_step_rate: bool = False,
        steps_per_second: float | None = None,
    ) -> Placed:
        """Have a session run on a compute machine, as soon as one has a place for it.

        What is None is left to the simulation and the settings.

        Raises:
            ServerStopping: If this process is about to end.
            TooManySessions: If a limit is reached.
            Unavailable: If the database does not answer.
        """
        if self._is_stopping():
            raise ServerStopping(_("the server is restarting: try again in a moment"))
        if fps is None:
            fps = conf().FPS if simulation.fps is None else simulation.fps
        wishes = Wishes(
            fps=fps,
            steps_per_second=steps_per_second if sets_step_rate else simulation.steps_per_second,
            abandon=abandon or simulation.abandon or conf().ABANDON,
            abandon_grace=conf().ABANDON_GRACE if abandon_grace is None else abandon_grace,
        )
        session_id = f"{PLACED_PREFIX}{secrets.token_urlsafe(16)}"
        token, queue = secrets.token_urlsafe(24), queue_of(simulation)
        status, fields = _first_row(session_id, simulation, params, owner, wishes)
        await self._ask_database(
            claims.enqueue,
            fields,
            session_id,
            queue=queue,
            given=_given(simulation, params),
            wishes=wishes,
            token_hash=token_hash(token),
            most_waiting=conf().MAX_QUEUED + self._free_places(queue),
        )
        logger.info("session %s waits in the queue %s: %s", session_id, queue, simulation.name)
        self._unsent[queue].append((session_id, simulation.name))
        self._woken.set()
        return Placed(session_id, token, status)

    async def end_waiting(self, session_id: str, by: StopReason) -> bool:
        """End a session that waits; False if it no longer does.

        Raises:
            Unavailable: If the database does not answer.
        """
        has_stopped = await self._ask_database(claims.stop, session_id, by)
        if has_stopped:
            logger.info("session %s stopped while it waited: %s", session_id, by)
            self._bus.broadcast("gone", session=session_id)
        return has_stopped

    async def turns(self) -> dict[str, tuple[int, Waiting]]:
        """Return the sessions that wait, by their ids, each with its position in its queue, from 1.

        Raises:
            Unavailable: If the database does not answer.
        """
        positions: dict[str, int] = defaultdict(int)
        found = {}
        for one in await self._ask_database(claims.waiting_in_turn):
            positions[one.queue] += 1
            found[one.id] = positions[one.queue], one
        return found

    def hindrance(self, one: Waiting) -> str:
        """Say why a session waits, where that is not only for a free place; else nothing."""
        machines = self._machines()
        if not machines and self._peers.has_just_begun:
            return ""  # Those that are there may not have been heard yet.
        if not any(one.queue in machine["queues"] for machine in machines):
            return (
                "No compute machine is there that takes sessions of this kind: "
                "this one waits until there is."
            )
        if not any(
            one.queue in machine["queues"] and one.simulation in machine["simulations"]
            for machine in machines
        ):
            return (
                f"No compute machine that is there knows {one.simulation}: "
                "this session waits until there is one."
            )
        return ""

    def _machines(self) -> list[Mapping[str, Any]]:
        """Return what the compute machines that take sessions say of themselves."""
        figures = [peer.figures for peer in self._peers.others]
        return [one["compute"] for one in figures if "compute" in one and not one.get("stopping")]

    def _free_places(self, queue: str) -> int:
        """Return how many sessions of a queue need not wait for long."""
        serving = [machine for machine in self._machines() if queue in machine["queues"]]
        return sum(max(0, machine["places"] - machine["taken"]) for machine in serving)

    # Messages.

    async def _tend_on(self) -> None:
        look_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, look_at - time.monotonic())):
                    await self._woken.wait()
            try:
                await self._send_new()
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + LOOK_S
                    self._database.end_old_connection()
                    await self._look()
            except Unavailable as error:
                logger.debug("the queues cannot be looked at: %s", error)
            except Exception as error:  # noqa: BLE001  # Whatever the broker's library raises.
                self._note_failure(error)

    async def _send_new(self) -> None:
        self._woken.clear()
        unsent, self._unsent = self._unsent, defaultdict(list)
        for queue, sessions in unsent.items():
            await self._run(self._broker.send, queue, sessions)

    async def _look(self) -> None:
        """Count those that wait; have messages sent where there are fewer. The first of all
        processes does that, and says to the others what it has counted."""
        if (first := self._peers.first) is not None:
            self.lengths = first.figures.get("waiting", {})
            self._seen = set()
            return
        self.lengths = await self._ask_database(claims.lengths)
        if not self.lengths:
            self._seen = set()
            return
        waiting = await self._ask_database(claims.waiting_in_turn)
        # The messages of those that are new may still be on their way.
        known, self._seen = self._seen, {one.id for one in waiting}
        for queue in self.lengths:
            own = [
                (one.id, one.simulation)
                for one in waiting
                if one.queue == queue and one.id in known
            ]
            missing = len(own) - await self._run(self._broker.length, queue)
            if missing > 0:
                await self._run(self._broker.send, queue, own[: min(missing, MOST_AT_ONCE)])

    async def _ask_database(
        self, work: Callable[..., Result], *args: Any, **options: Any
    ) -> Result:
        """Do something that asks the database.

        Raises:
            Unavailable: If the database does not answer, or not soon.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._database.ask(work, *args, **options)
        except (DatabaseError, TimeoutError) as error:
            raise Unavailable(_("the database does not answer: try again in a moment")) from error

    async def _run(self, work: Callable[..., Result], *args: Any) -> Result:
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._broker.executor, work, *args)
        self._note_success()
        return result

    def _note_failure(self, error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.warning("the broker does not answer; sessions wait meanwhile: %s", error)

    def _note_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            logger.warning("the broker answers again")


def queue_of(simulation: Simulation) -> str:
    return simulation.queue or conf().QUEUE


def _given(simulation: Simulation, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the parameters are validated from again; a file is left as it is."""
    data = as_data(simulation, params)
    files = {name: value for name, value in data.items() if isinstance(value, Upload)}
    others = {name: value for name, value in data.items() if name not in files}
    return {**json.loads(json.dumps(others, default=str)), **files}


def _first_row(
    session_id: str,
    simulation: Simulation,
    params: Mapping[str, Any],
    owner: Identity,
    wishes: Wishes,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the `session` message of a new session that waits, and the fields of its row."""
    session = Session(
        session_id,
        simulation,
        params,
        fps=wishes.fps,
        on_change=lambda snapshot: None,
        on_notice=lambda code, sentence: None,
        engine=Engine.CLUSTER,
    )
    session.set_step_rate(wishes.steps_per_second)
    snapshot = session.snapshot()
    # Nobody has it in their hands yet.
    status = protocol.status_message(snapshot, viewers=0, epoch=framing.EPOCH - 1)
    fields = row(
        snapshot,
        owner,
        viewers=0,
        started=timezone.now(),
        warning="",
        measured_rate=None,
        message=status,
    )
    nobodys = {"process": "", "incarnation": "", "epoch": framing.EPOCH - 1}
    # Strangers without a cookie share the limits of their address, and nothing else.
    return status, {**fields, **nobodys, "owner_key": owner_hash(owner.places_key)}
