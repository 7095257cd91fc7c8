"""The control bar: its state in sight at every size, what is said at once, full screen, keys.

A server that says what a test wants stands behind each page, and one page serves many looks.
"""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import expect_state, press, start

pytestmark = pytest.mark.browser

STOP = {"by": "client", "how": "flag", "after_ms": 38, "step": 112}
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><rect width="4" height="3"/></svg>'
)
SIZES = [(360, 740), (768, 1024), (740, 360), (1440, 900), (2560, 1440)]


# How much of the page has moved without anybody's doing, as browsers measure it.
KEEP_SHIFTS = """(fromTheBeginning) => {
  window.shifted = 0;
  window.movers = [];
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) {
      window.shifted += value;
      window.movers.push(...sources.map(({ node, previousRect, currentRect }) =>
        [value, node?.className ?? node?.nodeName, previousRect, currentRect]));
    }
  }).observe({ type: "layout-shift", buffered: fromTheBeginning });
}"""


def expect_no_shifts(page):
    # They are told after the frame in which they were found.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert page.evaluate("window.shifted") <= 0.02, page.evaluate("window.movers")


def pill(page):
    return page.locator(".pill")


class TestWhatIsSaidAtOnce:
    def test_a_start_is_said_and_locked_until_it_is_answered(self, open_held):
        page, server = open_held()
        page.get_by_role("button", name="Start", exact=True).dblclick()
        expect_state(page, "Starting…")
        button = page.get_by_role("button", name="Start", exact=True)
        expect(button).to_have_attribute("aria-disabled", "true")
        page.locator(".picture").focus()
        page.keyboard.press("Space")
        server.wait_for(page, lambda: server.all("start"))
        page.keyboard.press("s")
        assert len(server.all("start")) == 1
        assert not server.all("stop")
        server.begin(state="running", elapsed_ms=200)
        expect_state(page, "Running")
        expect(page.locator("[data-field=alert]")).to_be_empty()
        assert len(server.all("start")) == 1

    def test_a_refused_start_can_be_tried_again(self, open_held):
        page, server = open_held()
        press(page, "Start")
        server.wait_for(page, lambda: server.all("start"))
        number = server.all("start")[0]["id"]
        server.say(type="error", code="too_many_sessions", message="no place is free", id=number)
        expect_state(page, "Ready")
        expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()

    def test_a_lost_connection_ends_the_wait(self, open_held):
        page, server = open_held()
        press(page, "Start")
        server.wait_for(page, lambda: server.all("start"))
        server.route.close(code=1012)
        expect_state(page, "Ready")

    def test_a_stop_is_said_in_the_same_moment_and_its_receipt_stays(self, open_held):
        page, server = open_held()
        press(page, "Start")
        server.wait_for(page, lambda: server.all("start"))
        server.begin(state="running", step=111)
        expect_state(page, "Running")
        said = page.evaluate("""() => {
            const root = document.querySelector("live-step").shadowRoot;
            root.querySelector("[data-action=stop]").click();
            return root.querySelector("[data-field=state]").textContent;
        }""")
        assert said == "Stopping…"
        server.wait_for(page, lambda: server.all("stop"))
        server.tell(state="running", step=112)
        expect_state(page, "Stopping…")
        server.tell(state="stopped", stop=STOP)
        receipt = "Stopped in 38 ms, during step 112"
        expect_state(page, receipt)
        expect(page).to_have_title(re.compile(f"^{receipt} . Ising model . Livestep$"))
        press(page, "Start")
        expect_state(page, "Starting…")

    def test_a_long_first_step_is_counted(self, open_held):
        page, server = open_held()
        press(page, "Start")
        server.wait_for(page, lambda: server.all("start"))
        server.begin(state="running", step=0, frames={"produced": 0}, elapsed_ms=300)
        expect_state(page, "Running")
        server.tell(elapsed_ms=4_200)
        expect_state(page, "First step, 4 s")
        server.tell(step=1, frames={"produced": 1}, elapsed_ms=5_000)
        expect_state(page, "Running")


