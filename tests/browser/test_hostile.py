"""A picture that would take the page over."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import start
from tests.visitor import Visitor

# What it says of what it has refused.
REFUSED = "sandboxed|Unsafe attempt to load|violates the following|Blocked (script|opening)"

pytestmark = [pytest.mark.browser, pytest.mark.complains(REFUSED)]


@pytest.fixture
def expect_nothing(server):
    """Say that a page was not taken over, and that the server was asked for nothing."""

    def expect_nothing(page):
        assert page.evaluate("window.taken") is None
        Visitor(server).get("/asked-last/")
        server.wait_for_log("/asked-last/")
        assert "/stolen" not in server.read_log()

    return expect_nothing


def expect_frames(page):
    expect(page.locator("[data-field=frame-rate]")).to_have_text(re.compile(r"^[\d.]+$"))


@pytest.fixture
def page(open_page):
    page = start(open_page, "hostile")
    expect_frames(page)
    return page


def test_runs_nothing_and_loads_nothing(page, expect_nothing):
    expect_nothing(page)


@pytest.mark.parametrize("button", ["left", "middle"])
@pytest.mark.parametrize("modifiers", [[], ["Control"], ["Shift"]])
def test_its_links_lead_nowhere(page, expect_nothing, button, modifiers):
    """Each quarter of it is a link."""
    address, box = page.url, page.locator(".picture").bounding_box()
    for key in modifiers:
        page.keyboard.down(key)
    for x in (0.25, 0.75):
        for y in (0.25, 0.75):
            place = (box["x"] + box["width"] * x, box["y"] + box["height"] * y)
            page.mouse.click(*place, button=button)
    for key in modifiers:
        page.keyboard.up(key)
    expect_frames(page)
    assert page.url == address
    assert len(page.context.pages) == 1
    expect_nothing(page)


def test_its_links_lead_nowhere_where_no_listener_hears_of_a_click(page, expect_nothing):
    """As in a browser in which a frame without scripts has no listeners, either."""
    page.evaluate("""
        () => document.querySelector("live-step").shadowRoot.querySelector(".picture iframe")
          .contentWindow.addEventListener("click", (event) => event.stopPropagation(), true)""")
    test_its_links_lead_nowhere(page, expect_nothing, "left", [])


def test_shown_as_an_image_it_runs_nothing_either(open_page, expect_nothing):
    page = open_page("/simulations/hostile/")
    page.evaluate("document.querySelector('live-step').setAttribute('picture', 'img')")
    page.evaluate("""() => {
        const player = document.querySelector("live-step");
        const parent = player.parentNode;
        player.remove();
        parent.append(player);
    }""")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".picture img.drawn")).to_be_visible()
    expect_frames(page)
    page.locator(".picture").click()
    expect_nothing(page)


def test_opened_as_a_page_of_its_own_neither(page, expect_nothing):
    page.goto(f"{page.url}frame.svg")
    expect(page.locator("svg")).to_be_visible()
    expect_nothing(page)
