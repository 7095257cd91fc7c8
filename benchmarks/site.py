"""A site of many processes, simulated: what its event loops and Redis do, event after event.

Each process is its event loop: it does one job at a time, and looks for what has come when no job
waits; Redis does one at a time, too. What a job costs was measured, and is read from the files of
the other benchmarks. benchmarks/scale.py asks it how much it carries.
"""

import heapq
import random
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parent.parent
# As in streaming/cluster/bridge.py, and the defaults of streaming/conf.py.
MOST_ONE_BY_ONE, REMOTE_FPS, REMOTE_BYTES_PER_SECOND = 8, 15, 2_000_000
# A frame of 20 KB, deflated as in benchmarks/costs.py.
PAYLOAD = 11_500
WARM_S, MEASURED_S, LONG_S = 3.0, 1.5, 20.0
# The acknowledgements of a process's viewers come in so many parts.
MOST_PARTS = 5
# Of a client in the benchmark, for each frame; all are one program. Of a client far away, its line.
CLIENT_S, LINE_S = 80e-6, 0.05
# What comes as soon as a job is done finds the loop awake.
SAME_S = 1e-9
Job = Callable[[], None]


def figure(file: str, row: str, number: int = 0) -> float:
    """Return a number from the row of a table: the first after its name, or a later one."""
    text = (ROOT / "benchmarks" / f"{file}.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"| {row}"))
    cells = line[len(f"| {row}") :].split("|", 1)[1]
    return float(re.findall(r"\d[\d,]*\.?\d*", cells)[number].replace(",", ""))


@dataclass(frozen=True)
class Costs:
    """In seconds. Frames are 20 KB, deflated, but for what was measured with 10 KB: `make`, `send`
    and `ack`."""

    # Of a round of a loop, for whatever comes.
    wake: float
    # A step, its picture, and handing it to the loop.
    make: float
    # Sending one viewer a frame or a message, and taking its acknowledgement.
    send: float
    ack: float
    to_redis: float
    from_redis: float
    message: float
    redis_in: float
    redis_out: float
    hop: float
    heartbeat: float
    # Of the process, beside the database's.
    beating: float
    look: float
    roll: float
    # Of a process that does nothing, each second.
    idle: float


def measured_costs() -> Costs:
    """Read the costs from the tables of the other benchmarks."""
    many = "500 viewers of one session, 10 KB frames"
    one = "server CPU for a delivered and acknowledged 10 KB frame, thread engine, 300/s"
    # Where hundreds of viewers keep the loop busy it never has to wake up.
    both = 1 / figure("delivery", many, 1)
    send = 1 / figure("delivery", many, 2)
    # A bare ASGI application: it wakes up to send, and for the acknowledgement.
    wake = (figure("delivery", one, 2) * 1e-6 - both) / 2
    micro, milli = 1e-6, 1e-3
    return Costs(
        wake=wake,
        make=figure("delivery", one, 1) * micro
        - both
        - 2 * wake
        + figure("costs", "of deflating a frame") * micro,
        send=send,
        ack=both - send,
        to_redis=figure("costs", "processor time of sending a frame") * micro,
        from_redis=(
            figure("costs", "of receiving it") + figure("costs", "of making it ready for a viewer")
        )
        * micro,
        message=figure("costs", "processor time of sending a message of 400") * micro,
        redis_in=figure("costs", "processor time of Redis") * micro,
        redis_out=figure("costs", "for each that goes out") * micro,
        hop=figure("costs", "how long it is on its way") * micro,
        heartbeat=figure("costs", "a heartbeat") * milli,
        beating=figure("costs", "processor time of the process for it") * milli,
        look=figure("costs", "a look at") * milli,
        roll=figure("costs", "processor time of reading that") * milli,
        idle=figure("costs", "processor time of a process that does nothing") * milli,
    )


class Clock:
    """Calls what is to happen, in the order in which it does."""

    def __init__(self) -> None:
        self.now = 0.0
        self._next: list[tuple[float, int, Job]] = []
        self._numbers = count()

    def after(self, seconds: float, job: Job) -> None:
        heapq.heappush(self._next, (self.now + seconds, next(self._numbers), job))

    def every(self, seconds: float, job: Job) -> None:
        """Do something again and again, from some moment on, nearly that often."""

        def again() -> None:
            job()
            self.after(seconds * random.uniform(0.95, 1.05), again)

        self.after(random.uniform(0, seconds), again)

    def run(self, until: float) -> None:
        while self._next[0][0] < until:
            self.now, _, job = heapq.heappop(self._next)
            job()


class Server:
    """Does one job at a time: a process's event loop, or Redis.

    Args:
        wake: What a round costs that begins with a job: what comes while another job waits already
            is in its round, and so is what comes as soon as a job is done.
        times: As how many jobs each counts: those of the processes that are not simulated are as
            those of the others.
    """

    def __init__(self, clock: Clock, wake: float = 0.0, times: float = 1.0) -> None:
        self._clock, self._wake, self._times = clock, wake, times
        self._free_at = self._last_begins_at = self._given = 0.0

    def do(self, seconds: float, then: Job | None = None) -> None:
        """Do a job after those that wait, and call something when it is done."""
        now = self._clock.now
        seconds *= self._times
        goes_on = abs(self._free_at - now) <= SAME_S
        if self._last_begins_at <= now and not goes_on:
            seconds += self._wake
        self._last_begins_at = max(self._free_at, now)
        self._free_at = self._last_begins_at + seconds
        self._given += seconds
        if then is not None:
            self._clock.after(self._free_at - now, then)

    @property
    def busy(self) -> float:
        """For how long it has worked until now."""
        return self._given - max(0.0, self._free_at - self._clock.now)


@dataclass(frozen=True)
class Load:
    """What a site has to carry.

    Args:
        sessions: How many run; so many of them are `watched`.
        here: The viewers of each of these in its own process; and in how many processes it has
            others, and how many in each.
        fps: The frames that each makes a second.
        far: Whether the viewers are far away, and not in one program beside the servers.
        simulated: How many of the processes are simulated, each with its part of the sessions;
            the others are like them. 0 for all.
    """

    name: str
    processes: int
    sessions: int
    watched: int
    here: int
    elsewhere: int
    viewers_elsewhere: int
    fps: float
    far: bool = True
    simulated: int = 0

    @property
    def times(self) -> float:
        """How many times what is simulated the whole site is."""
        return self.processes / (self.simulated or self.processes)

    @property
    def viewers(self) -> int:
        return self.watched * (self.here + self.elsewhere * self.viewers_elsewhere)


class Site:
    """Processes, Redis and PostgreSQL under a load."""

    def __init__(self, load: Load, costs: Costs) -> None:
        self.load, self.costs, self.clock = load, costs, Clock()
        simulated = load.simulated or load.processes
        self.loops = [Server(self.clock, costs.wake) for _ in range(simulated)]
        self.redis = Server(self.clock, times=load.times)
        self.clients = Server(self.clock)
        self.to_viewers = self.out_of_redis = 0
        # Ages of frames, by whether their viewers are in the session's own process.
        self.ages: dict[bool, list[float]] = {True: [], False: []}
        for number in range(int(load.watched / load.times)):
            Session(self, number)
        for loop in self.loops:
            self._begin_upkeep(loop)

    def _begin_upkeep(self, loop: Server) -> None:
        """What a process says and writes, whatever its viewers do."""
        costs, processes = self.costs, self.load.processes
        others = processes > 1
        # That it is there, the message that says who is, and that it hears itself on both lines.
        # Whatever it does without a session, in small pieces.
        self.clock.every(0.01, lambda: loop.do(max(0.0, costs.idle / 100 - costs.wake)))
        self.clock.every(1, lambda: loop.do(others * 4 * costs.message))
        self.clock.every(1, lambda: loop.do(others * costs.roll * processes / 100))
        self.clock.every(4, lambda: loop.do(costs.beating))

    def measure(self, seconds: float = MEASURED_S) -> "Measured":
        self.clock.run(WARM_S)
        servers = [*self.loops, self.redis]
        before = [server.busy for server in servers]
        self.to_viewers = self.out_of_redis = 0
        for ages in self.ages.values():
            ages.clear()
        self.clock.run(WARM_S + seconds)
        busy = [(server.busy - was) / seconds for server, was in zip(servers, before, strict=True)]
        times = self.load.times
        return Measured(
            frames=self.to_viewers / seconds * times,
            busiest=max(busy[:-1]),
            cores=sum(busy[:-1]) * times,
            redis=busy[-1],
            out_of_redis=self.out_of_redis / seconds * times,
            ages={near: statistics.median(ages) for near, ages in self.ages.items() if ages},
        )


@dataclass(frozen=True)
class Measured:
    """What was seen of a site: per second, and in parts of what one core can do."""

    frames: float
    busiest: float
    cores: float
    redis: float
    out_of_redis: float
    ages: dict[bool, float]


class Session:
    """A session that is watched: its process makes frames and sends them to its viewers'."""

    def __init__(self, site: Site, number: int) -> None:
        load, self.site = site.load, site
        own = number % len(site.loops)
        self._loop = site.loops[own]
        self._near = Viewers(site, own, load.here, near=True)
        self._far = [
            Viewers(site, (own + 1 + one) % len(site.loops), load.viewers_elsewhere, near=False)
            for one in range(load.elsewhere)
        ]
        self._is_making = self._is_sending = False
        site.clock.every(1 / load.fps, self._make)
        site.clock.every(1, self._say)

    def _make(self) -> None:
        if self._is_making:
            return  # The step waits until the loop has taken the frame before.
        self._is_making = True
        made_at = self.site.clock.now
        self._loop.do(self.site.costs.make, lambda: self._hand_over(made_at))

    def _hand_over(self, made_at: float) -> None:
        self._is_making = False
        self._near.offer(made_at)
        if not self._far or self._is_sending:
            return
        self._is_sending = True
        one_by_one = len(self._far) <= MOST_ONE_BY_ONE
        sends = len(self._far) if one_by_one else 1
        copies = min(len(self._far), MOST_ONE_BY_ONE)
        pause = max(1 / REMOTE_FPS, PAYLOAD * copies / REMOTE_BYTES_PER_SECOND)
        self.site.clock.after(pause, self._note_sent)
        self._loop.do(sends * self.site.costs.to_redis, lambda: self._publish(made_at, sends))

    def _note_sent(self) -> None:
        self._is_sending = False

    def _publish(self, made_at: float, sends: int) -> None:
        site, costs = self.site, self.site.costs
        site.out_of_redis += len(self._far) * PAYLOAD
        work = sends * costs.redis_in + len(self._far) * costs.redis_out
        # The hop was measured between loops that were idle: one wake-up is in it.
        by_loops = costs.to_redis + costs.from_redis + costs.wake
        on_its_way = max(0.0, costs.hop - by_loops - work)
        site.redis.do(work, lambda: site.clock.after(on_its_way, lambda: self._arrive(made_at)))

    def _arrive(self, made_at: float) -> None:
        for viewers in self._far:
            viewers.take(made_at)

    def _say(self) -> None:
        """Tell all viewers how it is, and hear from the other processes that they watch."""
        costs = self.site.costs
        self._near.tell()
        for viewers in self._far:
            # How it is, and that somebody watches: one message to and one from each process.
            self._loop.do(2 * costs.message)
            viewers.loop.do(2 * costs.message)
            viewers.tell()


class Viewers:
    """The viewers of a session in one process. They get the newest frame, when they have the one
    before."""

    def __init__(self, site: Site, process: int, number: int, *, near: bool) -> None:
        self._site, self._number, self._near = site, number, near
        self.loop = site.loops[process]
        self._in_flight = 0
        self._newest: float | None = None

    def take(self, made_at: float) -> None:
        """Take a frame from Redis."""
        self.loop.do(self._site.costs.from_redis, lambda: self.offer(made_at))

    def tell(self) -> None:
        self.loop.do(self._number * self._site.costs.send)

    def offer(self, made_at: float) -> None:
        if not self._number:
            return
        self._newest = made_at
        if not self._in_flight:
            self._send()

    def _send(self) -> None:
        made_at, self._newest = self._newest, None
        parts = min(self._number, MOST_PARTS)
        self._in_flight = parts
        self.loop.do(
            self._number * self._site.costs.send, lambda: self._note_sent(made_at or 0.0, parts)
        )

    def _note_sent(self, made_at: float, parts: int) -> None:
        site = self._site
        site.to_viewers += self._number
        site.ages[self._near].append(site.clock.now - made_at)
        for _ in range(parts):
            if site.load.far:
                site.clock.after(random.uniform(0.5, 1.5) * LINE_S, lambda: self._ack(parts))
            else:
                site.clients.do(CLIENT_S * self._number / parts, lambda: self._ack(parts))

    def _ack(self, parts: int) -> None:
        work = self._number / parts * self._site.costs.ack
        self.loop.do(work, self._note_ack)

    def _note_ack(self) -> None:
        self._in_flight -= 1
        if not self._in_flight and self._newest is not None:
            self._send()
