"""What a visitor sees and does."""

import json
import re
import time

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TRANSITION = "name => window.dispatchEvent(new PageTransitionEvent(name, {persisted: true}))"


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def expect_state(page, words):
    expect(page.locator("[data-field=state]")).to_have_text(words)


def expect_fault(page, pattern):
    """Wait for the card over the picture that says what went wrong."""
    expect(page.locator("[data-field=fault]")).to_have_text(re.compile(pattern))


# The picture that stands there, as text.
SHOWN = """
document.querySelector("live-step").shadowRoot.querySelector(".picture iframe")
  .contentDocument.documentElement.outerHTML"""


def picture(page):
    """What a screen reader has of the picture."""
    return page.locator(".picture").get_by_role("img", include_hidden=True)


def expect_picture(page):
    # The frame is hidden until there is something in it.
    expect(page.locator(".picture iframe")).to_be_visible()


def shown(page):
    return page.evaluate(SHOWN)


def start(open_page, simulation, **options):
    page = open_page(f"/simulations/{simulation}/", **options)
    press(page, "Start")
    expect_state(page, "Running")
    expect_picture(page)
    return page


class TestTheMainJob:
    def test_from_the_list_to_the_receipt(self, open_page):
        page = open_page("/")
        page.get_by_role("link", name="Ising model", exact=True).click()
        expect_state(page, "Ready")
        press(page, "Start")
        expect_state(page, "Running")
        expect(page).to_have_url(re.compile(r"/sessions/[\w-]{20,}/$"))
        expect_picture(page)
        expect(picture(page)).to_have_attribute(
            "aria-label", re.compile("^64 by 64 spins, magnetisation")
        )
        expect(page.locator("[data-field=step-rate]")).to_have_text(re.compile(r"^[\d,]+$"))
        expect(page.locator("[data-field=frame-rate]")).to_have_text(re.compile(r"^[\d.]+$"))
        expect(page.locator("[data-field=viewers]")).to_have_text("1")
        press(page, "Stop")
        expect_state(page, re.compile(r"^Stopped in \d+ ms, during step [\d,]+$"))
        press(page, "Start")
        expect_state(page, "Running")

    def test_pause_step_and_resume(self, open_page):
        page = start(open_page, "ising")
        press(page, "Pause")
        expect_state(page, "Paused")
        shown = page.locator("[data-field=step]")
        before = int(shown.text_content().replace(",", ""))
        press(page, "Step")
        expect(shown).to_have_text(f"{before + 1:,}")
        press(page, "Resume")
        expect_state(page, "Running")
        expect(page.get_by_role("button", name="Step", exact=True)).to_be_disabled()

    def test_a_reload_goes_on_watching_and_keeps_the_controls(self, open_page):
        page = start(open_page, "ising")
        page.reload()
        expect_state(page, "Running")
        expect_picture(page)
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        page.reload()
        expect_state(page, re.compile("^Stopped in"))
        expect_picture(page)

    def test_a_simulation_that_ends_shows_its_progress_and_last_frame(self, open_page):
        page = open_page("/simulations/countdown/")
        page.get_by_label("Count").fill("3")
        press(page, "Start")
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect_state(page, "Finished after 4 steps")
        expect(picture(page)).to_have_attribute("aria-label", "The number 0")

    def test_a_simulation_that_fails_says_why(self, open_page):
        page = open_page("/simulations/broken/")
        press(page, "Start")
        expect_fault(page, "^The simulation failed after step 2: ZeroDivisionError")
        expect_state(page, "Failed after step 2")

    def test_notices_are_shown(self, open_page):
        page = open_page("/simulations/noisy/")
        page.get_by_label("Size").fill("1300000")
        press(page, "Start")
        expect(page.locator("[data-field=notice]")).to_contain_text("was not sent")

    def test_a_process_is_paused_in_the_middle_of_its_step_and_ended(self, open_page):
        page = start(open_page, "endless")
        expect(page.locator("[data-field=engine]")).to_have_text("process")
        press(page, "Pause")
        expect_state(page, "Paused")
        notice = page.locator("[data-field=notice]")
        expect(notice).to_contain_text("Paused in the middle of step 2")
        press(page, "Resume")
        expect_state(page, "Running")
        expect(notice).to_have_text("")
        press(page, "Stop")
        expect_state(page, re.compile(r"^Stopped in \d+ ms, during step 2, by interrupting it$"))

    def test_a_frame_that_cannot_be_decoded_is_named(self, open_page):
        page = open_page("/simulations/no_xml/")
        press(page, "Start")
        expect(page.get_by_role("alert")).to_have_text(
            re.compile(r"^Frame \d+ cannot be shown: it is not well-formed SVG\. ")
        )
        expect_state(page, "Running")
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))


