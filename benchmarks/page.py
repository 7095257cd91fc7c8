"""Measures the page in Chromium: long tasks at 60 frames/s of 20 KB, and memory over 5,000 frames.

make bench-page          writes benchmarks/page.md, in about six minutes
"""

import contextlib
import datetime
import os
import platform
import shutil
import time
from collections.abc import Iterator
from typing import Any

import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.servers import ROOT, livestep_process

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
SECONDS = 10
MARKS = range(500, 5_501, 1_000)
HEAP_MB = 256
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


def renderer(browser: CDPSession, page: Page) -> int:
    """Return the process of a page: of all renderers, the one that has used most time."""
    processes = browser.send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [one for one in processes if one["type"] == "renderer"]
    return int(max(renderers, key=lambda one: one["cpuTime"])["id"])


def resident(pid: int) -> int:
    """Return the MB that a process has in memory."""
    return int(psutil.Process(pid).memory_info().rss) // MIB


def collect(devtools: CDPSession) -> float:
    """Have Chromium give back what nobody holds; returns the MB of the JavaScript heap then."""
    devtools.send("HeapProfiler.collectGarbage")
    devtools.send("Memory.simulatePressureNotification", {"level": "critical"})
    time.sleep(1)
    metrics: list[dict[str, Any]] = devtools.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize")) / MIB


def painted(page: Page) -> int:
    return int(page.evaluate("window.painted"))


def wait_until_painted(page: Page, frames: int) -> None:
    # Not with wait_for_function(), whose code the page's Content-Security-Policy refuses.
    while painted(page) < frames:
        time.sleep(0.1)


@contextlib.contextmanager
def playing(address: str, *arguments: str) -> Iterator[tuple[Browser, Page, int]]:
    """Show the frames in a Chromium of its own; gives it, its page, and the page's process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *arguments]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(f"{address}/simulations/drawn/")
        page.get_by_role("button", name="Start", exact=True).click()
        wait_until_painted(page, 60)
        yield browser, page, renderer(browser.new_browser_cdp_session(), page)
        browser.close()


def smoothness(page: Page) -> str:
    page.evaluate("window.longTasks.length = 0")
    before, began = painted(page), time.monotonic()
    time.sleep(SECONDS)
    rate = (painted(page) - before) / (time.monotonic() - began)
    tasks = page.evaluate("window.longTasks")
    longest = f", the longest {max(tasks):.0f} ms" if tasks else ""
    return f"{len(tasks)}{longest}, at {rate:.0f} painted frames/s"


def stopped(page: Page, devtools: CDPSession, pid: int) -> list[Any]:
    """Stop; return the three numbers of a row."""
    page.get_by_role("button", name="Stop", exact=True).click()
    time.sleep(2)
    before, heap = resident(pid), collect(devtools)
    return [before, f"{heap:.1f}", resident(pid)]


def measure(address: str) -> str:
    rows = []
    with playing(address) as (browser, page, pid):
        smooth, version = smoothness(page), browser.version
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")
        for frames in MARKS:
            wait_until_painted(page, frames)
            before = resident(pid)
            heap = collect(devtools)
            rows.append([f"{frames:,}", before, f"{heap:.1f}", resident(pid)])
        rows.append(["after Stop", *stopped(page, devtools, pid)])
    with playing(address, f"--js-flags=--max-old-space-size={HEAP_MB}") as (_, page, pid):
        for found, frames in zip(rows, MARKS, strict=False):
            wait_until_painted(page, frames)
            found.append(resident(pid))
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")
        rows[-1].append(stopped(page, devtools, pid)[-1])
    table = "\n".join("| " + " | ".join(map(str, found)) + " |" for found in rows)
    return f"""# The page

{datetime.date.today()}, Chromium {version} without a window or a GPU, \
Python {platform.python_version()}, {os.cpu_count()} cores, with the server on the same machine. \
Made by `make bench-page`.

Tasks longer than 50 ms in {SECONDS} s, at most 60 frames/s of 20 KB (600 circles): {smooth}.

Memory of the page, in MB:

| painted frames | process, as it comes | JavaScript heap, collected | process, collected | \
process, with a heap of at most {HEAP_MB} MB |
| --- | --- | --- | --- | --- |
{table}

Collected: garbage, and then what Chromium gives back when memory is short. The page holds one frame
and one object URL, and its heap is flat; its process is not. Chromium makes a document of each SVG
image, of 1.5 KB or so for each element, and is in no hurry to collect them. What grows even so,
about 30 KB a frame, grows alike in a page with nothing but a loop that changes a picture, be it
with a new <img> each time, two in turn, one, a data: URL or a canvas (2,000 to 3,500 frames each).
"""


def main() -> None:
    with livestep_process(LIVESTEP_FPS="60") as (address, _):
        text = measure(address.replace("ws://", "http://"))
    (ROOT / "benchmarks" / "page.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