class TestASessionThatBegins:
    """Its words and buttons come with its first picture, or a moment later without one."""

    @pytest.fixture
    def begun(self, open_held):
        """A page that knows of a session, and for which that moment never ends."""
        page, server = open_held()
        press(page, "Start")
        server.wait_for(page, lambda: server.all("start"))
        page.evaluate("window.setTimeout = () => 1")
        server.begin(state="running", step=0, frames={"produced": 0}, elapsed_ms=20)
        expect(page.locator("live-step[state=running]")).to_be_visible()
        expect_state(page, "Starting…")
        return page, server

    @pytest.mark.parametrize(("name", "kind"), [("Start", "start"), ("Stop", "stop")])
    def test_is_asked_for_before_the_page_says_so(self, open_held, name, kind):
        page, server = open_held()
        if kind == "stop":
            run(page, server)
        before = page.locator("[data-field=state]").text_content()
        page.evaluate(
            """(kind) => {
              const { shadowRoot } = document.querySelector("live-step");
              const state = shadowRoot.querySelector("[data-field=state]");
              const send = WebSocket.prototype.send;
              WebSocket.prototype.send = function (data) {
                if (JSON.parse(data).type === kind) window.saidThen = state.textContent;
                return send.call(this, data);
              };
            }""",
            kind,
        )  # fmt: skip
        press(page, name)
        server.wait_for(page, lambda: server.all(kind))
        expect_state(page, {"start": "Starting…", "stop": "Stopping…"}[kind])
        assert page.evaluate("window.saidThen") == before

    def test_is_drawn_with_its_first_picture(self, begun):
        page, server = begun
        server.frame(1, PICTURE)
        expect_state(page, "Running")
        expect(page.get_by_role("button", name="Pause")).to_be_enabled()

    def test_obeys_a_key_before(self, begun):
        page, server = begun
        page.locator(".picture").focus()
        page.keyboard.press("s")
        server.wait_for(page, lambda: server.all("stop"))
        expect_state(page, "Stopping…")

    def test_is_drawn_at_once_where_it_ends_first(self, begun):
        page, server = begun
        server.tell(state="stopped", stop=STOP | {"step": 0})
        expect_state(page, re.compile("^Stopped in 38 ms"))


LOOKS = [
    ({"state": "running"}, "going", "Running"),
    ({"state": "paused"}, "held", "Paused"),
    ({"state": "stopped", "stop": STOP}, "idle", "Stopped in 38 ms"),
    ({"state": "failed", "step": 3, "error": {"message": "It failed: oh."}}, "bad", "Failed after"),
]


def run(page, server):
    """Press Start, and have a session run that has shown its first picture."""
    press(page, "Start")
    server.wait_for(page, lambda: server.all("start"))
    server.begin(state="running")
    server.frame(1, PICTURE)


