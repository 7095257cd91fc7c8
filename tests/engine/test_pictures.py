import base64
import io
import stat
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from streaming.engine import rasters
from streaming.engine.errors import InvalidFrame
from streaming.engine.frames import deflate, fault_of, to_svg
from tests.servers import ROOT, clean_environment

RED = (255, 0, 0)
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>'


def picture_in(svg):
    """Return the image that an SVG wraps, read by a library that is not ours."""
    assert fault_of(svg) is None
    data = ET.fromstring(svg)[0].get("href").partition(";base64,")[2]
    return Image.open(io.BytesIO(base64.b64decode(data)))


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), RED).save(buffer, format="PNG")
    return buffer.getvalue()


def jpeg(**options):
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), RED).save(buffer, format="JPEG", **options)
    return buffer.getvalue()


class TestArrays:
    @pytest.mark.parametrize(
        ("array", "pixel"),
        [
            (np.full((2, 3), 7, np.uint8), 7),
            (np.full((2, 3), 7), 7),
            (np.full((2, 3), 0.5), 128),
            (np.full((2, 3), 0.5, np.float32), 128),
            (np.full((2, 3), True), 255),
            (np.full((2, 3, 1), 7, np.uint8), 7),
            (np.full((2, 3, 3), RED, np.uint8), RED),
            (np.full((2, 3, 3), (1.0, 0, 0)), RED),
            (np.full((2, 3, 4), (255, 0, 0, 9), np.uint8), (255, 0, 0, 9)),
            (np.full((2, 3), 1 + 1e-9), 255),
        ],
    )
    def test_are_shown_as_they_are(self, array, pixel):
        image = picture_in(to_svg(array))
        assert image.size == (3, 2)
        assert image.getpixel((2, 1)) == pixel

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_keep_every_value(self, channels):
        """Each line but the first is written as its difference to the one above."""
        array = np.random.default_rng(1).integers(0, 256, (17, 23, channels), dtype=np.uint8)
        image = np.asarray(picture_in(to_svg(array[::-1])))
        assert (image.reshape(array.shape) == array[::-1]).all()

    def test_small_ones_stay_sharp(self):
        assert b"pixelated" in to_svg(np.zeros((50, 50)))
        assert b"pixelated" not in to_svg(np.zeros((300, 50)))

    def test_noise_becomes_a_jpeg_below_the_limit_of_a_frame(self):
        noise = np.random.default_rng(1).integers(0, 256, (512, 512, 3), dtype=np.uint8)
        svg = to_svg(noise)
        assert picture_in(svg).format == "JPEG"
        assert len(svg) < 900_000

    @pytest.mark.parametrize(
        ("array", "said"),
        [
            (np.zeros(5), r"shape \(5,\).*expected \(height, width\)"),
            (np.zeros((3, 8, 9)), r"numpy.moveaxis\(array, 0, -1\)"),
            (np.zeros((0, 4)), r"shape \(0, 4\)"),
            (np.full((2, 2), 7.5), "from 7.5 to 7.5.*scale it"),
            (np.full((2, 2), np.nan), "from nan to nan"),
            (np.full((2, 2), -1), "from -1 to -1.*0..255"),
            (np.zeros((2, 2), complex), "complex128"),
        ],
    )
    def test_that_are_no_pictures_are_refused(self, array, said):
        with pytest.raises(InvalidFrame, match=said):
            to_svg(array)

    @pytest.mark.parametrize("kind", ["smooth", "noise"])
    def test_of_512_by_512_take_less_than_40_ms(self, kind):
        """25 of them a second, compressed, with time left for the step. Of the thread's own time,
        and the best of several, since other programs may run."""
        y, x = np.mgrid[0:512, 0:512] / 512
        arrays = {
            "smooth": np.stack([np.sin(6 * x) ** 2, np.cos(5 * y) ** 2, x * y], -1),
            "noise": np.random.default_rng(1).random((512, 512, 3)),
        }
        times = []
        for _ in range(5):
            began = time.thread_time()
            deflate(to_svg(arrays[kind]))
            times.append(time.thread_time() - began)
        assert min(times) < 0.040


