"""A picture that would take the page over."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import start
from tests.visitor import Visitor

pytestmark = pytest.mark.browser


@pytest.fixture
def expect_nothing(server):
    """Say that a page was not taken over, and that the server was asked for nothing."""

    def expect_nothing(page):
        assert page.evaluate("window.taken") is None
        Visitor(server).get("/asked-last/")
        server.wait_for_log("/asked-last/")
        assert "/stolen" not in server.read_log()

    return expect_nothing


def test_runs_nothing_and_loads_nothing(open_page, expect_nothing):
    page = start(open_page, "hostile")
    expect(page.locator("[data-field=frame-rate]")).to_have_text(re.compile(r"^[\d.]+$"))
    page.locator(".picture").click()
    expect_nothing(page)


@pytest.mark.complains("sandboxed|violates the following")
def test_opened_as_a_page_of_its_own_neither(open_page, expect_nothing):
    page = start(open_page, "hostile")
    page.goto(f"{page.url}frame.svg")
    expect(page.locator("svg")).to_be_visible()
    expect_nothing(page)
