"""Measures how soon the gallery's live session is seen, what the pages weigh, and how soon a press
of Start or Stop is answered.

make bench-gallery       writes benchmarks/gallery.md, in about two minutes
"""

import datetime
import os
import platform
import random
import re
import shutil
import statistics
from collections import defaultdict

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.servers import ROOT, livestep_process, p

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
LOADS = 15
STOPS = 40
STOPPED = "ising"
# Each in another moment of a step.
STOP_AFTER_MS = (300, 500)

# Events of an element that do not bubble are still seen on their way down.
WATCH = """
document.addEventListener("frame", () => { window.firstFrame ??= performance.now(); }, true);
window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach(({ element, startTime }) => {
  if (element?.slot === "poster") window.firstPicture ??= startTime;
})).observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => {
  window.shifted += value;
})).observe({ type: "layout-shift", buffered: true });
"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SIZES = """performance.getEntries()
  .filter((entry) => ["navigation", "resource"].includes(entry.entryType))
  .map((entry) => [new URL(entry.name).pathname, entry.transferSize])"""
# From the press, as the system has dated it, until the words, or the first picture, are painted.
WATCH_PRESSES = """
window.starts = [];
window.stops = [];
const player = document.querySelector("live-step");
const root = player.shadowRoot;
document.addEventListener("click", (click) => {
  const [button] = click.composedPath().filter((node) => node instanceof HTMLButtonElement);
  if (button?.textContent.trim() === "Start") window.starts.push({ pressed: click.timeStamp });
}, true);
player.addEventListener("frame", () => {
  const start = window.starts.at(-1);
  if (start) start.painted ??= performance.now() - start.pressed;
});
const state = root.querySelector("[data-field=state]");
root.querySelector("[data-action=stop]").addEventListener("click", ({ timeStamp }) => {
  window.stops.push({ pressed: timeStamp });
}, true);
new MutationObserver(() => {
  const stop = window.stops.at(-1);
  const words = state.textContent;
  const what = words === "Stopping…" ? "said" : words.startsWith("Stopped") ? "receipt" : "";
  if (!stop || !what) return;
  requestAnimationFrame(() => setTimeout(() => {
    stop[what] ??= performance.now() - stop.pressed;
  }));
}).observe(state, { childList: true, characterData: true, subtree: true });
"""
KINDS = {
    "pages": r"/$",
    "style sheets": r"\.css$",
    "scripts": r"\.js$",
    "cards' pictures": r"/gallery/\w+\.[\w.]*svg$",
    "other pictures": r"\.svg$",
}


def wait_for_frame(page: Page) -> tuple[float, float, float, float]:
    """Return when something was painted, when the picture at the top was, and when the first frame
    was, in ms, and how much of the page has moved, as browsers measure it."""
    while not (at := page.evaluate("window.firstFrame")):
        page.wait_for_timeout(5)
    paint = float(page.evaluate(FIRST_PAINT))
    picture, shift = page.evaluate("[window.firstPicture, window.shifted]")
    return paint, float(picture), float(at), float(shift)


def first_frames(browser: Browser, address: str) -> list[str]:
    rows: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    for _ in range(LOADS):
        context = watching(browser)
        for kind in ("nothing in the cache", "again"):
            page = context.new_page()
            page.goto(address)
            rows[kind].append(wait_for_frame(page))
            page.close()
        context.close()
    lines = []
    for kind, times in rows.items():
        paints, pictures, frames, shifts = zip(*times, strict=True)
        lines.append(
            f"| {kind} | {median(paints)} | {median(pictures)} | {median(frames)} "
            f"| {max(frames):.0f} | {max(shifts):.3f} |"
        )
    return lines


def weights(browser: Browser, address: str, path: str) -> list[int]:
    context = watching(browser)
    page = context.new_page()
    page.goto(f"{address}{path}")
    page.locator("live-step[status=live]").wait_for()
    sizes: dict[str, int] = defaultdict(int)
    for name, size in page.evaluate(SIZES):
        if not name.endswith("/frame.svg"):
            kind = next(kind for kind, pattern in KINDS.items() if re.search(pattern, name))
            sizes[kind] += size
    context.close()
    return [sizes[kind] for kind in KINDS]


def presses(browser: Browser, address: str) -> str:
    """Start and stop a simulation by the mouse; returns the row of the table."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"{address}/simulations/{STOPPED}/")
    page.locator("live-step[status=live]").wait_for()
    page.evaluate(WATCH_PRESSES)
    for _ in range(STOPS):
        page.get_by_role("button", name="Start", exact=True).click()
        page.locator("live-step[state=running]").wait_for()
        page.wait_for_timeout(random.uniform(*STOP_AFTER_MS))
        page.get_by_role("button", name="Stop", exact=True).click()
        page.locator("live-step[state=stopped]").wait_for()
        while page.evaluate("!window.stops.at(-1).receipt"):
            page.wait_for_timeout(20)
    engine = page.request.get(page.url + "state.json").json()["engine"]
    # The first is not warm.
    starts, stops = page.evaluate("[window.starts.slice(1), window.stops]")
    context.close()
    cells = [engine]
    for times, what in ((starts, "painted"), (stops, "said"), (stops, "receipt")):
        measured = [press[what] for press in times if what in press]
        cells += [p(measured, 50), p(measured, 95)]
    return f"| {' | '.join(cells)} |"


def watching(browser: Browser) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(WATCH)
    return context


def median(values) -> str:
    return f"{statistics.median(values):.0f}"


def measure(address: str, with_processes: str) -> str:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        times = "\n".join(first_frames(browser, address))
        table = "\n".join(
            f"| `{path}` | " + " | ".join(f"{size:,}" for size in (*sizes, sum(sizes))) + " |"
            for path in ("/", "/simulations/ising/")
            for sizes in [weights(browser, address, path)]
        )
        pressed = "\n".join(presses(browser, server) for server in (address, with_processes))
        version = browser.version
        browser.close()
    return f"""# The gallery

{datetime.date.today()}, Chromium {version} without a window or a GPU, \
Python {platform.python_version()}, {os.cpu_count()} cores, with the server on the \
same machine, whose load was {os.getloadavg()[0]:.1f} at the end. Made by `make bench-gallery`.

From the navigation to the picture at the top, which comes with the page and is the newest of a \
session that goes on there, and to the first frame of that session itself, in ms, of {LOADS} loads \
each; and the most that a page has moved meanwhile (cumulative layout shift; up to 0.1 is good):

| | first paint, median | picture, median | first frame, median | longest | shift, most |
| --- | --- | --- | --- | --- | --- |
{times}

What comes over the wire, in bytes, without the frames:

| page | {" | ".join(KINDS)} | all |
| --- {"| --- " * (len(KINDS) + 1)}|
{table}

From the press of Start until the first picture is painted, and from the press of Stop until \
"Stopping…" is, and until the receipt is, in ms, of {STOPS} each of `{STOPPED}` by a mouse, whose \
steps take a few milliseconds:

| engine | first picture, median | p95 | "Stopping…", median | p95 | receipt, median | p95 |
| --- | --- | --- | --- | --- | --- | --- |
{pressed}
"""


def main() -> None:
    settings = {"SIMULATIONS": "", "LIVESTEP_FPS": "30"}
    with (
        livestep_process(**settings) as (address, _),
        livestep_process(**settings, LIVESTEP_ENGINE="process") as (with_processes, _),
    ):
        addresses = (one.replace("ws://", "http://") for one in (address, with_processes))
        text = measure(*addresses)
    (ROOT / "benchmarks" / "gallery.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
