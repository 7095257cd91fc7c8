import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from streaming.engine.series import (
    GAP,
    MOST_NAMES,
    MOST_POINTS,
    NEWS_POINTS,
    OVERVIEW_POINTS,
    Plots,
    Series,
)


def row_of(**numbers):
    plots = Plots()
    plots.add(numbers)
    return plots.take()


class TestPlots:
    @pytest.mark.parametrize(
        "number",
        [
            *(3, 3.0, Decimal(3), Fraction(3)),
            *(np.float32(3), np.int64(3), np.array(3.0), np.array([3.0])),
        ],
        ids=lambda number: type(number).__name__,
    )
    def test_take_whatever_is_one_number(self, number):
        row = row_of(loss=number)
        assert row == {"loss": 3.0}
        assert type(row["loss"]) is float

    @pytest.mark.parametrize("gap", [None, math.nan, math.inf, -math.inf, np.nan, 10**400])
    def test_what_is_missing_or_not_finite_is_a_gap(self, gap):
        assert math.isnan(row_of(loss=gap)["loss"])

    @pytest.mark.parametrize(
        ("given", "what"),
        [
            ("0.3", "the text '0.3'"),
            ([0.3], "list"),
            (1j, "complex"),
            (np.zeros((2, 3)), r"numpy.ndarray of shape \(2, 3\)"),
            (object(), "object"),
            (b"1", "bytes"),
        ],
    )
    def test_what_is_no_number_is_said(self, given, what):
        with pytest.raises(TypeError, match=rf"ctx.plot\(loss=…\) needs one number.* got {what}"):
            row_of(loss=given)

    def test_of_a_step_the_last_number_of_a_name_counts(self):
        plots = Plots()
        plots.add({"loss": 1, "accuracy": 2})
        plots.add({"loss": 3})
        assert plots.take() == {"loss": 3.0, "accuracy": 2.0}
        assert plots.take() == {}

    def test_have_so_many_names_and_no_more(self):
        plots = Plots()
        plots.add({f"n{number}": 0 for number in range(MOST_NAMES)})
        plots.add({"n0": 1})
        with pytest.raises(ValueError, match="at most 32 names, and 'more' is one more"):
            plots.add({"more": 0})

    @pytest.mark.parametrize("name", ["", "n" * 65, "a\nb", "\ud800"])
    def test_refuse_names_that_cannot_be_shown(self, name):
        with pytest.raises(ValueError, match="1 to 64 printable characters"):
            Plots().add({name: 0})


def series_of(values, most=MOST_POINTS):
    series = Series(most)
    for step, value in enumerate(values, start=1):
        series.add(step, {"loss": value})
    return series


def spiky(count):
    """A wave with one spike up and one down, each a single point."""
    values = [math.sin(step / 500) for step in range(count)]
    values[count // 3], values[count // 2] = 50.0, -50.0
    return values


class TestThinning:
    @pytest.mark.parametrize("count", [10, OVERVIEW_POINTS + 1, 50_001])
    def test_keeps_the_extremes_the_ends_and_the_bounds(self, count):
        values = spiky(count)
        (line,) = series_of(values, most=10_000).lines()
        for points, most in ((line.kept, 10_000), (line.overview, OVERVIEW_POINTS)):
            assert len(points) <= most
            assert (min(points.values), max(points.values)) == (min(values), max(values))
            assert (points.steps[0], points.steps[-1]) == (1, count)
            assert points.values[-1] == values[-1]
            assert list(points.values) == [values[step - 1] for step in points.steps]
            assert list(points.steps) == sorted(set(points.steps))

    def test_leaves_what_is_kept_equally_dense_everywhere(self):
        """Also after it was thinned often: what is old is no coarser than what is new."""
        (line,) = series_of(spiky(40_000), most=5000).lines()
        steps = line.overview.steps
        halves = [sum(step <= 20_000 for step in steps), sum(step > 20_000 for step in steps)]
        assert max(halves) < 3 * min(halves)

    def test_keeps_gaps(self):
        values = [float(step) for step in range(9000)]
        values[4000:4100] = [GAP] * 100
        (line,) = series_of(values).lines()
        assert any(value != value for value in line.overview.values)

    def test_of_gaps_alone_ends(self):
        (line,) = series_of([GAP, 1.0] * 6000, most=1000).lines()
        assert len(line.kept) <= 1000


class TestSeries:
    def test_all_lines_share_the_room(self):
        series = Series(5000)
        for step in range(1, 4001):
            series.add(step, {"often": step, **({"seldom": step} if step % 10 == 0 else {})})
        often, seldom = series.lines()
        assert len(often.kept) + len(seldom.kept) <= 5000
        assert len(seldom.kept) == 400, "the longest line gives way"
        assert series.memory == 16 * sum(
            len(points) for line in (often, seldom) for points in (line.kept, line.overview)
        )

    def test_takes_no_step_twice_and_none_back(self):
        series = series_of([1.0, 2.0])
        series.add(2, {"loss": 9.0})
        series.add(1, {"loss": 9.0, "late": 1.0})
        assert list(series.table())[1:] == [[1, 1.0, 1.0], [2, 2.0, None]]

    def test_has_no_more_names_than_may_be(self):
        series = Series()
        series.add(1, {f"n{number}": 0.0 for number in range(MOST_NAMES + 5)})
        assert len(series.lines()) == MOST_NAMES

    def test_its_table_has_a_row_for_each_step_and_nothing_for_a_gap(self):
        series = Series()
        series.add(3, {"loss": 0.5, "accuracy": GAP})
        series.add(7, {"accuracy": 0.25})
        rows = [["step", "loss", "accuracy"], [3, 0.5, None], [7, None, 0.25]]
        assert list(series.table()) == rows

    def test_says_few_new_points_as_they_are(self):
        series = series_of(spiky(50_000))
        (line,) = series.lines()
        news = series.after(line, 50_000 - NEWS_POINTS)
        assert list(news.steps) == list(range(50_001 - NEWS_POINTS, 50_001))

    def test_says_many_new_points_as_densely_as_the_overview(self):
        series = series_of(spiky(50_000))
        (line,) = series.lines()
        assert len(series.after(line, 0)) == len(line.overview)
        some = series.after(line, 49_000)
        assert NEWS_POINTS // 2 <= len(some) <= NEWS_POINTS
        half = series.after(line, 25_000)
        assert OVERVIEW_POINTS // 8 <= len(half) <= OVERVIEW_POINTS // 2
        assert some.steps[-1] == 50_000

    def test_hears_what_another_tells(self):
        series = Series()
        message = {"names": ["loss", "accuracy"], "points": [[1, 0.5, None], [2, 0.25, 3]]}
        series.hear(message)
        series.hear(message)
        assert list(series.table())[1:] == [[1, 0.5, None], [2, 0.25, 3.0]]
