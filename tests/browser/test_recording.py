"""The offline player, opened as a file. A test fails when the page asks for another address."""

import re

import pytest
from playwright.sync_api import expect

from streaming.delivery.recording import PLAYER, Player
from streaming.engine.frames import Frame

pytestmark = pytest.mark.browser


def svg(width, body=""):
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="50">{body}</svg>'


def record(path, frames, series=None, **about):
    player = Player(
        path, {"title": "Waves", "simulation": "waves", "lang": "en", "params": {}, **about}
    )
    for seq, (step, ms, drawn) in enumerate(frames, start=1):
        player.add(Frame(seq, step, drawn.encode()), 5.0 + ms / 1000)
    player.close(series)
    return path


@pytest.fixture
def three(tmp_path):
    frames = [(10, 0, svg(101)), (20, 500, svg(102)), (30, 1500, svg(103))]
    return record(tmp_path / "three.html", frames)


def shows(page, width):
    """Wait until the picture is that wide: each frame has a width of its own."""
    page.wait_for_function("width => document.images[0]?.naturalWidth === width", arg=width)


def test_shows_the_first_frame_and_waits_where_motion_is_reduced(page_of, three):
    page = page_of(three)
    shows(page, 101)
    expect(page.get_by_role("img")).to_have_accessible_name("Step 10")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator(".position")).to_have_text("Step 10 · Frame 1 / 3 · 0.0s / 1.5s")
    expect(page).to_have_title("Waves")
    expect(page.get_by_role("heading", name="Waves")).to_be_visible()


def test_plays_by_itself_to_the_end_and_then_once_more(page_of, three):
    page = page_of(three, reduced_motion="no-preference")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    shows(page, 103)
    expect(page.locator(".position")).to_contain_text("Frame 3 / 3")
    page.get_by_role("button", name="Play").click()
    shows(page, 101)
    shows(page, 103)


# A clock of its own: each animation frame comes when the test says so.
STEPPED = """
window.now = 0;
performance.now = () => window.now;
window.waiting = [];
window.requestAnimationFrame = (callback) => window.waiting.push(callback);
window.advance = (ms) => {
  window.now += ms;
  for (const callback of window.waiting.splice(0)) callback(window.now);
};
"""


class TestPace:
    @pytest.mark.parametrize("speed", [0.5, 1, 2, 4])
    def test_each_frame_comes_at_its_time(self, page_of, three, speed):
        page = page_of(three, scripted=STEPPED)
        position = page.locator(".position")
        page.get_by_label("Speed").select_option(f"{speed:g}")
        page.get_by_role("button", name="Play").click()
        page.evaluate("ms => advance(ms)", 490 / speed)
        expect(position).to_contain_text("Frame 1 / 3")
        page.evaluate("ms => advance(ms)", 20 / speed)
        expect(position).to_contain_text("Frame 2 / 3")
        for _ in range(2):  # A longer wait in one go is taken for a page that was hidden.
            page.evaluate("ms => advance(ms)", 480 / speed)
        expect(position).to_contain_text("Frame 2 / 3")
        page.evaluate("ms => advance(ms)", 40 / speed)
        expect(position).to_contain_text("Frame 3 / 3")
        expect(page.get_by_role("button", name="Play")).to_be_visible()

    def test_frames_that_come_faster_than_it_draws_are_passed_over(self, page_of, tmp_path):
        frames = [(step, step * 2, svg(100 + step)) for step in range(100)]
        page = page_of(record(tmp_path / "fast.html", frames), scripted=STEPPED)
        page.get_by_role("button", name="Play").click()
        page.evaluate("advance(101)")
        expect(page.locator(".position")).to_contain_text("Frame 51 / 100")

    def test_a_page_that_was_hidden_goes_on_where_it_was(self, page_of, tmp_path):
        frames = [(step, step * 1000, svg(100)) for step in range(100)]
        page = page_of(record(tmp_path / "long.html", frames), scripted=STEPPED)
        page.get_by_role("button", name="Play").click()
        page.evaluate("advance(60_000)")
        expect(page.locator(".position")).to_contain_text("Frame 2 / 100")


class TestControls:
    def test_next_and_previous_go_one_frame_and_no_further(self, page_of, three):
        page = page_of(three)
        for width in (102, 103, 103):
            page.get_by_role("button", name="Next frame").click()
            shows(page, width)
        for width in (102, 101, 101):
            page.get_by_role("button", name="Previous frame").click()
            shows(page, width)

    def test_the_scrubber_works_by_the_keyboard(self, page_of, three):
        page = page_of(three)
        scrubber = page.get_by_role("slider", name="Frame")
        scrubber.focus()
        for key, width in {"ArrowRight": 102, "End": 103, "ArrowLeft": 102, "Home": 101}.items():
            page.keyboard.press(key)
            shows(page, width)
        expect(scrubber).to_have_attribute("aria-valuetext", "Step 10, 0.0s")

    def test_all_are_reached_by_the_tab_key(self, page_of, three):
        page = page_of(three)
        shows(page, 101)
        for name in ("Frame", "Play", "Previous frame", "Next frame", "Speed"):
            page.keyboard.press("Tab")
            expect(page.locator(":focus")).to_have_accessible_name(name)

    def test_scrubbing_while_it_plays_goes_on_from_there(self, page_of, tmp_path):
        frames = [(step, step * 100, svg(100)) for step in range(100)]
        page = page_of(record(tmp_path / "long.html", frames), scripted=STEPPED)
        page.get_by_role("button", name="Play").click()
        page.get_by_role("slider").fill("50")
        page.evaluate("advance(110)")
        expect(page.locator(".position")).to_contain_text("Frame 52 / 100")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()


