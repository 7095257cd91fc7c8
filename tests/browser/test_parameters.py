"""The parameters' form: its way back, presets, what an address gives, and files that are none."""

import base64
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import expect_state, press, start

pytestmark = pytest.mark.browser

DROP = """(element, {name, content}) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  const taken = !element.dispatchEvent(
    new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  return taken;
}"""


def drop(field, name, content):
    return field.evaluate(DROP, {"name": name, "content": base64.b64encode(content).decode()})


class TestDefaults:
    def test_of_every_type_start_untouched(self, open_page):
        page = start(open_page, "untouched")
        assert page.evaluate("document.querySelector('live-step').params.sure") is None

    def test_of_every_type_are_no_changes(self, open_page):
        """Also where a page begins with other values, and where one was typed again."""
        page = open_page("/simulations/untouched/")
        reset = page.get_by_role("button", name="Reset all")
        expect(reset).to_be_disabled()
        page.get_by_label("Hour").fill("12:31")
        expect(reset).to_be_enabled()
        page.get_by_label("Hour").fill("12:30")
        page.get_by_label("Large").fill("10000000000000000000000")
        expect(reset).to_be_disabled()
        every = {
            "sure": "true", "moment": "2027-01-02T03:04", "day": "2027-01-02", "hour": "11:30",
            "price": "1", "large": "1", "small": "1", "colours": "1", "some": "1,2",
            "span.sides": "1,2", "span.begins": "2027-01-02T03:04",
        }  # fmt: skip
        page.goto(f"/simulations/untouched/?{urlencode(every)}")
        expect(page.get_by_role("button", name="Back to the default")).to_have_count(len(every))
        reset.click()
        expect(reset).to_be_disabled()
        press(page, "Start")
        expect_state(page, "Running")
        page.reload()
        expect(page.locator("live-step")).to_have_attribute("status", "live")
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped"))
        expect(reset).to_be_disabled()


class TestSeeds:
    def test_one_that_was_drawn_stands_in_the_field_when_the_page_is_loaded_again(self, open_page):
        page = start(open_page, "many_types")
        seed = page.get_by_label("Seed")
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        drawn = seed.get_attribute("placeholder")
        expect(seed).to_have_value("")
        press(page, "Start")
        expect_state(page, "Running")
        expect(seed).not_to_have_attribute("placeholder", drawn)
        press(page, "Stop")
        expect_state(page, re.compile("^Stopped in"))
        drawn = seed.get_attribute("placeholder")
        page.reload()
        expect(seed).to_have_value(drawn)
        press(page, "Start")
        expect_state(page, "Running")
        assert page.evaluate("document.querySelector('live-step').params.seed") == int(drawn)


class TestWaysBack:
    def test_of_one_and_of_all(self, open_page):
        page = open_page("/simulations/reaction/")
        feed, kill = page.get_by_label("Feed"), page.get_by_label("Kill")
        every = page.get_by_role("button", name="Reset all")
        expect(every).to_be_disabled()
        feed.fill("0.05")
        kill.fill("0.0600")
        backs = page.get_by_role("button", name="Back to the default")
        # 0.0600 is what it was.
        expect(backs).to_have_count(1)
        backs.click()
        expect(feed).to_have_value("0.037")
        expect(feed).to_be_focused()
        expect(every).to_be_disabled()
        page.locator("[data-name=feed] [data-slider]").fill("0.07")
        page.get_by_label("Seed").fill("9")
        every.click()
        expect(feed).to_have_value("0.037")
        expect(page.locator("[data-name=feed] [data-slider]")).to_have_value("0.037")
        expect(page.get_by_label("Seed")).to_have_value("1")

    def test_presets_act_at_once_where_they_may(self, open_page):
        page = start(open_page, "reaction")
        page.get_by_role("button", name="Corals").click()
        page.wait_for_function(
            "() => document.querySelector('live-step').params.feed === 0.0545"
            " && document.querySelector('live-step').params.kill === 0.062"
        )
        # Of a page that was loaded meanwhile the defaults are the simulation's, too.
        page.reload()
        expect(page.get_by_label("Feed")).to_have_value("0.0545")
        page.get_by_role("button", name="Reset all").click()
        expect(page.get_by_label("Feed")).to_have_value("0.037")

    def test_what_acts_at_once_comes_first(self, open_page):
        page = open_page("/simulations/ising/")
        names = page.locator("[data-name]").evaluate_all(
            "all => all.map((one) => one.dataset.name)"
        )
        assert names == ["temperature", "size"]


