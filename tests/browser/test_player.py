"""What the player does besides starting and stopping: back in time, files, keys, speed, a film."""

import itertools
import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import (
    SHOWN,
    expect_fault,
    expect_picture,
    expect_state,
    press,
    shown,
    start,
)

pytestmark = pytest.mark.browser


def field(page, name):
    return page.locator(f"[data-field={name}]")


def step_named(page):
    """The step of the frame that the scrubber names."""
    return int(
        re.match(r"Step ([\d,]+)", field(page, "position-text").inner_text())[1].replace(",", "")
    )


def wait_until_painted(page, step):
    """Wait until the frame that stands there is that of a step."""
    page.wait_for_function("step => window.stepPainted === step", arg=step)


def pause(page):
    """Pause, and return the step whose frame stands there then."""
    press(page, "Pause")
    expect_state(page, "Paused")
    step = field(page, "step").text_content()
    # The state comes ahead of the last frame.
    expect(field(page, "position-text")).to_have_text(f"Step {step}")
    return int(step.replace(",", ""))


def wait_for_frames(page, count):
    page.wait_for_function(
        "count => { const slider = document.querySelector('live-step').shadowRoot"
        ".querySelector('[data-field=position]'); return slider.max - slider.min >= count; }",
        arg=count,
    )


class TestBackInTime:
    def test_the_scrubber_goes_back_while_the_session_runs_on(self, open_page):
        page = start(open_page, "ising")
        wait_for_frames(page, 20)
        field(page, "position").focus()
        page.keyboard.press("Home")
        expect(field(page, "position-text")).to_contain_text("back")
        first = step_named(page)
        source = shown(page)
        step = field(page, "step")
        expect(step).not_to_have_text(step.text_content())
        assert shown(page) == source, "the picture stays while it is looked at"
        assert step_named(page) == first
        press(page, "Live")
        expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
        page.wait_for_function(f"source => {SHOWN} !== source", arg=source)

    def test_a_session_that_has_ended_can_be_looked_through(self, open_page):
        page = start(open_page, "ising")
        wait_for_frames(page, 5)
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        last = step_named(page)
        field(page, "position").focus()
        page.keyboard.press("Home")
        expect(field(page, "position-text")).to_contain_text("back")
        assert step_named(page) < last

    def test_the_arrows_go_from_frame_to_frame_and_the_caption_is_the_pictures(self, open_page):
        page = start(open_page, "counter")
        wait_for_frames(page, 5)
        page.locator(".picture").focus()
        page.keyboard.press("ArrowLeft")
        expect(field(page, "position-text")).to_contain_text("back")
        seen = [step_named(page)]
        for key in ("ArrowLeft", "ArrowLeft", "ArrowRight"):
            page.keyboard.press(key)
            page.wait_for_function("step => window.stepPainted !== step", arg=seen[-1])
            seen.append(step_named(page))
            assert re.search(r"<text>(\d+) ", shown(page))[1] == str(seen[-1])
        assert seen[0] > seen[1] > seen[2]
        assert seen[3] == seen[1]
        field(page, "position").focus()
        page.keyboard.press("ArrowLeft")
        expect(field(page, "position-text")).to_contain_text(f"Step {seen[2]:,} ·")
        page.keyboard.press("End")
        expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")

    def test_what_is_saved_is_the_whole_run_or_the_newest_frames(self, open_page, tmp_path):
        page = start(open_page, "counter")
        page.get_by_text("Performance").click()
        page.get_by_label("Frame rate").fill("60")
        expect(page.get_by_label("Page and film of")).to_be_visible(timeout=60_000)
        pause(page)
        counts = {}
        for span in ("the whole run", "the newest frames"):
            page.get_by_label("Page and film of").select_option(span)
            with page.expect_download() as download:
                press(page, "Save as page")
            text = download.value.path().read_text()
            frames = json.loads(re.search(r'id="recording">(.*?)</script>', text)[1])["frames"]
            counts[span] = len(frames)
            steps = [frame["step"] for frame in frames]
            assert steps == sorted(steps)
        assert counts["the newest frames"] == 300 < counts["the whole run"]


