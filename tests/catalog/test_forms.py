import io
import json
import math
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated

import pydantic
import pytest
from django import forms
from django.contrib.auth.models import User
from PIL import Image

from streaming.catalog.forms import (
    Slider,
    check_form,
    controls,
    live_names,
    params_form,
    params_in_address,
    presets,
    validate_live_params,
    validate_params,
)
from streaming.catalog.registry import registry
from streaming.engine.errors import InvalidParams, InvalidSimulation
from streaming.engine.params import Param, Upload, plain
from streaming.engine.simulations import describe
from tests.samples.simulations import Colour


@pytest.fixture
def every_kind():
    return registry.get("every_kind")


def errors_of(simulation, **given):
    with pytest.raises(InvalidParams) as caught:
        validate_params(simulation, given)
    return caught.value.fields


class TestSignature:
    def test_gives_typed_values_and_defaults(self, every_kind):
        values = validate_params(
            every_kind, {"needed": "7", "flag": False, "colour": "2", "number": 1}
        )
        assert values == {
            "whole": 3, "number": 1.0, "flag": False, "word": "abc", "rule": "life",
            "colour": Colour.DARK_BLUE, "needed": 7,
        }  # fmt: skip
        assert type(values["needed"]) is int

    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ({"whole": 10}, "whole"),
            ({"whole": "many"}, "whole"),
            ({"whole": 1.5}, "whole"),
            ({"whole": True}, "whole"),
            ({"whole": None}, "whole"),
            ({"whole": [1]}, "whole"),
            ({"whole": ""}, "whole"),
            ({"number": "NaN"}, "number"),
            ({"number": 10**400}, "number"),
            ({"number": True}, "number"),
            ({"number": "1e999"}, "number"),
            ({"flag": "perhaps"}, "flag"),
            ({"flag": 7}, "flag"),
            ({"word": "abcdef"}, "word"),
            ({"word": 5}, "word"),
            ({"word": {"a": 1}}, "word"),
            ({"rule": "chess"}, "rule"),
            ({"colour": "RED"}, "colour"),
            ({"sise": 3}, "sise"),
        ],
    )
    def test_a_wrong_value_is_named(self, every_kind, given, name):
        fields = errors_of(every_kind, **{"needed": 1, **given})
        assert list(fields) == [name]
        assert all(isinstance(message, str) and message for message in fields[name])

    @pytest.mark.parametrize(
        ("given", "meant"),
        [("off", False), ("0", False), ("false", False), (0, False), ("on", True), ("1", True)],
    )
    def test_booleans_are_what_they_say(self, every_kind, given, meant):
        """A checkbox's own reading is that "off" and "0" are there, so they are true."""
        assert validate_params(every_kind, {"needed": 1, "flag": given})["flag"] is meant

    def test_a_required_value_that_is_missing_is_named(self, every_kind):
        assert list(errors_of(every_kind)) == ["needed"]

    def test_every_mistake_is_named_at_once(self, every_kind):
        assert set(errors_of(every_kind, whole=0, number=2)) == {"whole", "number", "needed"}

    def test_an_unknown_name_is_told_the_known_ones(self, every_kind):
        assert "There are: whole, number" in errors_of(every_kind, sise=1)["sise"][0]

    def test_draws_controls_with_their_bounds_and_help(self, every_kind):
        html = str(params_form(every_kind)()["whole"])
        assert 'type="number"' in html
        assert 'min="1"' in html
        assert 'max="9"' in html
        assert "checkbox" in str(params_form(every_kind)()["flag"])
        assert "Dark blue" in str(params_form(every_kind)()["colour"])


class CityForm(forms.Form):
    live = ("speed",)
    name = forms.CharField(initial="Berlin")
    speed = forms.IntegerField(initial=1)

    def clean_name(self):
        if self.cleaned_data["name"] == "Atlantis":
            raise forms.ValidationError("It has sunk.")
        return self.cleaned_data["name"]


