"""The picture in its sandboxed frame: as an <img> shows it, in its own shape, the newest."""

import io
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from playwright.sync_api import expect

from streaming.engine.frames import to_svg
from tests.browser.test_bar import run
from tests.browser.test_page import expect_picture, press

pytestmark = pytest.mark.browser

XMLNS = 'xmlns="http://www.w3.org/2000/svg"'
DRAWN = '<rect width="50" height="50" fill="teal"/><circle cx="75" cy="60" r="20" fill="#c40"/>'


def figure():
    axes = Figure(figsize=(4, 3)).add_subplot()
    axes.plot([1, 3, 2], label="growth")
    axes.set_title("Größe")
    axes.legend()
    with matplotlib.rc_context({"svg.hashsalt": "fixed"}):
        return to_svg(axes.figure).decode()


# Frames that are accepted, each of which an <img> shows.
FRAMES = {
    "viewbox": f'<svg {XMLNS} viewBox="0 0 100 100">{DRAWN}</svg>',
    "sizes only": f'<svg {XMLNS} width="120" height="90">{DRAWN}</svg>',
    "millimetres": f'<svg {XMLNS} width="40mm" height="30mm">{DRAWN}</svg>',
    "millimetres and viewbox": f'<svg {XMLNS} width="40mm" height="30mm" viewBox="0 0 120 90">'
    f"{DRAWN}</svg>",
    "em": f'<svg {XMLNS} width="10em" height="8em">{DRAWN}</svg>',
    "percent": f'<svg {XMLNS} width="100%" height="100%" viewBox="0 0 100 80">{DRAWN}</svg>',
    "no size at all": f"<svg {XMLNS}>{DRAWN}</svg>",
    "one size": f'<svg {XMLNS} width="300" viewBox="0 0 100 80">{DRAWN}</svg>',
    "another shape than its viewbox": f'<svg {XMLNS} width="200" height="100" '
    f'viewBox="0 0 100 100">{DRAWN}</svg>',
    "stretched": f'<svg {XMLNS} width="200" height="100" preserveAspectRatio="none" '
    f'viewBox="0 0 100 100">{DRAWN}</svg>',
    "offset": f'<svg {XMLNS} viewBox="-20 -10 160 120">{DRAWN}</svg>',
    "its own size in a style": f'<svg {XMLNS} viewBox="0 0 100 80" style="max-width: 50px; '
    f'width: 100%; background: gold">{DRAWN}</svg>',
    "entities": f'<svg {XMLNS} viewBox="0 0 100 50"><text y="30">&lt;&#228;&amp;&#x1F600;'
    "</text></svg>",
    "scripts of the world": f'<svg {XMLNS} viewBox="0 0 100 50"><text y="20">日本語 العربية</text>'
    '<text y="40">🌊 é</text></svg>',
    "style element": f"<svg {XMLNS} viewBox='0 0 100 100'><style>:root {{ --c: navy }} "
    f"rect {{ fill: var(--c) }} svg > circle {{ r: 10px }} :root > rect {{ opacity: 0.5 }} "
    f"body, iframe, html {{ display: none }}</style>{DRAWN}</svg>",
    "style attributes": f'<svg {XMLNS} viewBox="0 0 100 100"><g style="fill: plum; stroke: black; '
    'stroke-dasharray: 4"><rect style="fill: inherit" width="70" height="70"/></g></svg>',
    "ids": f'<svg {XMLNS} viewBox="0 0 100 100"><defs><linearGradient id="live-step-picture">'
    '<stop stop-color="red"/><stop offset="1"/></linearGradient><clipPath id="a"><circle r="50"/>'
    '</clipPath></defs><g clip-path="url(#a)"><rect fill="url(#live-step-picture)" width="99" '
    'height="99"/></g></svg>',
    "use": f'<svg {XMLNS} viewBox="0 0 100 100"><defs><g id="a">{DRAWN}</g></defs>'
    '<use href="#a" transform="scale(0.5)"/><use href="#a" x="20" y="40"/></svg>',
    "data image": f'<svg {XMLNS} viewBox="0 0 100 100"><image width="50" height="50" href="data:'
    f"image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Crect width='9' height='9'/%3E"
    '%3C/svg%3E"/></svg>',
    "animation": f'<svg {XMLNS} viewBox="0 0 100 100"><rect width="10" height="10">'
    '<set attributeName="width" to="80" begin="0s" fill="freeze"/><animate attributeName="height" '
    'from="10" to="60" dur="0.01s" fill="freeze"/></rect></svg>',
    "html inside": f'<svg {XMLNS} viewBox="0 0 100 100"><foreignObject width="100" height="100">'
    '<p xmlns="http://www.w3.org/1999/xhtml" style="color: green; margin: 5px">words</p>'
    "</foreignObject></svg>",
    "filter and mask": f'<svg {XMLNS} viewBox="0 0 100 100"><filter id="f"><feGaussianBlur '
    'stdDeviation="3"/></filter><mask id="m"><rect width="60" height="99" fill="white"/></mask>'
    f'<g filter="url(#f)">{DRAWN}</g><g mask="url(#m)">{DRAWN}</g></svg>',
    "inner svg": f'<svg {XMLNS} viewBox="0 0 100 100"><svg x="50" width="50" height="50" '
    f'viewBox="0 0 100 100">{DRAWN}</svg></svg>',
    "link": f'<svg {XMLNS} viewBox="0 0 100 100"><a href="#x">{DRAWN}<text y="90">a</text></a>'
    "</svg>",
    "title": f'<svg {XMLNS} viewBox="0 0 100 100"><title>All</title><g><title>One</title>{DRAWN}'
    "</g></svg>",
    "prefixed": f'<svg {XMLNS} xmlns:s="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
    '<s:rect width="70" height="20"/></svg>',
    "matplotlib": figure(),
}

