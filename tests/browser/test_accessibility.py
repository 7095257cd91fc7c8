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
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def expect_no_violations(page, context=None):
    found = Axe().run(page, context, {"runOnly": {"type": "tag", "values": TAGS}})
    violations = [
        f"{page.url} {violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]
    assert violations == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
class TestPages:
    def test_without_a_session(self, open_page, scheme):
        page = open_page("/", color_scheme=scheme)
        for path in PATHS:
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator("live-step:not([status=live])")).to_have_count(0)
            expect_no_violations(page)

    def test_while_it_runs_and_when_it_has_stopped(self, open_page, scheme):
        page = start(open_page, "ising", color_scheme=scheme)
        expect(page.get_by_role("slider", name="Back in time")).to_be_visible()
        expect_no_violations(page)
        viewer = open_page(page.url, color_scheme=scheme)
        expect(viewer.get_by_text("You are watching")).to_be_visible()
        expect_no_violations(viewer)
        press(page, "Share…")
        expect(page.get_by_role("img", name="A QR code of the link")).to_be_visible()
        expect_no_violations(page)
        press(page, "Close")
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        expect_no_violations(page)

    def test_when_it_has_failed(self, open_page, scheme):
        page = open_page("/simulations/broken/", color_scheme=scheme)
        press(page, "Start")
        expect_fault(page, "^The simulation failed")
        expect_no_violations(page)

    def test_with_errors_at_its_fields(self, open_page, scheme):
        page = open_page("/simulations/tour/", color_scheme=scheme)
        page.get_by_label("Cities", exact=True).fill("nonsense")
        press(page, "Start")
        expect(page.locator("[data-name=cities] .errors li")).to_be_visible()
        expect_no_violations(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_admins_pages(open_page, users, scheme):
    """Of what is Django's own only what we put into it is looked at."""
    driver = start(open_page, "ising", color_scheme=scheme)
    session = re.search(r"/sessions/([\w-]+)/", driver.url)[1]
    page = log_in(open_page, "boss")
    page.emulate_media(color_scheme=scheme)
    for path in ("", f"{session}/change/", "dashboard/"):
        page.goto(f"/admin/streaming/streamsession/{path}")
        ours = [["#content"], ["#header"], ["div.breadcrumbs"]]
        expect_no_violations(page, {"include": ours, "exclude": DJANGOS_OWN})
