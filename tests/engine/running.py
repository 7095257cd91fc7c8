"""A session with its worker, in either engine, and what they gave."""

import contextlib
import threading
import time

import psutil

from development.processes import has_ended
from streaming.engine.isolation.supervisor import Limits, worker_for
from streaming.engine.session import Session
from streaming.engine.simulations import Engine, describe, described

WAIT_S = 30.0


class Run:
    def __init__(
        self,
        target,
        *,
        fork_server=None,
        pipes=None,
        watched=True,
        fps=0.0,
        max_frame_bytes=900_000,
        publish=None,
        params=None,
        stop_grace=2.0,
        limits=None,
        most_steps=0,
        files=None,
    ):
        self.frames, self.changes, self.notices = [], [], []
        # Set at each change and each frame; for `until`.
        self.news = threading.Condition()
        self.session = Session(
            "s1",
            described(target) or describe(target, name="sample"),
            params or {},
            fps=fps,
            on_change=self._changed,
            on_notice=self._noticed,
            engine=Engine.PROCESS if fork_server else Engine.THREAD,
            most_steps=most_steps,
            files=files,
        )
        # None: somebody watches, and can take no frame just now.
        self.session.set_demand(frames=bool(watched), deflate=False, watched=watched is not False)
        self.exited = threading.Event()
        options = {
            "max_frame_bytes": max_frame_bytes,
            "stop_grace": stop_grace,
            "on_exit": self.exited.set,
        }
        self.worker = worker_for(
            self.session,
            publish or self._publish,
            fork_server,
            limits or Limits(),
            pipes,
            **options,
        )

    def _changed(self, change):
        self.changes.append(change)
        with self.news:
            self.news.notify_all()

    def _noticed(self, *notice):
        self.notices.append(notice)
        with self.news:
            self.news.notify_all()

    def _publish(self, frame):
        self.frames.append(frame)
        with self.news:
            self.news.notify_all()

    def start(self):
        self.worker.start()
        return self

    def until(self, fact):
        """Wait until something is true of this run."""
        deadline = time.monotonic() + WAIT_S
        with self.news:
            while not fact():
                assert time.monotonic() < deadline, self.changes[-1:]
                # A step makes no news by itself.
                self.news.wait(0.01)
        return self

    def until_state(self, state):
        return self.until(lambda: self.session.state == state)

    def until_in_step(self, number):
        """Wait until a step is being taken, or a later one: that can be over before it is seen."""
        deadline = time.monotonic() + WAIT_S
        while not (step := self.session.step_in_progress()) or step.number < number:
            assert time.monotonic() < deadline, self.changes[-1:]
            time.sleep(0.001)
        return self

    def stop(self):
        """Ask for the stop, climb the ladder, and return the last change."""
        self.session.request_stop("client")
        deadline = time.monotonic() + WAIT_S
        while self.worker.is_alive and time.monotonic() < deadline:
            left = self.worker.climb()
            if left is None and not hasattr(self.worker, "pid"):
                break
            self.worker.join(left or 0.1)
        return self.changes[-1]

    def ended(self):
        assert self.worker.join(WAIT_S)
        return self.changes[-1]

    @property
    def svgs(self):
        return [
            frame.svg.split(b">", 1)[1].removesuffix(b"</svg>").decode() for frame in self.frames
        ]


def is_there(pid):
    """Whether a process runs: a zombie that nobody has reaped yet does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return not has_ended(psutil.Process(pid))
    return False


def gone(*pids):
    """Wait until processes are gone; False if they stay."""
    deadline = time.monotonic() + WAIT_S
    while any(map(is_there, pids)) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not any(map(is_there, pids))