class TestInSight:
    def test_at_every_size_in_every_state(self, open_held):
        """The pill is in the window before and after scrolling, with a sign of its own."""
        page, server = open_held("/simulations/tour/")
        run(page, server)
        icons, signs = set(), set()
        for session, tone, words in LOOKS:
            server.tell(**session)
            expect(pill(page)).to_have_attribute("data-tone", tone)
            expect_state(page, re.compile(f"^{words}"))
            signs.add(pill(page).locator("path").get_attribute("d"))
            # The tab follows a moment later, its icon with its title.
            expect(page).to_have_title(re.compile(f"^{words}"))
            icons.add(page.locator("link[rel=icon]").get_attribute("href"))
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                for to in (0, 10_000):
                    page.evaluate("to => window.scrollTo(0, to)", to)
                    where = f"{width} x {height}, scrolled to {to}"
                    expect(pill(page), where).to_be_in_viewport(ratio=0.99)
        assert len(icons) == len(signs) == len(LOOKS)

    def test_on_a_phone_picture_and_slider_are_seen_together(self, open_held):
        page, server = open_held("/simulations/ising/", viewport={"width": 360, "height": 740})
        run(page, server)
        slider = page.locator("[data-name=temperature] [data-slider]")
        page.evaluate("window.scrollTo(0, 240)")
        expect(slider).to_be_in_viewport(ratio=1)
        expect(page.locator(".picture")).to_be_in_viewport(ratio=0.95)
        assert page.locator(".picture").bounding_box()["height"] <= 0.45 * 740

    @pytest.mark.parametrize("late", ["live-step-room", r"live-step\.js"])
    def test_nothing_moves_while_the_page_loads(self, open_held, late):
        """Whichever part of the player comes last."""
        page, _ = open_held(late=late)
        expect(page.locator("form")).to_be_visible()
        expect(page.locator(".picture")).to_have_attribute("style", re.compile("ratio"))
        page.evaluate(KEEP_SHIFTS, True)
        expect_no_shifts(page)

    def test_nothing_moves_between_the_states(self, open_held):
        page, server = open_held()

        def places():
            boxes = [page.locator(which).bounding_box() for which in ("form", ".bar", ".tools")]
            return [(box["x"], box["y"], box["width"]) for box in boxes]

        # The poster gives the picture its shape.
        expect(page.locator(".picture")).to_have_attribute("style", re.compile("ratio"))
        before = places()
        page.evaluate(KEEP_SHIFTS, True)
        press(page, "Start")
        server.wait_for(page, lambda: server.all("start"))
        assert places() == before
        server.begin(state="queued", queue_position=3)
        for session, _tone, words in LOOKS:
            server.tell(**session)
            expect_state(page, re.compile(f"^{words}"))
            assert places() == before
        expect_no_shifts(page)

        # What is said has room, on a phone too, and the chart below it stays.
        notice = page.locator("[data-field=notice]")
        for step, width in enumerate((1280, 360), 1):
            page.set_viewport_size({"width": width, "height": 740})
            server.tell(state="running", step=step)
            before = places(), page.locator(".plots-room").bounding_box()
            words = f"Step {step} has taken 4 s so far."
            server.say(type="notice", code="slow_step", message=words)
            expect(notice).to_have_text(words)
            assert (places(), page.locator(".plots-room").bounding_box()) == before

    def test_who_goes_on_while_a_step_is_being_taken_goes_on(self, open_held):
        """A session that takes a single step is called running, and paused after that."""
        page, server = open_held()
        run(page, server)
        server.tell(state="paused")
        expect_state(page, re.compile("^Paused"))
        page.get_by_role("button", name="Step", exact=True).click()
        server.wait_for(page, lambda: server.all("step"))
        server.tell(state="running")
        expect_state(page, "Running")
        page.evaluate("document.querySelector('live-step').play()")
        server.wait_for(page, lambda: server.all("resume"))

    def test_a_late_picture_is_not_live(self, open_held):
        page, server = open_held()
        live = page.get_by_role("button", name="Live")
        expect(live).to_be_disabled()
        run(page, server)
        expect(live).to_be_enabled()
        colour = "element => getComputedStyle(element).color"
        lit = live.evaluate(colour)
        assert lit == page.get_by_role("button", name="Stop", exact=True).evaluate(colour)
        live.click()
        expect(live).to_have_attribute("aria-pressed", "false")
        assert live.evaluate(colour) != lit
        live.click()
        server.tell(state="stopped", stop=STOP)
        expect_state(page, re.compile("^Stopped"))
        assert live.evaluate(colour) != lit


class TestTheCardOfAnError:
    def test_says_what_and_where_and_offers_one_way_on(self, open_held):
        page, server = open_held(permissions=["clipboard-read", "clipboard-write"])
        run(page, server)
        message = "The simulation failed after step 3: ValueError: no such city"
        around = [[11, "while True:"], [12, "    pass"], [13, "yield"]]
        line = {"file": "my_sim.py", "line": 12, "code": "pass", "around": around}
        server.tell(state="failed", step=3, error={"message": message}, line=line)
        expect(page.locator("[data-field=fault]")).to_have_text(message)
        expect(page.locator("[data-field=place]")).to_have_text("my_sim.py, line 12")
        code = "  11  while True:\n▸ 12      pass\n  13  yield"
        assert page.locator("[data-field=code]").text_content() == code
        # One button stands out.
        expect(page.locator("button.primary:visible")).to_have_count(1)
        press(page, "Copy")
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == f"{message}\nmy_sim.py, line 12\n{code}"
        press(page, "Run again")
        expect_state(page, "Starting…")


