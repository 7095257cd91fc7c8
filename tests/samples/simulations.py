"""Simulations for the tests, each of which shows one behaviour."""

import os
import secrets
import signal
import threading
import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from enum import Enum
from html import escape
from pathlib import Path
from random import Random
from typing import Annotated, Literal

from streaming import Context, Param, simulation


def svg(text: object) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg"><text>{text}</text></svg>'


# Tests hold the steps of `gated` and `stubborn` back with these.
gate = threading.Semaphore(0)
entered = threading.Event()
release = threading.Event()


class Colour(Enum):
    RED = 1
    DARK_BLUE = 2


@simulation
def counter(ctx: Context, level: Annotated[int, Param(0, 10, live=True)] = 1, size: int = 4):
    """Count for ever."""
    step = 0
    while True:
        step += 1
        yield svg(f"{step} {ctx.params.level} {size}")
        ctx.sleep(0.001)


@simulation
def drawn(ctx: Context, seed: int | None = None, size: int = 4):
    """Have a seed that is drawn where nobody gives one."""
    while True:
        yield svg(f"{seed} {size}")
        ctx.sleep(0.1)


@simulation
def low():
    """Draw a picture that is low and wide, and fail."""
    yield '<svg viewBox="0 0 100 20"><text y="9">low</text></svg>'
    raise ZeroDivisionError


@simulation
def sketch(ctx: Context):
    """Say what was done on its picture."""
    done = []
    while True:
        done += ctx.events()
        yield svg(" ".join(f"{each.kind}:{each.x:g},{each.y:g}:{each.target}" for each in done))
        ctx.sleep(0.005)


@simulation
def slow(ctx: Context):
    """Take a step four times a second."""
    step = 0
    while True:
        step += 1
        yield svg(step)
        ctx.sleep(0.25)


@simulation
def gated(ctx: Context):
    """Take a step for each time that the gate is released."""
    step = 0
    while True:
        while not gate.acquire(timeout=0.01):
            ctx.check()
        step += 1
        yield svg(step)


@simulation
def finite(count: int = 3):
    """Count and end."""
    for step in range(1, count + 1):
        yield svg(step)


@simulation
def broken(good_steps: int = 2):
    """Fail after some steps."""
    for step in range(good_steps):
        yield svg(step)
    raise ZeroDivisionError("the secret of the author")


@simulation
def unspeakable():
    """Fail with a text that UTF-8 has no code for."""
    raise OSError("no such file: \udcff")
    yield


@simulation
def no_svg():
    """Give what is no picture."""
    while True:
        yield {"not": "a picture"}


@simulation
def no_xml(ctx: Context):
    """Give what begins as SVG and is not well-formed."""
    while True:
        yield "<svg><text></svg>"
        ctx.sleep(0.01)


@simulation
def reads(ctx: Context, text: Annotated[str, Param(live=True)] = "a", other: str = "b"):
    """Say how long a text is."""
    while True:
        yield svg(f"{len(ctx.params.text)} {len(other)}")
        ctx.sleep(0.001)


@simulation
def sized(size: int = 100):
    """Give frames of that many bytes."""
    frame = "<svg xmlns='http://www.w3.org/2000/svg'>" + "<!---->" + "</svg>"
    frame = frame.replace("<!---->", "<!--" + "x" * (size - len(frame)) + "-->")
    while True:
        yield frame


def noise(length):
    """Return letters that compression makes a quarter shorter at most."""
    return b64encode(Random(length).randbytes(length))[:length].decode()


@simulation
def noisy(size: int = 100):
    """Give frames that are hardly smaller on the wire."""
    frame = svg(noise(size))
    while True:
        yield frame


@simulation
def stubborn():
    """Take one step that ends when the test says so, whatever anybody asks."""
    yield svg("before")
    entered.set()
    release.wait()
    yield svg("after")


@simulation(engine="process")
def isolated():
    """Ask for a process of its own."""
    while True:
        yield svg("isolated")


@simulation(engine="process")
def endless():
    """Take a second step that never ends, in a process of its own."""
    yield svg("before")
    while True:
        pass


