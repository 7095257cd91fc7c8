"""What an author sees who saves the file of a simulation that runs."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import expect_state, picture, press
from tests.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.complains("WebSocket")]

SOURCE = """
from typing import Annotated
from streaming import Context, Param, simulation

@simulation
def mine(ctx: Context, size: Annotated[int, Param(1, 9)] = 4):
    while True:
        ctx.describe(f"{WORD} {size}")
        yield '<svg viewBox="0 0 9 9"><circle r="3"/></svg>'
        ctx.sleep(0.02)
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "my_sim.py"
    path.write_text(SOURCE.replace("{WORD}", "old"))
    return path


@pytest.fixture
def server(path, tmp_path):
    server = Server(tmp_path, str(path), "--reload", LIVESTEP_STOP_GRACE="0.5")
    yield server
    assert server.stop() == 0


def test_saving_starts_the_session_anew_and_a_mistake_covers_the_picture(open_page, path):
    page = open_page("/simulations/mine/")
    page.get_by_label("Size").fill("7")
    press(page, "Start")
    expect(picture(page)).to_have_attribute("aria-label", "old 7")
    before = page.url
    path.write_text("def broken(:\n")
    cover = page.locator("[data-field=cover]")
    expect(cover).to_be_visible()
    said = r"my_sim\.py:1: SyntaxError: .*▸ 1\s+def broken\(:"
    expect(cover).to_have_text(re.compile(said, re.DOTALL))
    expect_state(page, "Running")
    path.write_text(SOURCE.replace("{WORD}", "new"))
    expect(picture(page)).to_have_attribute("aria-label", "new 7")
    expect(cover).to_be_hidden()
    assert page.url != before
    press(page, "Stop")
    expect_state(page, re.compile("^Stopped in"))
