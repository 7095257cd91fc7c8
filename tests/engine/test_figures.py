"""matplotlib's figures as frames, and what pyplot keeps of them."""

import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from streaming.engine import figures
from streaming.engine.errors import InvalidFrame
from streaming.engine.frames import MOST_FRAME_BYTES, to_svg
from streaming.engine.pyplot import closed_at_the_end, uses_pyplot
from streaming.engine.simulations import described
from streaming.engine.sources import load_source
from tests.engine.running import Run
from tests.samples.simulations import noise, svg


@pytest.fixture(autouse=True)
def _nothing_before():
    mpl.use("agg")
    figures._of_thread.vector_bytes = 0
    yield
    plt.close("all")


def with_text(text):
    figure = Figure(figsize=(2, 2))
    figure.subplots().set_title(text)
    return figure


class TestWhatStandsOnAFigure:
    def title_of(self, drawable):
        return b"<!-- sign -->" in to_svg(drawable)

    @pytest.mark.parametrize(
        "of",
        [
            lambda figure: figure,
            lambda figure: figure.axes[0],
            lambda figure: figure.axes[0].title,
            lambda figure: np.array([[figure.axes[0]]], dtype=object),
            lambda figure: type("Grid", (), {"figure": figure})(),
            lambda figure: figure.add_subfigure(figure.add_gridspec(1, 1)[0]),
            lambda figure: lambda: figure.axes[0],
        ],
        ids=["figure", "axes", "artist", "array", "grid", "subfigure", "lazy"],
    )
    def test_is_a_frame(self, of):
        assert self.title_of(of(with_text("sign")))

    def test_a_grid_of_seaborn_is_one(self):
        seaborn = pytest.importorskip("seaborn")
        grid = seaborn.FacetGrid({"x": [1, 2]})
        grid.figure.suptitle("sign")
        assert self.title_of(grid)

    @pytest.mark.parametrize("drawable", [type("Other", (), {"figure": 3})(), Figure, 7])
    def test_other_things_are_not(self, drawable):
        assert figures.figure_of(drawable) is None

    def test_an_empty_array_is_refused(self):
        with pytest.raises(InvalidFrame):
            to_svg(np.array([], dtype=object))


def heatmap(size=100):
    figure = Figure()
    figure.subplots().pcolormesh(np.random.default_rng(1).random((size, size)))
    return figure


def scatter():
    figure = Figure()
    figure.subplots().scatter(*np.random.default_rng(1).random((2, 9000)), s=4)
    return figure


def many_bars():
    figure = Figure()
    figure.subplots().bar(range(4000), np.arange(4000))
    return figure


def marks():
    figure = Figure()
    figure.subplots().plot(np.random.default_rng(1).random(9000), "o")
    return figure


def seaborn_heatmap():
    seaborn = pytest.importorskip("seaborn")
    figure = Figure()
    seaborn.heatmap(np.random.default_rng(1).random((70, 70)), ax=figure.subplots())
    return figure


class TestHeavyParts:
    def marked(self, figure):
        artists = [artist for axes in figure.axes for artist in axes.get_children()]
        return [artist for artist in artists if artist.get_rasterized()]

    @pytest.mark.parametrize("make", [heatmap, scatter, many_bars, marks, seaborn_heatmap])
    def test_are_drawn_as_pixels_and_the_rest_as_vectors(self, make):
        figure = make()
        before = self.marked(figure)
        svg = to_svg(figure)
        assert len(svg) < 400_000
        assert b"<image" in svg
        assert svg.count(b"<use") > 5, "the axes have their ticks"
        assert figures.vector_bytes() > figures.MOST_VECTOR_BYTES
        assert self.marked(figure) == before, "it is as it was"

    def test_a_light_figure_has_none(self):
        assert b"<image" not in to_svg(heatmap(20))
        assert figures.vector_bytes() == 0

    def test_the_next_one_like_it_is_not_drawn_in_vain_first(self, monkeypatch):
        to_svg(heatmap())
        drawn = []
        save = figures._save
        monkeypatch.setattr(figures, "_save", lambda *args: drawn.append(args) or save(*args))
        to_svg(heatmap())
        to_svg(with_text("light again"))
        assert [bool(parts) for _, parts in drawn] == [True, False]

    def test_are_told_to_the_viewers_once(self):
        def target():
            for _ in range(3):
                yield heatmap()

        run = Run(target).start()
        assert run.ended().frames_too_large == 0
        ((code, sentence),) = run.notices
        assert code == "pixels"
        assert "rasterized=True" in sentence

    def test_what_is_too_large_all_the_same_names_the_setting(self):
        run = Run(lambda: svg(noise(2000)), max_frame_bytes=1000, most_steps=1)
        run.start().ended()
        ((_, sentence),) = run.notices
        assert f"LIVESTEP_MAX_FRAME_BYTES, a number from 1,000 to {MOST_FRAME_BYTES:,}" in sentence


class TestWarmUp:
    def test_loads_what_the_first_picture_needs(self, monkeypatch):
        drawn = []
        monkeypatch.setattr(figures, "draw", drawn.append)
        figures.warm_up()
        assert [figure.axes[0].get_title() for figure in drawn] == ["$x$"]

    def test_does_nothing_where_nobody_has_matplotlib(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "matplotlib.figure")
        monkeypatch.setattr(figures, "draw", lambda figure: pytest.fail("it draws"))
        figures.warm_up()


class TestPyplotsFigures:
    def test_are_closed_with_the_session(self):
        mine = plt.figure()

        def target():
            for _ in range(3):
                yield plt.figure()

        Run(target).start().ended()
        assert plt.get_fignums() == [mine.number]

    def test_those_of_a_session_that_goes_on_stay(self):
        with closed_at_the_end():
            ours = plt.figure()

            def target():
                yield plt.figure()

            Run(target).start().ended()
            assert plt.get_fignums() == [ours.number]
        assert plt.get_fignums() == []


FILE = """
{imported}
from streaming import simulation

@simulation
def mine():
    {inside}
    yield "<svg/>"
"""


class TestWhoUsesPyplot:
    def used(self, folder, imported, inside="pass"):
        path = folder / "draws.py"
        path.write_text(FILE.format(imported=imported, inside=inside))
        module = load_source(path, "draws_with_pyplot")
        try:
            return uses_pyplot(described(module.mine))
        finally:
            del sys.modules["draws_with_pyplot"]

    @pytest.mark.parametrize(
        "imported",
        [
            "import matplotlib.pyplot as plt",
            "import os, matplotlib.pyplot",
            "from matplotlib import pyplot as plt",
            "from matplotlib import cm, pyplot",
            "from matplotlib.pyplot import figure",
        ],
    )
    def test_is_who_imports_it(self, tmp_path, imported):
        assert self.used(tmp_path, imported)

    def test_also_in_the_step_only(self, tmp_path):
        assert self.used(tmp_path, "", "import matplotlib.pyplot as plt")

    def test_and_by_a_file_beside_it(self, tmp_path, monkeypatch):
        (tmp_path / "beside_who_draws.py").write_text("import matplotlib.pyplot as plt\nx = 1")
        monkeypatch.syspath_prepend(tmp_path)
        assert self.used(tmp_path, "import beside_who_draws")
        del sys.modules["beside_who_draws"]

    @pytest.mark.parametrize(
        "imported",
        ["", "from matplotlib.figure import Figure", "import matplotlib", "# import pylab"],
    )
    def test_others_do_not(self, tmp_path, imported):
        assert not self.used(tmp_path, imported)
