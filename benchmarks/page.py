"""Measures the page in Chromium: long tasks at 60 frames/s of 20 KB, and memory over 5,000 frames.

make bench-page          writes benchmarks/page.md, in about three minutes
"""

import datetime
import os
import platform
import re
import shutil
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks.servers import ROOT, livestep_process

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
SECONDS = 10
FRAMES = 5_000
WARM_UP = 1_000
MIB = 1024 * 1024

# Counts what the page paints and the tasks that are longer than 50 ms.
WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  window.longTasks.push(...list.getEntries().map((entry) => entry.duration));
}).observe({ type: "longtask" });
window.painted = 0;
new MutationObserver((changes) => {
  for (const { addedNodes } of changes)
    for (const node of addedNodes) if (node.nodeName === "IMG") window.painted += 1;
}).observe(document, { childList: true, subtree: true });
"""


def renderer(browser: CDPSession, page: Page) -> int:
    """Return the process of a page: of all renderers, the one that has used most time."""
    processes = browser.send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [one for one in processes if one["type"] == "renderer"]
    return int(max(renderers, key=lambda one: one["cpuTime"])["id"])


def memory(pid: int, devtools: CDPSession) -> tuple[float, float]:
    """Return the MB of a page's JavaScript heap, and of its process, after collecting garbage."""
    devtools.send("HeapProfiler.collectGarbage")
    metrics: list[dict[str, Any]] = devtools.send("Performance.getMetrics")["metrics"]
    heap = next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize")
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return heap / MIB, int(found[1]) / 1024


def painted(page: Page) -> int:
    return int(page.evaluate("window.painted"))


def wait_until_painted(page: Page, frames: int) -> None:
    page.wait_for_function(f"window.painted >= {frames}", timeout=600_000)


def measure(address: str) -> str:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(f"{address}/simulations/drawn/")
        page.get_by_role("button", name="Start", exact=True).click()
        wait_until_painted(page, 60)
        page.evaluate("window.longTasks.length = 0")
        before, began = painted(page), time.monotonic()
        time.sleep(SECONDS)
        rate = (painted(page) - before) / (time.monotonic() - began)
        long_tasks = page.evaluate("window.longTasks")
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")
        pid = renderer(browser.new_browser_cdp_session(), page)
        wait_until_painted(page, WARM_UP)
        rows = []
        for frames in range(WARM_UP, WARM_UP + FRAMES + 1, 1000):
            wait_until_painted(page, frames)
            heap, process = memory(pid, devtools)
            rows.append(f"| {frames:,} | {heap:.1f} | {process:.0f} |")
        all_long = page.evaluate("window.longTasks.length")
        version = browser.version
        browser.close()
    longest = max(long_tasks, default=0)
    return f"""# The page

{datetime.date.today()}, Chromium {version} without a window or a GPU, \
Python {platform.python_version()}, {os.cpu_count()} cores, with the server on the same machine. \
Made by `make bench-page`.

| measure | must reach | found |
| --- | --- | --- |
| tasks longer than 50 ms in {SECONDS} s, at most 60 frames/s of 20 KB | none | \
{len(long_tasks)} (longest {longest:.0f} ms) at {rate:.0f} painted frames/s |
| the same over {FRAMES:,} frames, with {len(rows)} forced collections of garbage | | {all_long} |
| memory over {FRAMES:,} frames | flat | below |

| painted frames | JavaScript heap, MB | renderer process, MB |
| --- | --- | --- |
{chr(10).join(rows)}
"""


def main() -> None:
    with livestep_process(LIVESTEP_FPS="60") as (address, _):
        text = measure(address.replace("ws://", "http://"))
    (ROOT / "benchmarks" / "page.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
