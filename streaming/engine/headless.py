"""One session without a server: for tests, and for commands."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from streaming.engine.frames import Frame
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.isolation.supervisor import Limits, worker_for
from streaming.engine.saved import Keep, SavedFiles
from streaming.engine.session import Session
from streaming.engine.simulations import Engine, Simulation
from streaming.engine.snapshot import Snapshot, StopReason

POLL_S = 0.001
ENDING_S = 0.5


class HeadlessSession:
    """Runs a simulation that somebody watches, and climbs the ladder of its stop itself.

    As a context manager it starts at once, and is stopped at the end of the block.

    Args:
        simulation: What to run.
        params: Its validated values.
        engine: Where its steps are taken.
        fork_server: Forks the child of the process engine.
        fps: Frames per second at most; 0 draws every step.
        most_steps: After so many it stops; 0 for no limit.
        stop_grace: Seconds that a step may go on after a stop, before it is interrupted.
        on_frame: Takes each frame, on the worker's thread.
        keep: Takes each file that it saves, there, too.
    """

    def __init__(
        self,
        simulation: Simulation,
        params: Mapping[str, Any],
        *,
        engine: Engine,
        fork_server: ForkServer,
        fps: float = 0.0,
        most_steps: int = 0,
        stop_grace: float = 2.0,
        max_frame_bytes: int = 900_000,
        limits: Limits | None = None,
        on_frame: Callable[[Frame], None] = lambda frame: None,
        keep: Keep = lambda name, content: None,
    ) -> None:
        self._over = threading.Event()
        self.session = Session(
            f"headless-{simulation.name}",
            simulation,
            params,
            fps=fps,
            on_change=self._changed,
            on_notice=lambda code, sentence: None,
            engine=engine,
            most_steps=most_steps,
            files=SavedFiles(keep),
        )
        self.session.set_demand(frames=True, deflate=True)
        # Nobody looks on who would have to keep up.
        self.session.set_step_rate(None)
        self.worker = worker_for(
            self.session,
            on_frame,
            fork_server,
            limits or Limits(),
            max_frame_bytes=max_frame_bytes,
            stop_grace=stop_grace,
            # There is one session, and its author in front of it.
            prints_to_log=False,
        )

    def __enter__(self) -> "HeadlessSession":
        self.worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_for_step(self, number: int, timeout: float) -> bool:
        """Wait until a step has begun, or more are taken; False when it ended or took too long."""
        deadline = time.monotonic() + timeout
        while not self._over.is_set() and time.monotonic() < deadline:
            step = self.session.step_in_progress()
            if self.session.snapshot().step >= number or (step and step.number >= number):
                return True
            time.sleep(POLL_S)
        return False

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended; True if it has."""
        return self._over.wait(timeout)

    def stops_within(self, timeout: float, by: StopReason = StopReason.CLIENT) -> bool:
        """Ask for the stop and climb the ladder for so long; True if it has ended."""
        self.session.request_stop(by)
        deadline = time.monotonic() + timeout
        while not self._over.is_set() and (left := deadline - time.monotonic()) > 0:
            self._over.wait(min(left, self.worker.climb() or POLL_S * 10))
        return self._over.is_set()

    def stop(self, by: StopReason = StopReason.CLIENT) -> Snapshot:
        """Stop it, and return how it ended: stuck, if it has not after the whole ladder."""
        self.stops_within(math.inf, by)
        if not self.session.state.ended or self.worker.is_alive:
            self.worker.join(ENDING_S)
        return self.session.snapshot()

    def _changed(self, snapshot: Snapshot) -> None:
        if snapshot.state.ended:
            self._over.set()
