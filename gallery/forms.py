"""The forms of simulations whose parameters are more than their types say."""

from pathlib import Path
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from gallery.graphfiles import GraphError, read_graph
from gallery.tsplib import MIN_CITIES, CitiesError, read_cities

HERE = Path(__file__).parent
BERLIN52 = (HERE / "cities" / "berlin52.tsp").read_text()
LES_MISERABLES = (HERE / "graphs" / "les_miserables.txt").read_text()
MAX_SEED = 2**31
MAX_RANDOM_CITIES = 2000


def text_area() -> forms.Textarea:
    return forms.Textarea({"rows": 8, "spellcheck": "false"})


def _seed(help_text: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=gettext_lazy("Seed"),
        initial=1,
        min_value=0,
        max_value=MAX_SEED,
        help_text=help_text,
    )


def pace_field() -> forms.IntegerField:
    return forms.IntegerField(
        label=gettext_lazy("Pace"),
        initial=30,
        min_value=0,
        max_value=1000,
        widget=forms.NumberInput({"data-unit": gettext_lazy("steps/s")}),
        help_text=gettext_lazy("So that the steps can be watched; 0: as fast as it goes."),
    )


def _force(label: Any, help_text: Any) -> forms.FloatField:
    return forms.FloatField(
        label=label,
        initial=1.0,
        min_value=0.1,
        max_value=5.0,
        widget=forms.NumberInput({"step": 0.1}),
        help_text=help_text,
    )


class TourForm(forms.Form):
    live = ("pace",)

    cities = forms.CharField(
        label=gettext_lazy("Cities"),
        initial=BERLIN52,
        widget=text_area(),
        help_text=gettext_lazy("A TSPLIB file of type EUC_2D, or lines of x,y or name,x,y."),
        strip=False,
    )
    seed = _seed(gettext_lazy("The same seed gives the same tours."))
    size = forms.IntegerField(
        label=gettext_lazy("Random cities"),
        initial=0,
        min_value=0,
        max_value=MAX_RANDOM_CITIES,
        help_text=gettext_lazy("So many, drawn from the seed; 0: the cities above."),
    )
    pace = pace_field()

    def clean_cities(self) -> str:
        text: str = self.cleaned_data["cities"]
        try:
            read_cities(text)
        except CitiesError as error:
            raise forms.ValidationError(str(error)) from error
        return text

    def clean_size(self) -> int:
        size: int = self.cleaned_data["size"]
        if 0 < size < MIN_CITIES:
            raise forms.ValidationError(
                _("Expected 0, or %(least)d to %(most)d cities, got %(size)d.")
                % {"least": MIN_CITIES, "most": MAX_RANDOM_CITIES, "size": size}
            )
        return size


class LayoutForm(forms.Form):
    live = ("attraction", "repulsion", "pace")

    graph = forms.CharField(
        label=gettext_lazy("Graph"),
        initial=LES_MISERABLES,
        widget=text_area(),
        help_text=gettext_lazy("Lines of two names and perhaps a weight, GML, or GraphML."),
        strip=False,
    )
    attraction = _force(gettext_lazy("Attraction"), gettext_lazy("Between nodes that are joined."))
    repulsion = _force(gettext_lazy("Repulsion"), gettext_lazy("Between all nodes."))
    pace = pace_field()
    seed = _seed(gettext_lazy("The same seed gives the same layout."))

    def clean_graph(self) -> str:
        text: str = self.cleaned_data["graph"]
        try:
            read_graph(text)
        except GraphError as error:
            raise forms.ValidationError(str(error)) from error
        return text