class TestFiles:
    def saved(self, page, name):
        with page.expect_download() as download:
            press(page, name)
        return download.value

    def test_the_frame_that_is_shown_is_saved(self, open_page, tmp_path):
        page = start(open_page, "ising")
        step = pause(page)
        wait_until_painted(page, step)
        svg = self.saved(page, "Save SVG")
        assert svg.suggested_filename == f"ising-{step}.svg"
        assert svg.path().read_text().startswith("<svg")
        png = self.saved(page, "Save PNG")
        assert png.suggested_filename == f"ising-{step}.png"
        content = png.path().read_bytes()
        assert content.startswith(b"\x89PNG")
        # 64 by 64 spins: as wide as high.
        assert int.from_bytes(content[16:20]) == int.from_bytes(content[20:24]) == 1600

    def test_the_kept_frames_are_saved_as_a_page_that_plays_offline(
        self, open_page, chromium, tmp_path
    ):
        page = start(open_page, "ising")
        wait_for_frames(page, 10)
        pause(page)
        download = self.saved(page, "Save as page")
        path = tmp_path / download.suggested_filename
        download.save_as(path)
        recording = json.loads(re.search(r'id="recording">(.*?)</script>', path.read_text())[1])
        assert recording["simulation"] == "ising"
        assert recording["params"]["size"] == 64
        assert len(recording["frames"]) >= 11
        offline = chromium.new_context(offline=True).new_page()
        offline.goto(f"file://{path}")
        expect(offline.locator("img").first).to_have_attribute("src", re.compile("^blob:"))
        offline.context.close()

    def test_a_film_is_made_in_the_browser(self, open_page):
        page = start(open_page, "ising")
        press(page, "Record")
        button = page.locator("[data-action=film]")
        expect(button).to_have_text(re.compile(r"^Stop recording · [1-9]\d* kB$"))
        with page.expect_download() as download:
            button.click()
        film = download.value
        assert film.suggested_filename == "ising.webm"
        content = film.path().read_bytes()
        assert content.startswith(b"\x1a\x45\xdf\xa3"), "as Matroska begins"
        assert len(content) > 1000
        expect(page.get_by_role("button", name="Record", exact=True)).to_have_attribute(
            "aria-pressed", "false"
        )

    def test_a_film_is_made_of_what_was_kept(self, open_page):
        page = start(open_page, "ising")
        wait_for_frames(page, 10)
        pause(page)
        film = self.saved(page, "Save as film")
        assert film.suggested_filename == "ising.webm"
        assert film.path().stat().st_size > 1000

    def test_a_film_ends_with_its_session(self, open_page):
        page = start(open_page, "ising")
        press(page, "Record")
        expect(page.locator("[data-action=film]")).to_contain_text("kB")
        with page.expect_download() as download:
            press(page, "Stop")
        assert download.value.path().stat().st_size > 0


class TestSharing:
    def test_the_link_is_copied(self, open_page):
        page = start(open_page, "ising", permissions=["clipboard-read", "clipboard-write"])
        press(page, "Copy link")
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == page.url
        expect(page.get_by_role("button", name="Copy link")).to_be_visible()

    def test_without_a_clipboard_the_link_is_shown(self, open_page):
        """As on a site without TLS."""
        page = start(open_page, "ising")
        page.evaluate(
            "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"
        )
        press(page, "Copy link")
        expect(field(page, "notice")).to_have_text(f"This browser lets no page copy: {page.url}")


class TestSpeed:
    def test_steps_are_slowed_down(self, open_page):
        page = start(open_page, "ising")
        page.get_by_label("Speed").select_option("2 steps/s")
        expect(field(page, "step-rate")).to_have_text(re.compile(r"^[12](\.\d)?$"))
        page.reload()
        expect(page.get_by_label("Speed")).to_have_value("2")

    def test_the_frame_rate_is_set(self, open_page):
        page = start(open_page, "ising")
        page.get_by_text("Performance").click()
        rate = page.get_by_label("Frame rate")
        rate.focus()
        page.keyboard.press("Home")
        expect(field(page, "fps-text")).to_have_text("1 frames/s at most")
        page.reload()
        expect(page.get_by_label("Frame rate")).to_have_value("1")

    def test_a_slider_acts_at_once(self, open_page):
        page = start(open_page, "ising")
        slider = page.locator("[data-name=temperature] [data-slider]")
        slider.fill("0.5")
        expect(page.get_by_label("Temperature")).to_have_value("0.5")
        page.wait_for_function(
            "() => document.querySelector('live-step').params.temperature === 0.5"
        )


class TestKeys:
    def test_they_act_while_the_player_has_the_focus(self, open_page):
        page = open_page("/simulations/ising/")
        expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
        page.keyboard.press("Space")
        expect_state(page, "Ready")
        page.locator(".picture").focus()
        page.keyboard.press("Space")
        expect_state(page, "Running")
        page.keyboard.press("Space")
        expect_state(page, "Paused")
        before = int(field(page, "step").text_content().replace(",", ""))
        page.keyboard.press("ArrowRight")
        expect(field(page, "step")).to_have_text(f"{before + 1:,}")
        # Without a picture there is nothing to film.
        record = page.get_by_role("button", name="Record", exact=True)
        expect(record).to_be_enabled()
        page.keyboard.press("r")
        expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
        page.keyboard.press("r")
        expect(record).to_be_visible()
        page.keyboard.press("f")
        page.wait_for_function("() => document.fullscreenElement?.localName === 'live-step'")
        page.keyboard.press("f")
        page.wait_for_function("() => document.fullscreenElement === null")
        page.keyboard.press("s")
        expect_state(page, re.compile("^Stopped in"))

    def test_letters_in_a_field_are_letters(self, open_page):
        page = start(open_page, "tour")
        page.get_by_label("Pace").focus()
        page.keyboard.press("s")
        page.keyboard.press("Control+s")
        expect_state(page, "Running")

    def test_the_focus_is_kept_when_its_button_rests(self, open_page):
        page = open_page("/simulations/ising/")
        start_button = page.get_by_role("button", name="Start", exact=True)
        expect(start_button).to_be_enabled()
        start_button.focus()
        page.keyboard.press("Enter")
        expect_state(page, "Running")
        # The button does something else now.
        expect(page.get_by_role("button", name="Pause", exact=True)).to_be_focused()
        page.get_by_role("button", name="Stop", exact=True).focus()
        page.keyboard.press("Enter")
        expect(page.locator(".picture")).to_be_focused()
        expect_state(page, re.compile("^Stopped in"))
        page.keyboard.press("Space")
        expect_state(page, "Running")
        page.keyboard.press("s")
        expect_state(page, re.compile("^Stopped in"))