@simulation
def every_kind(
    whole: Annotated[int, Param(1, 9, help="From 1 to 9.")] = 3,
    number: Annotated[float, Param(0, 1)] = 0.5,
    flag: bool = True,
    word: Annotated[str, Param(max=5)] = "abc",
    rule: Literal["life", "seeds"] = "life",
    colour: Colour = Colour.RED,
    *,
    needed: Annotated[int, Param(live=True)],
):
    """Have a parameter of every kind."""
    while True:
        yield svg((whole, number, flag, word, rule, colour, needed))


@dataclass
class Span:
    begins: datetime = datetime(2026, 1, 2, 3, 4)
    sides: tuple[float, float] = (1.5, 2)


@simulation
def untouched(
    sure: bool | None = None,
    moment: datetime = datetime(2026, 1, 2, 3, 4),
    day: date = date(2026, 1, 2),
    hour: time_of_day = time_of_day(12, 30),
    price: Decimal = Decimal("1.10"),
    large: float = 1e22,
    small: float = 1e-7,
    maybe: int | None = None,
    colour: Colour | None = None,
    colours: list[Colour] = [Colour.DARK_BLUE],  # noqa: B006
    some: list[float] = [0.5, 2],  # noqa: B006
    span: Span = Span(),  # noqa: B008
    table: Path | None = None,
):
    """Have defaults whose controls show them in another form, and say what came of them."""
    while True:
        yield svg(escape(f"{sure} {moment} {hour} {price} {colour} {colours} {span}"))