class TestSafety:
    def test_a_script_in_a_frame_does_not_run_and_ends_nothing(self, page_of, tmp_path):
        evil = (
            '<script>parent.document.title = "evil"; alert(1)</script>'
            '<image href="http://127.0.0.1:9/spy.png"/><!-- </script> -->'
        )
        page = page_of(record(tmp_path / "evil.html", [(1, 0, svg(101, evil))]))
        shows(page, 101)
        expect(page).to_have_title("Waves")
        assert page.locator("svg").count() == 0

    def test_texts_are_text(self, page_of, tmp_path):
        text = "<img src=x onerror=alert(1)>"
        about = {"title": text, "simulation": text, "params": {text: text}}
        page = page_of(record(tmp_path / "texts.html", [(1, 0, svg(101))], **about))
        shows(page, 101)
        expect(page.get_by_role("heading", name=text)).to_be_visible()
        expect(page.locator("dl")).to_have_text(text + text)
        assert page.locator("img").count() == 1

    def test_only_the_picture_on_the_page_has_an_address(self, page_of, three):
        page = page_of(three)
        for width in (102, 103):
            page.get_by_role("button", name="Next frame").click()
            shows(page, width)
        page.wait_for_function("window.urlsAlive === 1")


class TestWhatIsNot:
    def test_a_frame_that_is_no_svg_is_said_and_passed_over(self, page_of, tmp_path):
        frames = [(10, 0, svg(101)), (20, 500, "<svg><text></svg>"), (30, 900, svg(103))]
        page = page_of(record(tmp_path / "broken.html", frames))
        page.get_by_role("button", name="Next frame").click()
        complaint = page.get_by_role("alert")
        expect(complaint).to_have_text("Step 20: This frame is no SVG that can be shown.")
        page.get_by_role("button", name="Next frame").click()
        shows(page, 103)
        expect(complaint).to_be_hidden()
        page.wait_for_function("window.urlsAlive === 1")

    def test_no_frames_are_said(self, page_of, tmp_path):
        page = page_of(record(tmp_path / "none.html", [], params={"size": 3}))
        expect(page.get_by_role("alert")).to_have_text("This recording has no frames.")
        expect(page.get_by_role("button", name="Play")).to_be_hidden()
        expect(page.locator("dl")).to_have_text("size3")

    def test_a_page_that_nobody_filled_says_so(self, page_of):
        page = page_of(PLAYER)
        expect(page.get_by_role("alert")).to_have_text("This recording has no frames.")

    def test_a_file_that_was_cut_off_says_so(self, page_of, three):
        content = three.read_bytes()
        three.write_bytes(content[: content.index(b'"seq": 2')])
        page = page_of(three)
        expect(page.get_by_role("alert")).to_contain_text("incomplete or damaged")
        expect(page.get_by_role("button", name="Play")).to_be_hidden()


class TestWords:
    def test_given_words_and_language_win(self, page_of, tmp_path):
        words = {"play": "Abspielen", "step": "Schritt", "frame": "Bild", "next": "Nächstes Bild"}
        path = tmp_path / "german.html"
        frames = [(10, 0, svg(101)), (20, 1500, svg(102))]
        page = page_of(record(path, frames, lang="de-DE", words=words))
        expect(page.get_by_role("button", name="Abspielen")).to_be_visible()
        page.get_by_role("button", name="Nächstes Bild").click()
        expect(page.locator(".position")).to_have_text(
            re.compile(r"^Schritt 20 · Bild 2 / 2 · 1,5\s\S+ / 1,5\s\S+$")
        )
        expect(page.get_by_role("button", name="Previous frame")).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", "de-DE")

    @pytest.mark.parametrize("lang", ["no language", "", "en_US"])
    def test_a_language_that_is_none_is_no_obstacle(self, page_of, tmp_path, lang):
        page = page_of(record(tmp_path / "x.html", [(1, 0, svg(101))], lang=lang))
        shows(page, 101)
        expect(page.locator("html")).to_have_attribute("lang", "en")

    def test_long_parameters_are_folded(self, page_of, tmp_path):
        cities = "\n".join(f"city {number}" for number in range(100))
        params = {"cities": cities, "seed": 1, "live": True}
        page = page_of(record(tmp_path / "x.html", [(1, 0, svg(101))], params=params))
        expect(page.get_by_text("city 99")).to_be_hidden()
        page.get_by_text("city 0 …").click()
        expect(page.get_by_text("city 99")).to_be_visible()
        expect(page.locator("dd")).to_contain_text(["city 0 …", "1", "true"])


@pytest.mark.parametrize("width", [360, 1440])
def test_fits_the_screen(page_of, tmp_path, width):
    """Long words, too, make nothing wider than the page."""
    about = {"title": "W" * 100, "params": {"w" * 70: "v" * 200}}
    frames = [(123_456, step * 10_000, svg(2000)) for step in range(1000)]
    page = page_of(
        record(tmp_path / "x.html", frames, **about), viewport={"width": width, "height": 800}
    )
    shows(page, 2000)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.get_by_role("img").bounding_box()["width"] <= width