class TestWhatIsSaid:
    def test_a_failed_session_offers_the_same_again(self, open_page):
        page = open_page("/simulations/broken/")
        page.get_by_label("Good steps").fill("1")
        press(page, "Start")
        expect_fault(page, "^The simulation failed after step 1: ZeroDivisionError")
        first = page.url
        page.get_by_label("Good steps").fill("7")
        press(page, "Run again")
        expect(page).not_to_have_url(first)
        expect_fault(page, "^The simulation failed after step 1: ")

    @pytest.mark.parametrize("width", [390, 1280])
    def test_a_failure_has_room_over_a_picture_that_is_low(self, open_page, width):
        page = open_page("/simulations/low/", viewport={"width": width, "height": 844})
        press(page, "Start")
        expect_fault(page, "^The simulation failed after step 1: ")
        expect(page.locator("[data-field=code]")).to_be_visible()
        card = "document.querySelector('live-step').shadowRoot.querySelector('.fault')"
        assert page.evaluate(f"{card}.scrollHeight - {card}.clientHeight") <= 0
        shown = page.locator("[data-field=fault]").bounding_box()
        bar = page.locator(".bar").bounding_box()
        assert shown["y"] + shown["height"] < bar["y"]

    def test_what_remains_is_said(self, open_page):
        page = open_page("/simulations/countdown/")
        press(page, "Start")
        expect(field(page, "progress-text")).to_have_text(re.compile(r"^\d s left$"))

    def test_a_screen_reader_hears_of_it_at_most_every_five_seconds(self, open_page):
        page = open_page("/simulations/ising/")
        page.evaluate("""() => {
            window.said = [];
            const root = document.querySelector("live-step").shadowRoot;
            const region = root.querySelector("[role=status]");
            new MutationObserver(() => window.said.push([performance.now(), region.textContent]))
              .observe(region, { childList: true, characterData: true, subtree: true });
        }""")
        press(page, "Start")
        expect_state(page, "Running")
        press(page, "Pause")
        press(page, "Resume")
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        page.wait_for_function(
            "() => window.said.length && window.said.at(-1)[1].startsWith('Stopped')"
        )
        said = page.evaluate("window.said")
        assert not any(words.startswith("Waiting") for _, words in said), "it never had to"
        times = [at for at, _ in said]
        assert all(later - earlier >= 4_900 for earlier, later in itertools.pairwise(times))

    def test_the_line_is_described(self, open_page):
        page = start(open_page, "ising")
        expect(field(page, "received")).to_have_text(re.compile(r"^[1-9]\d*$"))
        expect(field(page, "skipped")).to_have_text(re.compile(r"^\d+$"))
        expect(field(page, "age")).to_have_text(re.compile(r"^\d+ ms$"))
        lines = page.locator(".chart polyline")
        expect(lines).to_have_count(2)
        expect(lines.first).to_have_attribute("points", re.compile(r"\d"))


class TestLittleMotion:
    def test_the_picture_is_held_while_the_computation_runs_on(self, open_page):
        page = start_calmly(open_page)
        live = page.get_by_role("button", name="Live")
        expect(live).to_have_attribute("aria-pressed", "false")
        notice = field(page, "notice")
        expect(notice).to_contain_text("since your system asks for little motion")
        wait_until_painted(page, step_named(page))
        source = shown(page)
        step = field(page, "step")
        expect(step).not_to_have_text(step.text_content())
        expect_state(page, "Running")
        assert shown(page) == source
        press(page, "Live")
        page.wait_for_function(f"source => {SHOWN} !== source", arg=source)
        expect(notice).to_have_text("")

    def test_a_viewers_picture_is_held(self, open_page):
        driver = start(open_page, "ising")
        viewer = open_page(driver.url, reduced_motion="reduce")
        expect(viewer.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "false")
        wait_until_painted(viewer, step_named(viewer))
        source = shown(viewer)
        step = field(viewer, "step")
        expect(step).not_to_have_text(step.text_content())
        assert shown(viewer) == source
        expect_state(driver, "Running")


def start_calmly(open_page):
    page = open_page("/simulations/ising/", reduced_motion="reduce")
    press(page, "Start")
    expect_picture(page)
    return page
