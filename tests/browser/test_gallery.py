"""The first page: what runs there by itself, what it weighs, and how a simulation is found."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.test_bar import KEEP_SHIFTS, expect_no_shifts
from tests.browser.test_page import expect_picture, start
from tests.servers import WHOLE

pytestmark = pytest.mark.browser

MOST_PAGE_BYTES = 90_000
SIZES = """() => performance.getEntries()
  .filter((entry) => ["navigation", "resource"].includes(entry.entryType))
  .map((entry) => [new URL(entry.name).pathname, entry.transferSize])"""


@pytest.fixture(scope="module")
def gallery(start_server):
    """A server whose simulations are the gallery's own."""
    gallery = start_server(
        DJANGO_SETTINGS_MODULE=WHOLE,
        SIMULATIONS="",
        LIVESTEP_STOP_GRACE="0.1",
        LIVESTEP_ABANDON_GRACE="1",
    )
    yield gallery
    assert gallery.stop() == 0


class TestWhatRunsByItself:
    def test_all_visitors_see_one_session_that_ends_when_nobody_looks(self, open_page, gallery):
        looker = open_page(f"{gallery.url}/simulations/tour/")
        pages = [open_page(f"{gallery.url}/") for _ in range(2)]
        for page in pages:
            expect_picture(page)
            expect(page.locator("[data-field=state]")).to_have_text("Running")
            expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden()
        # Its id is in the address of its picture only: of what the server knows there is one.
        metrics = looker.request.get(f"{gallery.url}/metrics").text()
        assert re.search(r"^livestep_sessions_started_total.* 1.0$", metrics, re.M), metrics
        page = pages[0]
        page.get_by_role("link", name="Open it with all its controls").click()
        expect(page).to_have_url(f"{gallery.url}/simulations/ising/")
        page.go_back()
        expect_picture(page)
        expect(page.locator("[data-field=state]")).to_have_text("Running")
        for page in pages:
            page.close()
        looker.goto(f"{gallery.url}/?q=ising")
        deadline = time.monotonic() + 15
        while looker.get_by_text("running now").count():
            assert time.monotonic() < deadline
            looker.reload()

    def test_its_newest_picture_is_there_before_any_script(self, open_page, gallery):
        looker = open_page(f"{gallery.url}/")
        expect_picture(looker)
        page = open_page(f"{gallery.url}/", java_script_enabled=False)
        poster = page.locator("live-step > img")
        expect(poster).to_have_attribute("src", re.compile(r"^/sessions/[\w-]+/frame\.svg$"))
        expect(poster).to_be_visible()
        expect(poster).not_to_have_js_property("naturalWidth", 0)

    def test_the_simulations_own_picture_is_there_while_nobody_watches(self, open_page, gallery):
        looker = open_page(f"{gallery.url}/?q=ising")
        while looker.get_by_text("running now").count():
            looker.reload()
        page = open_page(f"{gallery.url}/", java_script_enabled=False)
        poster = page.locator("live-step > img")
        expect(poster).to_have_attribute("src", re.compile(r"/gallery/ising\.[\w.]*svg$"))
        expect(poster).to_be_visible()

    @pytest.fixture
    def page(self, open_page, gallery, width):
        """A page that keeps how much of it moves, while somebody else looks at the gallery."""
        expect_picture(open_page(f"{gallery.url}/"))
        page = open_page("about:blank", viewport={"width": width, "height": 800})
        page.add_init_script(f"({KEEP_SHIFTS})(true)")
        return page

    @pytest.mark.parametrize("width", [390, 1280])
    def test_nothing_moves_when_the_player_and_its_picture_come(self, page, gallery, width):
        page.goto(f"{gallery.url}/")
        expect_picture(page)
        expect(page.locator("[data-field=state]")).to_have_text("Running")
        expect_no_shifts(page)

    @pytest.mark.parametrize("width", [390, 1280])
    def test_nothing_moves_when_the_picture_that_stood_there_is_late(self, page, gallery, width):
        held = []
        page.route("**/frame.svg", lambda route: held.append(route))
        page.goto(f"{gallery.url}/", wait_until="domcontentloaded")
        expect_picture(page)
        expect(page.locator("[data-field=state]")).to_have_text("Running")
        assert held
        for route in held:
            route.continue_()
        page.wait_for_load_state("load")
        expect_no_shifts(page)

    @pytest.mark.parametrize("width", [390, 1280])
    def test_nothing_moves_when_the_session_is_late(self, page, gallery, width):
        sockets, held, is_late = [], [], True

        def hold(socket):
            sockets.append(socket)
            server = socket.connect_to_server()
            server.on_message(lambda said: held.append(said) if is_late else socket.send(said))

        page.route_web_socket(re.compile("/ws"), hold)
        page.goto(f"{gallery.url}/")
        expect(page.locator(".pill")).to_be_visible()
        while not held:
            page.wait_for_timeout(20)
        expect(page.get_by_role("button", name="Start", exact=True)).to_be_hidden()
        while held:
            sockets[0].send(held.pop(0))
        is_late = False
        expect(page.locator("[data-field=state]")).to_have_text("Running")
        expect_no_shifts(page)

    def test_it_is_calm_for_who_wants_little_motion(self, open_page, gallery):
        page = open_page(f"{gallery.url}/", reduced_motion="reduce")
        expect_picture(page)
        expect(page.locator("[data-field=notice]")).to_contain_text("asks for little motion")
        expect(page.locator("[data-field=state]")).to_have_text("Running")

    def test_nothing_of_a_file_does(self, open_page):
        page = open_page("/")
        expect(page.locator(".card").first).to_be_visible()
        assert page.locator("live-step").count() == 0