class TestForm:
    simulation = describe(lambda name, speed: None, name="by_form", form=CityForm)

    def test_validates_in_place_of_the_signature(self):
        assert validate_params(self.simulation, {"speed": 4}) == {"name": "Berlin", "speed": 4}
        assert errors_of(self.simulation, name="Atlantis") == {"name": ["It has sunk."]}

    def test_may_add_fields_as_it_is_made(self):
        class GrowingForm(CityForm):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.fields["added"] = forms.IntegerField(initial=2)

        growing = describe(lambda name, speed, added: None, name="growing", form=GrowingForm)
        assert validate_params(growing, {"added": 5})["added"] == 5
        assert validate_params(growing, {})["added"] == 2

    def test_names_the_live_ones(self):
        assert live_names(self.simulation) == {"speed"}


class TestLive:
    def test_only_the_given_ones_come_back(self, every_kind):
        current = validate_params(every_kind, {"needed": 1})
        assert validate_live_params(every_kind, current, {"needed": "5"}) == {"needed": 5}

    def test_one_that_is_not_live_is_refused_even_unchanged(self, every_kind):
        current = validate_params(every_kind, {"needed": 1})
        with pytest.raises(InvalidParams) as caught:
            validate_live_params(every_kind, current, {"whole": current["whole"]})
        assert "cannot change while" in caught.value.fields["whole"][0]

    def test_a_wrong_value_is_refused(self, every_kind):
        current = validate_params(every_kind, {"needed": 1})
        with pytest.raises(InvalidParams):
            validate_live_params(every_kind, current, {"needed": "x"})


class Mood(Enum):
    CALM = 1
    WILD = 2


@dataclass
class Walls:
    width: Annotated[int, Param(1, 9)] = 3
    sides: list[str] = field(default_factory=lambda: ["left"])

    def __post_init__(self):
        if self.width == 4:
            raise ValueError("Four is too symmetric.")


class Model(pydantic.BaseModel):
    width: Annotated[int, pydantic.Field(ge=1)] = 3
    name: str = "a"

    @pydantic.field_validator("name")
    @classmethod
    def check_name(cls, name):
        if name == "x":
            raise ValueError("not x")
        return name


def many_types(
    maybe: int | None,
    some: list[int] = [1, 2],  # noqa: B006
    place: tuple[float, float] = (0, 1),
    words: list[str] = ["a b", "c"],  # noqa: B006
    moods: list[Mood] = [Mood.CALM],  # noqa: B006
    mood: Mood | None = None,
    sure: bool | None = None,
    day: date = date(2026, 1, 2),
    moment: datetime = datetime(2026, 1, 2, 3, 4),
    hour: time = time(12, 30),
    price: Annotated[Decimal, Param(0, 5)] = Decimal("1.5"),
    walls: Walls = Walls(),  # noqa: B008
    model: Model = Model(),  # noqa: B008
    data: bytes | None = None,
    table: Path | None = None,
    seed: int | None = None,
): ...