class TestParameters:
    def test_an_error_stands_at_its_field(self, open_page):
        page = open_page("/simulations/tour/")
        cities = page.get_by_label("Cities", exact=True)
        cities.fill("1,2\n3,x\n5,6\n7,8\n9,9")
        press(page, "Start")
        field = page.locator("[data-name=cities]")
        expect(field.locator(".errors")).to_have_text(
            "line 2: expected a finite number for y, got 'x'"
        )
        expect(cities).to_be_focused()
        expect_state(page, "Ready")
        cities.fill("1,2\n3,4\n5,6\n7,8\n9,1")
        press(page, "Start")
        expect_state(page, "Running")
        expect(field.locator(".errors")).to_be_empty()

    def test_a_file_is_put_into_its_field(self, open_page, tmp_path):
        path = tmp_path / "cities.csv"
        path.write_text("x,y\n0,0\n0,9\n9,9\n9,0\n5,5\n")
        page = open_page("/simulations/tour/")
        page.locator("input[type=file]").set_input_files(path)
        expect(page.get_by_label("Cities", exact=True)).to_have_value(path.read_text())
        press(page, "Start")
        expect(picture(page)).to_have_attribute("aria-label", re.compile("through 5 cities"))

    def test_a_file_that_is_too_large_is_refused(self, open_page, tmp_path):
        path = tmp_path / "cities.csv"
        path.write_text("1,2\n" * 100_000)
        page = open_page("/simulations/tour/")
        expect(page.locator("live-step")).to_have_attribute("status", "live")
        page.locator("input[type=file]").set_input_files(path)
        expect(page.locator("[data-name=cities] .errors")).to_contain_text("400,000 bytes; at most")

    def test_a_live_one_acts_while_it_runs_and_the_others_rest(self, open_page):
        page = start(open_page, "ising")
        expect(page.get_by_label("Size")).to_be_disabled()
        temperature = page.get_by_label("Temperature")
        temperature.fill("1.25")
        temperature.press("Enter")
        temperature.blur()
        expect_state(page, "Running")
        page.reload()
        expect(page.get_by_label("Temperature")).to_have_value("1.25")

    def test_a_live_one_out_of_range_is_named(self, open_page):
        page = start(open_page, "ising")
        page.get_by_label("Temperature").fill("99")
        page.get_by_label("Temperature").blur()
        expect(page.locator("[data-name=temperature] .errors")).to_contain_text(
            "less than or equal"
        )


class TestWatching:
    def test_whoever_has_the_link_watches_without_controls(self, open_page):
        driver = start(open_page, "ising")
        viewer = open_page(driver.url)
        expect_state(viewer, "Running")
        expect(viewer.get_by_text("You are watching")).to_be_visible()
        expect(viewer.get_by_role("button", name="Stop", exact=True)).to_be_hidden()
        expect(viewer.get_by_label("Temperature")).to_be_hidden()
        expect(viewer.locator(".params dd").last).to_have_text("2.27")
        expect(driver.locator("[data-field=viewers]")).to_have_text("2")
        press(driver, "Stop")
        expect_state(viewer, re.compile("^Stopped in"))

    def test_an_unknown_session_has_a_page_that_says_so(self, open_page):
        page = open_page("/simulations/ising/")
        response = page.request.get("/sessions/nowhere/")
        assert response.status == 404
        assert "it never was, or it ended too long ago" in response.text()


