"""The element as the script of somebody's page meets it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import press

pytestmark = pytest.mark.browser

PLAYER = "document.querySelector('live-step.own')"
RECORD = """() => {
  const player = document.querySelector("live-step.own");
  window.heard = [];
  for (const name of ["statechange", "frame", "ended", "error"]) {
    player.addEventListener(name, ({ type, detail }) =>
      window.heard.push([type, detail.state ?? detail.seq ?? detail.code]));
  }
}"""


@pytest.fixture
def page(open_page):
    page = open_page("/element/")
    page.evaluate(RECORD)
    return page


def kinds(page):
    return {kind for kind, _ in page.evaluate("window.heard")}


def test_it_plays_pauses_steps_and_stops(page):
    assert page.evaluate(f"[{PLAYER}.paused, {PLAYER}.state, {PLAYER}.currentStep]") == [
        True,
        "ready",
        0,
    ]
    page.evaluate(f"{PLAYER}.play()")
    page.wait_for_function(f"() => {PLAYER}.state === 'running' && !{PLAYER}.paused")
    page.evaluate(f"{PLAYER}.pause()")
    page.wait_for_function(f"() => {PLAYER}.paused && {PLAYER}.state === 'paused'")
    before = page.evaluate(f"{PLAYER}.currentStep")
    page.evaluate(f"{PLAYER}.step(3)")
    page.wait_for_function(f"() => {PLAYER}.currentStep === {before + 3}")
    page.evaluate(f"{PLAYER}.play()")
    page.wait_for_function(f"() => {PLAYER}.state === 'running'")
    page.evaluate(f"{PLAYER}.stop()")
    page.wait_for_function(f"() => {PLAYER}.state === 'stopped'")
    assert kinds(page) == {"statechange", "frame", "ended"}
    ends = [state for kind, state in page.evaluate("window.heard") if kind == "ended"]
    assert ends == ["stopped"]


def test_play_before_the_connection_is_open_waits_for_it(open_page):
    page = open_page("/element/")
    state = page.evaluate("""async () => {
      const player = document.createElement("live-step");
      player.simulation = "counter";
      player.params = { level: 3 };
      document.body.append(player);
      await player.play();
      await new Promise((resolve) => player.addEventListener("frame", resolve, { once: true }));
      return [player.state, player.params.level];
    }""")
    assert state == ["running", 3]


def test_what_is_refused_is_an_event_and_an_error(page):
    message = page.evaluate(f"""async () => {{
      const player = {PLAYER};
      player.simulation = "nowhere";
      return player.play().catch((error) => [error.message, error.code]);
    }}""")
    assert message[1] == "unknown_simulation"
    assert "there is no simulation 'nowhere'" in message[0]
    assert kinds(page) == {"error"}


def test_parameters_without_a_form_are_named_when_they_are_wrong(page):
    page.evaluate(f"{PLAYER}.params = {{ level: 99 }}; {PLAYER}.play().catch(() => {{}})")
    expect(page.locator("live-step.own").get_by_role("alert")).to_have_text(
        re.compile("^level: .*10")
    )


def test_another_session_is_watched_when_its_attribute_changes(page, open_page):
    page.evaluate(f"{PLAYER}.play()")
    page.wait_for_function(f"() => {PLAYER}.state === 'running'")
    session = page.evaluate(f"{PLAYER}.session")
    other = open_page("/element/")
    other.evaluate(f"{PLAYER}.session = '{session}'")
    other.wait_for_function(f"() => {PLAYER}.state === 'running' && {PLAYER}.currentStep > 0")


def test_pages_style_it_by_properties_and_parts(page):
    style = "getComputedStyle(document.querySelector('{}').shadowRoot.querySelector('.picture')).{}"
    assert page.evaluate(style.format("live-step.own", "borderTopWidth")) == "3px"
    assert page.evaluate(style.format("live-step.own", "borderTopStyle")) == "solid"
    frame = style.replace(".picture", ".frame")
    assert page.evaluate(frame.format("live-step.own", "borderTopLeftRadius")) == "0px"
    assert page.evaluate(frame.format("live-step:not(.own)", "borderTopLeftRadius")) == "10px"
    assert page.evaluate(style.format("live-step:not(.own)", "borderTopWidth")) == "0px"


def test_the_page_shows_the_events(page):
    page.get_by_role("button", name="play()").click()
    expect(page.locator(".events li").first).to_have_text(
        re.compile("^frame: running, currentStep")
    )
    page.get_by_role("button", name="stop()").click()
    expect(page.locator(".events li", has_text="ended: stopped")).to_be_visible()


def test_the_template_tags_player_works(page):
    tag = page.locator("live-step").nth(1)
    tag.get_by_role("button", name="Start").click()
    expect(tag.locator("[data-field=state]")).to_have_text("Running")
    tag.get_by_role("button", name="Stop").click()
    expect(tag.locator("[data-field=state]")).to_have_text(re.compile("^Stopped in"))


def test_taking_it_away_and_putting_it_back_goes_on(open_page):
    page = open_page("/simulations/counter/")
    press(page, "Start")
    expect(page.locator("[data-field=state]")).to_have_text("Running")
    page.evaluate("""() => {
      const player = document.querySelector("live-step");
      const parent = player.parentNode;
      player.remove();
      parent.append(player);
    }""")
    expect(page.locator("[data-field=state]")).to_have_text("Running")
    step = page.locator("[data-field=step]")
    expect(step).not_to_have_text(step.text_content())
