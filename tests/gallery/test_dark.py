import re
import xml.etree.ElementTree as ET

import pytest

from development.cards import CARDS
from gallery.dark import IN_THE_DARK, dark, darken
from streaming.engine.frames import to_svg


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


def test_a_figure_of_matplotlib_is_painted_for_the_dark():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([1, 2], color="#1d4ed8")
    svg = to_svg(darken(figure)).decode()
    ET.fromstring(svg)
    style = re.search("<style>(.*?)</style>", svg)[1]
    assert '[style*="stroke: #1d4ed8"]{stroke:#7ea6f4!important}' in style
    assert '[style*="fill: #ffffff"]{fill:#10151d!important}' in style
    assert "#b45309" not in style
    assert "stroke: #1d4ed8" in svg.replace(style, "")


@pytest.mark.parametrize("name", sorted({*CARDS} - {"descent"}))
def test_every_colour_of_a_picture_that_adapts_has_one_for_the_dark(name):
    *_, svg = CARDS[name]()
    painted = set(re.findall(r' (?:fill|stroke)="(#\w+)"', svg)) - {"#f59e0b"}
    style = re.search("<style>(.*?)</style>", svg)[1]
    for colour in painted:
        assert f"{IN_THE_DARK[colour]}}}" in style
