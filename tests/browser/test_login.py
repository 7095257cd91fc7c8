"""A page whose user logs out in another tab."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import USERS
from tests.browser.test_admin import log_in
from tests.browser.test_page import expect_state, press

pytestmark = pytest.mark.browser

# To the page, its connection has lasted a while.
LATER = "const now = performance.now.bind(performance); performance.now = () => now() + 6_000;"


@pytest.fixture
def user_site(start_server):
    server = start_server(LIVESTEP_LOGIN_REQUIRED="yes")
    server.manage("shell", "-v0", "-c", USERS)
    yield server
    assert server.stop() == 0


def start(page, address):
    page.goto(address)
    press(page, "Start")
    expect_state(page, "Running")
    page.evaluate(LATER)


def log_out(page):
    other = page.context.new_page()
    other.goto(page.url.partition("/sessions/")[0] + "/admin/")
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_role("heading", name="Logged out")).to_be_visible()
    other.close()


def test_goes_on_as_a_visitors_where_there_are_visitors(open_page, users):
    page = log_in(open_page, "boss")
    start(page, "/simulations/counter/")
    log_out(page)
    notice = page.locator("[data-field=notice]")
    expect(notice).to_have_text("This login has ended.")
    expect(page.locator("[data-field=watching]")).to_be_visible()
    expect(page.locator("live-step")).to_have_attribute("status", "live")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden()
    expect_state(page, "Running")
    expect(page.get_by_role("link", name="Log in")).to_be_hidden()


def test_says_so_and_leads_to_the_login_where_the_site_is_for_users(open_page, user_site):
    page, sockets = open_page(user_site.url + "/admin/"), []
    page.get_by_label("Username").fill("boss")
    page.get_by_label("Password").fill("boss-password")
    page.get_by_role("button", name="Log in").click()
    page.on("websocket", lambda socket: sockets.append(socket.url))
    start(page, user_site.url + "/simulations/counter/")
    session = page.url
    log_out(page)
    expect(page.get_by_role("alert")).to_have_text("Log in to use this site.")
    expect(page.locator("live-step")).to_have_attribute("status", "lost")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    page.wait_for_timeout(1_000)
    assert len(sockets) == 2, "the page tries once whether it is still welcome"
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("Username").fill("boss")
    page.get_by_label("Password").fill("boss-password")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(session)
    expect_state(page, re.compile("^(Running|Stopped)"))
    expect(page.locator("live-step")).to_have_attribute("status", "live")
