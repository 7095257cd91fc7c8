"""What is given to others, what is saved, and the player in a frame of another site's page."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.browser.hands import FakeServer
from tests.browser.test_page import expect_state, press

pytestmark = pytest.mark.browser

FRAME = b'<link rel="icon" href="data:,"><iframe title="x" width="640" height="560"></iframe>'
REFUSED = "refused to connect|frame-ancestors|chrome-error"


class TestSavedFiles:
    def test_stand_under_the_picture_with_their_sizes(self, open_page):
        page = open_page("about:blank")
        server = FakeServer(page)
        page.goto("/simulations/ising/")
        press(page, "Start")
        files = page.locator("[data-field=files]")
        expect_state(page, "Running")
        expect(files).to_be_hidden()
        saved = [{"name": "a & b?.csv", "size": 1_234_567}, {"name": "best.tour", "size": 999}]
        server.say(**{**server.session, "files": saved})
        expect(files).to_be_visible()
        link = files.get_by_role("link", name="a & b?.csv")
        expect(link).to_have_attribute("href", re.compile(r"/sessions/fake/files/a%20%26%20b%3F"))
        expect(link).to_have_attribute("download", "a & b?.csv")
        expect(files.get_by_role("listitem")).to_have_text(
            ["a & b?.csv 1.2 MB", "best.tour 999 bytes"]
        )
        picture = page.locator(".picture").bounding_box()
        for width, below in ((1440, ".bar"), (360, "form")):
            page.set_viewport_size({"width": width, "height": 900})
            above = page.locator(below).bounding_box()
            assert files.bounding_box()["y"] >= above["y"] + above["height"]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert picture["width"] > 0
        # What is told again and again leaves a link where it is.
        link.focus()
        server.say(**{**server.session, "files": saved, "step": 2})
        server.say(**{**server.session, "files": saved, "state": "paused"})
        expect_state(page, "Paused")
        expect(link).to_be_focused()

    def test_can_be_downloaded(self, open_page):
        page = open_page("/simulations/saves/")
        press(page, "Start")
        with page.expect_download() as download:
            page.get_by_role("link", name="notes.txt").click()
        assert download.value.suggested_filename == "notes.txt"
        assert download.value.path().read_text() == "äh"


class TestShare:
    def test_gives_links_a_code_and_the_text_for_other_pages(self, open_page):
        page = open_page("about:blank", permissions=["clipboard-read", "clipboard-write"])
        FakeServer(page)
        page.goto("/simulations/ising/?size=32")
        base = page.url.partition("/simulations")[0]
        press(page, "Share…")
        window = page.get_by_role("dialog", name="Share")
        address = f"{base}/simulations/ising/?size=32"
        expect(
            window.get_by_role("textbox", name="The simulation with these parameters")
        ).to_have_value(address)
        expect(window.get_by_role("textbox", name="This session")).to_have_count(0)
        code = window.get_by_role("img", name="A QR code of the link")
        assert code.get_attribute("src") == f"{base}/simulations/ising/qr.svg?size=32"
        page.wait_for_function("image => image.naturalWidth > 0", arg=code.element_handle())
        frame = window.get_by_role("textbox", name="In a frame of another page").input_value()
        assert frame.startswith(f'<iframe src="{base}/simulations/ising/embedded/?size=32" title="')
        press(page, "Close")
        press(page, "Start")
        expect_state(page, "Running")
        press(page, "Share…")
        expect(window.get_by_role("textbox", name="This session")).to_have_value(
            f"{base}/sessions/fake/"
        )
        assert code.get_attribute("src") == f"{base}/sessions/fake/qr.svg"
        element = window.get_by_role("textbox", name="As an element of another page").input_value()
        assert f'<live-step simulation="ising" session="fake" src="{base}/ws"' in element
        window.get_by_role("button", name="Copy: This session").click()
        assert page.evaluate("navigator.clipboard.readText()") == f"{base}/sessions/fake/"
        page.keyboard.press("Escape")
        expect(window).to_have_count(0)


class Hub(BaseHTTPRequestHandler):
    """Another site, whose page can put ours into a frame."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(FRAME)

    def log_message(self, *said):
        pass


@pytest.fixture(scope="module")
def hub_url():
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        # Not by its number, under which our own site is.
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def embeddable(start_server, hub_url):
    server = start_server(FRAME_ANCESTORS=hub_url, LIVESTEP_STOP_GRACE="0.1")
    yield server
    assert server.stop() == 0


@pytest.fixture
def hub(open_page, hub_url):
    return open_page(hub_url)


def show(hub, address):
    hub.evaluate("address => { document.querySelector('iframe').src = address; }", address)
    return hub.frame_locator("iframe")


class TestInAFrame:
    def test_of_a_page_that_may_the_player_does_its_job(self, hub, embeddable):
        frame = show(hub, f"{embeddable.url}/simulations/counter/embedded/?level=7")
        frame.get_by_role("button", name="Start", exact=True).click()
        state = frame.locator("[data-field=state]")
        expect(state).to_have_text("Running")
        picture = frame.frame_locator(".view iframe")
        expect(picture.locator("text")).to_have_text(re.compile(r"^\d+ 7 4$"))
        expect(frame.get_by_role("link", name="Counter")).to_have_attribute("target", "_blank")
        frame.get_by_role("button", name="Stop", exact=True).click()
        expect(state).to_have_text(re.compile("^Stopped"))

    @pytest.mark.complains(REFUSED)
    def test_of_any_other_it_is_not_shown(self, hub, server):
        refusal = hub.expect_console_message(lambda said: "frame-ancestors 'self'" in said.text)
        with refusal:
            frame = show(hub, f"{server.url}/simulations/counter/embedded/")
        expect(frame.locator("live-step")).to_have_count(0)
