"""A project whose middleware asks every page for a login."""

import pytest
from django.contrib.auth.views import redirect_to_login

from streaming.checks import check_login_wall
from streaming.conf import conf
from streaming.page_checks import check_strangers

DJANGOS = "django.contrib.auth.middleware.LoginRequiredMiddleware"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def wall(settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, DJANGOS]


def test_a_stranger_sees_no_page(client):
    for path in ("/", "/simulations/tour/", "/sessions/nope/", "/sessions/nope/frame.svg"):
        assert client.get(path).status_code == 302


def test_probes_scrapers_and_holders_of_a_token_pass(client, settings):
    settings.LIVESTEP = {"METRICS_TOKEN": "a-token"}
    bearer = {"headers": {"Authorization": "Bearer a-token"}}
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/metrics", **bearer).status_code == 200
    stopped = client.post("/sessions/nope/stop", **bearer)
    assert stopped.json()["code"] == "unknown_session"


class TestTheWebSocket:
    """What a stranger gets there is in consumer/test_handshake.py."""

    @pytest.mark.parametrize("path", [DJANGOS, "login_required.middleware.LoginRequiredMiddleware"])
    def test_asks_for_a_login_too(self, settings, path):
        settings.MIDDLEWARE = [path]
        assert conf().LOGIN_REQUIRED
        assert check_login_wall(None) == []

    def test_is_open_only_if_that_is_said_and_a_check_tells(self, settings):
        settings.LIVESTEP = {"LOGIN_REQUIRED": False}
        assert not conf().LOGIN_REQUIRED
        (warning,) = check_login_wall(None)
        assert warning.id == "livestep.W013"

    def test_asks_for_none_without_the_wall(self, settings):
        settings.MIDDLEWARE = []
        assert not conf().LOGIN_REQUIRED


def a_wall_of_their_own(get_response):
    def wall(request):
        if request.path.startswith("/admin/") or request.user.is_authenticated:
            return get_response(request)
        return redirect_to_login(request.path)

    return wall


class TestAnotherWall:
    """It is not called as Django's is, and knows nothing of what needs no login."""

    @pytest.fixture(autouse=True)
    def _wall(self, settings):
        settings.MIDDLEWARE[-1] = f"{__name__}.a_wall_of_their_own"

    def test_is_found_by_asking(self):
        probe, socket = check_strangers(None)
        assert probe.id == "livestep.W014"
        assert "/healthz answers 302 /admin/login/?next=/healthz" in probe.msg
        assert socket.id == "livestep.W015"

    def test_the_websocket_is_closed_by_a_setting(self, settings):
        settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        assert [found.id for found in check_strangers(None)] == ["livestep.W014"]


def test_where_all_is_well_nothing_is_said(settings):
    assert check_strangers(None) == []
    settings.MIDDLEWARE = settings.MIDDLEWARE[:-1]
    assert check_strangers(None) == []


class TestARedirectToTls:
    """Of Django's SecurityMiddleware: a program that looks after a process asks it without TLS."""

    @pytest.fixture(autouse=True)
    def _redirect(self, settings):
        settings.SECURE_SSL_REDIRECT = True

    def test_in_front_of_the_probes_is_said(self, settings):
        settings.SECURE_REDIRECT_EXEMPT = []
        (probe,) = check_strangers(None)
        assert probe.id == "livestep.W014"
        assert "/healthz answers 301 https://" in probe.msg

    def test_that_lets_the_probes_pass_is_none(self, settings):
        settings.SECURE_REDIRECT_EXEMPT = []
        hint = check_strangers(None)[0].hint
        exec(hint, given := {})
        settings.SECURE_REDIRECT_EXEMPT = given["SECURE_REDIRECT_EXEMPT"]
        assert check_strangers(None) == []