class TestReconnecting:
    @pytest.fixture
    def page_and_sockets(self, open_page):
        """A page whose connections the test can cut."""
        page, sockets = open_page("about:blank"), []

        def pass_on(route):
            sockets.append(route)
            route.connect_to_server()

        page.route_web_socket(re.compile("/ws"), pass_on)
        page.goto("/simulations/ising/")
        press(page, "Start")
        expect_state(page, "Running")
        return page, sockets

    def test_a_cut_connection_comes_back_with_the_picture(self, page_and_sockets):
        page, sockets = page_and_sockets
        sockets[0].close()
        expect(page.locator("live-step")).to_have_attribute("status", "live")
        step = page.locator("[data-field=step]")
        before = step.text_content()
        expect(step).not_to_have_text(before)
        assert len(sockets) >= 2
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))

    def test_a_session_that_the_server_forgot_may_be_started_anew(self, page_and_sockets):
        """As after a restart of the server."""
        page, sockets = page_and_sockets
        element = page.locator("live-step")
        element.evaluate("element => element.setAttribute('session', 'forgotten')")
        sockets[0].close()
        expect_state(page, "Lost: the server that ran it has ended")
        expect(page.get_by_role("alert").first).to_contain_text("There is no session")
        press(page, "Start")
        expect_state(page, "Running")


# Data are dear, and what is inflated comes when all of it is there.
KEEP_PARTS_BACK = """
Object.defineProperty(navigator, "connection", { value: { saveData: true } });
const Real = DecompressionStream;
window.DecompressionStream = function (format) {
  const kept = [];
  const { writable, readable } = new TransformStream({
    transform: (part) => { kept.push(part); },
    flush: async (controller) => {
      const whole = new Blob(kept).stream().pipeThrough(new Real(format));
      controller.enqueue(new Uint8Array(await new Response(whole).arrayBuffer()));
    },
  });
  return { writable, readable };
};
"""


def follow_frames(page):
    """Return a list that grows with the encoding of each frame that comes."""
    ways = []

    def note(content):
        if isinstance(content, bytes):
            ways.append(json.loads(content[: content.index(b"\n")])["encoding"])

    page.on("websocket", lambda socket: socket.on("framereceived", note))
    return ways


def wait_for(page, is_so):
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)