class TestTypes:
    simulation = describe(many_types)

    def test_defaults_are_values_of_the_types(self):
        values = validate_params(self.simulation, {})
        seed = values.pop("seed")
        assert 0 <= seed < 2**32
        assert values == {
            "maybe": None, "some": [1, 2], "place": (0.0, 1.0), "words": ["a b", "c"],
            "moods": [Mood.CALM], "mood": None, "sure": None, "day": date(2026, 1, 2),
            "moment": datetime(2026, 1, 2, 3, 4), "hour": time(12, 30),
            "price": Decimal("1.5"), "walls": Walls(), "model": Model(), "data": None,
            "table": None,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("given", "name", "value"),
        [
            ({"maybe": "7"}, "maybe", 7),
            ({"maybe": None}, "maybe", None),
            ({"maybe": ""}, "maybe", None),
            ({"some": "3, 4;5\n6"}, "some", [3, 4, 5, 6]),
            ({"some": [3, 4]}, "some", [3, 4]),
            ({"some": ""}, "some", []),
            ({"place": "1.5 2"}, "place", (1.5, 2.0)),
            ({"words": "two words, one"}, "words", ["two words", "one"]),
            ({"moods": ["2", 1]}, "moods", [Mood.WILD, Mood.CALM]),
            ({"moods": "1,2"}, "moods", [Mood.CALM, Mood.WILD]),
            ({"moods": []}, "moods", []),
            ({"mood": "2"}, "mood", Mood.WILD),
            ({"mood": ""}, "mood", None),
            ({"sure": "false"}, "sure", False),
            ({"sure": ""}, "sure", None),
            # As the page's control, Python and JSON have it.
            ({"sure": "unknown"}, "sure", None),
            ({"sure": "None"}, "sure", None),
            ({"sure": "null"}, "sure", None),
            ({"day": "2027-02-03"}, "day", date(2027, 2, 3)),
            ({"moment": "2027-02-03T04:05"}, "moment", datetime(2027, 2, 3, 4, 5)),
            ({"hour": "07:08"}, "hour", time(7, 8)),
            ({"price": 2.5}, "price", Decimal("2.5")),
            ({"walls": {"width": 5}}, "walls", Walls(5)),
            ({"walls.width": "5"}, "walls", Walls(5)),
            ({"walls.sides": "a,b"}, "walls", Walls(3, ["a", "b"])),
            ({"model": {"name": "b"}}, "model", Model(name="b")),
            ({"seed": 0}, "seed", 0),
            ({"data": Upload("a.csv", b"1")}, "data", Upload("a.csv", b"1")),
            ({"table": Upload("a.csv", b"1")}, "table", Upload("a.csv", b"1", as_path=True)),
        ],
    )
    def test_values_are_understood(self, given, name, value):
        assert validate_params(self.simulation, given)[name] == value

    @pytest.mark.parametrize(
        ("given", "name", "said"),
        [
            ({"some": "1, x"}, "some", "Value 2, 'x': Enter a whole number."),
            ({"some": {"a": 1}}, "some", "single value, got a dict"),
            ({"place": "1"}, "place", "Expected 2 values, got 1."),
            ({"place": [1, 2, 3]}, "place", "Expected 2 values, got 3."),
            ({"moods": ["3"]}, "moods", "Select a valid choice"),
            ({"day": "soon"}, "day", "Enter a valid date"),
            ({"price": 6}, "price", "less than or equal to 5"),
            ({"walls": {"width": 12}}, "walls.width", "less than or equal to 9"),
            ({"walls": {"width": 4}}, "walls.width", "too symmetric"),
            ({"walls": {"height": 4}}, "walls.height", "There is no such parameter"),
            ({"walls": 4}, "walls", "There is no such parameter"),
            ({"model": {"name": "x"}}, "model.name", "not x"),
            ({"data": "a.csv"}, "data", "Choose the file a.csv again"),
            ({"data": Upload("a", b"1" * 5_000_001)}, "data", "at most 5,000,000 can be taken"),
            ({"some": Upload("a", b"1")}, "some", "got a file"),
        ],
    )
    def test_a_wrong_value_is_named(self, given, name, said):
        assert said in errors_of(self.simulation, **given)[name][0]

    def test_what_is_told_of_a_session_can_start_another(self):
        """Under "again" the page sends the parameters that it was told of."""
        first = validate_params(self.simulation, {"walls": {"width": 5}, "moods": [2]})
        told = json.loads(json.dumps({name: plain(value) for name, value in first.items()}))
        assert validate_params(self.simulation, told) == first

    def test_a_file_outlives_a_change_of_another_parameter(self):
        def target(data: bytes, speed: Annotated[int, Param(live=True)] = 1): ...

        simulation = describe(target)
        current = validate_params(simulation, {"data": Upload("a", b"1")})
        assert validate_live_params(simulation, current, {"speed": 2}) == {"speed": 2}

    def test_a_member_of_a_live_object_changes_alone(self):
        def target(walls: Annotated[Walls, Param(live=True)] = Walls()): ...  # noqa: B008

        simulation = describe(target)
        assert live_names(simulation) == {"walls.width", "walls.sides"}
        current = validate_params(simulation, {"walls": {"sides": ["x"]}})
        changed = validate_live_params(simulation, current, {"walls.width": 5})
        assert changed == {"walls": Walls(5, ["x"])}

    def test_members_are_grouped_under_the_name_of_their_object(self):
        groups = {control.field.name: control.group for control in controls(self.simulation)}
        assert groups["walls.width"] == "Walls"
        assert groups["maybe"] == ""

    def test_the_controls_show_the_values_of_a_session(self):
        shown = {
            control.field.name: control.field.value()
            for control in controls(self.simulation, {"walls": {"width": 5}, "some": [7, 8]})
        }
        assert shown["walls.width"] == 5
        html = "".join(str(one.field) for one in controls(self.simulation, {"some": [7, 8]}))
        assert 'value="7, 8"' in html