@simulation
def stamped(ctx: Context, size: int = 1000, per_second: float = 30):
    """Say in each frame when it was made, by the clock that all processes share."""
    filling = secrets.token_hex(size // 2)
    while True:
        yield lambda: svg(f"{time.monotonic()}</text><!--{filling}--><text>")
        ctx.sleep(1 / per_second)


@simulation
def stalls(ctx: Context, seconds: float = 2):
    """Hold the interpreter in one call into C for that long, in every tenth step."""
    began = time.perf_counter()
    sum(range(10**7))
    rounds = int(10**7 * seconds / (time.perf_counter() - began))
    step = 0
    while True:
        step += 1
        yield svg(step)
        ctx.sleep(0.05)
        if step % 10 == 0:
            sum(range(rounds))


@simulation
def hostile():
    """Draw pictures that would take the page over, where a page lets them."""
    html = 'xmlns="http://www.w3.org/1999/xhtml"'
    while True:
        yield (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            'viewBox="0 0 100 100" onload="top.taken = 1" onclick="top.taken = 6">'
            "<script>top.taken = 2</script>"
            f'<script {html} src="/stolen"></script>'
            '<image href="/stolen" width="1" height="1" onerror="top.taken = 3"/>'
            '<feImage href="/stolen"/><use href="/stolen#x"/><use xlink:href="/stolen#x"/>'
            f'<foreignObject width="9" height="9"><img {html} src="/stolen" '
            f'onerror="top.taken = 4"/><iframe {html} src="/stolen"></iframe>'
            f'<iframe {html} srcdoc="&lt;script>top.taken = 7&lt;/script>"></iframe>'
            f'<object {html} data="/stolen"></object><embed {html} src="/stolen"/>'
            f'<video {html} src="/stolen" autoplay="" onerror="top.taken = 8"></video>'
            f'<link {html} rel="stylesheet" href="/stolen"/>'
            f'<meta {html} http-equiv="refresh" content="0;url=/stolen"/>'
            f'<base {html} href="/stolen"/>'
            f'<form {html} action="/stolen"><button autofocus="" onfocus="top.taken = 9">'
            "send</button></form></foreignObject>"
            "<style>@import url(/stolen); @font-face { font-family: x; src: url(/stolen) } "
            "rect { fill: url(/stolen#x); background: url(/stolen); cursor: url(/stolen), auto } "
            "text { font-family: x; mask: url(/stolen#y) }</style><text>x</text>"
            '<a href="javascript:top.taken = 5"><rect width="50" height="50"/></a>'
            '<a href="/stolen"><rect x="50" width="50" height="50"/></a>'
            '<a xlink:href="/stolen" target="_top"><rect y="50" width="50" height="50"/></a>'
            '<a href="/stolen" target="_self"><set attributeName="href" to="/stolen"/>'
            '<rect x="50" y="50" width="50" height="50"/></a>'
            '<animate attributeName="onload" to="top.taken = 10" begin="0s" '
            'onbegin="top.taken = 11"/></svg>'
        )
        time.sleep(0.01)


@simulation(title="Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbaubeamter")
def wide(ctx: Context, rindfleischetikettierungsueberwachungsaufgabenuebertragung: int = 1):
    """See https://example.org/an/address/that/has/no/place/at/which/a/line/could/break/at.html."""
    ctx.progress(1, 3, "Hottentottenstottertrottelmutterbeutelrattenlattengitterkoffer" * 3)
    while True:
        yield svg("wide")
        ctx.sleep(0.05)


@simulation
def adapting(ctx: Context):
    """Draw for light and for dark: a **circle** of $2 \\pi r$ would, too."""
    while True:
        yield (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 30"><style>'
            "text { fill: black } @media (prefers-color-scheme: dark) { text { fill: white } }"
            '</style><text x="4" y="18" font-size="9">adapts</text></svg>'
        )
        ctx.sleep(0.05)


@simulation
def given(svg: Annotated[str, Param(max=250_000)] = svg("given")):
    """Show the picture that it is given."""
    yield svg


@dataclass
class Walls:
    width: Annotated[int, Param(1, 9)] = 3
    name: str = "north"


@simulation
def many_types(
    ctx: Context,
    table: Path | None = None,
    raw: bytes | None = None,
    some: list[int] = [1, 2],  # noqa: B006
    moods: list[Colour] = [Colour.RED],  # noqa: B006
    day: date = date(2026, 1, 2),
    walls: Walls = Walls(),  # noqa: B008
    seed: int | None = None,
):
    """Say what it was given, with the content of its files."""
    assert ctx.params.table == table
    while True:
        text = table and f"{table.name} {table.read_text()[:8]} {table.stat().st_size}"
        yield svg((text, raw, some, [mood.name for mood in moods], str(day), walls.width, seed))
        ctx.sleep(0.05)


@simulation
def talks_and_fails(ctx: Context):
    """Print two lines, and fail soon after."""
    print("one\ntwo")  # noqa: T201
    yield svg(1)
    ctx.sleep(0.1)
    raise ValueError(3)


@simulation(steps_per_second=5, every_frame=True)
def leisurely(count: int = 1000):
    """Take a few steps a second, of which each is shown."""
    for number in range(1, count + 1):
        yield svg(number)


@simulation
def saves(ctx: Context):
    """Save three files."""
    ctx.save("notes.txt", "äh")
    yield svg(1)
    ctx.save("weights.bin", bytearray(600_000))
    ctx.save("empty", b"")
    yield svg(2)


@simulation
def plotting(ctx: Context, steps: int = 3, then: str = "end"):
    """Plot two lines, one of which has a gap, and another in every second step."""
    for step in range(1, steps + 1):
        ctx.plot(loss=1 / step, accuracy=None if step == 2 else step)
        if step % 2 == 0:
            ctx.plot(rare=step)
        if then == "fail" and step == steps:
            raise RuntimeError("no more")
        if then == "die" and step == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        yield svg(step)
    while then == "wait":
        ctx.sleep(0.05)
        yield svg("waits")


@simulation
def plots_what_is_none(ctx: Context):
    """Plot a list where a number should be."""
    yield svg(1)
    ctx.plot(loss=[0.3])
    yield svg(2)


@simulation
def plots_elsewhere(ctx: Context, steps: int = 300):
    """Plot where nobody reads that it does, and slowly."""
    plot = ctx.plot
    for step in range(steps):
        plot(height=step % 7)
        yield svg(step)
        ctx.sleep(0.1)
