"""What makes the way of a request through Django's middleware shorter."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_only_middleware

GetResponse = Callable[[HttpRequest], HttpResponseBase]


@sync_only_middleware
def in_one_thread(get_response: GetResponse) -> GetResponse:
    """Have all middleware before this one run in one thread, back to the nearest that is only
    asynchronous.

    Under ASGI Django's own wait for a thread before the page and most of them once more after it,
    each time for longer than they work there. If the last one is synchronous, Django runs those
    before it in the same thread.
    """
    return get_response