class TestImages:
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "HSV"])
    def test_of_each_mode_are_shown(self, mode):
        image = Image.new("RGB", (30, 20), RED).convert(mode)
        assert picture_in(to_svg(image)).size == (30, 20)

    def test_of_a_mode_that_no_file_has_are_refused(self):
        with pytest.raises(InvalidFrame, match=r'mode F .* image.convert\("RGB"\)'):
            to_svg(Image.new("F", (3, 3)))

    @pytest.mark.parametrize("content", [png(), jpeg(), jpeg(progressive=True)])
    def test_files_of_them_are_shown(self, content):
        for given in (content, bytearray(content), memoryview(content), lambda: content):
            svg = to_svg(given)
            assert b'viewBox="0 0 30 20"' in svg
            assert picture_in(svg).convert("RGB").getpixel((5, 5))[0] >= 254

    @pytest.mark.parametrize("content", [png()[:12], jpeg()[:30], rasters.JPEG])
    def test_files_that_are_cut_off_are_refused(self, content):
        with pytest.raises(InvalidFrame, match="cut off or damaged"):
            to_svg(content)

    def test_other_files_are_named(self):
        buffer = io.BytesIO()
        Image.new("L", (255, 255)).save(buffer, format="GIF")
        with pytest.raises(InvalidFrame, match=r"a GIF; expected SVG, PNG or JPEG"):
            to_svg(buffer.getvalue() + b"\xff")

    def test_a_size_that_a_file_claims_is_only_said(self):
        """Nothing is made of its pixels here."""
        content = bytearray(png())
        content[16:24] = struct.pack(">II", 2**31, 2**31)
        assert b'width="2147483648"' in to_svg(bytes(content))


class Drawn:
    def __init__(self, **said):
        for name, value in said.items():
            setattr(self, f"_repr_{name}_", lambda *args, value=value: value)


class TestThatDrawThemselves:
    @pytest.mark.parametrize(
        "drawable",
        [
            Drawn(svg=SVG),
            Drawn(svg=(SVG, {"isolated": True})),
            Drawn(svg=None, html=f"<div>{SVG}</div>"),
            Drawn(mimebundle={"text/plain": "", "image/svg+xml": SVG}),
            Drawn(mimebundle=({"text/html": f"<p>{SVG}</p>"}, {})),
            Drawn(mimebundle={"text/plain": ""}, html=SVG),
        ],
    )
    def test_as_svg(self, drawable):
        assert to_svg(drawable) == SVG.encode()

    @pytest.mark.parametrize(
        "drawable",
        [
            Drawn(png=png()),
            Drawn(jpeg=jpeg()),
            Drawn(mimebundle={"image/png": png()}),
            Drawn(mimebundle={"image/png": base64.b64encode(png()).decode()}),
        ],
    )
    def test_as_a_file(self, drawable):
        assert picture_in(to_svg(drawable)).size == (30, 20)

    @pytest.mark.parametrize("html", ["<table></table>", SVG + SVG, None])
    def test_html_without_one_svg_is_none(self, html):
        with pytest.raises(InvalidFrame, match=r"got tests\.engine\.test_pictures\.Drawn"):
            to_svg(Drawn(html=html))

    def test_what_is_no_content_is_refused(self):
        with pytest.raises(InvalidFrame, match=r"_repr_png_\(\) of Drawn must return str or bytes"):
            to_svg(Drawn(png=[1]))


