"""A browser without a page: it keeps cookies, and shows the CSRF token that it was given."""

from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

TIMEOUT_S = 10


class Visitor:
    def __init__(self, server):
        self.url, self.jar = server.url, CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self.jar))

    def get(self, path, **headers):
        """Return the response, whatever its status; its body is in `text`."""
        return self._ask(Request(self.url + path, headers=headers))

    def post(self, path, **fields):
        body = urlencode({"csrfmiddlewaretoken": self.cookie("csrftoken"), **fields}).encode()
        return self._ask(Request(self.url + path, body))

    def log_in(self, name, password):
        self.get("/admin/login/")
        response = self.post("/admin/login/?next=/admin/", username=name, password=password)
        assert response.url == self.url + "/admin/", response.text

    def cookie(self, name):
        (value,) = (cookie.value for cookie in self.jar if cookie.name == name)
        return value

    def _ask(self, request):
        try:
            response = self._opener.open(request, timeout=TIMEOUT_S)
        except HTTPError as error:
            response = error
        with response:
            response.text = response.read().decode(errors="replace")
        return response