# The element, once as it is and once with an <img>, with nothing else on the page.
SHOW_BOTH = """async (svg) => {
  const players = ["/picture.svg", "img"].map((picture) => {
    const player = document.createElement("live-step");
    player.setAttribute("picture", picture);
    player.simulation = "given";
    player.params = { svg };
    return player;
  });
  document.body.replaceChildren(...players);
  await Promise.all(players.map((player) => new Promise((resolve) => {
    player.addEventListener("frame", resolve);
    player.play();
  })));
}"""


def pixels(page, index):
    """What stands in a picture, as colours from 0 to 1."""
    image = imread(io.BytesIO(page.locator(".view").nth(index).screenshot()))
    return np.asarray(image)[:, :, :3]


@pytest.fixture(params=["light", "dark"], scope="module")
def empty_page(request, chromium, server):
    context = chromium.new_context(
        base_url=server.url, color_scheme=request.param, viewport={"width": 402, "height": 900}
    )
    page = context.new_page()
    page.goto("/element/")
    yield page
    context.close()


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_is_as_an_image_of_it(empty_page, name):
    page = empty_page
    page.evaluate(SHOW_BOTH, FRAMES[name])
    page.wait_for_timeout(50)  # Longer than the animation; the picture stands there already.
    expect(page.locator("iframe.drawn")).to_have_count(1)
    framed, image = pixels(page, 0), pixels(page, 1)
    assert framed.shape == image.shape
    assert framed.std() > 0.01, "there is something to be seen"
    # Smoothed edges may differ by a shade.
    differing = (np.abs(framed - image).max(axis=2) > 0.15).mean()
    assert differing < 0.005, f"{differing:.1%} of the pixels differ"


# The shape of the picture, whenever it changes.
WATCH_SHAPE = """() => {
  const figure = document.querySelector("live-step").shadowRoot.querySelector("figure");
  window.shapes = [];
  new ResizeObserver(([{ contentRect: { width, height } }]) => {
    window.shapes.push(Math.round(100 * width / height));
  }).observe(figure);
}"""

# What is in the frame at the moment at which it is first seen.
WATCH_FIRST = """() => {
  new MutationObserver(([{ target }], observer) => {
    observer.disconnect();
    window.first = { shapes: target.contentDocument.documentElement.childElementCount };
  }).observe(document.querySelector("live-step").shadowRoot.querySelector(".view"), {
    subtree: true, attributes: true, attributeFilter: ["class"],
  });
}"""


class TestShape:
    @pytest.fixture
    def show(self, open_page):
        """Show a picture on a page; gives the page."""

        def show(svg, page=None):
            page = page or open_page("/simulations/given/")
            page.get_by_label("Svg").fill(svg)
            press(page, "Start")
            expect_picture(page)
            return page

        return show

    def test_is_the_pictures_own(self, open_page, show):
        page = open_page("about:blank")
        for size, ratio in (
            ('viewBox="0 0 300 100"', 3),
            ('width="40mm" height="10mm"', 4),
            ('viewBox="0 0 100 400"', 0.25),
            ('viewBox="0 0 9000 1"', 8),
            ('viewBox="0 0 1 9000"', 0.2),
            ("", 4 / 3),
        ):
            page.goto("/simulations/given/")
            box = show(f"<svg {XMLNS} {size}>{DRAWN}</svg>", page).locator(".view").bounding_box()
            assert box["width"] / box["height"] == pytest.approx(ratio, rel=0.02), size

    def test_does_not_jump_when_the_first_frame_comes(self, open_page):
        """Of what was never seen, the card has the shape already."""
        page = open_page("/simulations/ising/")
        expect(page.locator(".poster")).to_have_js_property("complete", True)
        page.evaluate(WATCH_SHAPE)
        press(page, "Start")
        expect_picture(page)
        assert page.evaluate("window.shapes") == [100]

    def test_what_stands_in_its_place_stays_until_the_first_frame_is_there(self, open_page):
        page = open_page("/simulations/ising/")
        page.evaluate(WATCH_FIRST)
        press(page, "Start")
        expect_picture(page)
        assert page.evaluate("window.first")["shapes"] > 0

    def test_is_that_of_the_last_picture_until_there_is_one(self, show):
        page = show(f'<svg {XMLNS} viewBox="0 0 300 100">{DRAWN}</svg>')
        page.goto("/simulations/given/")
        expect(page.locator(".poster")).to_be_visible()
        page.evaluate(WATCH_SHAPE)
        show(f'<svg {XMLNS} viewBox="0 0 300 100">{DRAWN}</svg>', page)
        assert page.evaluate("window.shapes") == [300]