class TestSeeds:
    def test_one_that_is_left_open_is_drawn_within_its_bounds(self):
        def target(
            my_seed: Annotated[int | None, Param(5, 6)] = None, other: int | None = None
        ): ...

        drawn = [validate_params(describe(target), {}) for _ in range(40)]
        assert {values["my_seed"] for values in drawn} == {5, 6}
        assert {values["other"] for values in drawn} == {None}

    def test_of_a_form_are_drawn_too(self):
        class SeedForm(forms.Form):
            seed = forms.IntegerField(required=False)

        simulation = describe(lambda seed: None, name="seeded", form=SeedForm)
        assert isinstance(validate_params(simulation, {})["seed"], int)
        assert validate_params(simulation, {"seed": 3})["seed"] == 3


class RichForm(forms.Form):
    file = forms.FileField()
    picture = forms.ImageField(required=False)
    kinds = forms.MultipleChoiceField(choices=[("a", "A"), ("b", "B")])
    extra = forms.JSONField(initial=dict)
    user = forms.ModelChoiceField(User.objects.all(), required=False)
    users = forms.ModelMultipleChoiceField(User.objects.all(), required=False)


@pytest.mark.django_db
class TestFieldsOfForms:
    simulation = describe(lambda **given: None, name="rich", form=RichForm)

    def test_are_understood(self):
        user = User.objects.create(username="ada")
        image = io.BytesIO()
        Image.new("L", (2, 2)).save(image, format="PNG")
        given = {
            "file": Upload("a.csv", b"1,2"),
            "picture": Upload("a.png", image.getvalue()),
            "kinds": ["a", "b"],
            "extra": {"deep": [1, 2]},
            "user": str(user.pk),
            "users": [user.pk],
        }
        values = validate_params(self.simulation, given)
        assert (values["file"].name, values["file"].read()) == ("a.csv", b"1,2")
        assert values["picture"].image.size == (2, 2)
        assert values["kinds"] == ["a", "b"]
        assert values["extra"] == {"deep": [1, 2]}
        assert values["user"] == user
        assert values["users"] == [user]
        assert plain(values["user"]) == user.pk

    def test_are_refused_with_a_sentence(self):
        given = {"picture": Upload("a.png", b"no"), "kinds": ["c"], "extra": "{", "user": 99}
        errors = errors_of(self.simulation, **given)
        assert set(errors) == {"file", "picture", "kinds", "extra", "user"}

    def test_with_several_controls_are_refused_when_the_file_loads(self):
        class SplitForm(forms.Form):
            moment = forms.SplitDateTimeField()

        simulation = describe(lambda moment: None, name="split", form=SplitForm)
        with pytest.raises(InvalidSimulation, match=r"field 'moment'.*SplitDateTimeField"):
            check_form(simulation)