class TestOnAPoorLine:
    @pytest.fixture
    def start_behind(self, open_page, proxy):
        """Start a simulation on a page that reaches the server through the proxy."""

        def start_behind(simulation="counter"):
            page = open_page(f"{proxy.url}/simulations/{simulation}/")
            press(page, "Start")
            expect_state(page, "Running")
            return page

        return start_behind

    def start_and_lose(self, start_behind, proxy):
        """Return a page that has lost the network, and would try again in a minute only."""
        page = start_behind()
        proxy.is_refusing = True
        page.evaluate("Math.random = () => 6")
        proxy.reset()
        expect(page.locator("live-step")).to_have_attribute("status", "lost")
        proxy.is_refusing = False
        return page

    def state(self, page):
        return page.request.get(f"{page.url}state.json").json()

    def wait_for_state(self, page, is_so):
        """Wait until the session is so, whatever the page knows of it."""
        deadline = time.monotonic() + 20
        while not is_so(state := self.state(page)):
            assert time.monotonic() < deadline, state
            page.wait_for_timeout(20)

    def expect_progress(self, page):
        step = page.locator("[data-field=step]")
        expect(step).not_to_have_text(step.text_content())

    def test_that_is_too_slow_for_them_frames_become_a_stream(self, start_behind, proxy):
        page = start_behind("stamped")
        ways = follow_frames(page)
        page.reload()
        proxy.bandwidth = 12_000
        wait_for(page, lambda: ways[-5:] == ["deflate-stream"] * 5)
        assert ways[0] == "deflate-raw"
        self.expect_progress(page)

    def test_a_browser_that_keeps_parts_back_goes_without_a_stream(self, open_page):
        page = open_page("/simulations/counter/")
        page.add_init_script(KEEP_PARTS_BACK)
        ways = follow_frames(page)
        page.reload()
        press(page, "Start")
        wait_for(page, lambda: ways[-1:] == ["deflate-stream"])
        wait_for(page, lambda: ways[-5:] == ["deflate-raw"] * 5)
        self.expect_progress(page)

    @pytest.mark.complains(r"WebSocket connection to .* failed")
    def test_ten_seconds_without_a_network(self, start_behind, proxy):
        page = start_behind()
        proxy.blackhole()
        # It notices by itself, since nobody tells.
        expect(page.get_by_role("alert")).to_have_text("The connection is lost. Trying again…")
        page.wait_for_timeout(2_000)
        proxy.restore()
        expect(page.locator("live-step")).to_have_attribute("status", "live")
        self.expect_progress(page)
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))

    def expect_doubt(self, page, words):
        # Half a second more than the three that a server may take.
        alert = page.get_by_role("alert").first
        expect(page.locator("live-step")).to_have_attribute("status", "silent", timeout=6_000)
        expect(alert).to_have_text(words)
        expect_state(page, "Running when last heard of")
        assert "grayscale" in page.locator(".view").evaluate(
            "view => getComputedStyle(view).filter"
        )

    def expect_no_doubt(self, page):
        expect(page.locator("live-step")).to_have_attribute("status", "live")
        expect(page.locator("[data-field=alert]")).to_have_text("")
        expect_state(page, "Running")
        assert page.locator(".view").evaluate("view => getComputedStyle(view).filter") == "none"

    def test_silence_is_known_after_three_seconds(self, start_behind, proxy):
        page = start_behind()
        proxy.blackhole()
        self.expect_doubt(page, "The server does not answer. Waiting for it…")
        proxy.restore()
        self.expect_no_doubt(page)
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))

    def test_silence_is_known_when_nothing_goes_on(self, start_behind, proxy):
        """The server says nothing of a session that has ended, until it is asked."""
        page = start_behind()
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        proxy.blackhole()
        expect(page.locator("live-step")).to_have_attribute("status", "silent", timeout=12_000)
        expect_state(page, re.compile("^Stopped in"))
        proxy.restore()
        expect(page.locator("live-step")).to_have_attribute("status", "live")

    def lose_the_network(self, page):
        """Return what the page says before anything else can happen to it."""
        return page.evaluate("""() => {
          Object.defineProperty(navigator, "onLine", { value: false });
          window.dispatchEvent(new Event("offline"));
          const player = document.querySelector("live-step");
          const alert = player.shadowRoot.querySelector("[data-field=alert]");
          const view = player.shadowRoot.querySelector(".view");
          return [
            player.getAttribute("status"), alert.textContent, getComputedStyle(view).filter];
        }""")

    NO_NETWORK = ["silent", "This device has no network. Waiting for it…", "grayscale(1)"]

    def test_a_device_without_a_network_says_so_at_once(self, start_behind, proxy):
        page = start_behind()
        proxy.blackhole()
        assert self.lose_the_network(page) == self.NO_NETWORK
        expect_state(page, "Running when last heard of")

    def test_frames_that_were_under_way_are_no_sign_of_a_network(self, start_behind, proxy):
        """Here they never end, and no ping is answered."""
        page = start_behind()
        page.evaluate("""() => {
          const send = WebSocket.prototype.send;
          WebSocket.prototype.send = function (data) {
            if (!data.includes('"ping"')) send.call(this, data);
          };
          window.seen = [];
          const player = document.querySelector("live-step");
          const see = () => window.seen.push(player.getAttribute("status"));
          new MutationObserver(see).observe(player, { attributeFilter: ["status"] });
        }""")
        assert self.lose_the_network(page) == self.NO_NETWORK
        wait_for(page, lambda: "live" in page.evaluate("window.seen"))
        seen = page.evaluate("window.seen")
        assert seen.index("lost") < seen.index("live")

    def test_an_answer_is_one(self, start_behind):
        """The server may run on the device itself."""
        page = start_behind()
        assert self.lose_the_network(page) == self.NO_NETWORK
        self.expect_no_doubt(page)

    @pytest.mark.complains("WebSocket connection to .* failed|Failed to load resource")
    def test_a_refused_handshake_is_told_from_a_server_that_is_away(self, open_page):
        page = open_page("/element/")
        attempts, looks = [], []
        page.on("websocket", lambda socket: attempts.append(socket))
        page.on("request", lambda asked: asked.url.endswith("/healthz") and looks.append(asked))
        page.evaluate("""() => {
          const player = document.createElement("live-step");
          player.src = "/nowhere";
          document.querySelector("main").replaceChildren(player);
        }""")
        origin = page.evaluate("location.origin")
        expect(page.get_by_role("alert").first).to_contain_text(
            f"refuses the connection of this page. Is {origin} among its ALLOWED_ORIGINS"
        )
        # The server is not asked at each attempt whether it is there.
        while len(attempts) < 4:
            page.wait_for_timeout(50)
        assert len(looks) == 1
        # And then it is away.
        page.route("**/healthz", lambda route: route.abort())
        page.evaluate("window.dispatchEvent(new Event('online'))")
        expect(page.get_by_role("alert").first).to_have_text(
            "The connection is lost. Trying again…"
        )

    @pytest.mark.complains(r"WebSocket connection to .* failed")
    def test_it_comes_back_at_once_when_the_network_does(self, start_behind, proxy):
        page = self.start_and_lose(start_behind, proxy)
        page.evaluate("window.dispatchEvent(new Event('online'))")
        expect(page.locator("live-step")).to_have_attribute("status", "live")
        self.expect_progress(page)

    @pytest.mark.complains(r"WebSocket connection to .* failed")
    def test_it_comes_back_at_once_when_it_is_looked_at(self, start_behind, proxy):
        page = self.start_and_lose(start_behind, proxy)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("live-step")).to_have_attribute("status", "live")

    def test_the_driver_keeps_control_through_a_reload(self, start_behind):
        page = start_behind()
        page.reload()
        expect_state(page, "Running")
        self.expect_progress(page)
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))

    def test_the_back_button_brings_it_back_to_life(self, start_behind, proxy):
        page = start_behind()
        page.goto(f"{proxy.url}/")
        page.go_back()
        expect_state(page, "Running")
        self.expect_progress(page)
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))

    def test_a_page_from_the_back_forward_cache_connects_anew(self, start_behind):
        """Chromium without a window keeps no such cache: its two events, as they would come."""
        page = start_behind()
        page.evaluate(
            "window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))"
        )
        self.wait_for_state(page, lambda state: state["viewers"] == 0)
        step = page.locator("[data-field=step]")
        before, step_then = step.text_content(), self.state(page)["step"]
        self.wait_for_state(page, lambda state: state["step"] > step_then + 20)
        assert step.text_content() == before, "no socket is left"
        page.evaluate(
            "window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))"
        )
        self.expect_progress(page)

    def test_it_gives_up_where_nobody_would_let_it_in(self, open_page):
        page, sockets = open_page("about:blank"), []

        def close(route):
            sockets.append(route)
            route.close(code=4403)

        page.route_web_socket(re.compile("/ws"), close)
        page.goto("/simulations/counter/")
        expect(page.get_by_role("alert")).to_have_text("The server closed the connection.")
        page.evaluate("window.dispatchEvent(new Event('online'))")
        page.wait_for_timeout(1_000)
        assert len(sockets) == 1


