"""Counts, rates and times as a person reads them, in the language of the page."""

from datetime import timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext as _

NOTHING = "\N{EN DASH}"


def count(number: int) -> str:
    """Return 12,345."""
    return str(number_format(number, 0, force_grouping=True))


def rate(per_second: float) -> str:
    """Return 12,345 or 12.3 or 0.25."""
    exact = per_second == int(per_second)
    digits = 0 if exact or per_second >= 100 else 1 if per_second >= 10 else 2
    return str(number_format(round(per_second, digits), digits, force_grouping=True))


def milliseconds(seconds: float) -> str:
    """Return 180 ms."""
    return _("%(count)s ms") % {"count": count(round(max(0.0, seconds) * 1000))}


def duration(time: timedelta) -> str:
    """Return 12 s, 3 min 5 s, 2 h 10 min or 4 d 3 h."""
    seconds = max(0, int(time.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    parts = {"s": seconds % 60, "min": minutes % 60, "h": hours % 24, "d": days}
    if days:
        return _("%(d)d d %(h)d h") % parts
    if hours:
        return _("%(h)d h %(min)d min") % parts
    if minutes:
        return _("%(min)d min %(s)d s") % parts
    return _("%(s)d s") % parts
