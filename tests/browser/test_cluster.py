"""What somebody sees of a site with several processes when one of them is gone."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_player import expect_state, press
from tests.processes import make_cluster

pytestmark = [pytest.mark.browser, pytest.mark.redis, pytest.mark.postgres, pytest.mark.nginx]


@pytest.fixture(scope="module")
def server():
    """The site instead of one server; nginx is what has its address."""
    cluster = make_cluster(LIVESTEP_SHUTDOWN_GRACE="8")
    cluster.start()
    yield cluster
    cluster.stop()


def process_of(page):
    return re.search(r"/sessions/([ab])-", page.url)[1]


@pytest.fixture
def session_page(open_page):
    page = open_page("/simulations/ising/")
    press(page, "Start")
    page.wait_for_url("**/sessions/*/")
    expect_state(page, "Running")
    return page


@pytest.mark.complains("WebSocket connection|Failed to load resource")
class TestAProcessThatIsGone:
    def test_is_waited_for_then_the_same_is_offered_again(self, server, session_page):
        process = server.processes[process_of(session_page)]
        process.kill()
        expect(session_page.get_by_text("reconnecting…")).to_be_visible()
        expect_state(session_page, "Reconnecting")
        pause = session_page.get_by_role("button", name="Pause", exact=True)
        expect(pause).to_be_disabled()
        expect(session_page.get_by_role("button", name="Stop", exact=True)).to_be_enabled()
        expect_state(session_page, re.compile("^Lost"))
        expect(session_page.get_by_text("reconnecting…")).to_have_count(0)
        first = session_page.url
        press(session_page, "Run again")
        expect(session_page).not_to_have_url(first)
        expect_state(session_page, "Running")
        assert process_of(session_page) != process.name
        process.start()

    def test_before_a_deploy_its_sessions_are_seen_to_their_end(self, server, session_page):
        process = server.processes[process_of(session_page)]
        process.request_stop()
        expect(session_page.get_by_text("this session ends in at most")).to_be_visible()
        expect_state(session_page, "Running")
        expect_state(session_page, re.compile("^Stopped in"))
        expect(session_page.get_by_text("this session ends in at most")).to_have_count(0)
        process.stop()
        session_page.reload()
        # What it was stays to be seen, from whoever is there.
        expect_state(session_page, re.compile("^Stopped in"))
        session_page.wait_for_function(
            "() => document.querySelector('live-step').shadowRoot.querySelector('iframe.drawn')"
        )
        process.start()
