import numpy as np
import pytest

from gallery.life import MAX_SIZE, PatternError, centred, draw_life, next_generation, read_pattern
from gallery.numerical.forms import GLIDER_GUN
from gallery.numerical.simulations import life
from streaming import Pointer
from streaming.testing import pictures

GLIDER = "bo$2bo$3o!"


def rows(cells):
    return ["".join(".o"[cell] for cell in row) for row in cells.astype(int)]


class TestReadPattern:
    @pytest.mark.parametrize(
        "text",
        [
            GLIDER,
            "#N Glider\n#C a remark\nx = 3, y = 3, rule = B3/S23\nbo$2bo$3o!",
            "x=3,y=3\n bo$\n\n2b o$\n3o",
            "x = 3, y = 3, rule = b3/s23\r\nbo$2bo$3o!\r\nwhat follows is a remark",
            "$$5b bo$5b2bo$5b3o!",
        ],
    )
    def test_of_every_writing(self, text):
        assert rows(read_pattern(text)) == [".o.", "..o", "ooo"]

    def test_a_run_of_line_ends_leaves_rows_out(self):
        assert rows(read_pattern("o3$o!")) == ["o", ".", ".", "o"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "at least one living cell"),
            ("3b!", "at least one living cell"),
            ("bo$\n2boX!", "line 2: expected b, o, $ or !"),
            ("x = 3, y = 3, rule = B36/S23\no!", "expected the rule B3/S23, got 'B36/S23'"),
            ("x = three\no!", "line 1: expected x = WIDTH"),
            (f"{MAX_SIZE}o!", None),
            (f"{MAX_SIZE + 1}o!", "256 cells on a side"),
            ("999$o!", "256 cells on a side"),
            ("9999999999999999o!", "expected b, o"),
            ("999o" * 10_000, "256 cells on a side"),
            ("\0", "expected b, o"),
            ("٣o!", "expected b, o"),
        ],
    )
    def test_what_is_none_is_said(self, text, said):
        if said is None:
            assert read_pattern(text).shape == (1, MAX_SIZE)
            return
        with pytest.raises(PatternError) as caught:
            read_pattern(text)
        assert said in str(caught.value)


class TestNextGeneration:
    def test_a_blinker_turns(self):
        cells = centred(read_pattern("3o!"), 5)
        assert rows(next_generation(cells)) == [".....", "..o..", "..o..", "..o..", "....."]

    def test_a_glider_goes_round_the_torus(self):
        cells = start = centred(read_pattern(GLIDER), 8)
        for _ in range(4 * 8):
            cells = next_generation(cells)
        assert np.array_equal(cells, start)
        for _ in range(4):
            cells = next_generation(cells)
        assert np.array_equal(cells, np.roll(start, (1, 1), axis=(0, 1)))

    def test_the_gun_gives_a_glider_every_thirty_generations(self):
        cells = centred(read_pattern(GLIDER_GUN), 120)
        counts = []
        for generation in range(91):
            if generation % 30 == 0:
                counts.append(int(cells.sum()))
            cells = next_generation(cells)
        assert np.diff(counts).tolist() == [5, 5, 5]


def test_runs_of_cells_are_single_rectangles():
    assert 'd="M0 0h2v1H0zM1 1h1v1H1z"' in draw_life(np.array([[True, True], [False, True]]))


class TestDrawing:
    PARAMS = {"pattern": "2o$2o!", "size": 16, "pace": 0}

    def drawn(self, *events):
        """Return the second picture, after something was done on the first."""
        _, second = pictures(life, 2, params=self.PARAMS, events={2: events})
        return second

    def test_a_line_is_drawn_with_no_gap_and_lives_on(self):
        """Three cells in a row: a blinker, which has turned when it is seen."""
        second = self.drawn(
            Pointer("down", 2.5, 2.5), Pointer("move", 4.5, 2.5), Pointer("up", 4.5, 2.5)
        )
        assert "M3 1h1v1H3zM3 2h1v1H3zM3 3h1v1H3z" in second

    def test_pressing_on_a_living_cell_takes_it_away(self):
        """A block that lost one cell is whole again next, one that lost two dies."""
        assert "M7 7h2v1H7zM7 8h2v1H7z" in self.drawn(Pointer("down", 7.5, 7.5))
        gone = self.drawn(Pointer("down", 7.5, 7.5), Pointer("move", 8.5, 7.5))
        assert 'd=""' in gone

    def test_outside_of_the_picture_nothing_is_drawn(self):
        untouched = self.drawn()
        for far in (-0.5, 16.0, 1e9, -1e9):
            assert self.drawn(Pointer("down", far, 3.0), Pointer("move", far, 4.0)) == untouched

    def test_moves_without_a_press_draw_nothing(self):
        assert self.drawn(Pointer("move", 2.5, 2.5), Pointer("up", 2.5, 2.5)) == self.drawn()


def test_a_pattern_has_to_fit(settings):
    from streaming.catalog.forms import validate_params
    from streaming.catalog.registry import registry
    from streaming.engine.errors import InvalidParams

    with pytest.raises(InvalidParams) as caught:
        validate_params(registry.get("life"), {"pattern": GLIDER_GUN, "size": 30})
    assert caught.value.fields == {"size": ["Expected at least 36 for this pattern."]}
    with pytest.raises(InvalidParams) as caught:
        validate_params(registry.get("life"), {"pattern": "what?"})
    assert "line 1" in caught.value.fields["pattern"][0]
