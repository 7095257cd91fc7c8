"""Sessions side by side, on one page with a link of its own."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from streaming.identity import remembering_browser
from streaming.web.views import SESSION_ID, for_users

FEWEST, MOST = 2, 6
LETTERS = "ABCDEF"


@require_safe
@for_users
def compare(request: HttpRequest) -> HttpResponse:
    """Show 2 to 6 sessions. What is wrong with one of them is said by its player."""
    asked = request.GET.getlist("session")
    found = dict.fromkeys(one for one in asked if SESSION_ID.fullmatch(one))
    problem = _problem(len(found), len(asked))
    context = {"sessions": [] if problem else zip(LETTERS, found, strict=False), "problem": problem}
    status = 400 if problem else 200
    return remembering_browser(
        request, lambda: render(request, "streaming/compare.html", context, status=status)
    )


def _problem(found: int, asked: int) -> str:
    if FEWEST <= found <= MOST:
        return ""
    said = {"fewest": FEWEST, "most": MOST, "found": found}
    if asked and not found:
        return _("What is compared are sessions: their ids are expected here.")
    return (
        _(
            "%(fewest)s to %(most)s sessions can be compared, and this address names %(found)s: "
            "/compare/?session=ID&session=ID"
        )
        % said
    )
