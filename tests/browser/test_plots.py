"""What a simulation plots, in the page: the lines, what is read off them, and what is kept.

A server that says what a test wants stands behind each page, and one page serves many looks.
"""

import json
import re

import pytest
from playwright.sync_api import expect

from streaming.engine.series import Series
from tests.browser.test_accessibility import COLOURS, expect_no_violations
from tests.browser.test_bar import KEEP_SHIFTS, STOP, press, run
from tests.browser.test_recording import record, shows

pytestmark = pytest.mark.browser

POINTS = [[step, 1 / step, step / 100] for step in range(1, 101)]
LOADED = """() => performance.getEntriesByType("resource")
  .map((entry) => entry.name).filter((name) => /live-step-(plots|drawing)/.test(name)).length"""


def plot(server, points=POINTS, names=("loss", "accuracy")):
    server.say(type="series", names=list(names), points=points)


def begin(page, server):
    """Have a session run that shows its picture, which has given the page its shape."""
    run(page, server)
    server.wait_for(page, lambda: server.acked == 1)


def line(page, number):
    return page.locator(f".plot .line.c{number}")


def value(page, name):
    return page.locator(f".legend [data-name={name}] .value")


def test_the_lines_of_one_session_are_not_those_of_the_next(open_held):
    """Which may plot others, or nothing."""
    page, server = open_held()
    begin(page, server)
    plot(server)
    expect(value(page, "loss")).to_have_text("0.01")
    for number, names in enumerate([["heat"], []], 2):
        server.tell(state="stopped", stop=STOP)
        press(page, "Start")
        server.wait_for(page, lambda number=number: len(server.all("start")) == number)
        server.session |= {"session": f"fake {number}"}
        server.begin(state="running", stop=None)
        if names:
            plot(server, [[1, 5]], names)
        expect(page.locator(".legend [data-name]")).to_have_count(len(names))
        expect(page.locator(".plot .line")).to_have_count(len(names))


def test_the_lines_come_and_are_read_off(open_held):
    """By hand, by keyboard and by a screen reader; without anything else moving."""
    page, server = open_held()
    begin(page, server)
    room = page.locator(".plots-room")
    expect(room).to_contain_text("What the simulation plots stands here")
    assert page.evaluate(LOADED) == 0, "what draws them is loaded when they come"
    form, before = page.locator("form").bounding_box(), room.bounding_box()
    page.evaluate(KEEP_SHIFTS, False)
    plot(server)
    expect(line(page, 0)).to_have_attribute("d", re.compile("^M.+L"))
    expect(line(page, 1)).to_have_attribute("d", re.compile("^M.+L"))
    assert page.evaluate(LOADED) >= 3
    expect(value(page, "loss")).to_have_text("0.01")
    expect(value(page, "accuracy")).to_have_text("1")
    expect(page.locator(".plots .step")).to_have_text("Step 100")
    assert (page.locator("form").bounding_box(), room.bounding_box()) == (form, before)

    # A hand.
    chart = page.get_by_role("slider", name="Lines by step")
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".plots .step")).to_have_text(re.compile(r"^Step [45]\d$"))
    expect(page.locator(".plot .dot")).to_have_count(2)
    page.mouse.move(5, 5)
    expect(page.locator(".plots .step")).to_have_text("Step 100")
    expect(page.locator(".plot .dot")).to_have_count(0)

    # The keyboard, whose arrows are not the player's here.
    chart.focus()
    page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuetext", "Step 99: loss 0.010101, accuracy 0.99")
    page.keyboard.press("Home")
    expect(chart).to_have_attribute("aria-valuetext", "Step 1: loss 1, accuracy 0.01")
    page.keyboard.press("ArrowRight")
    expect(chart).to_have_attribute("aria-valuenow", "2")
    page.keyboard.press("PageUp")
    expect(chart).to_have_attribute("aria-valuenow", "12")
    page.keyboard.press("Escape")
    expect(page.locator(".plots .step")).to_have_text("Step 100")
    assert not server.all("step")

    # What is new comes while it is looked at.
    plot(server, [[101, 3, None]])
    expect(value(page, "loss")).to_have_text("3")
    expect(value(page, "accuracy")).to_have_text("\N{EN DASH}")

    # A line is hidden, and the others have the room.
    whole = line(page, 1).get_attribute("d")
    page.get_by_role("button", name=re.compile("^loss")).click()
    expect(line(page, 0)).to_have_count(0)
    expect(line(page, 1)).not_to_have_attribute("d", whole)
    page.get_by_role("button", name=re.compile("^loss")).click()
    straight = line(page, 0).get_attribute("d")
    page.get_by_role("button", name="Logarithmic").click()
    expect(line(page, 0)).not_to_have_attribute("d", straight)

    # They are kept: all that the server has, or what is here.
    asked = []

    def answer(route):
        asked.append(route.request.url)
        kind = "text/csv" if len(asked) == 1 else "text/html"
        route.fulfill(body="step,loss\n1,1.0\n", content_type=kind)

    page.route("**/series.csv", answer)
    rows = saved_table(page)
    assert rows == ["step,loss", "1,1.0"]
    assert asked[0].endswith("/sessions/fake/series.csv")
    rows = saved_table(page)
    assert len(asked) == 2, "it may be that the login has ended"
    assert rows[:2] == ["step,loss,accuracy", "1,1,0.01"]
    assert (rows[-1], len(rows)) == ("101,3,", 102)
    with page.expect_download() as picture:
        page.get_by_role("button", name="SVG", exact=True).click()
    svg = picture.value.path().read_text()
    assert ">accuracy</text>" in svg
    assert svg.count('class="line c0"') == 2, "the line and its sign"
    with page.expect_download() as kept:
        page.get_by_role("button", name="Save as page").click()
    content = kept.value.path().read_text()
    recording = json.loads(content.split('id="recording">')[1].split("</script>")[0])
    assert [one["names"] for one in recording["series"]] == [["loss"], ["accuracy"]]
    assert "class Lines" in content
    assert page.evaluate("window.shifted") <= 0.02, page.evaluate("window.movers")


