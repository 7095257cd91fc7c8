import re
import xml.etree.ElementTree as ET

import pytest

from development.cards import CARDS
from gallery.dark import IN_THE_DARK, dark


def test_each_colour_is_replaced_where_it_is_painted():
    style = ET.fromstring(dark("#fff", "#0f172a"))
    assert style.text.startswith("@media (prefers-color-scheme:dark){")
    rules = dict(re.findall(r'\[(\w+="#\w+")\]\{(\w+:#\w+)\}', style.text))
    assert rules == {
        'fill="#fff"': "fill:#10151d",
        'stroke="#fff"': "stroke:#10151d",
        'fill="#0f172a"': "fill:#e2e8f0",
        'stroke="#0f172a"': "stroke:#e2e8f0",
    }


@pytest.mark.parametrize("name", ["tour", "countdown", "layout", "reaction", "orbits", "life"])
def test_every_colour_of_a_picture_that_adapts_has_one_for_the_dark(name):
    svg = CARDS[name]()
    painted = set(re.findall(r' (?:fill|stroke)="(#\w+)"', svg)) - {"#f59e0b"}
    style = re.search("<style>(.*?)</style>", svg)[1]
    for colour in painted:
        assert f"{IN_THE_DARK[colour]}}}" in style
