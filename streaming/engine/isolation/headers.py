"""Reads the header of a child's message. A child may write anything: each function raises
DamagedMessage for a value of another type or size."""

from typing import Any

from streaming.engine.board import MOST_STEPS
from streaming.engine.isolation.pipe import DamagedMessage
from streaming.engine.stepping import Outcome
from streaming.engine.traces import Place


def outcome(header: dict[str, Any]) -> Outcome:
    """Return how a child says that its steps have ended."""
    return Outcome(
        _text(header["error"]),
        _text(header["traceback"]),
        header["interrupted"] is True,
        _place(header.get("place")),
    )


def _place(value: Any) -> Place | None:
    match value:
        case None:
            return None
        case [str(file), int(line), str(code), list(around)]:
            return Place(file, line, code, [_numbered(each) for each in around[:3]])
    raise DamagedMessage("something else where a place in the code should be")


def _numbered(value: Any) -> tuple[int, str]:
    match value:
        case [int(number), str(code)]:
            return number, code
    raise DamagedMessage("something else where a line of code should be")


def count(value: Any) -> int:
    """Return a number of bytes or steps."""
    if type(value) is not int or not 0 <= value < MOST_STEPS:
        raise DamagedMessage("a number that counts nothing")
    return value


def _text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise DamagedMessage("something else where a text should be")
    return value
