"""A form that is never done, apart from the other samples, which need no Django."""

import logging
import threading

from django import forms

from streaming import simulation
from tests.samples.simulations import svg


class NeverValid(forms.Form):
    """A form whose answer is waited for without end."""

    def clean(self):
        logging.getLogger(__name__).warning("asked for ever")
        threading.Event().wait()


@simulation(form=NeverValid)
def never_validates():
    """Never come to its first step."""
    yield svg("started")