class TestFullScreen:
    def test_the_bar_rests_and_comes_back_with_the_hand(self, open_held):
        page, _ = open_held()
        page.clock.install()
        page.locator(".picture").focus()
        page.keyboard.press("f")
        page.wait_for_function("() => document.fullscreenElement?.localName === 'live-step'")
        expect(page.locator(".panel")).to_be_hidden()
        player = page.locator(".player")
        page.clock.fast_forward(3_100)
        expect(player).to_have_attribute("data-idle", "")
        page.mouse.move(300, 300)
        page.mouse.move(320, 310)
        expect(player).not_to_have_attribute("data-idle", "")
        page.clock.fast_forward(3_100)
        expect(player).to_have_attribute("data-idle", "")
        page.keyboard.press("Tab")
        expect(player).not_to_have_attribute("data-idle", "")
        page.keyboard.press("Escape")


class TestAllKeys:
    def test_are_shown_in_a_window_and_given_back(self, open_held):
        page, _ = open_held()
        page.locator(".picture").focus()
        page.keyboard.press("?")
        window = page.get_by_role("dialog", name="Keys")
        expect(window).to_contain_text("full screen")
        page.keyboard.press("Escape")
        expect(window).to_be_hidden()
        page.get_by_role("button", name="Keys").click()
        press(page, "Close")
        expect(window).to_be_hidden()

    def test_each_button_has_a_name_and_its_key(self, open_held):
        page, _ = open_held()
        for name, key in (("Start", "Space"), ("Stop", "S"), ("Step", "→"), ("Full screen", "F")):
            button = page.get_by_role("button", name=name, exact=True)
            expect(button).to_have_attribute("title", f"{name} ({key})")


class TestOnPaper:
    def test_all_of_it_is_one_page(self, open_held):
        page, server = open_held("/simulations/reaction/")
        run(page, server)
        expect_state(page, "Running")
        page.emulate_media(media="print")
        expect(page.locator(".bar")).to_be_hidden()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_label("Feed")).to_be_visible()
        expect(page.locator(".picture")).to_be_visible()
        assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1


class TestForEverybody:
    def test_the_whole_job_by_touch(self, open_held):
        phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
        page, server = open_held(**phone)
        page.get_by_role("button", name="Start", exact=True).tap()
        server.wait_for(page, lambda: server.all("start"))
        server.begin(state="running", step=111)
        expect_state(page, "Running")
        page.get_by_role("button", name="Stop", exact=True).tap()
        server.wait_for(page, lambda: server.all("stop"))
        server.tell(state="stopped", stop=STOP)
        expect_state(page, "Stopped in 38 ms, during step 112")

    def test_a_screen_reader_meets_names_in_a_good_order(self, open_held):
        page, server = open_held()
        expect(page.locator(".bar")).to_match_aria_snapshot("""
            - group "Controls":
              - button "Start"
              - button "Stop" [disabled]
              - button "Step" [disabled]
            - paragraph: Ready
            - combobox "Speed"
            - button "Full screen"
            - button "Keys"
        """)
        press(page, "Start")
        server.wait_for(page, lambda: server.all("start"))
        server.begin(state="failed", step=3, error={"message": "It failed: oh."})
        expect(page.locator(".screen")).to_match_aria_snapshot("""
            - group "What went wrong":
              - paragraph: "It failed: oh."
              - button "Run again"
              - button "Copy"
        """)


class TestKeys:
    def test_that_are_held_act_once(self, open_page):
        page = start(open_page, "ising")
        page.locator(".picture").focus()
        page.keyboard.down("Space")
        expect_state(page, "Paused")
        for _ in range(4):
            page.keyboard.down("Space")
        page.keyboard.up("Space")
        expect_state(page, "Paused")

    def test_act_on_the_dialog_that_lies_over_the_player(self, open_page):
        page = start(open_page, "ising")
        page.locator(".picture").focus()
        for _ in range(3):
            page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_have_count(1)
        page.keyboard.press("s")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect_state(page, "Running")

    def test_go_on_after_enter_in_a_field(self, open_page):
        page = open_page("/simulations/counter/")
        expect(page.locator("live-step")).to_have_attribute("status", "live")
        page.get_by_label("Size").first.press("Enter")
        expect_state(page, "Running")
        page.keyboard.press("s")
        expect_state(page, re.compile("^Stopped"))
