from enum import Enum
from typing import Annotated, Literal, Optional

import pytest

from streaming.engine.errors import InvalidSimulation
from streaming.engine.params import Param, Params, plain, read_params


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


def untyped(size): ...
def optional(size: Optional[int] = None): ...  # noqa: UP045
def listed(size: list = ()): ...
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
        optional,
        listed,
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


def test_plain_gives_what_json_has():
    assert [plain(value) for value in (3, "a", Colour.RED, Colour.MIXED)] == [3, "a", 1, "MIXED"]
