from gallery import words
from streaming.catalog.registry import registry


def of_the_gallery():
    return [one for one in registry.all() if one.target.__module__.startswith("gallery.")]


def test_every_description_can_be_translated():
    assert [simulation.description for simulation in of_the_gallery()] == words.DESCRIPTIONS


def test_every_name_of_a_parameter_and_of_a_choice_can_be_translated():
    """As streaming/catalog/forms.py makes them from the code."""
    names = [
        name.replace("_", " ").capitalize()
        for simulation in of_the_gallery()
        for param in simulation.params
        for name in (param.name, *(choice.name for choice in param.choices))
    ]
    assert list(dict.fromkeys(names)) == words.NAMES
