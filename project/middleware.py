"""Django's middleware, where that of the site differs."""

from django.http import HttpRequest, HttpResponseBase
from django.middleware import security


class SecurityMiddleware(security.SecurityMiddleware):
    """Django's, on the event loop: it compares and sets headers, and needs no thread for that. It
    is asked for every static file."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.process_request(request)
        if response is None:
            response = await self.get_response(request)  # type: ignore[misc]  # it is asynchronous
        return self.process_response(request, response)
