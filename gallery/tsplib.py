"""Reads cities from what people have: a TSPLIB file of type EUC_2D, or lines of x,y."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from django.utils.translation import gettext as _

City = tuple[float, float]

MIN_CITIES = 5
MAX_CITIES = 5000


class CitiesError(ValueError):
    """A text that holds no cities; the message names the line and what was expected there."""


def read_cities(text: str) -> list[City]:
    """Return the coordinates in a text, in their order.

    Args:
        text: A TSPLIB file of type EUC_2D, or CSV lines `x,y` or `name,x,y` (also with ; or
            tabs), the first of which may name the columns.

    Raises:
        CitiesError: If it is neither, or there are too few or too many cities.

    Source: Reinelt 1995, TSPLIB 95, sections 1 and 2.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    is_tsplib = any(re.match(r"[A-Z_]+\s*(:|$)", line) for _, line in lines[:20])
    cities = list(_read_tsplib(lines) if is_tsplib else _read_csv(lines))
    if not MIN_CITIES <= len(cities) <= MAX_CITIES:
        raise CitiesError(
            _("expected %(least)d to %(most)s cities, got %(count)s")
            % {"least": MIN_CITIES, "most": f"{MAX_CITIES:,}", "count": f"{len(cities):,}"}
        )
    return cities


def tour_file(order: Sequence[int], length: int) -> str:
    """Return a tour as a TSPLIB file of type TOUR, whose cities are counted from 1.

    Source: Reinelt 1995, TSPLIB 95, sections 1 and 2.
    """
    head = f"NAME : best\nCOMMENT : Length {length}\nTYPE : TOUR\nDIMENSION : {len(order)}\n"
    cities = "".join(f"{city + 1}\n" for city in order)
    return f"{head}TOUR_SECTION\n{cities}-1\nEOF\n"


def _read_tsplib(lines: list[tuple[int, str]]) -> Iterator[City]:
    remaining = iter(lines)
    dimension = _read_header(remaining)
    found, last = 0, 0
    for number, line in remaining:
        if line == "EOF":
            break
        last = number
        parts = line.split()
        if len(parts) != 3:
            raise CitiesError(
                _("line %(line)d: expected a city's number, x and y, got %(text)s")
                % {"line": number, "text": repr(line[:60])}
            )
        found += 1
        yield _coordinate(number, "x", parts[1]), _coordinate(number, "y", parts[2])
    if dimension is not None and found != dimension:
        raise CitiesError(
            _(
                "line %(line)d: the cities end after %(count)d; "
                "expected %(announced)d, as DIMENSION says"
            )
            % {"line": last, "count": found, "announced": dimension}
        )


def _read_header(lines: Iterable[tuple[int, str]]) -> int | None:
    """Read up to the coordinates; return the number of cities if it is announced."""
    dimension = None
    for number, line in lines:
        keyword, _colon, value = (part.strip() for part in line.partition(":"))
        if keyword == "NODE_COORD_SECTION":
            return dimension
        if not re.fullmatch(r"[A-Z_]+", keyword):
            raise CitiesError(
                _("line %(line)d: expected a TSPLIB keyword or NODE_COORD_SECTION, got %(text)s")
                % {"line": number, "text": repr(line[:60])}
            )
        if keyword == "EDGE_WEIGHT_TYPE" and value != "EUC_2D":
            raise CitiesError(
                _("line %(line)d: expected the type EUC_2D, got %(text)s")
                % {"line": number, "text": repr(value[:60])}
            )
        if keyword == "DIMENSION":
            if not value.isdecimal():
                raise CitiesError(
                    _("line %(line)d: expected the number of cities, got %(text)s")
                    % {"line": number, "text": repr(value[:60])}
                )
            dimension = int(value)
    raise CitiesError(_("expected a line NODE_COORD_SECTION before the cities, and there is none"))


def _read_csv(lines: list[tuple[int, str]]) -> Iterator[City]:
    for position, (number, line) in enumerate(lines):
        parts = [part.strip() for part in re.split(r"[,;\t]", line)]
        if len(parts) not in (2, 3):
            raise CitiesError(
                _("line %(line)d: expected x,y or name,x,y, got %(text)s")
                % {"line": number, "text": repr(line[:60])}
            )
        is_heading = position == 0 and not any(_is_number(part) for part in parts)
        if not is_heading:
            yield _coordinate(number, "x", parts[-2]), _coordinate(number, "y", parts[-1])


def _coordinate(number: int, axis: str, text: str) -> float:
    if not _is_number(text):
        raise CitiesError(
            _("line %(line)d: expected a finite number for %(axis)s, got %(text)s")
            % {"line": number, "axis": axis, "text": repr(text[:60])}
        )
    return float(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
