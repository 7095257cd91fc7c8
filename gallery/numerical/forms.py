"""The form of the Game of Life, which is read into NumPy's arrays."""

from pathlib import Path
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from gallery.forms import pace_field, text_area
from gallery.life import MAX_SIZE, PatternError, read_pattern

PATTERNS = Path(__file__).parent.parent / "patterns"
GLIDER_GUN = (PATTERNS / "gosper_glider_gun.rle").read_text()


class LifeForm(forms.Form):
    live = ("pace",)

    pattern = forms.CharField(
        label=gettext_lazy("Pattern"),
        initial=GLIDER_GUN,
        widget=text_area(),
        help_text=gettext_lazy("In run length encoding (RLE), as LifeWiki has thousands."),
        strip=False,
    )
    size = forms.IntegerField(
        label=gettext_lazy("Size"),
        initial=72,
        min_value=8,
        max_value=MAX_SIZE,
        help_text=gettext_lazy("Cells on a side; the edges are joined."),
    )
    pace = pace_field()

    def clean_pattern(self) -> str:
        text: str = self.cleaned_data["pattern"]
        try:
            read_pattern(text)
        except PatternError as error:
            raise forms.ValidationError(str(error)) from error
        return text

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "pattern" in cleaned and "size" in cleaned:
            least = max(read_pattern(cleaned["pattern"]).shape)
            if cleaned["size"] < least:
                self.add_error(
                    "size", _("Expected at least %(least)d for this pattern.") % {"least": least}
                )
        return cleaned
