"""Who runs what, and the end of it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import expect_state, press, start

pytestmark = pytest.mark.browser


def log_in(open_page, name):
    page = open_page("/admin/streaming/streamsession/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(f"{name}-password")
    page.get_by_role("button", name="Log in").click()
    return page


def id_of(driver):
    return re.search(r"/sessions/([\w-]+)/", driver.url)[1]


def row_of(page, driver):
    session = id_of(driver)
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


def count_requests(page):
    """Count how often the page asks for itself."""
    asked = []
    page.on("request", lambda request: asked.append(request.url) if is_refresh(request) else None)
    return asked


def is_refresh(request):
    return "x-livestep-refresh" in request.headers


def set_hidden(page, hidden):
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


class TestTheListRefreshesItself:
    def test_and_leaves_what_somebody_is_doing_alone(self, open_page, users):
        """Rows come and go; what is checked, chosen, focused and scrolled to stays."""
        driver = start(open_page, "ising")
        page = log_in(open_page, "boss")
        page.set_viewport_size({"width": 500, "height": 400})
        row = row_of(page, driver)
        row.get_by_role("checkbox").check()
        page.get_by_label("Action:").select_option("Pause")
        row.get_by_role("link", name="ising").focus()
        page.evaluate("scrollTo(0, 120)")
        before = row.locator(".field-steps").inner_text()

        other = start(open_page, "counter")
        new = row_of(page, other)
        expect(new).to_be_attached()
        expect(row.locator(".field-steps")).not_to_have_text(before)
        expect(row.get_by_role("checkbox")).to_be_checked()
        expect(row.get_by_role("link", name="ising")).to_be_focused()
        assert page.get_by_label("Action:").input_value() == "pause"
        assert page.evaluate("scrollY") == 120
        rows = page.locator("#result_list tbody tr").count()
        expect(page.locator(".action-counter")).to_have_text(f"1 of {rows} selected")

        new.get_by_role("checkbox").check()
        expect(page.locator(".action-counter")).to_have_text(f"2 of {rows} selected")
        press(other, "Stop")
        expect(new).not_to_be_attached()
        expect(page.locator(".action-counter")).to_have_text(re.compile(r"^1 of \d+ selected$"))
        expect(row.get_by_role("checkbox")).to_be_checked()

    def test_choosing_all_counts_the_rows_that_came_later(self, open_page, users):
        start(open_page, "ising")
        page = log_in(open_page, "boss")
        later = row_of(page, start(open_page, "counter"))
        expect(later).to_be_attached()
        page.locator("#action-toggle").check()
        expect(later.get_by_role("checkbox")).to_be_checked()
        rows = page.locator("#result_list tbody tr").count()
        expect(page.locator(".action-counter")).to_have_text(f"{rows} of {rows} selected")

    def test_shows_the_first_rows_where_there_was_no_table(self, open_page, users):
        page = log_in(open_page, "boss")
        driver = start(open_page, "counter")
        page.goto(f"/admin/streaming/streamsession/?q={id_of(driver)}&activity=ended")
        expect(page.locator("#result_list")).not_to_be_attached()
        press(driver, "Stop")
        row = row_of(page, driver)
        expect(row).to_contain_text("Stopped")
        row.get_by_role("checkbox").check()
        expect(page.locator(".action-counter")).to_have_text("1 of 1 selected")

    @pytest.mark.complains("Failed to load resource")
    def test_says_quietly_that_it_could_not_and_goes_on(self, open_page, users):
        page = log_in(open_page, "boss")
        driver = start(open_page, "counter")
        page.route(is_own_address, lambda route: route.abort())
        status = page.get_by_role("status")
        expect(status).to_have_text(re.compile(r"^Not refreshed since \d+:\d\d:\d\d"))
        page.unroute(is_own_address)
        expect(status).to_be_empty()
        expect(row_of(page, driver)).to_be_attached()

    def test_ends_with_a_sentence_when_nobody_is_logged_in_any_more(self, open_page, users):
        page = log_in(open_page, "boss")
        expect(page.locator("#changelist")).to_be_visible()
        page.clock.install()
        page.reload()
        page.context.clear_cookies()
        page.clock.run_for(2_000)
        expect(page.get_by_role("status")).to_have_text(re.compile("log in if you are asked to"))
        asked = count_requests(page)
        page.clock.run_for(30_000)
        assert asked == []

    def test_asks_one_question_at_a_time(self, open_page, users):
        page = log_in(open_page, "boss")
        expect(page.locator("#changelist")).to_be_visible()
        page.clock.install()
        page.reload()
        held = []
        page.route(is_own_address, lambda route: held.append(route))
        with page.expect_request(is_refresh):
            page.clock.run_for(2_000)
        page.clock.run_for(10_000)
        set_hidden(page, False)
        page.clock.run_for(2_000)
        assert len(held) == 1
        held[0].continue_()

    def test_does_not_ask_while_it_is_hidden(self, open_page, users):
        page = log_in(open_page, "boss")
        expect(page.locator("#changelist")).to_be_visible()
        page.clock.install()
        page.reload()
        asked = count_requests(page)
        set_hidden(page, True)
        page.clock.run_for(30_000)
        assert asked == []
        with page.expect_request(is_refresh):
            set_hidden(page, False)


def is_own_address(url):
    return "/admin/streaming/streamsession/" in url


class TestASessionsPage:
    def test_shows_what_it_does_and_controls_it(self, open_page, users):
        driver = start(open_page, "ising")
        page = log_in(open_page, "boss")
        row_of(page, driver).get_by_role("link", name="ising").click()
        steps = page.locator(".field-steps .readonly")
        before = steps.inner_text()
        expect(steps).not_to_have_text(before)
        expect(page.locator("[data-stack] pre")).to_contain_text(re.compile("gallery|_take_steps"))
        page.locator("[data-stack] pre").evaluate("pre => { pre.textContent = ''; }")
        press(page, "Look again")
        expect(page.locator("[data-stack] pre")).to_contain_text(re.compile("gallery|_take_steps"))
        controls = page.locator(".session-controls")
        controls.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("1 session was asked to pause.")).to_be_visible()
        expect_state(driver, "Paused")
        controls.get_by_role("button", name="Resume").click()
        expect_state(driver, "Running")
        controls.get_by_role("button", name="Stop").click()
        expect(page.locator(".field-state .readonly")).to_have_text("Stopped")
        expect(page.locator(".field-stop_receipt")).to_contain_text("stopped in")
        expect(controls).not_to_be_attached()


class TestTheDashboard:
    def test_refreshes_itself_and_keeps_open_what_is_open(self, open_page, users):
        page = log_in(open_page, "boss")
        page.get_by_role("link", name="Dashboard").click()
        charts = page.get_by_role("img", name=re.compile("^(Steps|Frames).s"))
        expect(charts).to_have_count(2)
        page.get_by_text("Every five minutes").click()
        running = page.get_by_role("row", name=re.compile("^Running"))
        before = running.inner_text()
        start(open_page, "counter")
        expect(running).not_to_have_text(before)
        expect(page.get_by_role("row", name=re.compile("^5 – 0"))).to_be_visible()  # noqa: RUF001
