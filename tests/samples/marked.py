"""Simulations that leave a trace of each beginning, in a server that says what it has."""

import asyncio
import gc
import json
import os
import secrets
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

from streaming import Context, simulation
from streaming.runtime import runtime
from tests.samples.simulations import svg


def _count(ctx: Context, label: str, beginnings: str):
    mark = secrets.token_hex(8)
    # One write to the end of a file: two that begin at once do not cut each other's line.
    with Path(beginnings).open("a") as file:
        file.write(f"{label} {mark} {os.getpid()}\n")
    step = 0
    while True:
        step += 1
        yield svg(f"{label} {mark} {step}")
        ctx.sleep(0.02)


@simulation
def marked(ctx: Context, label: str, beginnings: str):
    """Count in a thread, and say in each frame which beginning it is of."""
    yield from _count(ctx, label, beginnings)


@simulation(engine="process")
def marked_apart(ctx: Context, label: str, beginnings: str):
    """The same in a process of its own."""
    yield from _count(ctx, label, beginnings)


@simulation(engine="process")
def marked_deaf(ctx: Context, label: str, beginnings: str):
    """The same, with a second step that nothing but a kill ends."""
    yield next(_count(ctx, label, beginnings))
    while True:
        with suppress(BaseException):
            time.sleep(60)


@simulation(engine="process", queue="crowd")
def marked_crowd(ctx: Context, label: str, beginnings: str):
    """The same, for compute machines of another queue."""
    yield from _count(ctx, label, beginnings)


def _tasks(loop):
    """Return what each task of a loop waits in."""
    found = {}
    for task in asyncio.all_tasks(loop):
        lines, waiting = [], task.get_coro()
        while (frame := getattr(waiting, "cr_frame", None)) is not None:
            lines.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
            waiting = waiting.cr_await
        found.setdefault(task.get_name(), []).append(" > ".join(lines))
    return found


def _tell(number, frame):
    """Write down what goes on in this process, since threads have no names outside of it."""
    gc.collect()
    loop = runtime.bus.loop
    found = {
        "threads": [thread.name for thread in threading.enumerate()],
        "tasks": {} if loop is None else _tasks(loop),
    }
    path = Path(os.environ["VAR_DIR"]) / f"inside-{os.getpid()}"
    path.with_suffix(".draft").write_text(json.dumps(found))
    path.with_suffix(".draft").rename(path.with_suffix(".json"))


signal.signal(signal.SIGUSR2, _tell)
