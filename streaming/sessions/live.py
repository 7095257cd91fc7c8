"""A session with what surrounds it in this process: the one place where a worker thread meets the
event loop.

Everything here runs on the event loop, but for what says otherwise.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from streaming import metrics
from streaming.catalog.fork_server import fork_server, limits
from streaming.conf import conf
from streaming.delivery import framing, protocol
from streaming.delivery.events import ChangeEvent, Event, FrameEvent, SeriesEvent, StatusEvent
from streaming.delivery.fanout import Dialect
from streaming.delivery.framing import AnyFrame, Encoding
from streaming.delivery.notices import Notices
from streaming.delivery.parcel import Parcel
from streaming.delivery.series import table_of
from streaming.delivery.window import Window
from streaming.engine.errors import TooManySessions, shortage
from streaming.engine.frames import Frame
from streaming.engine.isolation.supervisor import worker_for
from streaming.engine.params import bytes_in
from streaming.engine.saved import SavedFiles
from streaming.engine.session import FRAME_TOO_LARGE, Session
from streaming.engine.simulations import Abandon, Engine, Simulation
from streaming.engine.snapshot import Snapshot, State, StopReason
from streaming.engine.traces import Place
from streaming.identity import Identity, token_hash
from streaming.layer import local_layer
from streaming.models import LOST_SENTENCE
from streaming.process import process
from streaming.sessions import control
from streaming.sessions.abandonment import Abandonment
from streaming.sessions.calls import Calls
from streaming.sessions.control import Caller
from streaming.sessions.downloads import downloads
from streaming.sessions.history import Rate, history
from streaming.sessions.records import Records
from streaming.sessions.relay import Relay, group_name
from streaming.sessions.rows import row
from streaming.sessions.slow_steps import SlowSteps
from streaming.sessions.tables import on_table_thread

logger = logging.getLogger(__name__)

# How long frames are made for somebody who asked for one over HTTP, and may ask again.
GLANCE_S = 2.0
# How often viewers are told what was plotted.
SERIES_EVERY_S = 0.2
# A thread that has not paused by then is waited for, and its viewers are told.
PAUSING_AFTER_S = 0.25


@dataclass(frozen=True, slots=True)
class Origin:
    """What a session has of the process that has placed it, where another one runs it.

    Args:
        token_hash: Of the token that its starter was given, which nobody else knows.
    """

    id: str
    token_hash: str
    started: datetime


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a session is to run, where its starter, the simulation or the settings have a say."""

    fps: float
    steps_per_second: float | None
    abandon: Abandon
    abandon_grace: float


