"""Measures the page in Chromium: the sandboxed frame beside an <img>, and long tasks.

make bench-page          writes benchmarks/page.md, in about eight minutes

Frame and image run at the same time, each in a Chromium of its own, so that what else the machine
does meets both: their ratios count.
"""

import contextlib
import datetime
import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
from playwright.sync_api import Browser, CDPSession, Page, Playwright, sync_playwright

from benchmarks.servers import ROOT, livestep_process

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
SMOOTH_SECONDS = 30
WARM_SECONDS = 8
SMOOTH_SHAPES = 610
LOADS = ((300, 30), (2_000, 8))
MARKS = (30, int(os.environ.get("SECONDS", "150")))
ELEMENTS = (1_000, 10_000, 100_000)
KINDS = {"frame": "/picture.svg", "image": "img"}
MIB = 1024 * 1024

# Counts what the page paints and the tasks that are longer than 50 ms.
WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  window.longTasks.push(...list.getEntries().map((entry) => entry.duration));
}).observe({ type: "longtask" });
window.painted = 0;
// It does not bubble, but is seen on its way down.
document.addEventListener("frame", () => { window.painted += 1; }, true);
"""
PLAY = """([picture, params]) => {
  const player = document.createElement("live-step");
  player.setAttribute("picture", picture);
  player.simulation = "drawn";
  player.params = params;
  document.querySelector("main").replaceChildren(player);
  return player.play();
}"""
# What a picture costs: to be parsed, and to be laid out and painted.
COST = """async (elements) => {
  const { FrameSurface } = await import(
    performance.getEntriesByType("resource").map(({ name }) => name)
      .find((name) => name.includes("live-step-surface")));
  const holder = document.querySelector("main");
  const surface = await FrameSurface.open(holder, "/picture.svg");
  surface.frame.style.width = surface.frame.style.height = "600px";
  surface.frame.classList.add("drawn");
  const dots = Array.from({ length: elements }, (_, n) =>
    `<circle cx="${(n * 7) % 997}" cy="${(n * 13) % 991}" r="3"/>`).join("");
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 1000">${dots}</svg>`;
  const began = performance.now();
  const drawing = await surface.draw(svg);
  const parsed = performance.now();
  await new Promise(requestAnimationFrame);
  const put = performance.now();
  drawing.put();
  await new Promise((resolve) => setTimeout(resolve));
  const shown = performance.now();
  surface.close();
  return [parsed - began, shown - put];
}"""


@dataclass
class Reading:
    """How a renderer is at one moment."""

    painted: int
    seconds: float  # Of CPU, since it began.
    memory: int  # In MB.


def renderer(browser: CDPSession) -> int:
    """Return the process of a page: of all renderers, the one that has used most time."""
    processes = browser.send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [one for one in processes if one["type"] == "renderer"]
    return int(max(renderers, key=lambda one: one["cpuTime"])["id"])


def read(page: Page, pid: int) -> Reading:
    process = psutil.Process(pid)
    times = process.cpu_times()
    memory = process.memory_info().rss // MIB
    return Reading(page.evaluate("window.painted"), times.user + times.system, memory)


def wait_until_painted(page: Page, frames: int) -> None:
    # Not with wait_for_function(), whose code the page's Content-Security-Policy refuses.
    while page.evaluate("window.painted") < frames:
        time.sleep(0.1)


@contextlib.contextmanager
def opened(playwright: Playwright, address: str) -> Iterator[tuple[Browser, Page]]:
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
    )
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(WATCH)
    page.goto(f"{address}/element/")
    yield browser, page
    browser.close()


def smoothness(page: Page) -> str:
    page.evaluate(PLAY, [KINDS["frame"], {"shapes": SMOOTH_SHAPES}])
    wait_until_painted(page, 120)
    page.evaluate("window.longTasks.length = 0")
    before, began = page.evaluate("window.painted"), time.monotonic()
    time.sleep(SMOOTH_SECONDS)
    rate = (page.evaluate("window.painted") - before) / (time.monotonic() - began)
    tasks = page.evaluate("window.longTasks")
    page.evaluate("document.querySelector('live-step').stop()")
    longest = f", the longest {max(tasks):.0f} ms" if tasks else ""
    return f"{len(tasks)}{longest}, at {rate:.0f} painted frames/s"


def side_by_side(playwright: Playwright, address: str, shapes: int, rate: int) -> list[str]:
    """Show the same in a frame and in an image; returns the rows of the table."""
    readings: dict[str, list[Reading]] = {kind: [] for kind in KINDS}
    with contextlib.ExitStack() as stack:
        pages = {kind: stack.enter_context(opened(playwright, address)) for kind in KINDS}
        for kind, (_, page) in pages.items():
            page.evaluate(PLAY, [KINDS[kind], {"shapes": shapes, "per_second": rate}])
            wait_until_painted(page, 10)
        # By then Chromium's own pages have used less than ours.
        time.sleep(WARM_SECONDS)
        pids = {kind: renderer(one.new_browser_cdp_session()) for kind, (one, _) in pages.items()}
        began = time.monotonic()
        for mark in (0, *MARKS):
            time.sleep(max(0, began + mark - time.monotonic()))
            for kind, (_, page) in pages.items():
                readings[kind].append(read(page, pids[kind]))
    return [row(kind, shapes, rate, *readings[kind]) for kind in KINDS]


def row(kind: str, shapes: int, rate: int, begin: Reading, early: Reading, late: Reading) -> str:
    frames = late.painted - begin.painted
    cpu_ms = (late.seconds - begin.seconds) * 1000 / frames
    growth = late.memory / early.memory
    cells = [f"{shapes:,} at {rate}/s", kind, f"{frames / MARKS[-1]:.1f}", f"{cpu_ms:.1f}"]
    cells += [early.memory, late.memory, f"{growth:.2f}"]  # type: ignore[list-item]
    return "| " + " | ".join(map(str, cells)) + " |"


def costs(page: Page) -> str:
    rows = []
    for elements in ELEMENTS:
        parse, paint = min(page.evaluate(COST, elements) for _ in range(3))
        rows.append(f"| {elements:,} | {parse:.0f} | {paint:.0f} |")
    return "\n".join(rows)


def measure(address: str) -> str:
    with sync_playwright() as playwright:
        rows = [row for load in LOADS for row in side_by_side(playwright, address, *load)]
        with opened(playwright, address) as (browser, page):
            cost, smooth, version = costs(page), smoothness(page), browser.version
    table = "\n".join(rows)
    return f"""# The page

{datetime.date.today()}, Chromium {version} without a window or a GPU, \
Python {platform.python_version()}, {os.cpu_count()} cores, with the server on the same machine. \
Made by `make bench-page`.

Circles in the sandboxed frame, and the same as an `<img>`, at the same time in two browsers. \
CPU is that of the renderer for each painted frame; memory is what the renderer has resident.

| load | picture | painted/s | CPU, ms a frame | MB after {MARKS[0]} s | \
MB after {MARKS[1]} s | growth |
| --- | --- | --- | --- | --- | --- | --- |
{table}

Chromium makes a document of each SVG image, of 1.5 KB or so for each element, and is in no hurry \
to collect them; the frame has one document, whose root is replaced.

Tasks longer than 50 ms in {SMOOTH_SECONDS} s, at most 60 frames/s of 20 KB \
({SMOOTH_SHAPES} circles): {smooth}.

What one picture costs, in ms; one that takes more than 200 ms is drawn less often:

| elements | to be parsed | to be laid out and painted |
| --- | --- | --- |
{cost}
"""


def main() -> None:
    with livestep_process(LIVESTEP_FPS="60") as (address, _):
        text = measure(address.replace("ws://", "http://"))
    (ROOT / "benchmarks" / "page.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
