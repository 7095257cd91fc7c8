"""How a browser gets its id on a page whose response is not ours."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from streaming.identity import remembering_browser


@login_not_required
@require_safe
@never_cache
def remember(request: HttpRequest) -> HttpResponse:
    """Give a browser its cookie, by an empty script: those after it in the page wait for it."""
    return remembering_browser(request, lambda: HttpResponse(content_type="text/javascript"))
