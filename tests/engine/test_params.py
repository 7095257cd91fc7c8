from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, Optional

import pytest

from streaming.engine.errors import InvalidSimulation
from streaming.engine.params import Param, Params, Upload, plain
from streaming.engine.signature import read_params


class Colour(Enum):
    RED = 1
    MIXED = (1, 2)


def read(target):
    specs, wants_context = read_params(target, "sample")
    return {spec.name: spec for spec in specs}, wants_context


class TestReadParams:
    def test_reads_types_defaults_and_bounds(self):
        def target(ctx, size: Annotated[int, Param(8, 256, live=True)] = 64, speed: float = 1): ...

        specs, wants_context = read(target)
        assert wants_context
        assert list(specs) == ["size", "speed"]
        assert (specs["size"].kind, specs["size"].default, specs["size"].live) == (int, 64, True)
        assert (specs["size"].param.min, specs["size"].param.max) == (8, 256)
        assert (specs["speed"].kind, specs["speed"].default) == (float, 1)

    def test_takes_the_type_from_the_default(self):
        specs, wants_context = read(lambda size=3: ...)
        assert specs["size"].kind is int
        assert not wants_context

    def test_reads_choices(self):
        def target(
            rule: Literal["a", "b"] = "a",
            colour: Colour = Colour.RED,
            step: Annotated[int, Param(choices=[1, 2])] = 1,
        ): ...

        specs, _ = read(target)
        assert specs["rule"].choices == ("a", "b")
        assert specs["colour"].choices == (Colour.RED, Colour.MIXED)
        assert specs["step"].choices == (1, 2)

    def test_a_parameter_without_a_default_is_required(self):
        def target(size: int): ...

        assert read(target)[0]["size"].required

    def test_reads_annotations_that_are_strings(self):
        def target(size: "Annotated[int, Param(1, 9)]" = 3): ...

        assert read(target)[0]["size"].param.max == 9

    def test_reads_the_constructor_of_a_class(self):
        class Target:
            def __init__(self, ctx, size: int = 2): ...

        specs, wants_context = read(Target)
        assert list(specs) == ["size"]
        assert wants_context


@dataclass
class Walls:
    width: Annotated[int, Param(1, 9)] = 3
    sides: list[str] = field(default_factory=lambda: ["left"])


@dataclass
class Folder:
    content: Path


class TestTypes:
    @pytest.mark.parametrize(
        "annotation",
        [int | None, Optional[int], Annotated[int | None, Param(1, 9)]],  # noqa: UP045
    )
    def test_what_may_be_none_is_optional(self, annotation):
        def target(size: annotation): ...

        spec = read(target)[0]["size"]
        assert (spec.kind, spec.is_optional, spec.required) == (int, True, False)

    @pytest.mark.parametrize(
        ("annotation", "default", "expected"),
        [
            (list[int], [1], (int, list, None)),
            (tuple[float, float], (0.0, 1), (float, tuple, 2)),
            (tuple[str, ...], ("a",), (str, tuple, None)),
            (list[Colour], [Colour.RED], (Colour, list, None)),
            (date, date(2026, 1, 2), (date, None, None)),
            (datetime, datetime(2026, 1, 2), (datetime, None, None)),
            (time, time(12), (time, None, None)),
            (Decimal, Decimal("1.5"), (Decimal, None, None)),
        ],
    )
    def test_are_read(self, annotation, default, expected):
        def target(value: annotation = default): ...

        spec = read(target)[0]["value"]
        assert (spec.kind, spec.container, spec.length) == expected

    def test_of_items_are_taken_from_the_default(self):
        specs, _ = read(lambda some=[1, 2], place=(0.5, 1.5): ...)
        assert (specs["some"].kind, specs["some"].container, specs["some"].length) == (
            int,
            list,
            None,
        )
        assert (specs["place"].kind, specs["place"].length) == (float, 2)

    def test_a_file_has_no_default(self):
        def target(data: Path, more: bytes | None = None): ...

        specs, _ = read(target)
        assert specs["data"].required
        assert not specs["more"].required

    def test_a_dataclass_has_members_with_its_defaults_or_those_of_the_one_that_is_given(self):
        def target(walls: Walls, others: Walls = Walls(width=7)): ...  # noqa: B008

        specs, _ = read(target)
        assert [member.default for member in specs["walls"].members] == [3, ["left"]]
        assert [member.default for member in specs["others"].members] == [7, ["left"]]

    def test_a_pydantic_model_has_members_with_their_bounds(self):
        from pydantic import BaseModel, Field

        class Model(BaseModel):
            width: int = Field(3, ge=1, le=9, description="How wide.")
            name: str

        def target(model: Model): ...

        width, name = read(target)[0]["model"].members
        assert (width.default, width.param) == (3, Param(1, 9, help="How wide."))
        assert name.required


def untyped(size): ...
def none_for_a_number(size: int = None): ...  # noqa: RUF013
def listed(size: list = ()): ...
def of_two_types(size: tuple[int, str] = (1, "a")): ...
def nested(size: list[list[int]] = ()): ...
def either(size: int | str = 1): ...
def too_few(size: tuple[int, int] = (1,)): ...
def of_a_class(size: Param = None): ...
def file_with_default(data: Path = Path("a.csv")): ...
def live_file(data: Annotated[bytes | None, Param(live=True)] = None): ...
def optional_object(walls: Walls | None = None): ...
def file_inside(folder: "Folder"): ...
def any_function(size: Callable = print): ...
def wrong_default(size: int = "a"): ...
def true_for_a_number(size: int = True): ...
def outside(size: Annotated[int, Param(1, 5)] = 6): ...
def too_long(word: Annotated[str, Param(max=2)] = "abc"): ...
def not_a_choice(rule: Literal["a"] = "b"): ...
def positional(size: int = 1, /): ...
def unresolved(size: "Nowhere" = 1): ...  # noqa: F821


@pytest.mark.parametrize(
    "target",
    [
        untyped,
        none_for_a_number,
        listed,
        of_two_types,
        nested,
        either,
        too_few,
        of_a_class,
        file_with_default,
        live_file,
        any_function,
        optional_object,
        file_inside,
        wrong_default,
        true_for_a_number,
        outside,
        too_long,
        not_a_choice,
        positional,
        unresolved,
    ],
)
def test_refuses_what_no_form_can_offer(target):
    """The sentence names the simulation."""
    with pytest.raises(InvalidSimulation, match=r"^sample: "):
        read(target)


def test_params_are_a_snapshot():
    params = Params(size=3)
    assert params.size == 3
    with pytest.raises(AttributeError, match="snapshot"):
        params.size = 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        ("a", "a"),
        (None, None),
        (Colour.RED, 1),
        (Colour.MIXED, "MIXED"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(12, 30), "12:30:00"),
        ((1, Colour.RED), [1, 1]),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        (Walls(), {"width": 3, "sides": ["left"]}),
        (Upload("a.csv", b"secret"), "a.csv"),
    ],
)
def test_plain_gives_what_json_has(value, expected):
    assert plain(value) == expected


def test_what_is_no_control_is_refused_with_all_that_is():
    with pytest.raises(InvalidSimulation) as caught:
        read(any_function)
    sentence = str(caught.value)
    assert "parameter 'size' has the type" in sentence
    for possible in ("list[int]", "date", "Path", "dataclass", "form=", "| None"):
        assert possible in sentence
