"""A session with what surrounds it in this process: the one place where a worker thread meets the
event loop.

Everything here runs on the event loop, but for what says otherwise.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from streaming import metrics
from streaming.catalog.fork_server import fork_server, limits
from streaming.cluster.bridge import Bridge, Watching
from streaming.cluster.bus import bus
from streaming.conf import conf
from streaming.delivery import protocol
from streaming.delivery.fanout import Dialect
from streaming.delivery.protocol import Encoding
from streaming.delivery.window import Parcel, Window
from streaming.engine.errors import TooManySessions, WrongState
from streaming.engine.frames import Frame
from streaming.engine.isolation.supervisor import worker_for
from streaming.engine.session import Session
from streaming.engine.simulations import Abandon, Engine, Simulation
from streaming.engine.snapshot import Snapshot, State
from streaming.identity import Identity
from streaming.models import LOST_SENTENCE
from streaming.sessions.history import Rate, history
from streaming.sessions.records import ANSWER_S, records, row
from streaming.sessions.relay import Relay, group_name, local_layer

logger = logging.getLogger(__name__)

# How long frames are made for who asked for one over HTTP, and may ask again.
GLANCE_S = 2.0
# A step is slow once it takes so many times what is usual, and no less than that long.
SLOW_FACTOR = 10
SLOW_STEP_S = 2.0
SLOW_FIRST_STEP_S = 10.0
# A thread that has not paused by then is waited for, and its viewers are told.
PAUSING_AFTER_S = 0.25
# A network that is gone for 10 s is found missing, and found again, later than it is.
LOST_GRACE_FACTOR = 3
# How long a session waits for its first viewer, at least.
FIRST_GRACE_S = 2 * ANSWER_S
# How long a session that was started anew waits for the viewers of the former one.
MOVING_GRACE_S = 10.0


class LiveSession:
    """A session with what surrounds it in this process: worker, relay, owner and timers.

    Args:
        on_ready: Called when it may be started as soon as there is a place for it.
        on_gone: Called when it needs its place no more.
        The others are those of `Sessions.create`.
    """

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
        on_ready: Callable[["LiveSession"], None],
        on_gone: Callable[["LiveSession"], None],
    ) -> None:
        self.id = f"{bus.prefix}{secrets.token_urlsafe(16)}"
        self.epoch = protocol.EPOCH
        self.token = secrets.token_urlsafe(24)
        self.owner = owner
        self._loop = asyncio.get_running_loop()
        self.session = Session(
            self.id,
            simulation,
            params,
            fps=fps,
            on_change=partial(self._call_on_loop, self._changed),
            on_notice=partial(self._call_on_loop, self.notify),
            engine=engine,
            most_steps=conf().MAX_STEPS,
        )
        self.first_fps = fps
        self._on_ready, self._on_gone = on_ready, on_gone
        self._worker = worker_for(
            self.session,
            self._publish,
            fork_server,
            limits(),
            max_frame_bytes=conf().MAX_FRAME_BYTES,
            stop_grace=conf().STOP_GRACE,
            on_exit=partial(self._call_on_loop, on_gone, self),
        )
        self._relay = Relay(self.id, self._note_demand)
        # Its viewers in other processes.
        self._bridge = Bridge(
            self.id,
            on_watched=lambda window: self._relay.add(window, Encoding.DEFLATE_RAW),
            on_left=self._unbridge,
            newest=self._newest,
            parcel=self._newest_parcel,
        )
        # Until it is started its starter alone knows it, who may be gone: nothing is to be kept.
        self._abandon, self._abandon_grace = Abandon.STOP, abandon_grace
        self._abandon_once_started = abandon
        self._paused_by_abandon = False
        # Whether a viewer can take a frame now, and whether any takes deflated ones.
        self._demand = (False, False)
        # What each code last said, for those who come later.
        self._notices: dict[str, dict[str, Any]] = {}
        # What its starter asked for: the keyword arguments of `Sessions.create`.
        self.wishes: dict[str, Any] = {}
        # The session that was started in its place.
        self.successor: LiveSession | None = None
        # What staff should know of the step in progress.
        self.warning = ""
        # How many steps a second it has taken lately.
        self._rate = Rate()
        # The steps and frames that the history knows of.
        self._counted = (0, 0)
        self.queue_position: int | None = None
        # Whether a frame is on its way to the layer: set by the worker, cleared by the loop.
        self._handing_over = False
        self._group = group_name(self.id)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.ended = asyncio.Event()
        self.ended_at: float | None = None
        self.started_on = timezone.now()
        self._final_sent = False
        self._save(self.session.snapshot())
        # Nobody can attend it before its row is written.
        self._abandoned(max(abandon_grace, FIRST_GRACE_S))

    # Its beginning and its end.

    @property
    def engine(self) -> Engine:
        return self.session.engine

    def start(self) -> None:
        """Start when there is a place for it. From here on the session ends by itself or by
        `request_stop`."""
        if self.session.state.ended:  # As it may have while its row was written.
            return
        self._abandon = self._abandon_once_started
        if self._abandon is Abandon.KEEP:
            self._cancel_timer("abandon")
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
            self.session.fail(f"The session could not be started: {error}")
            self._on_gone(self)

    @property
    def holds_thread(self) -> bool:
        return self._worker.is_alive

    def request_stop(self, by: str) -> None:
        """Ask for the stop. Returns at once, on any thread."""
        self.session.request_stop(by)

    def pause(self) -> None:
        """Ask for a pause. Returns at once, on any thread.

        Raises:
            WrongState: If it has ended, or is about to.
        """
        self.session.pause()
        if self.engine is Engine.THREAD:
            self._call_on_loop(self._set_timer, "pausing", PAUSING_AFTER_S, self._say_pausing)

    def stack(self) -> str:
        """Return where its Python code is now. It may take a second: not on the loop."""
        return self._worker.stack()

    def join(self, timeout: float) -> bool:
        """Wait for the worker thread to end. Blocks: not on the event loop."""
        return self._worker.join(timeout)

    def shows_token(self, token: str | None) -> bool:
        """Whether somebody holds the token that the session's starter was given."""
        return token is not None and secrets.compare_digest(token.encode(), self.token.encode())

    @property
    def goes_on(self) -> bool:
        """Whether it runs, or will, and nobody has asked for its stop."""
        return not self.session.state.ended and not self.session.stop_requested

    @property
    def is_leaving(self) -> bool:
        """Whether another was started in its place, which it is about to give away. A stuck one
        is not: it keeps that."""
        return self.successor is not None and not self.session.state.ended

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
        if former.session.pause_requested and not former._paused_by_abandon:
            # One step, so that there is a picture. Nobody else looks at the board yet.
            self.session.board.until = 1
        self._abandoned(max(self._abandon_grace, MOVING_GRACE_S))

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
        for timer in self._timers.values():
            timer.cancel()
        self._bridge.close()

    # Viewers.

    @property
    def viewers(self) -> int:
        """How many watch it, in whichever process."""
        return self.viewers_here + self._bridge.viewers

    @property
    def viewers_here(self) -> int:
        return len(self._relay.fanout) - self._bridge.is_open

    @property
    def is_drained(self) -> bool:
        """Whether its viewers were sent everything."""
        return self._relay.fanout.is_drained and self._bridge.is_drained

    def attach(self, window: Window, dialect: Dialect) -> None:
        """Let a window have this session: its state and newest frame at once, then what comes.

        Raises:
            TooManySessions: If it has as many viewers as it may.
        """
        check_crowd(self.viewers)
        self._relay.add(window, dialect)
        snapshot, frame = self.session.snapshot(), self.session.frame
        if dialect is not None:
            self.report(window)
            for notice in self._notices.values():
                window.post(protocol.encode(notice))
        elif line := _plain_line(snapshot):
            window.post(line)
        if frame is not None and snapshot.state is not State.LOST:
            final = snapshot.state.ended or snapshot.state is State.STOPPING
            window.offer(self._relay.fanout.parcel(frame, dialect, final=final))
        self._attended()

    def detach(self, window: Window, *, lost: bool = False) -> None:
        """Let a window go. A viewer whose connection was lost may want to come back."""
        before = self.viewers
        self._relay.remove(window)
        if before:
            self._left(lost=lost)

    def note_watcher(self, process: str, said: Watching) -> None:
        """Note that somebody watches from another process, and up to which frame."""
        if not said.viewers:
            self._bridge.leave(process, lost=said.lost)
            return
        is_new = self._bridge.note(process, said)
        if is_new or self.session.state.ended:
            self._bridge.tell(process, protocol.encode(self.state()))
        if is_new:
            for notice in self._notices.values():
                self._bridge.tell(process, protocol.encode(notice))
        self._attended()

    def newest_payload(self) -> str | bytes | None:
        """Return the newest frame as it goes over the wire, deflated, if there is one."""
        parcel = self._newest_parcel()
        return None if parcel is None else parcel.payload

    def _newest(self) -> tuple[int, bool]:
        snapshot = self.session.snapshot()
        return snapshot.seq, self._final_sent

    def _newest_parcel(self) -> Parcel | None:
        frame = self.session.frame
        if frame is None:
            return None
        fanout = self._relay.fanout
        return fanout.parcel(frame, Encoding.DEFLATE_RAW, final=self._final_sent)

    def _unbridge(self, window: Window, lost: bool) -> None:
        self._relay.remove(window)
        self._left(lost=lost)

    def _attended(self) -> None:
        """Note that somebody watches."""
        self._cancel_timer("abandon")
        if self._paused_by_abandon:
            self._paused_by_abandon = False
            with suppress(WrongState):  # It may be ending; its viewer sees how.
                self.session.resume()

    def _left(self, *, lost: bool) -> None:
        if not self.viewers:
            grace = self._abandon_grace
            self._abandoned(grace * LOST_GRACE_FACTOR if lost else grace)

    def report(self, window: Window, answers: str | None = None) -> None:
        """Tell one viewer how the session is now."""
        snapshot = self.session.snapshot()
        text = protocol.encode(self._status(snapshot), answers)
        self._relay.fanout.tell(window, text, snapshot.revision)

    def _status(self, snapshot: Snapshot) -> dict[str, Any]:
        position = self.queue_position if snapshot.state is State.QUEUED else None
        return protocol.session_message(
            snapshot, viewers=self.viewers, queue_position=position, epoch=self.epoch
        )

    def state(self) -> dict[str, Any]:
        """Return the `session` message, as it is now. On any thread."""
        return self._status(self.session.snapshot())

    def glance(self) -> None:
        """Have frames made for a while, without a viewer. On any thread."""
        self._call_on_loop(self._glance)

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
        self.session.set_demand(frames=frames or "glance" in self._timers, deflate=deflate)

    def notify(self, code: str, sentence: str, **more: Any) -> None:
        """Tell the viewers something that is no error of theirs."""
        notice = self._notices[code] = protocol.notice_message(code, sentence, **more)
        self._say(notice, revision=None)

    def withdraw(self, code: str) -> None:
        """Do not tell those who come later what no longer holds."""
        self._notices.pop(code, None)

    def move_in_queue(self, position: int | None) -> None:
        """Note where it stands in the queue, and tell its viewers if that is news."""
        if position != self.queue_position:
            self.queue_position = position
            if position is not None:
                self.beat(record=False)

    def beat(self, *, record: bool) -> None:
        """Say once more how it is: to the viewers, and to the database if asked."""
        self._watch_step()
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
            snapshot = self.session.snapshot()
            self._say(self._status(snapshot), snapshot.revision)

    def row(self, snapshot: Snapshot | None = None) -> dict[str, Any]:
        """Return its row in the database, as it is now. On any thread."""
        snapshot = snapshot or self.session.snapshot()
        return row(
            snapshot,
            self.owner,
            viewers=self.viewers,
            started=self.started_on,
            warning=self.warning,
            measured_rate=self._rate.per_second,
            message=self._status(snapshot),
        )

    def _count(self, snapshot: Snapshot) -> None:
        steps, frames = self._counted
        self._counted = (snapshot.step, snapshot.seq)
        # A child that has run wild may have written a smaller count than before.
        steps, frames = max(0, snapshot.step - steps), snapshot.seq - frames
        history.count(steps=steps, frames=frames)
        metrics.STEPS.labels(self.engine).inc(steps)
        metrics.FRAMES_PRODUCED.labels(self.engine).inc(frames)

    def _abandoned(self, grace: float) -> None:
        if self._abandon is not Abandon.KEEP and not self.session.state.ended:
            self._set_timer("abandon", grace, self._end_abandoned)

    def _end_abandoned(self) -> None:
        if self.session.state.ended:
            return
        if self._abandon is Abandon.STOP:
            self.session.request_stop("abandoned")
        elif not self.session.pause_requested and not self.session.stop_requested:
            self._paused_by_abandon = True
            self.pause()

    def _say_pausing(self) -> None:
        step = self.session.step_in_progress()
        if step is not None and self.session.pause_requested:
            self.notify(
                "pausing",
                f"Pausing after step {step.number}: a thread cannot pause in the middle of a step.",
            )

    def _watch_step(self) -> None:
        """Say of a step that takes far longer than the others do."""
        step = self.session.step_in_progress()
        usual = step and step.usual_s
        if step is None or step.seconds < (
            max(SLOW_STEP_S, SLOW_FACTOR * usual) if usual else SLOW_FIRST_STEP_S
        ):
            self.warning = ""
            self._notices.pop("slow_step", None)
            return
        self.warning = f"step {step.number} has run for {step.seconds:.0f} s"
        if usual:
            self.warning += f", usually {_seconds(usual)}"
        if not self.session.state.ended:  # The viewers of a stuck one know it already.
            self.notify("slow_step", f"{self.warning[0].upper()}{self.warning[1:]}.")

    # From the worker's thread to the loop.

    def _publish(self, frame: Frame) -> None:
        """Hand a frame to the channel layer. Runs on the worker's thread.

        One hand-over may be under way; the wait for it is the backpressure, and a stop ends it.
        """
        if self._handing_over:
            self.session.wait_while(lambda: self._handing_over)
            if self.session.stop_requested:
                return
        self._handing_over = True
        # On the server's own loop: async_to_sync() would open a loop per frame, and the
        # in-memory layer is not thread-safe.
        self._call_on_loop(self._hand_over, frame)

    def _hand_over(self, frame: Frame) -> None:
        try:
            # Who was frozen may have been given up meanwhile: first its lease is looked at.
            if not records.is_lease_in_doubt:
                self._send(protocol.frame_event(frame, final=False))
        finally:
            self._handing_over = False
            self.session.wake()

    def _call_on_loop(self, callback: Any, *args: Any) -> None:
        """Call something on the loop soon. Runs on any thread, under the session's lock."""
        with suppress(RuntimeError):  # A stuck thread may outlive the loop.
            self._loop.call_soon_threadsafe(callback, *args)

    # State changes.

    def _changed(self, snapshot: Snapshot) -> None:
        state = snapshot.state
        self._notices.pop("pausing", None)
        if state.ended:
            self._notices.pop("server_stopping", None)
            self._count(snapshot)
        if state.ended and state is not State.STUCK:
            self.warning = ""
        self._say(self._status(snapshot), snapshot.revision, _plain_line(snapshot))
        self._save(snapshot)
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
            self._send(protocol.frame_event(frame, final=True))

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
            self.session.request_stop("time_limit")
        else:
            self._set_timer("time", left, self._watch_time)

    def _end(self, snapshot: Snapshot) -> None:
        self.ended_at = time.monotonic()
        self.ended.set()
        for name in list(self._timers):
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

    def _say(
        self, message: dict[str, Any], revision: int | None, plain_line: str | None = None
    ) -> None:
        self._send(protocol.text_event(protocol.encode(message), revision, plain_line))

    def _send(self, event: dict[str, Any]) -> None:
        local_layer().publish(self._group, event)

    def _set_timer(self, name: str, seconds: float, callback: Any) -> None:
        self._cancel_timer(name)
        self._timers[name] = self._loop.call_later(seconds, callback)

    def _cancel_timer(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _save(self, snapshot: Snapshot) -> None:
        row = self.row(snapshot)
        records.save(self.id, row, self.session.frame if row["ended"] else None)


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


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 0.01 else "less than 0.01 s"
