from dataclasses import dataclass
from functools import partial, wraps

import pytest

from streaming.engine.context import Context
from streaming.engine.errors import InvalidSimulation
from streaming.engine.params import Params
from streaming.engine.simulations import describe, described, simulation


def steps_of(target, **values):
    context = Context(None, None, None)
    context.params = Params(**values)
    return describe(target).steps(context)


def get_step_data(): ...


class AsyncRender:
    def step(self): ...
    async def render(self): ...


def without_wraps(function):
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


hidden = without_wraps(get_step_data)


class Robot:
    """Walks."""

    __slots__ = ()

    def walk(self, stride: int = 2):
        yield f"walked {stride}"

    def __call__(self, stride: int = 3):
        yield f"called {stride}"


def strides(stride: int = 1):
    yield f"strode {stride}"


class TestForms:
    def test_a_generator_steps_by_its_yields(self):
        def target(count: int = 2):
            yield from range(count)

        assert list(steps_of(target, count=3)) == [0, 1, 2]

    def test_a_plain_function_is_called_until_it_gives_none(self):
        values = iter(["a", "b", None, "c"])

        def get_step_data():
            return next(values)

        assert list(steps_of(get_step_data)) == ["a", "b"]

    def test_a_plain_function_gets_the_parameters_of_each_call(self):
        """So a live parameter reaches it without a Context."""
        context = Context(None, None, None)
        context.params = Params(level=1)
        steps = describe(lambda level=1: level, name="sample").steps(context)
        assert next(steps) == 1
        context.params = Params(level=5)
        assert next(steps) == 5

    def test_a_class_steps_and_is_drawn_lazily(self):
        class Walker:
            def __init__(self, ctx, end: int = 2):
                self.at, self.end, self.drawn = 0, end, []

            def step(self):
                if self.at == self.end:
                    raise StopIteration
                self.at += 1

            def render(self):
                return f"at {self.at}"

        steps = steps_of(Walker, end=2)
        render = next(steps)
        assert render() == "at 1"
        assert len(list(steps)) == 1

    def test_a_generator_behind_a_decorator_is_a_generator(self):
        def logged(function):
            @wraps(function)
            def wrapper(*args, **kwargs):
                return function(*args, **kwargs)

            return wrapper

        @logged
        def target():
            yield 1
            yield 2

        assert list(steps_of(target)) == [1, 2]

    def test_closing_runs_the_generators_own_finally(self):
        closed = []

        def target():
            try:
                yield 1
            finally:
                closed.append(True)

        steps = steps_of(target)
        next(steps)
        steps.close()
        assert closed


class TestDeclaring:
    def test_returns_the_object_itself(self):
        def target(): ...

        assert simulation(target) is target
        assert simulation(title="A title")(target) is target
        assert described(target).title == "A title"

    def test_names_a_function_by_its_name_and_a_class_in_snake_case(self):
        class GrayScott:
            def step(self): ...
            def render(self): ...

        def get_step_data(): ...

        assert describe(GrayScott).name == "gray_scott"
        assert describe(get_step_data).name == "get_step_data"
        assert describe(get_step_data).title == "Get step data"
        assert describe(get_step_data, name="other").name == "other"

    def test_a_subclass_is_not_declared_by_its_base(self):
        @simulation
        class Base:
            def step(self): ...
            def render(self): ...

        class Derived(Base): ...

        assert described(Base)
        assert described(Derived) is None

    def test_takes_the_first_paragraph_of_the_docstring(self):
        def target():
            """Draw
            something.

            And more.
            """

        assert describe(target).description == "Draw something."

    def test_does_not_take_a_dataclasss_signature_for_a_description(self):
        @dataclass
        class Target:
            size: int = 3

            def step(self): ...
            def render(self): ...

        assert describe(Target).description == ""
        assert [spec.name for spec in describe(Target).params] == ["size"]

    @pytest.mark.parametrize(
        ("target", "options", "said"),
        [
            (AsyncRender, {}, r"render\(\) cannot be async"),
            (hidden, {}, "inner takes .*, if a decorator made it.*functools.wraps"),
            ("text", {}, "expected a function"),
            (object, {}, r"needs a method step\(\)"),
            (lambda: 1, {}, "cannot be a simulation's name"),
            (print, {"name": "a b"}, "cannot be a simulation's name"),
            (
                get_step_data,
                {"name": "a", "engine": "cloud"},
                "expected one of 'thread', 'process', 'cluster'",
            ),
            (get_step_data, {"name": "a", "queue": "GPU"}, "expected at most 32 of the characters"),
            (
                get_step_data,
                {"name": "a", "abandon": "never"},
                "expected one of 'stop', 'pause', 'keep'",
            ),
            (get_step_data, {"name": "a", "fps": 61}, "expected 0"),
            (get_step_data, {"steps_per_second": 0}, "expected a number above 0"),
        ],
    )
    def test_refuses_what_cannot_work(self, target, options, said):
        with pytest.raises(InvalidSimulation, match=said):
            describe(target, **options)


class TestCallables:
    """Whatever can be called: it has a name, parameters, and a place in its module."""

    @pytest.mark.parametrize(
        ("target", "name", "stride", "given"),
        [
            (partial(strides, stride=7), "strides", 7, "strode 7"),
            (partial(partial(strides), stride=8), "strides", 8, "strode 8"),
            (Robot().walk, "walk", 2, "walked 2"),
            (Robot(), "robot", 3, "called 3"),
            (wraps(strides)(without_wraps(strides)), "strides", 1, "strode 1"),
        ],
        ids=["partial", "twice-partial", "bound-method", "callable", "wrapped"],
    )
    def test_are_simulations(self, target, name, stride, given):
        found = described(simulation(target))
        assert (found.name, found.module) == (name, __name__)
        assert [spec.default for spec in found.params] == [stride]
        context = Context(None, None, None)
        context.params = Params(stride=stride)
        assert list(found.steps(context)) == [given]

    def test_what_stands_above_the_mark_is_called_too(self):
        """functools.wraps copies the mark from the function that it hides."""

        def loudly(function):
            @wraps(function)
            def wrapper(*args, **kwargs):
                for text in function(*args, **kwargs):
                    yield text.upper()

            return wrapper

        found = described(loudly(simulation(strides)))
        context = Context(None, None, None)
        context.params = Params(stride=1)
        assert list(found.steps(context)) == ["STRODE 1"]


class TestOptions:
    def test_an_unknown_one_is_named_with_the_list(self):
        with pytest.raises(InvalidSimulation) as caught:
            simulation(speed=5)
        assert str(caught.value).startswith("@simulation has no option 'speed'; there are: title, ")
        assert "steps_per_second, every_frame" in str(caught.value)
