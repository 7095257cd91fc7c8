"""Makes the pictures of the README: `.venv/bin/python -m development.pictures`, after `make test`.

The moving one is made of the frames that `manage.py stream` writes; Chromium draws them.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.servers import ROOT, Server

FOLDER = ROOT / "docs"
WIDTH, HEIGHT = 480, 360
STEPS, EVERY, FRAME_MS = 160, 5, 120


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        make_moving_picture(browser, Path(folder))
        server = Server(folder)
        try:
            take_screenshots(browser, server.url)
        finally:
            server.stop()
        browser.close()


def make_moving_picture(browser: Browser, folder: Path) -> None:
    command = [sys.executable, "manage.py", "stream", "layout", "--steps", str(STEPS)]
    subprocess.run([*command, "--out", str(folder / "frames")], cwd=ROOT, check=True)
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    pictures = []
    for path in sorted((folder / "frames").glob("*.svg"))[::EVERY]:
        page.set_content(
            f"<style>body{{margin:0}}svg{{width:100vw;height:100vh}}</style>{path.read_text()}"
        )
        page.screenshot(path=folder / "frame.png")
        pictures.append(
            Image.open(folder / "frame.png").convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
        )
    pictures[0].save(
        FOLDER / "layout.gif",
        save_all=True,
        append_images=pictures[1:],
        duration=FRAME_MS,
        loop=0,
        optimize=True,
    )


def take_screenshots(browser: Browser, url: str) -> None:
    page = open_page(browser, url, 1280, 800)
    page.wait_for_function("() => document.querySelector('live-step').currentStep > 20")
    save(page, "gallery")
    page.goto(f"{url}/simulations/tour/")
    run(page, 90)
    save(page, "screenshot")
    phone = open_page(browser, url, 390, 780)
    phone.goto(f"{url}/simulations/reaction/")
    run(phone, 200)
    save(phone, "phone")


def open_page(browser: Browser, url: str, width: int, height: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(url)
    return page


def run(page: Page, steps: int) -> None:
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_function(
        f"() => document.querySelector('live-step').currentStep > {steps}", timeout=60_000
    )
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text("Paused", exact=True).wait_for()


def save(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png")
    picture = Image.open(FOLDER / f"{name}.png").convert("P", palette=Image.Palette.ADAPTIVE)
    picture.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
