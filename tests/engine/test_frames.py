import time
import xml.etree.ElementTree as ET
import zlib

import pytest
from matplotlib.figure import Figure

from streaming.engine.errors import InvalidFrame
from streaming.engine.frames import deflate, to_svg

PLAIN = b'<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>'


class Drawn:
    def __init__(self, svg):
        self.svg = svg

    def _repr_svg_(self):
        return self.svg


class TestAcceptedForms:
    @pytest.mark.parametrize(
        "drawable",
        [
            PLAIN,
            PLAIN.decode(),
            Drawn(PLAIN.decode()),
            Drawn(PLAIN),
            lambda: PLAIN,
            lambda: Drawn(PLAIN),
        ],
        ids=["bytes", "str", "repr", "repr-bytes", "callable", "callable-repr"],
    )
    def test_gives_the_svg_bytes(self, drawable):
        assert to_svg(drawable) == PLAIN

    def test_draws_a_matplotlib_figure_without_its_prolog(self):
        figure = Figure()
        figure.subplots().plot([1, 2])
        svg = to_svg(figure)
        assert svg.startswith(b"<svg ")
        assert b"xmlns=" in svg[:400]

    def test_serialises_an_element_in_the_svg_namespace(self):
        """ElementTree alone would write <ns0:svg>, which no HTML page shows."""
        element = ET.Element("{http://www.w3.org/2000/svg}svg", viewBox="0 0 1 1")
        ET.SubElement(element, "{http://www.w3.org/2000/svg}g")
        assert (
            to_svg(element)
            == b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><g /></svg>'
        )
        assert element.tag.startswith("{")

    def test_serialises_an_element_tree(self):
        assert to_svg(ET.ElementTree(ET.fromstring(PLAIN))).startswith(b"<svg xmlns=")


class TestTime:
    """It grows with a frame's length and no faster, whatever is in the frame."""

    @pytest.mark.parametrize(
        "before",
        [
            b"<!--" * 200_000,
            b"<!-- -->" * 100_000,
            b"<!---->" * 100_000 + b"<!--",
            b"<svgx" * 160_000,
            b"<!-- <svg " * 80_000 + b"-->",
        ],
    )
    def test_of_what_stands_before_the_tag(self, before):
        began = time.thread_time()
        assert to_svg(before + PLAIN) == PLAIN
        assert time.thread_time() - began < 0.5

    @pytest.mark.parametrize(
        "inside",
        [b"a" * 800_000, b" a='" * 200_001, b" a='\"'" * 150_000, b"\"'" * 400_001],
    )
    def test_of_a_tag_that_never_ends(self, inside):
        began = time.thread_time()
        with pytest.raises(InvalidFrame, match="never ends"):
            to_svg(b"<svg " + inside)
        assert time.thread_time() - began < 0.5


class TestNormalising:
    def test_cuts_what_stands_before_the_svg_tag(self):
        prolog = b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x" "y">\n<!-- not <svg yet -->\n'
        assert to_svg(prolog + PLAIN) == PLAIN

    def test_adds_a_missing_namespace(self):
        assert to_svg('<svg viewBox="0 0 9 9"/>') == (
            b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>'
        )

    def test_does_not_take_another_attribute_for_the_namespace(self):
        svg = to_svg(
            '<svg xmlns:xlink="http://www.w3.org/1999/xlink" data-a=" xmlns =>"/>'.replace(
                " xmlns =>", "a>b"
            )
        )
        assert svg.startswith(b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink=')

    def test_keeps_letters_beyond_ascii(self):
        assert "größer".encode() in to_svg("<svg><text>größer</text></svg>")


class TestRefusals:
    @pytest.mark.parametrize(
        ("drawable", "named"),
        [
            ({}, "dict"),
            (None, "None"),
            (12, "int"),
            (lambda: 3.5, "float"),
            (lambda: lambda: "", "function"),
            (Drawn(None), "Drawn"),
        ],
        ids=["dict", "none", "int", "callable", "twice-lazy", "repr"],
    )
    def test_names_the_type(self, drawable, named):
        with pytest.raises(InvalidFrame, match=named):
            to_svg(drawable)

    @pytest.mark.parametrize("text", ["", "<html></html>", "<svgx></svgx>", "<!-- <svg> -->"])
    def test_says_that_there_is_no_svg(self, text):
        with pytest.raises(InvalidFrame, match="<svg> element; got str"):
            to_svg(text)

    def test_refuses_a_tag_that_never_ends(self):
        with pytest.raises(InvalidFrame, match="never ends"):
            to_svg("<svg viewBox='")

    def test_refuses_bytes_that_are_not_utf8(self):
        with pytest.raises(InvalidFrame, match="UTF-8"):
            to_svg(PLAIN.replace(b"g", b"\xff"))

    def test_refuses_a_lone_surrogate(self):
        with pytest.raises(InvalidFrame, match="UTF-8"):
            to_svg("<svg>\ud800</svg>")


class TestDeflate:
    def test_is_raw_deflate(self):
        svg = PLAIN * 50
        assert zlib.decompress(deflate(svg), -zlib.MAX_WBITS) == svg

    def test_gives_nothing_when_nothing_is_saved(self):
        assert deflate(b"<svg/>") is None