class TestYourSessions:
    def test_are_listed_in_the_browser_that_started_them(self, open_page):
        page = start(open_page, "ising")
        address = page.url
        other = open_page("/")
        expect(other.get_by_role("heading", name="Your sessions")).to_be_hidden()
        expect(other.locator(".running")).to_have_text(re.compile(r"^\d+ running now$"))
        page.goto("/")
        own = page.locator(".own li", has_text="Ising model")
        expect(own).to_contain_text(re.compile(r"Running · step [\d,]+"))
        own.get_by_role("link").click()
        expect(page).to_have_url(address)
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator("[data-field=state]")).to_have_text(re.compile("^Stopped"))


class TestCards:
    def test_each_has_a_picture_and_says_where_it_runs(self, open_page):
        page = open_page("/")
        card = page.locator(".card", has_text="Ising model")
        expect(card.locator("img")).to_have_attribute("src", re.compile(r"/gallery/ising\..*svg$"))
        expect(card.locator(".engine")).to_have_text(
            re.compile("^in a (thread|process of its own)$")
        )

    def test_plays_its_loop_while_somebody_points_at_it(self, open_page):
        page = open_page("/")
        loaded = []
        page.on("request", lambda request: loaded.append(request.url))
        card = page.locator(".card", has_text="Ising model")
        picture = card.locator("img")
        still = picture.get_attribute("src")
        card.hover()
        expect(picture).to_have_attribute("src", re.compile(r"/gallery/ising\.loop\..*svg$"))
        # Where no card comes under it as the page scrolls to the one that has the keyboard.
        page.mouse.move(0, 0)
        expect(picture).to_have_attribute("src", re.compile(f"{still}$"))
        card.get_by_role("link").focus()
        expect(picture).to_have_attribute("src", re.compile(r"ising\.loop"))
        assert {url for url in loaded if ".loop." in url} == {
            picture.evaluate("image => image.src")
        }
        page.emulate_media(reduced_motion="reduce")
        other = page.locator(".card", has_text="Countdown")
        other.hover()
        other.get_by_role("link").focus()
        expect(picture).to_have_attribute("src", re.compile(f"{still}$"))
        expect(other.locator("img")).not_to_have_attribute("src", re.compile("loop"))

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
def test_the_page_is_light(open_page, gallery, path):
    """Everything that comes over the wire but the frames."""
    page = open_page(f"{gallery.url}{path}")
    expect(page.locator("live-step")).to_have_attribute("status", "live")
    for card in page.locator(".card img").all():
        expect(card).to_have_js_property("complete", True)
    sizes = page.evaluate(SIZES)
    weights = [size for name, size in sizes if not name.endswith("/frame.svg")]
    assert sum(weights) <= MOST_PAGE_BYTES, sizes
