"""Who runs what, and the end of it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import expect_state, start

pytestmark = pytest.mark.browser

USERS = """
from django.contrib.auth.models import Permission, User
User.objects.create_superuser("boss", password="boss-password")
eve = User.objects.create_user("eve", password="eve-password", is_staff=True)
eve.user_permissions.add(Permission.objects.get(codename="view_streamsession"))
"""


@pytest.fixture(scope="module")
def users(server):
    server.manage("shell", "-v0", "-c", USERS)


def log_in(open_page, name):
    page = open_page("/admin/streaming/streamsession/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(f"{name}-password")
    page.get_by_role("button", name="Log in").click()
    return page


def row_of(page, driver):
    session = re.search(r"/sessions/([\w-]+)/", driver.url)[1]
    return page.locator("tr", has=page.locator(f'a[href="/sessions/{session}/"]'))


def test_the_boss_sees_a_session_and_stops_it(open_page, users):
    driver = start(open_page, "ising")
    page = log_in(open_page, "boss")
    row = row_of(page, driver)
    expect(row).to_contain_text("Running")
    row.get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option("Stop")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("1 session was asked to stop.")).to_be_visible()
    expect_state(
        driver, re.compile(r"^Stopped in \d+ ms, during step [\d,]+, by an administrator$")
    )


def test_staff_without_the_permission_see_but_cannot_stop(open_page, users):
    driver = start(open_page, "ising")
    page = log_in(open_page, "eve")
    expect(row_of(page, driver)).to_contain_text("ising")
    assert page.get_by_label("Action:").count() == 0
