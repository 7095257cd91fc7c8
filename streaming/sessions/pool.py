"""The sessions of this process: which begin, which wait, and how long ended ones are kept.

Everything here runs on the event loop, but for what says otherwise.
"""

import asyncio
import heapq
import logging
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _

from streaming.catalog.engines import chosen_engine, local_engine_of
from streaming.conf import conf
from streaming.delivery.notices import SERVER_STOPPING
from streaming.engine.errors import ServerStopping, Unavailable
from streaming.engine.pyplot import IN_A_THREAD, uses_pyplot
from streaming.engine.simulations import LOCAL_ENGINES, Abandon, Engine, Simulation
from streaming.engine.snapshot import State, StopReason
from streaming.engine.traces import Place
from streaming.identity import Identity
from streaming.models import HEARTBEAT_S
from streaming.sessions.admission import Admission, places
from streaming.sessions.calls import Calls
from streaming.sessions.history import SAMPLE_S, history
from streaming.sessions.lateness import Lateness
from streaming.sessions.live import LiveSession, Origin, Wishes
from streaming.sessions.memory import trim_memory
from streaming.sessions.records import Records
from streaming.sessions.rows import KEEP_S
from streaming.sessions.stored import unknown

logger = logging.getLogger(__name__)

STATUS_INTERVAL_S = 1.0
DRAIN_LOOK_S = 0.02
# How many rows of sessions that go on are written at each heartbeat, however many sessions there
# are: those that were written longest ago.
MOST_WRITTEN = 10
# What is kept of sessions that have ended.
KEEP_ENDED = 100
KEEP_ENDED_BYTES = 64 * 1024 * 1024
# How often free memory is given back to the system.
TRIM_S = 30


