"""Form fields for what Django has none: several values in one control, a file's content."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from streaming.engine.params import Upload

SEPARATORS = re.compile(r"[\s,;]+")
# In words a space separates nothing.
SEPARATORS_OF_TEXT = re.compile(r"[,;\n]+")


class SeveralField(forms.CharField):
    """Several values of one kind in one line, with commas between them; a list from a program.

    Args:
        item: Validates each.
        container: What they are given in, list or tuple.
        length: How many there must be; None for any number.
        is_optional: Whether none at all are None.
    """

    def __init__(
        self,
        item: forms.Field,
        container: type,
        *,
        length: int | None,
        is_optional: bool,
        **options: Any,
    ) -> None:
        super().__init__(**options, required=bool(length) and not is_optional)
        self.item, self.container = item, container
        self.length, self.is_optional = length, is_optional

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            # Whole numbers as those that a session has of them: it begins with no change.
            is_float = isinstance(self.item, forms.FloatField)
            items = (float(each) if is_float and isinstance(each, int) else each for each in value)
            return ", ".join(map(str, items))
        return value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return True

    def clean(self, value: Any) -> Any:
        values = value if isinstance(value, list | tuple) else self._split(value)
        if not values and not self.required:
            return None if self.is_optional else self.container()
        if self.length is not None and len(values) != self.length:
            expected = ngettext(
                "Expected %(count)d value, got %(got)d.",
                "Expected %(count)d values, got %(got)d.",
                self.length,
            )
            raise ValidationError(expected % {"count": self.length, "got": len(values)})
        return self.container([self._clean_one(number, one) for number, one in enumerate(values)])

    def _split(self, text: Any) -> Sequence[str]:
        is_text = type(self.item) is forms.CharField
        pattern = SEPARATORS_OF_TEXT if is_text else SEPARATORS
        return [part.strip() for part in pattern.split(str(text or "")) if part.strip()]

    def _clean_one(self, number: int, value: Any) -> Any:
        try:
            return self.item.clean(value)
        except ValidationError as error:
            said = " ".join(error.messages)
            where = _("Value %(number)d, %(value)s: %(said)s")
            raise ValidationError(
                where % {"number": number + 1, "value": f"{value!r:.40}", "said": said}
            ) from error


class UploadField(forms.FileField):
    """A file for a parameter of the type Path or bytes."""

    def __init__(self, *, as_path: bool, **options: Any) -> None:
        super().__init__(**options)
        self._as_path = as_path

    def clean(self, data: Any, initial: Any = None) -> Any:
        file = super().clean(data, initial)
        return file and Upload(file.name, file.read(), as_path=self._as_path)


class PlainDateTimeField(forms.DateTimeField):
    """A date and time without a zone, as `datetime.now()` gives it and a page's control does."""

    def to_python(self, value: Any) -> datetime | None:
        moment = super().to_python(value)
        return moment and moment.replace(tzinfo=None)


class SeveralChoices(forms.TypedMultipleChoiceField):
    """Several of a few values, in a list or tuple."""

    def __init__(self, container: type, **options: Any) -> None:
        super().__init__(**options)
        self._container = container

    def clean(self, value: Any) -> Any:
        return self._container(super().clean([str(one) for one in value or ()]))
