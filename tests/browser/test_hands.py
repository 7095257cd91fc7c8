"""What hands do on the picture: zoom and pan it, select in it, draw on it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.hands import FakeServer, Hands
from tests.browser.test_page import expect_picture, expect_state, press, start

pytestmark = pytest.mark.browser

XMLNS = 'xmlns="http://www.w3.org/2000/svg"'
SVG = (
    f'<svg {XMLNS} viewBox="-10 0 100 100"><title>All of it</title><g id="group">'
    '<rect id="left" x="-10" width="50" height="100" fill="teal"><title>Left</title></rect>'
    '<rect x="40" width="50" height="100" fill="gold"/></g>'
    '<text x="0" y="95" font-size="10" textLength="60">some words</text></svg>'
)
TRANSFORM = "view => view.style.transform"
INSIDE = (
    "document.querySelector('live-step').shadowRoot.querySelector('.picture iframe').contentWindow"
)


def scale(page):
    found = re.search(r"scale\((.*)\)", page.locator(".view").evaluate(TRANSFORM))
    return float(found[1]) if found else 1


def place(page):
    """Where the left and the top edge are, in percent of the room."""
    found = re.match(r"translate\((.*)%, (.*)%\)", page.locator(".view").evaluate(TRANSFORM))
    return (float(found[1]), float(found[2]))


def wait_for_zoom(page):
    page.locator(".picture[data-zoomed]").wait_for()


@pytest.fixture
def fake(open_page):
    """Open a page with a picture of a server that says what a test wants; gives both."""

    def fake(svg=SVG, path="/simulations/ising/", is_driver=True, session=None, **options):
        page = open_page("/", **options)
        server = FakeServer(page, **(session or {}))
        page.goto(path)
        if is_driver:
            press(page, "Start")
        else:
            page.evaluate("document.querySelector('live-step').session = 'fake'")
        expect_state(page, "Running")
        server.frame(1, svg)
        expect_picture(page)
        return page, server

    return fake


class TestZoom:
    def test_is_by_the_wheel_around_the_mouse_and_stays_from_frame_to_frame(self, open_page):
        page = start(open_page, "ising")
        Hands(page).wheel(0.01, 0.99, -400)
        wait_for_zoom(page)
        zoomed = scale(page)
        assert zoomed > 1.5
        left, top = place(page)
        assert left == pytest.approx(0, abs=3), "the left edge stays"
        assert top == pytest.approx(-100 * (zoomed - 1), abs=3), "and the lower one"
        step = page.evaluate("window.stepPainted")
        page.wait_for_function("step => window.stepPainted > step + 5", arg=step)
        assert scale(page) == zoomed
        press(page, "Fit")
        assert scale(page) == 1

    def test_is_by_keys_and_buttons(self, fake):
        page, _ = fake()
        page.locator(".picture").focus()
        for key in ("+", "+", "-"):
            page.keyboard.press(key)
        assert scale(page) == 1.5
        press(page, "Zoom in")
        assert scale(page) == 2.25
        page.keyboard.press("0")
        assert scale(page) == 1
        expect(page.get_by_role("button", name="Zoom out")).to_be_disabled()

    def test_leaves_the_wheel_to_the_page_where_nothing_can_be_seen_smaller(self, fake):
        page, _ = fake(viewport={"width": 1280, "height": 500})
        Hands(page).wheel(0.5, 0.5, 200)
        page.wait_for_function("() => scrollY > 0")
        assert scale(page) == 1

    def test_is_moved_by_a_drag(self, fake):
        page, _ = fake()
        page.locator(".picture").focus()
        page.keyboard.press("+")
        Hands(page).drag((0.4, 0.4), (0.5, 0.3))
        left, top = place(page)
        assert left == pytest.approx(-25 + 10, abs=1)
        assert top == pytest.approx(-25 - 10, abs=1)

    def test_is_by_two_fingers(self, fake):
        page, _ = fake(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
        hands = Hands(page)
        hands.touch("touchStart", (0.45, 0.5))
        hands.touch("touchStart", (0.45, 0.5), (0.55, 0.5))
        for apart in (0.1, 0.15, 0.2):
            hands.touch("touchMove", (0.5 - apart, 0.5), (0.5 + apart, 0.5))
        hands.touch("touchEnd")
        assert scale(page) == pytest.approx(4, rel=0.05)
        assert page.evaluate("visualViewport.scale") == 1, "the page itself is not"
        before = place(page)
        hands.touch("touchStart", (0.5, 0.5))
        for down in (0.55, 0.6, 0.7):
            hands.touch("touchMove", (0.5, down))
        hands.touch("touchEnd")
        assert place(page)[1] == pytest.approx(before[1] + 20, abs=2)
        assert page.evaluate("scrollY") == 0

    def test_leaves_one_finger_to_the_page_as_long_as_all_is_seen(self, fake):
        page, _ = fake(viewport={"width": 390, "height": 600}, has_touch=True, is_mobile=True)
        hands = Hands(page)
        hands.touch("touchStart", (0.5, 0.8))
        for up in range(1, 12):
            hands.touch("touchMove", (0.5, 0.8 - up * 0.05))
        hands.touch("touchEnd")
        page.wait_for_function("() => scrollY > 50")


class TestReading:
    def test_text_in_the_picture_can_be_selected(self, fake):
        page, _ = fake()
        Hands(page).drag((0.105, 0.93), (0.695, 0.93))
        assert page.evaluate(f"{INSIDE}.getSelection().toString()") == "some words"
        assert scale(page) == 1

    def test_titles_are_under_the_mouse(self, fake):
        """Nothing lies over the picture that would keep the mouse from them."""
        page, _ = fake()
        found = page.evaluate("""() => {
          const root = document.querySelector("live-step").shadowRoot;
          const frame = root.querySelector("iframe");
          const { left, top, width, height } = frame.getBoundingClientRect();
          const hit = root.elementFromPoint(left + width / 4, top + height / 2);
          const inner = frame.contentDocument.elementFromPoint(
            frame.contentWindow.innerWidth / 4, frame.contentWindow.innerHeight / 2);
          return [hit === frame, inner.querySelector("title").textContent];
        }""")
        assert found == [True, "Left"]

    def test_a_screen_reader_has_the_description_and_not_the_shapes(self, fake):
        page, _ = fake()
        expect(page.get_by_role("img", name="what it is")).to_be_visible()
        expect(page.locator("iframe")).to_have_attribute("aria-hidden", "true")
        tree = page.locator(".picture").aria_snapshot()
        assert "some words" not in tree

    def test_keys_act_after_a_click_into_the_picture(self, fake):
        page, server = fake()
        hands = Hands(page)
        hands.drag((0.5, 0.5), (0.5, 0.5))
        page.keyboard.press("s")
        server.wait_for(page, lambda: server.all("stop"))


class TestDrawing:
    INPUT = {"input": True}

    def has_ended(self, server):
        return [one["kind"] for one in server.all("pointer")][-1:] == ["up"]

    def told(self, server):
        return [
            (one["kind"], round(one["x"]), round(one["y"]), one.get("target"))
            for one in server.all("pointer")
        ]

    def test_a_drag_is_told_in_the_pictures_own_coordinates(self, fake):
        page, server = fake(session=self.INPUT)
        Hands(page).drag((0.2, 0.5), (0.8, 0.25))
        server.wait_for(page, lambda: self.has_ended(server))
        told = self.told(server)
        assert told[0] == ("down", 10, 50, "left")
        assert told[-1] == ("up", 70, 25, "group"), "the nearest that has an id"
        assert {kind for kind, *_ in told[1:-1]} == {"move"}
        assert told[-2][1:3] == (70, 25), "the last move is not lost"

    def test_a_zoomed_picture_has_the_same_places(self, fake):
        page, server = fake(session=self.INPUT)
        page.locator(".picture").focus()
        page.keyboard.press("+")
        Hands(page).drag((0.5, 0.5), (0.5, 0.5), moves=1)
        server.wait_for(page, lambda: len(server.all("pointer")) >= 2)
        assert self.told(server)[0][1:3] == (40, 50)

    def test_moves_are_told_sixty_times_a_second_at_most(self, fake):
        page, server = fake(session=self.INPUT)
        page.evaluate("""() => {
          const root = document.querySelector("live-step").shadowRoot;
          const cover = root.querySelector(".touch");
          const { left, top } = cover.getBoundingClientRect();
          const fire = (kind, x, buttons = 1) => cover.dispatchEvent(new PointerEvent(kind, {
            pointerId: 1, button: 0, buttons, clientX: left + x, clientY: top + 9 }));
          cover.setPointerCapture = () => {};
          fire("pointerdown", 1);
          for (let move = 0; move < 5000; move += 1) fire("pointermove", move % 300);
          fire("pointerup", 300, 0);
        }""")
        server.wait_for(page, lambda: self.has_ended(server))
        assert len(self.told(server)) == 3

    def test_the_hand_moves_the_picture_instead(self, fake):
        page, server = fake(session=self.INPUT)
        page.locator(".picture").focus()
        page.keyboard.press("+")
        press(page, "Move")
        expect(page.get_by_role("button", name="Move")).to_have_attribute("aria-pressed", "true")
        before = place(page)
        Hands(page).drag((0.4, 0.4), (0.5, 0.5))
        assert place(page) != before
        press(page, "Move")
        Hands(page).drag((0.4, 0.4), (0.5, 0.5))
        server.wait_for(page, lambda: server.all("pointer"))
        assert len({one["kind"] for one in server.all("pointer")}) > 0

    def test_a_finger_draws(self, fake):
        options = {"viewport": {"width": 390, "height": 600}, "has_touch": True, "is_mobile": True}
        page, server = fake(session=self.INPUT, **options)
        hands = Hands(page)
        hands.touch("touchStart", (0.2, 0.5))
        for down in (0.55, 0.6, 0.7, 0.8):
            hands.touch("touchMove", (0.2, down))
        hands.touch("touchEnd")
        server.wait_for(page, lambda: self.has_ended(server))
        assert self.told(server)[0] == ("down", 10, 50, "left")
        assert self.told(server)[-1] == ("up", 10, 80, "left")
        assert page.evaluate("scrollY") == 0

    @pytest.mark.parametrize("options", [{}, {"is_driver": False, "session": {"input": True}}])
    def test_is_for_who_may_control_and_where_it_is_taken(self, fake, options):
        page, server = fake(**options)
        expect(page.get_by_role("button", name="Move")).to_be_hidden()
        Hands(page).drag((0.2, 0.5), (0.8, 0.5))
        page.evaluate("document.querySelector('live-step').step().catch(() => {})")
        server.wait_for(page, lambda: server.all("step"))
        assert server.all("pointer") == []


class TestTheNewest:
    def test_of_sixteen_in_flight_is_shown_and_its_ack_covers_the_others(self, fake):
        page, server = fake()
        server.wait_for(page, lambda: server.all("ack"))
        for seq in range(2, 18):
            server.frame(seq, f'<svg {XMLNS} viewBox="0 0 9 9"><text>{seq}</text></svg>')
        server.wait_for(page, lambda: server.acked == 17)
        acks = [message["seq"] for message in server.all("ack")]
        assert acks == sorted(set(acks))
        assert page.evaluate("window.stepPainted") == 17
        text = page.evaluate(f"{INSIDE}.document.documentElement.textContent")
        assert text == "17"
        expect(page.locator("[data-field=position-text]")).to_have_text("Step 17")

    def test_is_drawn_less_often_when_it_takes_long_and_the_page_says_so(self, fake):
        """A hundred thousand elements."""
        page, server = fake()
        dots = "".join(
            f'<circle cx="{x}" cy="{y}" r="0.5"/>' for x in range(400) for y in range(250)
        )
        server.frame(2, f'<svg {XMLNS} viewBox="0 0 400 250">{dots}</svg>')
        expect(page.locator("[data-field=notice]")).to_have_text(
            re.compile(r"^This picture takes the browser [\d,]+ ms to draw"), timeout=60_000
        )
        press(page, "Stop")
        server.wait_for(page, lambda: server.all("stop"))
        server.wait_for(page, lambda: server.acked == 2)

    def test_that_nests_too_deep_is_named_and_the_next_is_shown(self, fake):
        page, server = fake()
        server.frame(2, f"<svg {XMLNS}>" + "<g>" * 60_000 + "</g>" * 60_000 + "</svg>")
        server.wait_for(page, lambda: server.acked == 2)
        server.frame(3, f'<svg {XMLNS} viewBox="0 0 9 9"><text>3</text></svg>')
        server.wait_for(page, lambda: server.acked == 3)
        assert page.evaluate(f"{INSIDE}.document.documentElement.textContent") == "3"