def saved_table(page):
    with page.expect_download() as table:
        page.get_by_role("button", name="CSV").click()
    assert table.value.suggested_filename == "ising-series.csv"
    return table.value.path().read_text().splitlines()


def test_another_session_begins_with_no_lines(open_held):
    page, server = open_held()
    begin(page, server)
    plot(server)
    expect(line(page, 1)).to_be_attached()
    server.tell(session="other", step=0)
    expect(page.locator(".legend button")).to_have_count(0)
    plot(server, [[1, 5]], ["height"])
    expect(value(page, "height")).to_have_text("5")
    expect(page.locator(".legend button")).to_have_count(1)


@pytest.mark.parametrize("width", [360, 1440])
def test_lines_that_nobody_foresaw_move_nothing(open_held, width):
    """They stand below everything else."""
    page, server = open_held("/simulations/life/", viewport={"width": width, "height": 900})
    begin(page, server)
    expect(page.locator(".plots-room")).to_be_hidden()
    page.evaluate(KEEP_SHIFTS, False)
    places = [page.locator(which).bounding_box() for which in ("form", ".picture", ".tools")]
    plot(server)
    expect(line(page, 0)).to_be_attached()
    after = [page.locator(which).bounding_box() for which in ("form", ".picture", ".tools")]
    assert after == places
    assert page.evaluate("window.shifted") <= 0.02, page.evaluate("window.movers")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.complains("Applying inline style|preload assets")
def test_nothing_is_found_by_axe_and_names_have_room(open_held):
    page, server = open_held(viewport={"width": 360, "height": 740})
    begin(page, server)
    names = ["w" * 64, *(f"line {number}" for number in range(31))]
    plot(server, [[step, *range(32)] for step in range(1, 30)], names)
    expect(page.locator(".legend button")).to_have_count(32)
    height = page.locator(".plots-room").bounding_box()["height"]
    expect(page.locator(".plot")).to_be_visible()
    assert page.locator(".plot").bounding_box()["height"] > height / 3
    for width, scheme, rules in ((360, "light", None), (1440, "dark", COLOURS)):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        expect_no_violations(page, {"include": [["live-step"]]}, rules=rules)


def test_a_saved_page_shows_them_without_a_network(page_of, tmp_path):
    series = Series()
    for step in range(1, 101):
        series.add(step, {"loss": 1 / step, "accuracy": step / 100})
    path = tmp_path / "lines.html"
    frames = [(10, 0, picture(101)), (50, 500, picture(102))]
    page = page_of(record(path, frames, series=series))
    shows(page, 101)
    expect(page.locator(".chart .line")).to_have_count(2)
    expect(page.locator(".legend output").first).to_have_text("0.1")
    page.get_by_role("button", name="Next frame").click()
    expect(page.locator(".legend output").first).to_have_text("0.02")
    page.get_by_role("checkbox", name=re.compile("^loss")).uncheck()
    expect(page.locator(".chart .line")).to_have_count(1)
    page.get_by_label("Logarithmic").check()
    expect(page.locator(".chart .line")).to_have_count(1)


def picture(width):
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="50"/>'
