"""Simulations that misbehave, each in one way."""

import contextlib
import ctypes
import mmap
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from streaming import Context, simulation
from streaming.engine.isolation import pipe
from tests.samples.simulations import svg

LONG_IN_C = 10**11


@simulation
def spins():
    """Take a second step that never ends, in pure Python."""
    yield svg("before")
    while True:
        pass


@simulation
def uneven(ctx: Context, steps: int = 12, lazy: bool = False, then: str = "sleep"):
    """Take some steps at once, then one that is long or fatal."""
    for step in range(1, steps + 1):
        yield (lambda step=step: svg(step)) if lazy else svg(step)
    match then:
        case "sleep":
            ctx.sleep(3600)
        case "spin":
            while True:
                pass
        case "in_c":
            sum(range(LONG_IN_C))
        case "raise":
            raise ZeroDivisionError
        case "crash":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)


@simulation
def in_c():
    """Take a second step that is one call into C, which holds the GIL for minutes."""
    yield svg("before")
    sum(range(LONG_IN_C))


@simulation
def briefly_in_c():
    """Take steps that hold the GIL for a while each."""
    while True:
        sum(range(10**7))
        yield svg("x")


@simulation
def swallows():
    """Take a second step that lets nothing end it."""
    yield svg("before")
    while True:
        with contextlib.suppress(BaseException):
            while True:
                time.monotonic()


@simulation
def never_closes():
    """Have a cleanup that never ends."""
    try:
        while True:
            yield svg("x")
    finally:
        while True:
            time.monotonic()


@simulation
def never_draws():
    """Have a second picture that never ends."""
    yield svg("before")
    yield lambda: [zero for zero in iter(int, 1) if zero]


@simulation
def raises_when_stopped(ctx: Context):
    """Raise in a step that is being stopped."""
    while True:
        yield svg("x")
        while not ctx.stop_requested:
            pass
        raise ValueError("too late")


@simulation
def exits():
    """End its process in the second step."""
    yield svg("before")
    os._exit(3)


@simulation
def leaves():
    """Raise SystemExit in the second step."""
    yield svg("before")
    sys.exit("enough")


@simulation
def is_killed():
    """Be killed in the second step."""
    yield svg("before")
    os.kill(os.getpid(), signal.SIGKILL)


@simulation
def is_terminated():
    """Be told to end by somebody who is not its server."""
    yield svg("before")
    os.kill(os.getpid(), signal.SIGTERM)


@simulation
def crashes():
    """Read an address that is none in the second step."""
    yield svg("before")
    ctypes.string_at(0)


@simulation
def devours():
    """Take ever more memory, not so fast that it is ended before its error can reach it."""
    taken = []
    while True:
        taken.append(b"x" * 16 * 1024**2)
        yield svg(len(taken))
        time.sleep(0.02)


@simulation
def devours_in_c():
    """Take more memory than it may, in one call into C."""
    yield svg("before")
    while True:
        bytearray(b"x") * 4 * 1024**3


@simulation
def has_a_worker_that_devours():
    """Take no memory, but start a process that does."""
    yield svg("before")
    if os.fork() == 0:
        taken = []
        while True:
            taken.append(b"x" * 4 * 1024**2)
            time.sleep(0.005)
    time.sleep(3600)


@simulation
def maps(path: str):
    """Map 6 GB of a file, and reserve as much, and use little of both."""
    file = Path(path) / "large"
    with file.open("wb") as opened:
        opened.truncate(6 * 1024**3)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reserved = mmap.mmap(-1, 6 * 1024**3)
        reserved[:: 1024**3]
        for _ in range(20):
            yield svg(data[3 * 1024**3])
            time.sleep(0.01)


@simulation
def ends_as_openmp_does():
    """End as numba's threads do where they were used before a fork."""
    yield svg("before")
    sys.stderr.write(
        "Terminating: fork() called from a process already using GNU OpenMP, this is unsafe.\n"
    )
    os.kill(os.getpid(), signal.SIGTERM)


@simulation
def burns_cpu():
    """Use up its seconds of CPU."""
    yield svg("before")
    while True:
        pass


@simulation
def prints(ctx: Context):
    """Print megabytes in each step."""
    while True:
        for _ in range(20_000):
            print("x" * 99)  # noqa: T201
        sys.stderr.write("the last words\n")
        yield svg("x")


@simulation
def cuts_a_frame_short():
    """Begin a message of 1,000 bytes, send half of it, and be gone."""
    yield svg("before")
    connection = _connection()
    os.write(connection, (60).to_bytes(4, "little") + (1000).to_bytes(4, "little") + b"x" * 500)
    os._exit(0)


@simulation
def talks_nonsense():
    """Write what is no message to the server."""
    yield svg("before")
    os.write(_connection(), b"\xff" * 4096)
    time.sleep(3600)


