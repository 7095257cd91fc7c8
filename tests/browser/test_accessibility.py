"""What axe finds on every page: nothing, in light and in dark."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.test_admin import log_in
from tests.browser.test_page import expect_fault, expect_state, press, start

# axe itself puts a style into the page, which our policy does not let it.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.complains("Applying inline style|preload assets|404"),
]

DJANGOS_OWN = ["#changelist-filter"]
PATHS = [
    *("/", "/?q=model", "/simulations/tour/", "/simulations/reaction/?feed=9", "/element/"),
    *("/simulations/ising/embedded/", "/admin/login/", "/sessions/nowhere/", "/nowhere/"),
]
# What the colours can change.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
# On its way to another scheme a colour has a contrast that no one is shown for long: Django's
# links and buttons take 0.15 s.
FINISH = """document.getAnimations().forEach((one) => {
  if (one instanceof CSSTransition) one.finish();
})"""
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def expect_no_violations(page, context=None, *, rules=None):
    wanted = rules or {"type": "tag", "values": TAGS}
    page.evaluate(FINISH)
    found = Axe().run(page, context, {"runOnly": wanted, "resultTypes": ["violations"]})
    violations = [
        f"{page.url} {violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]
    assert violations == []


def expect_none_in_light_and_dark(page, context=None):
    page.emulate_media(color_scheme="light")
    expect_no_violations(page, context)
    page.emulate_media(color_scheme="dark")
    expect_no_violations(page, context, rules=COLOURS)


class TestPages:
    def test_without_a_session(self, open_page):
        page = open_page("/")
        for path in PATHS:
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator("live-step:not([status=live])")).to_have_count(0)
            expect_none_in_light_and_dark(page)

    def test_while_it_runs_and_when_it_has_stopped(self, open_page):
        page = start(open_page, "ising")
        expect(page.get_by_role("slider", name="Back in time")).to_be_visible()
        expect_none_in_light_and_dark(page)
        viewer = open_page(page.url)
        expect(viewer.get_by_text("You are watching")).to_be_visible()
        expect_none_in_light_and_dark(viewer)
        press(page, "Share…")
        expect(page.get_by_role("img", name="A QR code of the link")).to_be_visible()
        expect_none_in_light_and_dark(page)
        press(page, "Close")
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        expect_none_in_light_and_dark(page)

    def test_when_it_has_failed_and_with_errors_at_its_fields(self, open_page):
        page = open_page("/simulations/broken/")
        press(page, "Start")
        expect_fault(page, "^The simulation failed")
        expect_none_in_light_and_dark(page)
        page.goto("/simulations/tour/")
        page.get_by_label("Cities", exact=True).fill("nonsense")
        press(page, "Start")
        expect(page.locator("[data-name=cities] .errors li")).to_be_visible()
        expect_none_in_light_and_dark(page)


def test_the_admins_pages(open_page, users):
    """Of what is Django's own only what we put into it is looked at."""
    driver = start(open_page, "ising")
    session = re.search(r"/sessions/([\w-]+)/", driver.url)[1]
    page = log_in(open_page, "boss")
    for path in ("", f"{session}/change/", "dashboard/"):
        page.goto(f"/admin/streaming/streamsession/{path}")
        ours = [["#content"], ["#header"], ["div.breadcrumbs"]]
        expect_none_in_light_and_dark(page, {"include": ours, "exclude": DJANGOS_OWN})
