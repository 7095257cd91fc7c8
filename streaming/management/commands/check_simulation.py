"""`manage.py check_simulation NAME`: how a simulation steps, draws and stops, measured."""

import gc
import logging
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError, CommandParser

from streaming.catalog.engines import local_engine_of
from streaming.catalog.fork_server import fork_server, limits
from streaming.conf import conf
from streaming.engine.context import Context
from streaming.engine.frames import Frame, fault_of
from streaming.engine.headless import HeadlessSession
from streaming.engine.pyplot import uses_pyplot
from streaming.engine.series import Line
from streaming.engine.simulations import LOCAL_ENGINES, Engine, Simulation
from streaming.engine.snapshot import Rung, Snapshot, State
from streaming.management.arguments import add_simulation_arguments, bad_input, find_simulation
from streaming.management.base import SettingsCommand

START_TIMEOUT_S = 60.0
# How late another thread may get before the event loop would feel it.
LATE_S = 0.020
TICK_S = 0.001
POLL_S = 0.001
# How often it says that it waits for a step.
SAY_WAITING_S = 3.0
# A first step is no step like the others when it takes that long, and so many times as long.
LONG_FIRST_STEP_S, LONG_FIRST_STEP = 0.25, 10
FEWEST_TICKS = 200
# A step that does not hear the flag by then has to be interrupted.
FLAG_TIMEOUT_S = 5.0
# So often it is stopped on each rung, unless one stop takes long.
STOPS = 5
LONG_STOP_MS = 1000
LONG_STEP_S = 1.0
# A thread that mostly comes later than this finds the interpreter busy.
BUSY_S = 0.0003