@simulation
def hangs_up():
    """Close the connection to the server and go on."""
    yield svg("before")
    os.close(_connection())
    time.sleep(3600)


NONSENSE = ({"description": 5}, {"progress": [10**400, 1, ""]}, {"progress": "x"})


@simulation
def reports_nonsense(ctx: Context):
    """Report in each step what is neither a text nor numbers, past what checks it."""
    yield svg("before")
    for nonsense in NONSENSE:
        ctx._host.board.write_reports(nonsense)
        yield svg("x")
    ctx.sleep(3600)


@simulation
def writes_nonsense(ctx: Context):
    """Write numbers that are none to the board."""
    yield svg("before")
    board = ctx._host.board
    board.fps = board.steps_per_second = board.usual_s = board.held_s = float("nan")
    while True:
        time.monotonic()


@simulation
def begins_again(ctx: Context):
    """Say that it has ended, and then that it has begun."""
    yield svg("before")
    ctx._host.say("began")
    ctx._host.say("ended", error=None, traceback=None, interrupted=False)
    ctx._host.say("began")
    time.sleep(3600)


@simulation
def floods(ctx: Context):
    """Send frames past the credit, as fast as the pipe takes them."""
    for step in range(1, 3001):
        pipe.send_frame(ctx._host._connection, step, b"<svg/>", None)
    yield svg("after")
    ctx.sleep(3600)


@simulation
def gives_half_a_frame(ctx: Context):
    """Say that a frame is larger than what comes with it."""
    yield svg("before")
    ctx._host.say("frame", b"<svg/>", step=1, svg=-3)
    time.sleep(3600)


@simulation
def gives_no_utf8(ctx: Context):
    """Send a frame that no text can be made of."""
    yield svg("before")
    pipe.send_frame(ctx._host._connection, 2, b"<svg>\xff</svg>", None)
    time.sleep(3600)


@simulation
def starts_what_becomes_root(path: str):
    """Start a program that becomes another user's and outlives it, as sudo does."""
    command = [path, "--reuid=0", "sleep", "3602"]
    program = psutil.Popen(command, start_new_session=True)
    while program.cmdline()[0] != "sleep":
        time.sleep(0.01)
    yield svg("started")


@simulation
def closes_its_bell(ctx: Context):
    """Have no ears any more, and go on."""
    yield svg("before")
    os.close(ctx._host._bell)
    ctx.describe("deaf")
    while True:
        time.monotonic()


@simulation
def stops_its_parent():
    """Stop the fork server, and again as soon as it goes on."""
    yield svg("before")
    while True:
        os.kill(os.getppid(), signal.SIGSTOP)
        yield svg("x")


def _connection() -> int:
    """Find the descriptor that leads to the server: the one stream socket there is."""
    (connection,) = psutil.Process().net_connections("unix")
    return connection.fd


@simulation
def has_a_helper(pid_file: str):
    """Start a program that outlives the step."""
    with subprocess.Popen(["sleep", "3600"]) as helper:
        Path(pid_file).write_text(str(helper.pid))
        while True:
            yield svg("x")
            time.sleep(0.01)


# What only serves.
SERVING = ("streaming.runtime", "streaming.web.consumer", "streaming.admin", "daphne", "twisted")


@simulation
def looks_around():
    """Show what a child can see of the server."""
    import json

    from django.conf import settings

    yield svg(
        json.dumps(
            {
                "environment": dict(os.environ),
                "environments": [
                    Path(f"/proc/{pid}/environ").read_text() for pid in (os.getpid(), os.getppid())
                ],
                "settings": repr(vars(sys.modules[settings.SETTINGS_MODULE])),
                "key": settings.SECRET_KEY,
                "database": settings.DATABASES["default"]["ENGINE"],
                "nice": os.nice(0),
                "random": random.random(),
                "modules": len(sys.modules),
                "serving": [name for name in SERVING if name in sys.modules],
                "descriptors": psutil.Process().num_fds(),
                "pid": os.getpid(),
            }
        )
        .replace("<", "")
        .replace("&", "")
    )


@simulation
def sleeps(ctx: Context):
    """Sleep in its second step, on the clock of the step."""
    yield svg("before")
    ctx.sleep(3600)


@simulation
def naps(ctx: Context):
    """Sleep for a second, then end."""
    began = time.monotonic()
    ctx.sleep(1.0)
    yield svg(f"{time.monotonic() - began:.3f}")


@simulation
def saves_outside(ctx: Context):
    """Save a file under a name that is a path."""
    yield svg("before")
    ctx.save("../outside", "x")


@simulation
def saves_past_us(ctx: Context):
    """Send a file without a name that could be one, past our own code."""
    yield svg("before")
    ctx._host.say("save", b"x", name="../outside", last=True)
    time.sleep(3600)
