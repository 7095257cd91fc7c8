import pytest
from django import forms

from streaming.catalog.forms import (
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
        assert found["whole"].default == "3"
        assert found["whole"].errors
        assert found["flag"].default == "true"
        assert found["word"].default == ""

    def test_live_controls_come_first(self):
        found = controls(registry.get("ising"))
        assert [control.field.name for control in found] == ["temperature", "size"]


class TestPresets:
    def test_are_names_with_json(self):
        found = presets(registry.get("reaction"))
        assert found[1] == ("Corals", '{"feed": 0.0545, "kill": 0.062}')

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
