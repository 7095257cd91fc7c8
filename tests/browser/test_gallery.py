"""The first page: what runs there by itself, what it weighs, and how a simulation is found."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import expect_picture

pytestmark = pytest.mark.browser

# Of it 4 KB send files and values of every type, keep the speed, and show what a simulation prints.
MOST_PAGE_BYTES = 66_000
SIZES = """() => performance.getEntries()
  .filter((entry) => ["navigation", "resource"].includes(entry.entryType))
  .map((entry) => [new URL(entry.name).pathname, entry.transferSize])"""


def state_of(page, session):
    return page.request.get(f"/sessions/{session}/state.json").json()["state"]


def wait_until_stopped(page, session):
    deadline = time.monotonic() + 10
    while state_of(page, session) != "stopped":
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


def shown_session(page):
    expect_picture(page)
    return page.locator("live-step").get_attribute("session")


class TestWhatRunsByItself:
    def test_it_runs_without_a_click(self, open_page):
        page = open_page("/")
        session = shown_session(page)
        assert state_of(page, session) == "running"

    def test_it_stops_when_the_visitor_goes_on(self, open_page):
        page = open_page("/")
        session = shown_session(page)
        page.get_by_role("link", name="Open it with all its controls").click()
        # Not after the grace time, for which an abandoned session goes on.
        wait_until_stopped(page, session)
        receipt = page.request.get(f"/sessions/{session}/state.json").json()["stop"]
        assert receipt["by"] == "client"

    def test_the_back_button_starts_another(self, open_page):
        page = open_page("/")
        first = shown_session(page)
        page.get_by_role("link", name="Ising model", exact=True).click()
        wait_until_stopped(page, first)
        page.go_back()
        assert shown_session(page) != first

    def test_it_stops_when_the_visitor_closes_the_page(self, open_page):
        looker, page = open_page("/simulations/ising/"), open_page("/")
        session = shown_session(page)
        page.close()
        wait_until_stopped(looker, session)

    def test_it_is_calm_for_who_wants_little_motion(self, open_page):
        page = open_page("/", reduced_motion="reduce")
        expect(page.locator("[data-field=state]")).to_have_text("Paused")
        expect_picture(page)


class TestCards:
    def test_each_has_a_picture_and_says_where_it_runs(self, open_page):
        page = open_page("/")
        card = page.locator(".card", has_text="Ising model")
        expect(card.locator("img")).to_have_attribute("src", re.compile(r"/gallery/ising\..*svg$"))
        expect(card.locator(".engine")).to_have_text(
            re.compile("^in a (thread|process of its own)$")
        )

    def test_a_search_finds_by_every_word(self, open_page):
        page = open_page("/")
        page.get_by_role("searchbox").fill("MAGNETIC domains")
        page.get_by_role("searchbox").press("Enter")
        expect(page.locator(".card")).to_have_count(1)
        expect(page.locator(".card")).to_contain_text("Ising model")
        expect(page.locator("main")).to_contain_text("1 simulation has “MAGNETIC domains” in it.")
        assert page.locator("live-step").count() == 0

    def test_a_search_without_a_find_says_so(self, open_page):
        page = open_page("/?q=zzzz")
        expect(page.locator("main")).to_contain_text("0 simulations have “zzzz” in them.")
        page.get_by_role("link", name="Show all").click()
        expect(page.locator(".card").first).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/simulations/ising/"])
def test_the_page_is_light(open_page, path):
    """Everything that comes over the wire but the frames."""
    page = open_page(path)
    expect(page.locator("live-step")).to_have_attribute("status", "live")
    sizes = page.evaluate(SIZES)
    pictures = [(name, size) for name, size in sizes if re.search(r"/gallery/\w+\.", name)]
    assert sum(size for _, size in sizes) - sum(size for _, size in pictures) < MOST_PAGE_BYTES
    assert sum(size for _, size in pictures) <= 30_000