class TestThePicture:
    def test_no_frame_flickers(self, open_page):
        """In each moment at which the browser draws, a whole picture stands there."""
        page = start(open_page, "counter")
        blanks = page.evaluate("""
            () => new Promise((resolve) => {
              let blanks = 0, looks = 0;
              const look = () => {
                const root = document.querySelector("live-step").shadowRoot;
                const { documentElement } = root.querySelector(".picture iframe").contentDocument;
                if (!documentElement?.querySelector("text")?.getBBox().width) blanks += 1;
                looks += 1;
                if (looks < 100) requestAnimationFrame(look);
                else resolve(blanks);
              };
              requestAnimationFrame(look);
            })""")
        assert blanks == 0


class TestTidiness:
    def test_object_urls_are_revoked(self, open_page):
        page = start(open_page, "ising")
        expect(page.locator("[data-field=step]")).to_have_text(re.compile(r"^\d{3}"))
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        page.evaluate("document.querySelector('live-step').remove()")
        deadline = time.monotonic() + 10
        while page.evaluate("window.urlsAlive") > 0:
            assert time.monotonic() < deadline

    def test_taking_the_element_away_ends_its_connection(self, open_page):
        driver = start(open_page, "ising")
        viewer = open_page(driver.url)
        expect(driver.locator("[data-field=viewers]")).to_have_text("2")
        viewer.evaluate("document.querySelector('live-step').remove()")
        expect(driver.locator("[data-field=viewers]")).to_have_text("1")

    @pytest.mark.complains("404")
    def test_no_page_is_wider_than_its_window(self, open_page):
        page = open_page("about:blank")
        for path in ("/", "/simulations/tour/", "/simulations/every_kind/", "/nowhere/"):
            page.goto(path)
            for width in (360, 768, 1280, 2560):
                page.set_viewport_size({"width": width, "height": 740})
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, path

    def test_the_whole_job_by_keyboard(self, open_page):
        page = open_page("/simulations/ising/")
        button = page.get_by_role("button", name="Start", exact=True)
        expect(button).to_be_enabled()
        while not button.evaluate("element => element === element.getRootNode().activeElement"):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect_state(page, "Running")
        page.get_by_role("button", name="Stop", exact=True).focus()
        page.keyboard.press("Space")
        expect_state(page, re.compile("^Stopped in"))


