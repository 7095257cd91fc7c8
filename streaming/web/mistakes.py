"""What a client is told whose request no page can answer."""

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say in a sentence what is wrong: Django's `handler400`."""
    if isinstance(exception, DisallowedHost):
        sentence = _(
            "This site has another name than the one in the address. If it is yours, and is to "
            "have this name too, add it to ALLOWED_HOSTS."
        )
    else:
        sentence = _("This request cannot be answered: something in it is wrong, or too large.")
    return HttpResponse(sentence + "\n", status=400, content_type="text/plain; charset=utf-8")