class Command(SettingsCommand):
    help = (
        "Run a simulation without a server and say how long its steps take, how large its frames "
        "are, how fast it stops on each rung of the ladder, whether it holds the interpreter, "
        "whether it runs in a child process, and which engine it should use."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_simulation_arguments(parser)
        parser.add_argument(
            "--seconds",
            type=float,
            default=5.0,
            help="how long to watch its steps (default: 5)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["seconds"] <= 3600:
            given = f"{options['seconds']:g}"
            raise bad_input(f"--seconds: expected a number above 0 and up to 3600, got {given}")
        # A failure is said below, once.
        logging.disable(logging.CRITICAL)
        simulation, params = find_simulation(options)
        check = Check(simulation, params)
        self.stdout.write(f"{simulation.name}: {simulation.title}")
        self.stdout.write(f"Watching its steps for {options['seconds']:g} s in a thread…")
        self._say(check.watch(options["seconds"]))
        for engine in LOCAL_ENGINES:
            self.stdout.write(f"Stopping it, {engine} engine…")
            self._say(check.stops(engine))
        self.stdout.write("")
        self.stdout.write(check.advice())
        if advice := check.warm_up_advice():
            self.stdout.write(advice)

    def _say(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.stdout.write(f"    {line}")
            self.stdout.flush()


class Check:
    """What was measured of one simulation."""

    def __init__(self, simulation: Simulation, params: dict[str, Any]) -> None:
        self._simulation, self._params = simulation, params
        self._longest_s = 0.0
        # What its first step took above the others, if that was much.
        self._saved_s = 0.0
        self._late_s = 0.0
        self._is_busy = False
        self._lasts = False
        self._hears_flag = True
        self._runs_in_child = True
        self._thread_stops = True

    def watch(self, seconds: float) -> Iterator[str]:
        """Run it in a thread and yield what its steps and frames are like.

        Raises:
            CommandError: If it fails, or draws what no browser shows.
        """
        steps: list[float] = []
        sizes: list[int] = []
        deflated: list[int] = []

        faults: list[str] = []

        def took(frame: Frame) -> None:
            if not faults and (fault := fault_of(frame.svg)) is not None:
                faults.append(f"The frame of step {frame.step:,} is not well-formed SVG: {fault}.")
            sizes.append(len(frame.svg))
            deflated.append(len(frame.deflated or frame.svg))

        baseline = _lateness_of(lambda: time.sleep(0.3))
        timed = replace(
            self._simulation, target=_timed(self._simulation, steps), wants_context=True
        )
        gc.collect()
        with self._run(timed, Engine.THREAD, on_frame=took) as running:
            yield from _wait_for_second_step(running, max(seconds, START_TIMEOUT_S))
            late = _lateness_of(lambda: running.wait(seconds))
            end, unended = running.session.snapshot(), running.session.step_in_progress()
        if end.state is State.FAILED:
            raise _failure(running)
        if faults:
            raise CommandError(faults[0])
        if self._note_first(steps):
            yield f"first step: {_ms(steps.pop(0))}, which is left out below"
        self._longest_s = max([*steps, unended.seconds if unended else 0.0], default=0.0)
        if steps:
            yield (
                f"steps: {len(steps):,}, median {_ms(statistics.median(steps))}, "
                f"p99 {_ms(_p99(steps))}, longest {_ms(max(steps))}"
            )
        if unended and unended.seconds > LONG_STEP_S:
            yield f"step {unended.number} had not ended after {unended.seconds:.1f} s"
        if sizes:
            yield (
                f"frames: {len(sizes):,}, median {statistics.median(sizes):,.0f} bytes, largest "
                f"{max(sizes):,}; {sum(deflated) / sum(sizes):.0%} of that on the wire"
            )
        if lines := running.session.series.lines():
            yield f"plots: {', '.join(map(_last_of, lines))}"
        if end.frames_too_large:
            most = f"{conf().MAX_FRAME_BYTES:,} bytes on the wire (LIVESTEP_MAX_FRAME_BYTES)"
            yield f"{end.frames_too_large} frames are over the limit of {most}"
        # Of one that ended before it was looked at for long enough there is nothing to say.
        self._lasts = not end.state.ended or len(late) >= FEWEST_TICKS
        if not self._lasts:
            yield f"it was {end.state} after {end.step} steps: too soon for more"
            return
        self._late_s = max(0.0, _p99(late) - _p99(baseline))
        self._is_busy = statistics.median(late) - statistics.median(baseline) > BUSY_S
        holds = (
            "holds the interpreter for long"
            if self._late_s > LATE_S
            else "keeps the interpreter busy"
            if self._is_busy
            else "leaves the interpreter to others"
        )
        yield (
            f"it {holds}: another thread came {_ms(statistics.median(late))} late at the median "
            f"and {_ms(_p99(late))} at p99; without it {_ms(_p99(baseline))} at p99"
        )

    def _note_first(self, steps: list[float]) -> bool:
        """Whether the first step did what the others need not do again."""
        if len(steps) < 2:
            return False
        usual = statistics.median(steps[1:])
        if steps[0] < max(LONG_FIRST_STEP_S, LONG_FIRST_STEP * usual):
            return False
        self._saved_s = steps[0] - usual
        return True

    def warm_up_advice(self) -> str:
        """Say what a warm-up would save, if that is much."""
        if not self._saved_s:
            return ""
        return (
            f"Its first step takes {self._saved_s:.1f} s longer than the others: give what it "
            "compiles or imports to @simulation(warm_up=function), and sessions in processes "
            "start without it."
        )

    def stops(self, engine: Engine) -> Iterator[str]:
        """Stop it on each rung and yield how long that takes.

        Raises:
            CommandError: If it is to run in this engine, and fails there.
        """
        for rung, grace in {Rung.FLAG: FLAG_TIMEOUT_S, Rung.INTERRUPT: 0.0}.items():
            ends: list[Snapshot] = []
            while len(ends) < STOPS and not (ends and _is_long(ends[-1])):
                with self._run(self._simulation, engine, stop_grace=grace) as running:
                    yield from _wait_for_second_step(running, START_TIMEOUT_S)
                    has_begun = running.wait_for_step(2, POLL_S)
                    if not has_begun or (end := running.stop()).state is State.FAILED:
                        yield self._not_stopped(engine, running)
                        return
                    ends.append(end)
            yield self._stopped(rung, ends)

    def advice(self) -> str:
        """Say which engine it should use, and why."""
        if not self._lasts:
            return "It ends too soon to say which engine it should use: give it more to do."
        reasons = []
        if self._late_s > LATE_S:
            reasons.append("it holds the interpreter, which everybody on the server would feel")
        elif self._is_busy:
            reasons.append("sessions of it in threads would take turns on one core")
        if uses_pyplot(self._simulation):
            reasons.append("it draws with pyplot, which is not for threads")
        if not self._thread_stops:
            reasons.append("a thread cannot be stopped in the middle of its step")
        elif not self._hears_flag:
            reasons.append("its step does not end by itself when it is stopped")
        if self._longest_s > LONG_STEP_S:
            reasons.append(f"a step of it takes {self._longest_s:.1f} s")
        if not reasons:
            return (
                "Use the thread engine: its steps are short, and leave the interpreter to others."
            )
        if not self._runs_in_child:
            return (
                f"It should use the process engine, since {' and '.join(reasons)}; "
                "but it does not run there: see above."
            )
        return f'Use @simulation(engine="process"): {"; ".join(reasons)}.'

    def _not_stopped(self, engine: Engine, running: HeadlessSession) -> str:
        end = running.session.snapshot()
        if end.state is State.FAILED and engine is local_engine_of(self._simulation):
            raise _failure(running)
        if end.state is State.FAILED and engine is Engine.PROCESS:
            self._runs_in_child = False
            return f"it does not run in a process: {end.error}"
        return f"there is nothing to stop: it was {end.state} after {end.step} steps"

    def _stopped(self, rung: Rung, ends: list[Snapshot]) -> str:
        if ends[-1].state is State.STUCK:
            self._thread_stops = False
            return f"{rung}: it does not stop; a thread that is stuck stays until its step returns"
        receipts = [end.stop for end in ends if end.stop and end.stop.after_ms is not None]
        if not receipts:
            return f"{rung}: it ended before it could be stopped"
        if rung is Rung.FLAG and receipts[-1].how is not Rung.FLAG:
            self._hears_flag = False
            return f"{rung}: its step did not hear it within {FLAG_TIMEOUT_S:g} s"
        times = [receipt.after_ms or 0 for receipt in receipts]
        hows = " and ".join(sorted({receipt.how or Rung.FLAG for receipt in receipts}))
        return (
            f"{rung}: median {statistics.median(times):,.0f} ms, longest {max(times):,} ms of "
            f"{len(times)}, by {hows}"
        )

    def _run(self, simulation: Simulation, engine: Engine, **options: Any) -> HeadlessSession:
        return HeadlessSession(
            simulation,
            self._params,
            engine=engine,
            fork_server=fork_server,
            fps=conf().FPS if simulation.fps is None else simulation.fps,
            max_frame_bytes=conf().MAX_FRAME_BYTES,
            limits=limits(),
            **options,
        )


def _wait_for_second_step(running: HeadlessSession, seconds: float) -> Iterator[str]:
    """Wait until the first step is taken, which may compile or import; say so meanwhile."""
    deadline = time.monotonic() + seconds
    while not (running.wait_for_step(2, SAY_WAITING_S) or running.wait(0)):
        step = running.session.step_in_progress()
        if time.monotonic() > deadline:
            return
        if step is None:
            yield "it is starting…"
        else:
            yield f"step {step.number} is still running, {step.seconds:.0f} s"


def _failure(running: HeadlessSession) -> CommandError:
    """Return what is said of a simulation that has failed."""
    end, place = running.session.snapshot(), running.session.place
    return CommandError(f"{end.error}\n{place or ''}\n{end.traceback or ''}".rstrip())


def _last_of(line: Line) -> str:
    """Name a line, with its newest value."""
    return f"{line.name} (last {line.kept.values[-1]:.4g})"


def _is_long(end: Snapshot) -> bool:
    return end.state is State.STUCK or (
        end.stop is not None and (end.stop.after_ms or 0) > LONG_STOP_MS
    )


def _timed(simulation: Simulation, steps: list[float]) -> Any:
    """Return a generator function that steps as the simulation does, and notes how long it took."""

    def run(ctx: Context, **params: Any) -> Iterator[Any]:
        iterator = simulation.steps(ctx)
        try:
            while True:
                began = time.perf_counter()
                try:
                    drawable = next(iterator)
                except StopIteration:
                    return
                steps.append(time.perf_counter() - began)
                yield drawable
        finally:
            iterator.close()  # type: ignore[attr-defined]  # they are all generators

    return run


def _lateness_of(wait: Any) -> list[float]:
    """Return by how much a thread that sleeps for a millisecond was late, while `wait` ran."""
    late: list[float] = []
    over = threading.Event()

    def tick() -> None:
        while not over.is_set():
            due = time.perf_counter() + TICK_S
            time.sleep(TICK_S)
            late.append(time.perf_counter() - due)

    ticker = threading.Thread(target=tick, name="check-ticker", daemon=True)
    ticker.start()
    try:
        wait()
    finally:
        over.set()
        ticker.join()
    return late


def _p99(values: list[float]) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms" if seconds >= 0.0001 else f"{seconds * 1e6:,.1f} µs"