class Pool:
    """Every session of this process: those that go on, and for a while those that have ended.

    Args:
        records: Writes their rows; it tells the pool which of them were given up for lost.
    """

    def __init__(self, records: Records) -> None:
        self.records = records
        self._sessions: dict[str, LiveSession] = {}
        # Of the simulations whose file was saved with a mistake: it, and where it is. Their new
        # sessions are those of the file as it was before.
        self.mistakes: dict[str, tuple[str, Place | None]] = {}
        self._admission = Admission()
        # What everybody sees on the first page: it has no place.
        self.shared: LiveSession | None = None
        self.lateness = Lateness(self._thread_sessions)
        # Says every second how the sessions are; it lives while one goes on.
        self._heart: asyncio.Task[None] | None = None
        self._trimming: asyncio.Future[None] | None = None
        self.is_shutting_down = False
        records.on_lost = self._lose_from_thread
        # What wakes the loop for the sessions' threads, while there is a heart.
        self._calls: Calls | None = None

    async def settle(self, live: LiveSession) -> None:
        """Have a new session written down before anybody is told of it: if its process was gone
        before that, nobody would ever learn what became of it.

        Raises:
            Unavailable: If the database does not answer, or not soon; the session has failed then.
        """
        try:
            await self.records.settle(live.id)
        except Unavailable as error:
            live.session.fail(str(error))
            raise

    def get(self, session_id: str) -> LiveSession:
        """Return a session of this process. On any thread.

        Raises:
            UnknownSession: If there is none, or it ended too long ago.
        """
        live = self._sessions.get(session_id)
        if live is None or self._expired(live):
            raise unknown(session_id)
        return live

    def all(self) -> list[LiveSession]:
        """Return the sessions that go on, and those that are kept. On any thread."""
        return list(self._sessions.values())

    def going(self) -> list[str]:
        """Return the ids of those that go on. On any thread."""
        return [live.id for live in self.all() if live.is_held]

    def places_taken(self, engine: Engine) -> int:
        """Return how many places are taken. On any thread."""
        if engine is Engine.CLUSTER:
            return sum(live.engine is engine and live.is_held for live in self.all())
        return self._admission.held(engine)

    def create(
        self,
        simulation: Simulation,
        params: Mapping[str, Any],
        owner: Identity,
        *,
        engine: Engine | None = None,
        fps: float | None = None,
        abandon: Abandon | None = None,
        abandon_grace: float | None = None,
        replaced: LiveSession | None = None,
    ) -> LiveSession:
        """Create a session with validated parameters. A viewer that wants its first frame attaches
        before it is started. What is None is left to the simulation.

        Args:
            replaced: The session that this one is to replace, and whose end makes room for it.

        Raises:
            ServerStopping: If the server is about to end.
            TooManySessions: If a limit is reached.
            Forbidden: If the engine would isolate less than the simulation asks for.
        """
        if self.is_shutting_down:
            raise ServerStopping(_("the server is restarting: try again in a moment"))
        wishes = {
            # A client that asks for a thread asks for what the simulation declares anyway.
            "engine": None if engine is Engine.THREAD else engine,
            "fps": fps,
            "abandon": abandon,
            "abandon_grace": abandon_grace,
        }
        engine = chosen_engine(simulation, engine)
        leaving = [live for live in self.all() if live is replaced or live.is_leaving]
        inherits = replaced is not None and replaced.goes_on and replaced.engine is engine
        self._admission.check(owner, engine, leaving=leaving, inherits=inherits)
        self._drop_old()
        if fps is None:
            fps = conf().FPS if simulation.fps is None else simulation.fps
        live = LiveSession(
            simulation,
            params,
            owner,
            engine=engine,
            fps=fps,
            abandon=abandon or simulation.abandon or conf().ABANDON,
            abandon_grace=conf().ABANDON_GRACE if abandon_grace is None else abandon_grace,
            records=self.records,
            calls=self._open_calls(),
            on_ready=self._ready,
            on_gone=self._gone,
        )
        live.wishes = wishes
        if engine is Engine.THREAD and uses_pyplot(simulation):
            live.notify("pyplot_in_a_thread", IN_A_THREAD)
        self._admission.reserve(live)
        self._keep(live)
        return live

    def create_shared(self, simulation: Simulation, params: Mapping[str, Any]) -> LiveSession:
        """Create a session that is nobody's and takes no place: it makes room for all others.

        Raises:
            ServerStopping: If the server is about to end.
        """
        if self.is_shutting_down:
            raise ServerStopping(_("the server is restarting: try again in a moment"))
        self._drop_old()
        self.shared = LiveSession(
            simulation,
            params,
            Identity(),
            engine=local_engine_of(simulation),
            fps=conf().FPS if simulation.fps is None else simulation.fps,
            abandon=Abandon.STOP,
            abandon_grace=conf().ABANDON_GRACE,
            records=self.records,
            calls=self._open_calls(),
            on_ready=LiveSession.begin,
            on_gone=self._forget_shared,
        )
        self._keep(self.shared)
        return self.shared

    def adopt(
        self,
        simulation: Simulation,
        params: Mapping[str, Any],
        owner: Identity,
        origin: Origin,
        wishes: Wishes,
    ) -> LiveSession:
        """Create a session that another process has placed and this one has claimed. It takes no
        place of this pool's: whoever claims has places of their own.

        Raises:
            ServerStopping: If the process is about to end.
        """
        if self.is_shutting_down:
            raise ServerStopping(_("the server is restarting: try again in a moment"))
        self._drop_old()
        live = LiveSession(
            simulation,
            params,
            owner,
            engine=Engine.CLUSTER,
            fps=wishes.fps,
            abandon=wishes.abandon,
            abandon_grace=wishes.abandon_grace,
            records=self.records,
            calls=self._open_calls(),
            on_ready=LiveSession.begin,
            on_gone=lambda live: None,
            origin=origin,
        )
        live.session.set_step_rate(wishes.steps_per_second)
        self._keep(live)
        return live

    def _forget_shared(self, live: LiveSession) -> None:
        if self.shared is live:
            self.shared = None

    def _keep(self, live: LiveSession) -> None:
        self._sessions[live.id] = live
        if mistake := self.mistakes.get(live.session.simulation.name):
            live.note_mistake(*mistake)
        if self._heart is None or self._heart.done():
            self._heart = asyncio.create_task(self._beat(), name="sessions heartbeat")

    def _open_calls(self) -> Calls:
        calls = self._calls
        if calls is None or calls.is_closed or calls.loop is not asyncio.get_running_loop():
            if calls is not None:
                calls.close()
            calls = self._calls = Calls()
        return calls

    @property
    def is_full(self) -> bool:
        """Whether somebody waits for a place, or would have to."""
        return any(self._admission.held(engine) >= places(engine) for engine in LOCAL_ENGINES)

    def replace(
        self, former: LiveSession, simulation: Simulation, params: Mapping[str, Any]
    ) -> LiveSession:
        """Start a session in the place of one that runs an older version of the simulation, with
        the same owner, token and wishes. The former one is still to be stopped.

        Raises:
            As `create`.
        """
        live = self.create(simulation, params, former.owner, replaced=former, **former.wishes)
        live.follow(former)
        former.successor = live
        live.start()
        return live

    @property
    def viewers_here(self) -> int:
        """How many this process has. On any thread."""
        return sum(live.viewers_here for live in self.all())

    def figures(self) -> dict[str, Any]:
        """Return what the other processes should know of this one. On any thread."""
        lives = self.all()
        states = Counter(str(live.session.state) for live in lives)
        late = self.lateness.now
        return {
            "sessions": dict(states),
            "places": {
                str(engine): [self.places_taken(engine), places(engine)] for engine in LOCAL_ENGINES
            },
            "late_ms": None if late is None else round(late * 1000, 1),
            "stopping": self.is_shutting_down,
        }

    def _lose_from_thread(self, session_id: str) -> None:
        if self._calls is not None:
            self._calls.soon(self._lose, session_id)

    def _lose(self, session_id: str) -> None:
        live = self._sessions.get(session_id)
        if live is None or live.session.state is State.LOST:
            return
        if live.is_held:
            logger.error("session %s was given up for lost: it ends here", session_id)
            live.lose()

    async def drain(self, grace: float) -> None:
        """Take no new sessions, and let those that run go on for at most so many seconds."""
        self.is_shutting_down = True
        running = []
        for live in reversed(self.all()):
            if live.session.state is State.QUEUED:
                live.request_stop(StopReason.SHUTDOWN)
            elif not live.ended.is_set():
                live.notify(
                    SERVER_STOPPING,
                    f"The server restarts: this session ends in at most {grace:g} s.",
                )
                running.append(asyncio.ensure_future(live.ended.wait()))
        if running:
            await asyncio.wait(running, timeout=grace)
        for end in running:
            end.cancel()

    async def shut_down(self, grace: float) -> None:
        """Stop every session, and wait that many seconds until their rows and viewers know it."""
        self.is_shutting_down = True
        deadline = time.monotonic() + grace
        stopping = self._stop_all()
        if stopping:
            ends = [asyncio.ensure_future(live.ended.wait()) for live in stopping]
            await asyncio.wait(ends, timeout=grace)
            for end in ends:
                end.cancel()
        self.records.end_beating()
        await asyncio.to_thread(self.records.flush, max(0.0, deadline - time.monotonic()))
        # It happens once; an Event would need upkeep for each message of a session's life.
        while time.monotonic() < deadline and not all(  # noqa: ASYNC110
            live.is_drained for live in stopping
        ):
            await asyncio.sleep(DRAIN_LOOK_S)

    def _stop_all(self) -> list[LiveSession]:
        stopping = list(self._sessions.values())
        # From the end of the queue: a session that is asked to stop makes room for no other.
        for live in reversed(stopping):
            live.request_stop(StopReason.SHUTDOWN)
        return stopping

    def _ready(self, live: LiveSession) -> None:
        self._admission.join(live)
        self._fill_places()

    def _gone(self, live: LiveSession) -> None:
        self._admission.leave(live)
        self._fill_places()

    def _fill_places(self) -> None:
        while (admitted := self._admission.admit()) is not None:
            self._sessions[admitted.id].move_in_queue(None)
            self._sessions[admitted.id].begin()
        self._displace()
        if self.is_full and self.shared is not None:
            self.shared.request_stop(StopReason.BUSY)
        for session_id, position in self._admission.positions().items():
            self._sessions[session_id].move_in_queue(position)

    def _displace(self) -> None:
        """Stop what nobody has watched for a while, where an owner without a place waits."""
        for waiting in self._admission.wanting():
            rivals = [live for live in self._sessions.values() if live.engine is waiting.engine]
            if any(live.session.stop_requested and live.is_held for live in rivals):
                continue  # A place is about to be free.
            unwatched = next((live for live in rivals if live.gives_way), None)
            if unwatched is not None:
                logger.info("session %s gives way to %s", unwatched.id, waiting.id)
                unwatched.request_stop(StopReason.ABANDONED)

    def _thread_sessions(self) -> dict[str, float | None]:
        """Return the processor time that each session in a thread has used."""
        return {
            f"{live.session.simulation.name} ({live.id})": live.cpu_s
            for live in self._sessions.values()
            if live.engine is Engine.THREAD and live.holds_thread
        }

    async def _beat(self) -> None:
        calls = self._open_calls()
        lateness = asyncio.create_task(self.lateness.measure(), name="sessions lateness")
        try:
            await self._beat_on()
        finally:
            lateness.cancel()
            calls.close()

    async def _beat_on(self) -> None:
        beats = 0
        history.begin()
        self.records.begin_beating()
        while any(not live.ended.is_set() or live.holds_thread for live in self._sessions.values()):
            await asyncio.sleep(STATUS_INTERVAL_S)
            beats += 1
            try:
                self._beat_once(beats)
            except Exception:
                # Without the heart no session says how it is, and none is known to live.
                logger.exception("a heartbeat was cut short")
        history.sample(self.lateness.take_worst())
        self.records.end_beating()

    def _beat_once(self, beats: int) -> None:
        self.records.note_beat()
        self._beat_all(is_heartbeat=beats % HEARTBEAT_S == 0)
        self._displace()
        if beats % SAMPLE_S == 0:
            history.sample(self.lateness.take_worst())
        self._drop_old()
        if beats % TRIM_S == 0 and (self._trimming is None or self._trimming.done()):
            # The heart does not wait for it, nor need it, where the system has no thread to give.
            with suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                self._trimming = loop.run_in_executor(None, trim_memory)

    def _beat_all(self, *, is_heartbeat: bool) -> None:
        going = [
            live for live in self._sessions.values() if not live.ended.is_set() or live.holds_thread
        ]
        due = set()
        if is_heartbeat:
            self.records.renew()
            longest_ago = heapq.nsmallest(MOST_WRITTEN, going, key=lambda live: live.written_at)
            due = {live.id for live in longest_ago}
        for live in going:
            self._beat_one(live, record=live.id in due)

    def _beat_one(self, live: LiveSession, *, record: bool) -> None:
        try:
            live.beat(record=record)
        except Exception:
            # The heart beats for all the others, too.
            logger.exception("session %s could not say how it is", live.id)

    def _drop_old(self) -> None:
        """Drop the ended sessions that are too old, too many or too large, the oldest first."""
        ended = [
            live for live in self._sessions.values() if live.ended_at and not live.holds_thread
        ]
        ended.sort(key=lambda live: live.ended_at or 0, reverse=True)
        size = 0
        for kept, live in enumerate(ended, start=1):
            size += live.memory
            if kept > KEEP_ENDED or size > KEEP_ENDED_BYTES or self._expired(live):
                live.forget()
                del self._sessions[live.id]

    def _expired(self, live: LiveSession) -> bool:
        return live.ended_at is not None and time.monotonic() - live.ended_at > KEEP_S