class TestAddresses:
    def test_their_values_stand_in_the_form_and_what_is_wrong_is_said(self, open_page):
        page = open_page("/simulations/ising/?size=7000&temperature=1.5&utm_source=x")
        expect(page.get_by_label("Temperature")).to_have_value("1.5")
        expect(page.get_by_label("Size")).to_have_value("7000")
        expect(page.locator("[data-name=size] .errors")).to_contain_text("less than or equal to")
        expect(page.locator("[data-name=temperature] .errors")).to_be_empty()
        expect(page.locator("[data-name=temperature] [data-slider]")).to_have_value("1.5")
        page.get_by_role("button", name="Reset all").click()
        press(page, "Start")
        expect_state(page, "Running")

    def test_a_link_has_what_is_no_default(self, open_page):
        allowed = ["clipboard-read", "clipboard-write"]
        page = open_page("/simulations/every_kind/", permissions=allowed)
        page.get_by_label("Whole", exact=True).fill("5")
        page.get_by_label("Flag").set_checked(False)
        page.get_by_label("Needed").fill("7")
        press(page, "Copy link with these parameters")
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        link = page.evaluate("navigator.clipboard.readText()")
        assert urlsplit(link).path == "/simulations/every_kind/"
        assert parse_qs(urlsplit(link).query) == {
            "whole": ["5"],
            "flag": ["false"],
            "needed": ["7"],
        }
        page.goto(link)
        expect(page.get_by_label("Whole", exact=True)).to_have_value("5")
        expect(page.get_by_label("Flag")).not_to_be_checked()
        expect(page.locator(".errors li")).to_have_count(0)

    def test_a_link_has_no_name_of_a_file(self, open_page, tmp_path):
        """It cannot hold the content. The file can be let go."""
        (tmp_path / "salaries.csv").write_text("1")
        allowed = ["clipboard-read", "clipboard-write"]
        page = open_page("/simulations/many_types/", permissions=allowed)
        table = page.get_by_label("Table", exact=True)
        table.set_input_files(tmp_path / "salaries.csv")
        page.get_by_label("Seed").fill("5")
        press(page, "Copy link with these parameters")
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        link = page.evaluate("navigator.clipboard.readText()")
        assert parse_qs(urlsplit(link).query) == {"seed": ["5"]}
        page.get_by_role("button", name="Reset all").click()
        expect(table).to_have_value("")

    def test_parameters_that_are_too_long_for_one_are_said(self, open_page):
        page = open_page("/simulations/tour/")
        page.get_by_label("Cities", exact=True).fill("1,2 " * 1_100)
        press(page, "Copy link with these parameters")
        expect(page.locator("[data-field=notice]")).to_contain_text("too long for a link")


class TestFilesThatAreNoText:
    def test_are_refused_however_they_come(self, open_page, tmp_path):
        page = open_page("/simulations/tour/")
        cities = page.get_by_label("Cities", exact=True)
        before = cities.input_value()
        errors = page.locator("[data-name=cities] .errors")
        for name, content in (
            ("map.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
            ("latin.csv", "Köln,1,2\n".encode("latin1")),
            ("zeros.bin", bytes(100)),
        ):
            path = tmp_path / name
            path.write_bytes(content)
            page.locator("input[type=file]").set_input_files(path)
            expect(errors).to_contain_text(f"{name} is no text")
            assert drop(cities, name, content)
            expect(errors).to_contain_text(f"{name} is no text")
            expect(cities).to_have_value(before)
        assert drop(cities, "cities.csv", b"0,0\n0,9\n9,9\n9,0\n5,5\n")
        expect(cities).to_have_value("0,0\n0,9\n9,9\n9,0\n5,5\n")
        expect(errors).to_be_empty()

    def test_a_field_of_one_line_takes_none(self, open_page):
        page = open_page("/simulations/every_kind/")
        assert not drop(page.get_by_label("Word"), "x.txt", b"x")


class TestLongWords:
    def test_make_no_page_wider(self, open_page):
        page = open_page("/", viewport={"width": 360, "height": 740})
        width = "document.documentElement.scrollWidth"
        assert page.evaluate(width) <= 360
        card = page.locator(".card", has_text="Donaudampf").locator("img").bounding_box()
        other = page.locator(".card", has_text="Ising model").locator("img").bounding_box()
        assert card["width"] == other["width"]
        page.goto("/simulations/wide/")
        press(page, "Start")
        expect(page.locator("[data-field=progress-text]")).to_contain_text("Hottentotten")
        for size in ((360, 740), (768, 1024), (740, 360), (1440, 900)):
            page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
            assert page.evaluate(width) <= size[0]


class TestRightToLeft:
    def test_the_page_is_mirrored_and_fits(self, open_page):
        page = open_page("/simulations/ising/")
        page.evaluate("document.documentElement.dir = 'rtl'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        play = page.get_by_role("button", name="Start", exact=True).bounding_box()
        keys = page.get_by_role("button", name="Keys").bounding_box()
        assert play["x"] > keys["x"]
        panel = page.locator("form").bounding_box()
        assert panel["x"] < play["x"]


class TestDescriptions:
    def test_have_markup_and_formulas_and_cards_have_their_text(self, open_page):
        page = open_page("/simulations/adapting/")
        expect(page.locator(".lead strong")).to_have_text("circle")
        expect(page.locator(".lead math")).to_be_visible()
        page.goto("/")
        card = page.locator(".card", has_text="Adapting")
        expect(card).to_contain_text(re.compile(r"a circle of 2\s*πr would"))


def expect_ink(page, colour):
    text = page.frame_locator(".picture iframe").locator("text")
    expect(text).to_have_css("fill", colour)


def expect_paper(page, colour):
    expect(page.locator(".picture")).to_have_css("background-color", colour)


class TestPicturesForTheDark:
    def test_one_that_says_so_gets_the_scheme_and_a_dark_paper(self, open_page):
        page = start(open_page, "adapting", color_scheme="dark")
        expect_ink(page, "rgb(255, 255, 255)")
        expect_paper(page, "rgb(16, 21, 29)")
        page.emulate_media(color_scheme="light")
        expect_ink(page, "rgb(0, 0, 0)")
        expect_paper(page, "rgb(255, 255, 255)")

    def test_one_that_says_nothing_keeps_a_light_paper_that_does_not_glare(self, open_page):
        page = start(open_page, "counter", color_scheme="dark")
        expect_ink(page, "rgb(0, 0, 0)")
        expect_paper(page, "rgb(216, 222, 231)")
        # And the system's few colours are not for it.
        page.emulate_media(forced_colors="active")
        expect_ink(page, "rgb(0, 0, 0)")
        expect_paper(page, "rgb(216, 222, 231)")
