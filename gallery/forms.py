"""The forms of simulations whose parameters are more than their types say."""

from pathlib import Path

from django import forms

from gallery.tsplib import CitiesError, read_cities

BERLIN52 = (Path(__file__).parent / "cities" / "berlin52.tsp").read_text()


class TourForm(forms.Form):
    live = ("pace",)

    cities = forms.CharField(
        initial=BERLIN52,
        widget=forms.Textarea({"rows": 8, "spellcheck": "false"}),
        help_text="A TSPLIB file of type EUC_2D, or lines of x,y or name,x,y.",
        strip=False,
    )
    seed = forms.IntegerField(
        initial=1,
        min_value=0,
        max_value=2**31,
        help_text="The same seed gives the same tours.",
    )
    pace = forms.IntegerField(
        initial=30,
        min_value=0,
        max_value=1000,
        help_text="Steps a second, so that they can be watched; 0: as fast as it goes.",
    )

    def clean_cities(self) -> str:
        text: str = self.cleaned_data["cities"]
        try:
            read_cities(text)
        except CitiesError as error:
            raise forms.ValidationError(str(error)) from error
        return text