class TestParametersOfEveryType:
    def test_of_every_type_go_from_the_page_to_the_step(self, open_page, tmp_path):
        """A file, several choices, a date, an object's members and a seed that is drawn."""
        page = open_page("/simulations/many_types/")
        file = tmp_path / "prices.csv"
        file.write_bytes(b"1,2;" * 100_000)
        page.get_by_label("Table").set_input_files(file)
        page.get_by_label("Some").fill("3, 4")
        page.get_by_label("Moods").select_option(["1", "2"])
        page.get_by_label("Day").fill("2027-02-03")
        page.get_by_role("group", name="Walls").get_by_label("Width").fill("5")
        press(page, "Start")
        expect_state(page, "Running")
        page.wait_for_function("() => window.stepPainted >= 1")
        said = shown(page)
        assert "('prices.csv 1,2;1,2; 400000'" in said
        tail = "None, [3, 4], ['RED', 'DARK_BLUE'], '2027-02-03', 5, "
        assert tail in said
        seed = page.get_by_label("Seed").get_attribute("placeholder")
        assert f"{tail}{seed})" in said

    def test_errors_stand_at_the_members_of_an_object(self, open_page):
        page = open_page("/simulations/many_types/")
        page.get_by_role("group", name="Walls").get_by_label("Width").fill("12")
        press(page, "Start")
        expect(page.locator("[data-name='walls.width'] .errors")).to_contain_text("less than")


class TestOutput:
    def test_shows_what_is_printed_and_the_line_that_failed(self, open_page):
        page = open_page("/simulations/talks_and_fails/")
        expect(page.locator("[data-field=output]")).to_be_hidden()
        press(page, "Start")
        expect(page.locator("[data-field=output-text]")).to_have_text("one\ntwo")
        expect(page.locator("[data-field=place]")).to_contain_text("simulations.py, line ")
        expect(page.locator("[data-field=code]")).to_contain_text("raise ValueError(3)")


class TestSpeed:
    def test_is_set_before_the_start_and_remembered(self, open_page):
        page = open_page("/simulations/leisurely/")
        speed = page.get_by_label("Speed")
        expect(speed).to_have_value("5")
        expect(page.get_by_label("Frame rate")).to_be_disabled()
        speed.select_option("2")
        page.reload()
        expect(speed).to_have_value("2")
        press(page, "Start")
        expect_state(page, "Running")
        state = page.request.get(page.url + "state.json").json()
        assert state["rate"]["steps_per_second"] == 2
        expect(page.get_by_label("Frame rate")).to_be_enabled()
        expect(speed).to_have_value("2")
