"""Sessions side by side: started from a form, controlled together, shown to others."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_accessibility import expect_no_violations

pytestmark = [
    pytest.mark.browser,
    pytest.mark.complains("Applying inline style|preload assets"),
]


def states(page):
    return page.locator(".compared .state")


def button(page, name):
    return page.locator(".compare-bar").get_by_role("button", name=name, exact=True)


def open_form(open_page, simulation="counter", parameter="size", **options):
    page = open_page(f"/simulations/{simulation}/", **options)
    expect(page.locator("live-step")).to_have_attribute("status", "live")
    page.get_by_text("Compare", exact=True).click()
    page.locator(".compare-form select").select_option(parameter)
    return page


def fill(page, values):
    page.locator(".compare-form input").fill(values)
    page.get_by_role("button", name="Start one of each").click()


def test_from_a_form_to_pictures_beside_each_other(open_page):
    page = open_form(open_page, viewport={"width": 360, "height": 740})
    fill(page, "5")
    expect(page.locator(".compare-form [role=alert]")).to_contain_text("2 to 6 values are expected")
    fill(page, "5, 6")
    expect(page).to_have_url(re.compile(r"/compare/\?session=[\w-]+&session=[\w-]+$"))
    expect(states(page)).to_have_text([re.compile("^Running"), re.compile("^Running")])
    expect(page.locator(".compared .values")).to_have_text(["size 5", "size 6"])
    expect(page.locator(".compare-said")).to_have_text("You control 2 of 2.")

    # On a phone they stand beside each other, too.
    one, other = page.locator(".compared [data-letter]").evaluate_all(
        "figures => figures.map((figure) => figure.getBoundingClientRect().y)"
    )
    assert one == other
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect_no_violations(page)

    # One set of controls.
    expect(button(page, "Resume")).to_be_disabled()
    button(page, "Pause").click()
    expect(states(page)).to_have_text([re.compile("^Paused"), re.compile("^Paused")])
    expect(button(page, "Pause")).to_be_disabled()
    button(page, "Step").click()
    button(page, "Resume").click()
    expect(states(page)).to_have_text([re.compile("^Running"), re.compile("^Running")])

    # The link shows it to others, who control nothing.
    viewer = open_page(page.url, color_scheme="dark", viewport={"width": 1440, "height": 900})
    expect(states(viewer)).to_have_text([re.compile("^Running"), re.compile("^Running")])
    expect(viewer.locator(".compare-said")).to_have_text("You control 0 of 2.")
    for name in ("Pause", "Resume", "Step", "Stop"):
        expect(button(viewer, name)).to_be_disabled()
    expect_no_violations(viewer)
    button(page, "Stop").click()
    for looker in (page, viewer):
        expect(states(looker)).to_have_text([re.compile("^Stopped"), re.compile("^Stopped")])


def test_what_cannot_be_started_is_said_and_the_others_are_shown(open_page):
    page = open_form(open_page)
    fill(page, "5, many, 6")
    alert = page.locator(".compare-form [role=alert]")
    expect(alert).to_contain_text("size many: size: Enter a whole number.")
    page.get_by_role("link", name="Show the 2 sessions that started").click()
    expect(page.locator(".compared .values")).to_have_text(["size 5", "size 6"])
    button(page, "Stop").click()
    expect(states(page)).to_have_text([re.compile("^Stopped"), re.compile("^Stopped")])


def test_they_share_a_seed_that_nobody_has_chosen(open_page):
    page = open_form(open_page, "drawn")
    fill(page, "5, 6")
    expect(page.locator(".compared .values")).to_have_text(["size 5", "size 6"])
    button(page, "Stop").click()
    expect(states(page)).to_have_text([re.compile("^Stopped"), re.compile("^Stopped")])


def test_their_lines_are_in_one_chart(open_page):
    page = open_form(open_page, "plotting", "steps")
    fill(page, "3, 4")
    names = page.locator(".compare-lines .legend .name")
    expect(names).to_have_count(6)
    assert sorted(names.all_inner_texts()) == [
        *("A accuracy", "A loss", "A rare", "B accuracy", "B loss", "B rare"),
    ]
    expect(page.locator(".compare-lines .plot .line.c0")).to_be_attached()
