"""Conway's Game of Life on a torus, patterns as people exchange them, and its picture.

Source: Gardner 1970, doi:10.1038/scientificamerican1070-120. The text format is the run length
encoded one of LifeWiki (https://conwaylife.com/wiki/Run_Length_Encoded).
"""

import re

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from gallery.dark import dark

MAX_SIZE = 256
RULES = ("B3/S23", "23/3")
HEADER = re.compile(r"x\s*=\s*\d+\s*,\s*y\s*=\s*\d+\s*(?:,\s*rule\s*=\s*(\S+)\s*)?\Z", re.ASCII)
# Of a count no more digits are read: none that fits has more.
ITEM = re.compile(r"(\d{0,3})([bo$!])", re.ASCII)

Cells = NDArray[np.bool_]


class PatternError(ValueError):
    """A text that holds no pattern; the message says what was expected, and in which line."""


def read_pattern(text: str) -> Cells:
    """Read a pattern in run length encoding.

    Raises:
        PatternError: If it is none, is empty, or has more than MAX_SIZE cells on a side.
    """
    places: list[tuple[int, int]] = []
    row = column = 0
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("#") or not line:
            continue
        if line.startswith("x"):
            _check_header(line, number)
            continue
        position = 0
        line = "".join(line.split())
        while position < len(line):
            item = ITEM.match(line, position)
            if item is None:
                raise PatternError(
                    _("line %(line)d: expected b, o, $ or !, perhaps after a count; got %(text)s")
                    % {"line": number, "text": repr(line[position : position + 12])}
                )
            position = item.end()
            count, what = int(item[1] or 1), item[2]
            if what == "!":
                return _cells(places)
            if what == "$":
                row, column = row + count, 0
                continue
            if what == "o" and max(row, column + count - 1) < MAX_SIZE:
                places += [(row, column + offset) for offset in range(count)]
            column += count
            if max(row + 1, column) > MAX_SIZE:
                raise PatternError(
                    _("line %(line)d: a pattern may have %(most)d cells on a side")
                    % {"line": number, "most": MAX_SIZE}
                )
    return _cells(places)


def _check_header(line: str, number: int) -> None:
    header = HEADER.match(line)
    if header is None:
        raise PatternError(
            _("line %(line)d: expected x = WIDTH, y = HEIGHT, rule = B3/S23; got %(text)s")
            % {"line": number, "text": repr(line[:40])}
        )
    if header[1] and header[1].upper() not in RULES:
        raise PatternError(
            _("line %(line)d: expected the rule B3/S23, got %(rule)s")
            % {"line": number, "rule": repr(header[1][:20])}
        )


def _cells(places: list[tuple[int, int]]) -> Cells:
    if not places:
        raise PatternError(_("expected at least one living cell, o; got none"))
    rows, columns = np.array(places).T
    rows, columns = rows - rows.min(), columns - columns.min()
    cells = np.zeros((rows.max() + 1, columns.max() + 1), dtype=bool)
    cells[rows, columns] = True
    return cells


def centred(pattern: Cells, size: int) -> Cells:
    """Return a square of cells with a pattern in its middle. The pattern must fit."""
    cells = np.zeros((size, size), dtype=bool)
    height, width = pattern.shape
    top, left = (size - height) // 2, (size - width) // 2
    cells[top : top + height, left : left + width] = pattern
    return cells


def next_generation(cells: Cells) -> Cells:
    """Return the cells that live next: those with three living neighbours, and of the living
    those with two. The edges are joined."""
    columns = cells.astype(np.uint8)
    columns = columns + np.roll(columns, 1, axis=1) + np.roll(columns, -1, axis=1)
    around = columns + np.roll(columns, 1, axis=0) + np.roll(columns, -1, axis=0)
    # With the cell itself: three, or four for one that lives.
    alive: Cells = (around == 3) | (cells & (around == 4))
    return alive


def draw_life(cells: Cells) -> str:
    """Draw the living cells, each run of them in a row as one rectangle; a cell is a unit."""
    height, width = cells.shape
    edges = np.diff(np.pad(cells, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    runs = "".join(
        f"M{start} {row}h{end - start}v1H{start}z"
        for row, start, end in zip(rows, starts, ends, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' shape-rendering="crispEdges">{dark("#f1f5f9", "#0f766e")}'
        f'<path fill="#f1f5f9" d="M0 0h{width}v{height}H0z"/>'
        f'<path fill="#0f766e" d="{runs}"/></svg>'
    )