class TestWithoutTheFrame:
    """Where it cannot be had, an image takes over, and the page says so."""

    @pytest.mark.complains("404|frame|Framing|ERR_|inline style")
    @pytest.mark.parametrize(
        "answer",
        [
            {"status": 404, "body": "<svg xmlns='http://www.w3.org/2000/svg'/>"},
            {"headers": {"X-Frame-Options": "DENY"}},
            {"headers": {"Content-Security-Policy": "default-src 'none'"}},
            None,
        ],
        ids=["not there", "not to be framed", "with a policy that forbids styles", "cut off"],
    )
    def test_an_image_takes_over(self, open_page, answer):
        page = open_page("about:blank")

        def fulfil(route):
            if answer is None:
                route.abort()
            elif "status" in answer:
                route.fulfill(**answer)
            else:
                real = route.fetch()
                kept = {k: v for k, v in real.headers.items() if k != "x-frame-options"}
                route.fulfill(response=real, headers={**kept, **lower(answer["headers"])})

        page.route("**/picture.svg", fulfil)
        page.goto("/simulations/ising/")
        press(page, "Start")
        expect(page.locator(".picture img.drawn")).to_be_visible()
        expect(page.locator("[data-field=notice]")).to_have_text(
            "The picture is shown as an image: this page could not open the frame for it."
        )
        expect(page.locator("iframe")).to_have_count(0)

    @pytest.mark.complains("frame-src|Framing")
    def test_a_page_whose_policy_forbids_frames_shows_an_image(self, open_page):
        page = open_page("/element/")
        page.evaluate("""() => {
          const policy = document.createElement("meta");
          policy.httpEquiv = "Content-Security-Policy";
          policy.content = "frame-src 'none'";
          document.head.append(policy);
          const player = document.createElement("live-step");
          player.simulation = "ising";
          document.body.replaceChildren(player);
          player.play();
        }""")
        expect(page.locator(".picture img.drawn")).to_be_visible()
        expect(page.locator("[data-field=notice]")).to_contain_text("shown as an image")


# Has the screen wait, and counts what the picture's document parses.
HOLD = """() => {
  const own = window.requestAnimationFrame, held = [];
  window.requestAnimationFrame = (callback) => held.push(callback);
  window.goOn = () => {
    window.requestAnimationFrame = own;
    held.forEach((callback) => own(callback));
  };
  const frame = document.querySelector("live-step").shadowRoot.querySelector("iframe");
  const prototype = frame.contentWindow.DOMParser.prototype, parse = prototype.parseFromString;
  window.parsed = 0;
  prototype.parseFromString = function (...given) {
    window.parsed += 1;
    return parse.apply(this, given);
  };
}"""


def test_the_next_is_parsed_while_the_last_waits_for_the_screen(open_held):
    """Or a page would paint fewer than it could: parsing is a third of the work."""
    page, server = open_held("/simulations/tour/")
    run(page, server)
    server.wait_for(page, lambda: server.acked == 1)
    page.evaluate(HOLD)
    for seq in (2, 3):
        server.frame(seq, FRAMES["viewbox"])
        server.wait_for(page, lambda seq=seq: page.evaluate("window.parsed") == seq - 1)
    assert server.acked == 1
    page.evaluate("window.goOn()")
    server.wait_for(page, lambda: server.acked == 3)
    assert [ack["seq"] for ack in server.all("ack")] == [1, 2, 3]


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


def test_a_frame_that_is_not_well_formed_is_named_with_the_place(open_page):
    page = open_page("/simulations/given/")
    page.get_by_label("Svg").fill(f"<svg {XMLNS}><text>a</svg>")
    press(page, "Start")
    expect(page.get_by_role("alert").first).to_have_text(
        re.compile(r"^Frame 1 cannot be shown: it is not well-formed SVG\. Line 1 at column \d+: .")
    )
