"""A picture that would take the page over."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_admin import id_of, log_in
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


def click_all_links(page, button, modifiers):
    """Each quarter of the picture is one. None leads anywhere."""
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


def test_runs_nothing_loads_nothing_and_its_links_lead_nowhere(page, expect_nothing):
    expect_nothing(page)
    for button in ("left", "middle"):
        for modifiers in ([], ["Control"], ["Shift"]):
            click_all_links(page, button, modifiers)
            expect_nothing(page)


def test_its_links_lead_nowhere_where_no_listener_hears_of_a_click(page, expect_nothing):
    """As in a browser in which a frame without scripts has no listeners, either."""
    page.evaluate("""
        () => document.querySelector("live-step").shadowRoot.querySelector(".picture iframe")
          .contentWindow.addEventListener("click", (event) => event.stopPropagation(), true)""")
    click_all_links(page, "left", [])
    expect_nothing(page)


def show_as_image(page):
    """Have pictures shown in an <img>, as where there can be no frame for them."""
    page.evaluate("""() => {
        const player = document.querySelector("live-step");
        const parent = player.parentNode;
        player.setAttribute("picture", "img");
        player.remove();
        parent.append(player);
    }""")


def test_shown_as_an_image_it_runs_nothing_either(open_page, expect_nothing):
    page = open_page("/simulations/hostile/")
    show_as_image(page)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".picture img.drawn")).to_be_visible()
    # Somebody has asked for it.
    expect(page.locator("[data-field=notice]")).not_to_contain_text("shown as an image")
    expect_frames(page)
    page.locator(".picture").click()
    expect_nothing(page)


def test_opened_as_a_page_of_its_own_neither(page, expect_nothing):
    page.goto(f"{page.url}frame.svg")
    expect(page.locator("svg")).to_be_visible()
    expect_nothing(page)


# Each level stands for ten of the one below: a billion shapes in a kilobyte.
LEVELS = "".join(
    f'<g id="l{level}">' + f'<use href="#l{level - 1}"/>' * 10 + "</g>" for level in range(1, 10)
)
BOMB = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
    f'<defs><rect id="l0" width="1" height="1"/>{LEVELS}</defs><use href="#l9"/></svg>'
)
# The same by patterns, and by a filter that is worked out again and again.
PATTERNS = "".join(
    f'<pattern id="p{level}" width="1" height="1">'
    + f'<rect width="1" height="1" style="fill: url(#p{level - 1})"/>' * 10
    + "</pattern>"
    for level in range(1, 10)
)
PATTERN_BOMB = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
    f'<defs>{PATTERNS}</defs><rect width="9" height="9" fill="url(#p9)"/></svg>'
)
FILTER_BOMB = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><filter id="f">'
    + "<feTurbulence numOctaves='99'/>" * 20
    + '</filter><g filter="url(#f)"><rect width="9" height="9"/></g></svg>'
)
CIRCLE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
    '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>'
    '<rect width="9" height="9"/></svg>'
)


def show(page, svg):
    page.get_by_label("Svg").fill(svg)
    page.get_by_role("button", name="Start", exact=True).click()


@pytest.mark.parametrize("tag", ["iframe", "img"])
def test_one_that_would_hang_the_tab_is_not_shown(open_page, tag):
    page = open_page("/simulations/given/")
    for bomb in (BOMB, PATTERN_BOMB, FILTER_BOMB):
        if tag == "img":
            show_as_image(page)
        show(page, bomb)
        expect(page.get_by_role("alert").first).to_have_text(
            "Frame 1 is not shown: it has more than 200,000 shapes, and this page would "
            "stand still."
        )
        page.reload()
    # One whose parts refer to each other is no more than what it shows.
    if tag == "img":
        show_as_image(page)
    show(page, CIRCLE)
    expect(page.locator(f".picture {tag}.drawn")).to_be_visible()


@pytest.mark.usefixtures("users")
def test_in_the_admin_comes_by_a_click_only_and_stop_works_without_it(open_page):
    driver = start(open_page, "hostile")
    page = log_in(open_page, "boss")
    page.goto(f"/admin/streaming/streamsession/{id_of(driver)}/change/")
    show_it = page.get_by_role("button", name="Show the picture")
    expect(show_it).to_be_visible()
    assert page.locator("live-step").count() == 0
    show_it.click()
    expect(page.locator(".picture iframe.drawn")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).first.click()
    expect(page.get_by_text("1 session was asked to stop.")).to_be_visible()
