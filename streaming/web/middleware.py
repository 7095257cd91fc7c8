"""What shortens the way of a request through Django's middleware."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_only_middleware

GetResponse = Callable[[HttpRequest], HttpResponseBase]


@sync_only_middleware
def in_one_thread(get_response: GetResponse) -> GetResponse:
    """Have all middleware before this one run in one thread: it has to be the last.

    Under ASGI each of Django's own waits for a thread before the page and once more after it, which
    takes longer than what it does there. Those before one that is not asynchronous go with it.
    """
    return get_response