class TestAddresses:
    def test_give_what_the_fields_show_and_errors_at_what_is_wrong(self, every_kind):
        query = {"whole": "7", "number": "lots", "flag": "off", "colour": "2", "utm_source": "x"}
        given, errors = params_in_address(every_kind, query)
        assert given == {"whole": "7", "number": "lots", "flag": False, "colour": "2"}
        # What is not given, though it is needed, is no fault of the address.
        assert list(errors) == ["number"]

    def test_a_control_knows_its_default_and_its_errors(self, every_kind):
        given, errors = params_in_address(every_kind, {"whole": "99", "flag": "0"})
        found = {control.field.name: control for control in controls(every_kind, given, errors)}
        assert found["whole"].default == '"3"'
        assert found["whole"].errors
        assert found["flag"].default == "true"
        assert found["word"].default == ""

    @pytest.mark.parametrize(
        ("kind", "param", "step"),
        [
            (float, Param(0, 2), 0.002),
            (float, Param(0.001, 2), 0.001999),
            (float, Param(0.001, 2, step=0.001), 0.001),
            (Decimal, Param(0.001, 2), 0.001999),
            (int, Param(1, 9), 1),
            (int, Param(1, 1_000_000), 1),
        ],
    )
    def test_a_number_with_two_limits_has_a_slider_however_many_places(self, kind, param, step):
        def target(number: Annotated[kind, param]): ...

        (control,) = controls(describe(target))
        assert control.slider == Slider(param.min, param.max, pytest.approx(step))

    @pytest.mark.parametrize("param", [Param(1), Param(max=2), Param(0, math.inf), Param(1, 1)])
    def test_a_number_without_two_has_none(self, param):
        def target(number: Annotated[float, param]): ...

        (control,) = controls(describe(target))
        assert control.slider is None

    def test_live_controls_come_first(self):
        found = controls(registry.get("ising"))
        assert [control.field.name for control in found] == ["temperature", "size"]


class TestPresets:
    def test_are_names_with_json(self):
        found = presets(registry.get("reaction"))
        assert found[1] == ("Corals", '{"feed": "0.0545", "kill": "0.062"}')

    def test_have_what_the_controls_show(self):
        shown = {
            "sure": None, "moment": datetime(2027, 2, 3, 4, 5), "price": Decimal("1.50"),
            "moods": [Mood.WILD], "mood": Mood.CALM, "some": [7, 8], "walls": Walls(5),
        }  # fmt: skip
        ((_name, values),) = presets(describe(many_types, presets={"All": shown}))
        assert json.loads(values) == {
            "sure": "unknown", "moment": "2027-02-03T04:05:00", "price": "1.50",
            "moods": ["2"], "mood": ["1"], "some": "7, 8", "walls.width": "5",
            "walls.sides": "left",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"count": 500}, "the preset 'A' sets count to 500: .* less than or equal to 100"),
            ({"count": None}, "sets count to None: Expected a value"),
            ({"mood": "WILD"}, "sets mood to 'WILD': Select a valid choice"),
            ({"walls": {"width": 12}}, "sets walls.width to 12: .* less than or equal to 9"),
        ],
    )
    def test_with_values_that_cannot_be_are_refused_when_the_file_loads(self, values, words):
        def target(
            needed: int,
            count: Annotated[int, Param(1, 100)] = 1,
            mood: Mood = Mood.CALM,
            walls: Walls = Walls(),  # noqa: B008
        ): ...

        # What is needed and not in it, a person adds.
        good = {"count": 2, "mood": Mood.WILD, "walls": {"width": 5}}
        check_form(describe(target, presets={"A": good, "B": {"walls": Walls(5)}}))
        with pytest.raises(InvalidSimulation, match=words):
            check_form(describe(target, presets={"A": good | values}))

    def test_of_the_gallery_validate(self):
        for simulation in registry.all():
            for values in simulation.presets.values():
                validate_params(simulation, values)

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (["corals"], "expected a dict of names"),
            ({"corals": 3}, "the preset 'corals' is 3; expected a name, and a dict"),
            ({1: {}}, "the preset 1 is {}; expected a name"),
            ({"corals": {"fed": 1}}, "the preset 'corals' sets 'fed'; there are feed"),
        ],
    )
    def test_that_cannot_be_are_refused_where_they_are_written(self, wrong, words):
        def reaction(feed: float = 1.0): ...

        with pytest.raises(InvalidSimulation, match=words):
            describe(reaction, presets=wrong)