class LiveSession:
    """A session with what surrounds it in this process: worker, relay, owner and timers.

    Args:
        records: Writes its row.
        calls: Has the event loop do what its threads ask for.
        on_ready: Called when it may be started as soon as there is a place for it.
        on_gone: Called when it no longer needs its place.
        origin: What it has of the process that has placed it, if that is another one.
        The others are those of `Pool.create`.
    """

    # Its process is this one.
    is_reachable = True

    def __init__(
        self,
        simulation: Simulation,
        params: Mapping[str, Any],
        owner: Identity,
        *,
        engine: Engine,
        fps: float,
        abandon: Abandon,
        abandon_grace: float,
        records: Records,
        calls: Calls,
        on_ready: Callable[["LiveSession"], None],
        on_gone: Callable[["LiveSession"], None],
        origin: Origin | None = None,
    ) -> None:
        self.id = origin.id if origin else f"{process.id_prefix}{secrets.token_urlsafe(16)}"
        self.epoch = framing.EPOCH
        self.token = secrets.token_urlsafe(24)
        self._origin = origin
        self.owner = owner
        self.session = Session(
            self.id,
            simulation,
            params,
            fps=fps,
            on_change=partial(calls.soon, self._changed),
            on_notice=partial(calls.soon, self.notify),
            engine=engine,
            most_steps=conf().MAX_STEPS,
            files=SavedFiles(partial(downloads.keep, self.id)),
            on_plotted=partial(calls.soon, self._note_plotted),
        )
        self.first_fps = fps
        self._records, self._calls = records, calls
        self._on_ready, self._on_gone = on_ready, on_gone
        self._worker = worker_for(
            self.session,
            self._publish,
            fork_server,
            limits(),
            calls.pipes,
            max_frame_bytes=conf().MAX_FRAME_BYTES,
            stop_grace=conf().STOP_GRACE,
            on_exit=partial(calls.soon, on_gone, self),
        )
        self._relay = Relay(self.id, self._note_demand, self.session.series, conf().MAX_FRAME_BYTES)
        self._series_told_at = float("-inf")
        # What is being made of all that it has plotted.
        self._table: asyncio.Future[bytes] | None = None
        self.notices = Notices()
        self._slow_steps = SlowSteps(self.session, self._notify_of_step, self.withdraw)
        self._abandonment = Abandonment(
            self.session,
            abandon,
            abandon_grace,
            self.pause,
            is_strangers=owner.user_id is None,
        )
        # Whether a viewer can take a frame now, and whether any takes deflated ones.
        self._demand = (False, False)
        # What its starter asked for: the keyword arguments of `Pool.create`.
        self.wishes: dict[str, Any] = {}
        # Where its file has a mistake since it was saved.
        self.broken_at: Place | None = None
        # The session that was started in its place.
        self.successor: LiveSession | None = None
        # How many steps a second it has taken lately.
        self._rate = Rate()
        # The steps and frames that the history knows of.
        self._counted = (0, 0)
        # The parameters that all viewers were told of; a new one is told of them at first.
        self._params_told = self.session.params_revision
        self.queue_position: int | None = None
        # Whether a frame is on its way to the layer: set by the worker, cleared by the loop.
        self._handing_over = False
        # Whether the worker waits until that one is there.
        self._is_waited_for = False
        # The number of the newest frame that went to the layer.
        self._sent_seq = 0
        self._group = group_name(self.id)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.ended = asyncio.Event()
        self.ended_at: float | None = None
        self.started_on = origin.started if origin else timezone.now()
        self._final_sent = False
        # When its row was given to be written last, by the monotonic clock.
        self.written_at = float("-inf")
        if origin is None:
            self._save(self.session.snapshot())
            self._abandonment.expect_first()
        else:
            # Its row says already that this process has it.
            self._abandonment.expect_moving()

    # Its beginning and its end.

    @property
    def engine(self) -> Engine:
        return self.session.engine

    def start(self) -> None:
        """Start when there is a place for it. From here on the session ends by itself or by
        `request_stop`."""
        if self.session.state.ended:  # As it may have while its row was written.
            return
        self._abandonment.note_started()
        self._on_ready(self)

    def begin(self) -> None:
        """Start the worker, now."""
        if not self.session.leave_queue():
            self._on_gone(self)
            return
        logger.info("session %s started: %s", self.id, self.session.simulation.name)
        metrics.SESSIONS_STARTED.labels(self.engine).inc()
        try:
            self._worker.start()
        except RuntimeError as error:
            self.session.fail(f"The session could not be started: {shortage(error)}")
            self._on_gone(self)

    @property
    def cpu_s(self) -> float | None:
        """The processor time that its thread has used, in seconds; None if that is unknown."""
        return self._worker.cpu_s

    @property
    def holds_thread(self) -> bool:
        return self._worker.is_alive

    @cached_property
    def memory(self) -> int:
        """About how many bytes it takes once it has ended, and its thread with it: frame, lines,
        texts, files."""
        frame, params = self.session.frame, vars(self.session.current_params())
        drawn = (frame.memory if frame else 0) + self.session.series.memory
        return drawn + sum(map(bytes_in, params.values()))

    @property
    def is_held(self) -> bool:
        """Whether something of it is left here: it goes on, or holds its thread. On any thread."""
        return not self.session.state.ended or self.holds_thread

    def request_stop(self, by: StopReason) -> None:
        """Ask for the stop. Returns at once, on any thread."""
        self.session.request_stop(by)

    def pause(self) -> None:
        """Ask for a pause. Returns at once, on any thread.

        Raises:
            WrongState: If it has ended, or is about to.
        """
        self.session.pause()
        if self.engine is Engine.THREAD:
            say_pausing = self._slow_steps.say_pausing
            self._calls.soon(self._set_timer, "pausing", PAUSING_AFTER_S, say_pausing)

    async def obey(self, content: Mapping[str, Any], caller: Caller) -> None:
        """Do what a client's message asks for.

        Raises:
            ClientError: If the caller may not, or it cannot be done.
        """
        await control.obey(self, protocol.command(content), caller)

    def keeps_control(self, caller: Caller) -> bool:
        """Whether a caller whose rights have changed may still control it."""
        return control.may_control(self, caller)

    async def stack(self) -> str:
        """Return where its Python code is now. It may take a second."""
        return await asyncio.to_thread(self._worker.stack)

    def join(self, timeout: float) -> bool:
        """Wait for the worker thread to end. Blocks: not on the event loop."""
        return self._worker.join(timeout)

    def shows_token(self, token: str | None) -> bool:
        """Whether somebody holds the token that the session's starter was given."""
        known = self._origin.token_hash if self._origin else token_hash(self.token)
        return token is not None and secrets.compare_digest(token_hash(token), known)

    @property
    def goes_on(self) -> bool:
        """Whether it runs, or will, and nobody has asked for its stop."""
        return not self.session.state.ended and not self.session.stop_requested

    @property
    def is_leaving(self) -> bool:
        """Whether another was started in its place, which it gives away as soon as its thread has
        ended. One that is stuck or lost keeps its place, nobody knows for how long."""
        return self.successor is not None and self.session.state not in (State.STUCK, State.LOST)

    @property
    def ends_with_its_connection(self) -> bool:
        """Whether it is of the plain dialect, whose viewers cannot be told of another session."""
        return self.wishes.get("abandon_grace") == 0

    def follow(self, former: "LiveSession") -> None:
        """Take over what was made of a former session since its start. Before this one's."""
        was = former.session.snapshot()
        self.token = former.token
        if was.fps != former.first_fps:
            self.session.set_fps(was.fps)
        self.session.set_step_rate(was.steps_per_second)
        if former.session.pause_requested and not former._abandonment.has_paused:
            # One step, so that there is a picture. Nobody else looks at the board yet.
            self.session.board.until = 1
        self._abandonment.expect_moving()

    def lose(self) -> None:
        """Give it up, since somebody else has: its process was taken for gone."""
        self.epoch += 1
        self.session.lose(LOST_SENTENCE)

    async def wait_until_ended(self, seconds: float) -> None:
        """Wait for its end, but no longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()

    def forget(self) -> None:
        """End what still waits on the event loop."""
        self._abandonment.cancel()
        for timer in self._timers.values():
            timer.cancel()

    # Viewers.

    @property
    def viewers(self) -> int:
        """How many watch it, in whichever process. On any thread."""
        return self._relay.fanout.viewers

    @property
    def viewers_here(self) -> int:
        """How many watch it in this process. On any thread."""
        return self._relay.fanout.viewers_here

    @property
    def is_drained(self) -> bool:
        """Whether its viewers were sent everything."""
        return self._relay.fanout.is_drained and "series" not in self._timers

    def attach(self, window: Window, dialect: Dialect) -> None:
        """Let a window have this session: its state and newest frame at once, then what comes.

        Raises:
            TooManySessions: If it has as many viewers as it may.
        """
        check_crowd(self.viewers)
        self.subscribe(window, dialect)
        try:
            self._tell_all(window, dialect)
        except Exception:
            # Nobody would let it go: the session would have a viewer for ever.
            self.unsubscribe(window, lost=False)
            raise
        self.note_attended()

    def _tell_all(self, window: Window, dialect: Dialect) -> None:
        """Tell a new viewer how the session stands."""
        snapshot, frame = self.session.snapshot(), self.session.frame
        if dialect is not None:
            self.report(window)
            for notice in self.notices:
                window.post(protocol.encode(notice))
        elif line := _plain_line(snapshot):
            window.post(line)
        if frame is not None and snapshot.state is not State.LOST:
            final = snapshot.state.ended or snapshot.state is State.STOPPING
            window.offer(self._relay.fanout.parcel(frame, dialect, final=final))

    def detach(self, window: Window, *, lost: bool = False) -> None:
        """Let a window go. A viewer whose connection was lost may want to come back."""
        self.unsubscribe(window, lost=lost)

    def subscribe(self, window: Window, dialect: Dialect) -> None:
        """Let a window have what comes from now on."""
        self._relay.add(window, dialect)

    def unsubscribe(self, window: Window, *, lost: bool) -> None:
        """Let a window have nothing more. When it was the last, the session is abandoned."""
        if self._relay.remove(window) and not self.viewers:
            self._abandonment.note_left(lost=lost)

    def retell(self, window: Window) -> None:
        """Tell a window all that was plotted once more."""
        self._relay.fanout.telling.add(window)
        window.wake()

    def note_attended(self) -> None:
        """Note that somebody watches."""
        self._abandonment.note_attended()

    @property
    def gives_way(self) -> bool:
        """Whether its place is for whoever waits and has none."""
        return self.goes_on and not self.viewers and self._abandonment.gives_way

    @property
    def newest(self) -> tuple[int, bool]:
        """The number of the newest frame, 0 for none, and whether it was sent as the final one."""
        return self.session.snapshot().seq, self._final_sent

    def newest_parcel(self) -> Parcel | None:
        """Return the newest frame as it goes over the wire, deflated, if there is one."""
        frame = self.session.frame
        if frame is None:
            return None
        fanout = self._relay.fanout
        return fanout.parcel(frame, Encoding.DEFLATE_RAW, final=self._final_sent)

    def report(
        self,
        window: Window,
        answers: str | None = None,
        *,
        params: bool = True,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell one viewer how the session is now.

        Args:
            params: Whether the parameters are told even if they have not changed.
            more: What it is told beside that, from `confide`.
        """
        if not params:
            # First what a command has brought about: no change of state is left out.
            self._calls.catch_up()
        snapshot = self.session.snapshot()
        status = self._status(snapshot)
        if not params and not self._has_new_params:
            status = protocol.without_params(status)
        text = protocol.encode(protocol.with_more(status, more), answers)
        self._relay.fanout.tell(window, text, snapshot.revision)

    async def confide(self, what: Collection[str], caller: Caller) -> dict[str, Any]:
        """Return what only those are told who may control it.

        Raises:
            Forbidden: If the session is not theirs.
        """
        return control.confided(self, what, caller)

    @property
    def _has_new_params(self) -> bool:
        """Whether the parameters have changed since all viewers were told of them."""
        return self._params_told != self.session.params_revision

    def _status(self, snapshot: Snapshot) -> dict[str, Any]:
        position = self.queue_position if snapshot.state is State.QUEUED else None
        return protocol.status_message(
            snapshot, viewers=self.viewers, queue_position=position, epoch=self.epoch
        )

    def status(self) -> dict[str, Any]:
        """Return the `session` message, as it is now. On any thread."""
        return self._status(self.session.snapshot())

    async def frame(self) -> AnyFrame | None:
        """Return the newest frame, if there is one. While somebody asks, frames are made."""
        self.glance()
        self._show_held()
        return self.session.frame

    async def table(self) -> bytes:
        """Return all that is kept of what it has plotted, as a table; empty if that is nothing.
        A request that comes while one is being made gets that one."""
        if self._table is None:
            self._table = on_table_thread(table_of, self.session.series)
            self._table.add_done_callback(self._forget_table)
        return await asyncio.shield(self._table)

    def _forget_table(self, table: asyncio.Future[bytes]) -> None:
        self._table = None

    def glance(self) -> None:
        """Have frames made for a while, without a viewer. On any thread."""
        self._calls.soon(self._glance)

    def _glance(self) -> None:
        if not self.session.state.ended:
            self._set_timer("glance", GLANCE_S, self._end_glance)
            self._tell_demand()

    def _end_glance(self) -> None:
        self._cancel_timer("glance")
        self._tell_demand()

    def _note_demand(self, frames: bool, deflate: bool) -> None:
        self._demand = (frames, deflate)
        self._tell_demand()

    def _tell_demand(self) -> None:
        frames, deflate = self._demand
        glances = "glance" in self._timers
        watched = glances or self._relay.fanout.is_seen
        self.session.set_demand(frames=frames or glances, deflate=deflate, watched=watched)

    def note_mistake(self, sentence: str, place: Place | None) -> None:
        """Tell the viewers that its file was saved with a mistake; where, to those who ask."""
        self.broken_at = place
        self.notify("reload_failed", sentence)

    def notify(self, code: str, sentence: str, **more: Any) -> None:
        """Tell the viewers something that is no error of theirs."""
        notice = protocol.notice_message(code, sentence, **more)
        self.notices.keep(notice)
        line = f"error: {sentence}" if code == FRAME_TOO_LARGE else None
        self._send(ChangeEvent(protocol.encode(notice), plain_line=line))

    def _notify_of_step(self, code: str, sentence: str) -> None:
        """Tell of the step in progress, under the picture of the last one that has ended."""
        self._show_held()
        self.notify(code, sentence)

    def _note_plotted(self) -> None:
        if "series" not in self._timers:
            due = self._series_told_at + SERIES_EVERY_S - time.monotonic()
            self._set_timer("series", max(0.0, due), self._tell_series)

    def _tell_series(self) -> None:
        self._cancel_timer("series")
        self._series_told_at = time.monotonic()
        self.session.expect_plots()
        self._send(SeriesEvent())

    def withdraw(self, code: str) -> None:
        """Drop a notice that is no longer true, so that new viewers do not get it."""
        self.notices.withdraw(code)

    def move_in_queue(self, position: int | None) -> None:
        """Note where it stands in the queue, and tell its viewers if that is news."""
        if position != self.queue_position:
            self.queue_position = position
            if position is not None:
                self.beat(record=False)

    @property
    def warning(self) -> str:
        """What staff should know of the step in progress. On any thread."""
        return "" if self.session.state.is_over else self._slow_steps.warning

    def beat(self, *, record: bool) -> None:
        """Say once more how it is: to the viewers, and to the database if asked."""
        self._slow_steps.look()
        snapshot = self.session.snapshot()
        self._count(snapshot)
        if not snapshot.state.ended:
            self._rate.note(time.monotonic(), snapshot.step)
        if snapshot.state is State.RUNNING:
            metrics.STEP_SECONDS.labels(self.engine).observe(self.session.step_seconds())
        if not snapshot.state.ended:
            self.say()
        if record:
            self._save(snapshot)

    def say(self) -> None:
        """Tell all viewers how it is now."""
        if self.viewers:
            revision = self.session.params_revision
            snapshot = self.session.snapshot()
            status = self._status(snapshot)
            if not self._has_new_params:
                status = protocol.without_params(status)
            # After the snapshot was taken they may have changed again.
            self._params_told = revision
            self._send(StatusEvent(protocol.encode(status), snapshot.revision))

    def row(
        self, snapshot: Snapshot | None = None, status: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return its row in the database, as it is now. On any thread.

        Args:
            snapshot: What is known of it, with its `status`, by whoever has asked already.
        """
        snapshot = snapshot or self.session.snapshot()
        return row(
            snapshot,
            self.owner,
            viewers=self.viewers,
            started=self.started_on,
            warning=self.warning,
            measured_rate=self._rate.per_second,
            message=status or self._status(snapshot),
        )

    def _count(self, snapshot: Snapshot) -> None:
        steps, frames = self._counted
        self._counted = (snapshot.step, snapshot.seq)
        # A child that has run wild may have written a smaller count than before.
        steps, frames = max(0, snapshot.step - steps), snapshot.seq - frames
        history.count(steps=steps, frames=frames)
        metrics.STEPS.labels(self.engine).inc(steps)
        metrics.FRAMES_PRODUCED.labels(self.engine).inc(frames)

    # From the worker's thread to the loop.

    def _publish(self, frame: Frame) -> None:
        """Hand a frame to the channel layer: on the event loop at once, or on a thread of the
        worker's, one at a time.

        One hand-over may be under way; the wait for it is the backpressure, and a stop ends it.
        """
        if self._calls.is_here:
            self._show(frame)
            return
        if self._handing_over:
            self._is_waited_for = True
            self.session.wait_while(lambda: self._handing_over)
            self._is_waited_for = False
            if self.session.stop_requested:
                return
        self._handing_over = True
        # On the server's own loop: async_to_sync() would open a loop per frame, and the
        # in-memory layer is not thread-safe.
        self._calls.soon(self._hand_over, frame)

    def _hand_over(self, frame: Frame) -> None:
        try:
            self._show(frame)
        finally:
            self._handing_over = False
            if self._is_waited_for:
                self.session.wake()

    def _show(self, frame: Frame) -> None:
        # A process that was frozen may have been given up meanwhile: it looks at its leases before
        # it shows anything.
        if not self._records.is_lease_in_doubt:
            self._send_frame(frame)

    def _show_held(self) -> None:
        """Hand the newest finished picture over now, although its next step runs."""
        frame = None if self._records.is_lease_in_doubt else self.session.keep_held()
        if frame is not None:
            self._send_frame(frame)

    def _send_frame(self, frame: Frame) -> None:
        if frame.seq > self._sent_seq:  # Else a later one has overtaken it on its way to the loop.
            self._sent_seq = frame.seq
            self._send(FrameEvent(frame, final=False))

    # State changes.

    def _changed(self, snapshot: Snapshot) -> None:
        state = snapshot.state
        self.notices.note_place(state, snapshot.step)
        if state.ended:
            self._count(snapshot)
        status = self._status(snapshot)
        text = protocol.encode(protocol.without_params(status))
        self._send(ChangeEvent(text, snapshot.revision, _plain_line(snapshot)))
        self._save(snapshot, status)
        if state is State.RUNNING:
            self._watch_time()
        if state is State.STOPPING:
            self._climb()
        if state is not State.LOST and (state is State.STOPPING or state.ended):
            self._send_final_frame()
        if state.ended:
            self._end(snapshot)
        if state is State.LOST:
            self._climb()

    def _send_final_frame(self) -> None:
        frame = self.session.frame
        if frame is not None and not self._final_sent:
            self._final_sent = True
            self._send(FrameEvent(frame, final=True))

    def _climb(self) -> None:
        """Go up the ladder of the stop, where that is not the worker's own business."""
        if (delay := self._worker.climb()) is not None:
            self._set_timer("ladder", delay, self._climb)

    def _watch_time(self) -> None:
        """Stop a session that has run for as long as it may, without its pauses."""
        most, state = conf().MAX_RUN_SECONDS, self.session.state
        if not most or state is not State.RUNNING:
            return
        left = most - self.session.snapshot().elapsed_ms / 1000
        if left <= 0:
            self.session.request_stop(StopReason.TIME_LIMIT)
        else:
            self._set_timer("time", left, self._watch_time)

    def _end(self, snapshot: Snapshot) -> None:
        self.ended_at = time.monotonic()
        self.ended.set()
        self._abandonment.cancel()
        # What was plotted last is still to be told.
        for name in self._timers.keys() - {"series"}:
            self._cancel_timer(name)
        if not self.holds_thread:
            self._on_gone(self)
        metrics.SESSIONS_ENDED.labels(self.engine, snapshot.state).inc()
        if (stop := snapshot.stop) and stop.how and stop.after_ms is not None:
            metrics.STOP_SECONDS.labels(self.engine, stop.how).observe(stop.after_ms / 1000)
        if snapshot.state is State.STUCK:
            logger.error("session %s is stuck; its thread is at:\n%s", self.id, snapshot.traceback)
        else:
            logger.info(
                "session %s %s at step %d: %s",
                self.id,
                snapshot.state,
                snapshot.step,
                snapshot.error or snapshot.stop or "by itself",
            )

    def _send(self, event: Event) -> None:
        local_layer().publish(self._group, event)

    def _set_timer(self, name: str, seconds: float, callback: Any) -> None:
        self._cancel_timer(name)
        self._timers[name] = self._calls.loop.call_later(seconds, callback)

    def _cancel_timer(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _save(self, snapshot: Snapshot, status: dict[str, Any] | None = None) -> None:
        row = self.row(snapshot, status)
        self.written_at = time.monotonic()
        last = (self.session.frame, self.session.series) if row["ended"] else ()
        self._records.save(self.id, row, *last)


def check_crowd(viewers: int) -> None:
    """Refuse one more viewer of a session than it may have.

    Raises:
        TooManySessions: If there is no room.
    """
    most = conf().MAX_VIEWERS_PER_SESSION
    if viewers >= most:
        raise TooManySessions(
            _("this session has %(most)s viewers, the most allowed") % {"most": most}
        )


def _plain_line(snapshot: Snapshot) -> str | None:
    """What the plain dialect says of a state: only that a simulation failed."""
    if snapshot.state not in (State.FAILED, State.STUCK):
        return None
    return f"error: {' '.join((snapshot.error or '').split())}"
