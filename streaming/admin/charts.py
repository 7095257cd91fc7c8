"""A line chart of the last hour, as a template draws it: its coordinates and its words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log10

from django.utils.translation import gettext as _

from streaming.admin import human
from streaming.sessions.history import KEPT_S, SAMPLE_S, Sample

# The plot's sides, in units of the viewBox that the template has.
LEFT, RIGHT, TOP, BOTTOM = 52, 350, 12, 122
# The last sample is at most so old while sessions go on.
FRESH_S = 2 * SAMPLE_S

Count = Callable[[Sample], int]
# Seconds before now, and the rate then.
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Coordinates are text, since a locale may write numbers otherwise."""

    name: str
    title: str
    summary: str
    line: str
    # Where the lines of the grid are, and what each says.
    rates: list[tuple[str, str]]
    times: list[tuple[str, str]]


def chart(name: str, title: str, samples: Sequence[Sample], now: float, count: Count) -> Chart:
    """Return the chart of what is counted, per second; it is zero where nothing was sampled.

    Args:
        now: The monotonic clock's time at its right side.
    """
    points = _points(samples, now, count)
    most = max(rate for _age, rate in points)
    top = _round_up(most)

    def x(age: float) -> str:
        return f"{RIGHT - (RIGHT - LEFT) * min(age, KEPT_S) / KEPT_S:.1f}"

    def y(rate: float) -> str:
        return f"{BOTTOM - (BOTTOM - TOP) * rate / top:.1f}"

    return Chart(
        name=name,
        title=title,
        summary=_("Now %(now)s, at most %(most)s, on average over the hour %(mean)s.")
        % {
            "now": human.rate(points[-1][1]),
            "most": human.rate(most),
            "mean": human.rate(sum(map(count, samples)) / KEPT_S),
        },
        line=" ".join(f"{x(age)},{y(rate)}" for age, rate in points),
        rates=[(y(rate), human.rate(rate)) for rate in (0, top / 2, top)],
        times=[(x(minutes * 60), _ago(minutes)) for minutes in (60, 30, 0)],
    )


def _points(samples: Sequence[Sample], now: float, count: Count) -> Points:
    points: Points = []
    seen = now - KEPT_S
    for sample in samples:
        if sample.began - seen > 1:
            points += [(now - seen, 0.0), (now - sample.began, 0.0)]
        rate = count(sample) / sample.seconds if sample.seconds else 0.0
        points += [(now - sample.began, rate), (now - sample.ended, rate)]
        seen = sample.ended
    if now - seen > FRESH_S:
        points += [(now - seen, 0.0), (0.0, 0.0)]
    return points


def _round_up(rate: float) -> float:
    """Return the next number that is 1, 2 or 5 with noughts; 1 at the least."""
    if rate <= 1:
        return 1.0
    magnitude = 10.0 ** ceil(log10(rate) - 1)
    return next(step * magnitude for step in (1, 2, 5, 10) if step * magnitude >= rate)


def _ago(minutes: int) -> str:
    return _("now") if minutes == 0 else _("%(count)d min ago") % {"count": minutes}
