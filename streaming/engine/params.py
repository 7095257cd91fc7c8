"""What a simulation's signature says about its parameters.

This reads and describes; the Django forms built from it (streaming/catalog/forms.py) validate.
"""

import enum
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

SCALARS = (bool, int, float, str)
NUMBERS = (int, float, Decimal)
DATES = (date, datetime, time)
FILES = (Path, bytes)


@dataclass(frozen=True, slots=True)
class Param:
    """What an author may say about a parameter, inside `Annotated[type, Param(...)]`.

    Args:
        min: Smallest value; of a `str`, the smallest length.
        max: Largest value; of a `str`, the largest length.
        step: Distance between the values of a number's control on the page.
        help: A sentence shown beside the control.
        unit: What a number counts or measures, such as "K" or "days".
        choices: The only values allowed.
        live: Whether the value may change while the session runs.
    """

    min: float | None = None
    max: float | None = None
    step: float | None = None
    help: str = ""
    unit: str = ""
    # Not what tells two apart: an author may write a list, which has no hash.
    choices: Sequence[Any] = field(default=(), hash=False)
    live: bool = False


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One parameter of one simulation. `default` is None when the parameter is required.

    Args:
        kind: The type of the value; of a list or tuple, that of its items.
        is_optional: Whether the value may be None.
        container: list or tuple, if there are several values.
        length: How many there are in the tuple; None for any number.
        members: The fields, if the value is an object of `kind`, a dataclass or a model.
    """

    name: str
    kind: type
    default: Any = field(hash=False)
    required: bool
    param: Param
    choices: tuple[Any, ...] = ()
    is_optional: bool = False
    container: type | None = None
    length: int | None = None
    members: tuple["ParamSpec", ...] = ()

    @property
    def live(self) -> bool:
        return self.param.live


# Of a file that a person chooses.
MAX_FILE_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a person chose: the value of a parameter until a step gets a path or bytes."""

    name: str
    content: bytes = field(repr=False)
    as_path: bool = False


def default_of(spec: ParamSpec) -> Any:
    """Return the default of a parameter, made from those of its members if it has some."""
    if not spec.members or spec.default is not None:
        return spec.default
    return spec.kind(**{member.name: default_of(member) for member in spec.members})


class Params(types.SimpleNamespace):
    """The values of a session's parameters, as attributes. A snapshot: it never changes."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"ctx.params is a snapshot: keep {name!r} in a variable of your own instead"
        )


def bytes_in(value: Any) -> int:
    """Return about how many bytes a value of a parameter takes, where it may be many: of a text, of
    a file."""
    content = value.content if isinstance(value, Upload) else value
    return len(content) if isinstance(content, str | bytes) else 0


def plain(value: Any) -> Any:
    """Return a parameter's value as JSON has it: an Enum's member by its value or its name, an
    object by its fields, a file by its name."""
    match value:
        case enum.Enum():
            return value.value if isinstance(value.value, SCALARS) else value.name
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return str(value)
        case date() | time():  # A datetime is a date.
            return value.isoformat()
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case Upload():
            return value.name
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    names = getattr(value, "__dataclass_fields__", None)
    names = getattr(type(value), "model_fields", None) if names is None else names
    if isinstance(names, Mapping):
        return {name: plain(getattr(value, name, None)) for name in names}
    # A row of a database by its key, which is how a form knows it.
    return plain(value.pk) if hasattr(value, "pk") else value


def without_content(value: Any) -> Any:
    """Return a value, and of a file only its name."""
    return replace(value, content=b"") if isinstance(value, Upload) else value


def reusable(value: Any) -> Any:
    """Return a value from which the parameter may be validated again."""
    return value if isinstance(value, Upload) else plain(value)