class TestLibraries:
    """Each with the real one."""

    def test_rdkit(self):
        from rdkit.Chem import MolFromSmiles

        svg = to_svg(MolFromSmiles("CCO"))
        assert fault_of(svg) is None
        assert b"atom-0" in svg

    def test_graphviz(self, tmp_path, monkeypatch):
        """Its program may not be here: one that writes what it is given stands in for it."""
        import graphviz

        dot = tmp_path / "dot"
        dot.write_text(f"#!/bin/sh\ncat >/dev/null; echo '<?xml version=\"1.0\"?>{SVG}'\n")
        dot.chmod(dot.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        graph = graphviz.Digraph()
        graph.edge("a", "b")
        assert to_svg(graph).startswith(SVG.encode())

    def test_altair(self):
        import altair

        data = altair.Data(values=[{"a": 1, "b": 2}])
        svg = to_svg(altair.Chart(data).mark_bar().encode(x="a:Q", y="b:Q"))
        assert fault_of(svg) is None
        assert b"mark-rect" in svg

    def test_plotly(self, monkeypatch):
        """Its export needs a browser, which may not be here: it is asked for it as it should be."""
        from plotly import graph_objects

        from streaming.engine import pictures

        monkeypatch.setattr(pictures, "find_spec", lambda name: name)
        monkeypatch.setattr(
            graph_objects.Figure, "to_image", lambda self, format: {"svg": SVG.encode()}[format]
        )
        assert to_svg(graph_objects.Figure()) == SVG.encode()

    @pytest.mark.parametrize("library", ["plotly", "altair"])
    def test_without_its_export_says_what_to_install(self, library, monkeypatch):
        import altair
        from plotly import graph_objects

        from streaming.engine import pictures

        monkeypatch.setattr(pictures, "find_spec", lambda name: None)
        package = {"plotly": "kaleido", "altair": "vl-convert-python"}[library]
        figure = {"plotly": graph_objects.Figure, "altair": altair.Chart}[library]()
        with pytest.raises(InvalidFrame, match=f"pip install {package}"):
            to_svg(figure)


class TestRefusals:
    @pytest.mark.parametrize(
        ("drawable", "said"),
        [
            ([SVG], "got list, which is no frame: yield one picture for each step"),
            ((svg for svg in [SVG]), "got generator, which is no frame: write `yield from`"),
            (
                lambda: None,
                "got NoneType, which is no frame: the function that draws returns nothing",
            ),
            (None, "a `yield` gave None, which is no frame: write the picture after it"),
            (lambda: lambda: SVG, "function.* call it once more"),
            (ET, "got module"),
        ],
    )
    def test_say_what_to_do(self, drawable, said):
        with pytest.raises(InvalidFrame, match=said):
            to_svg(drawable)

    def test_name_the_module_and_a_method_that_writes_svg(self):
        class Drawing:
            def tostring(self):
                return SVG

        with pytest.raises(InvalidFrame, match=r"test_pictures.*Drawing, .*its tostring\(\)"):
            to_svg(Drawing())

    def test_of_a_graph_say_how_it_is_drawn(self):
        import networkx

        with pytest.raises(InvalidFrame, match=r"networkx.*networkx.draw\(graph, ax=axes\)"):
            to_svg(networkx.Graph())


class TestWellFormed:
    def test_the_place_and_the_reason_of_a_fault_are_said(self):
        assert fault_of(to_svg("<svg>\n  <g></svg>")) == "line 2, column 8: mismatched tag"

    def test_nothing_is_said_of_a_good_one(self):
        assert fault_of(to_svg(SVG)) is None

    def test_a_missing_namespace_of_links_is_added(self):
        svg = to_svg('<svg><use xlink:href="#a"/></svg>')
        assert b'xmlns:xlink="http://www.w3.org/1999/xlink"' in svg
        assert fault_of(svg) is None

    def test_a_namespace_that_is_there_is_left(self):
        svg = '<svg xmlns="http://www.w3.org/2000/svg"><use xmlns:xlink="x" xlink:href="#a"/></svg>'
        assert to_svg(svg) == svg.encode()


WARM_UP = """
import sys
import numpy, PIL.Image
from streaming.catalog import preload
late = {"numpy.random", "PIL.PngImagePlugin"}
assert not late & set(sys.modules)
preload.load({"files": [], "broken": []})
assert late <= set(sys.modules)
assert "rdkit" not in sys.modules
"""


def test_what_libraries_import_late_is_there_before_the_first_fork():
    """And nothing of those that nobody has imported."""
    django = "import django; django.setup()"
    environment = clean_environment()
    subprocess.run([sys.executable, "-c", django + WARM_UP], env=environment, cwd=ROOT, check=True)
