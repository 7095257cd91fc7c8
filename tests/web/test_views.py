import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from streaming.catalog.registry import registry
from streaming.identity import BROWSER_COOKIE, Identity, browser_of
from tests.parts import sessions

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept():
    """A session that somebody may look at, without a loop or a thread."""

    class Kept:
        class session:
            simulation = registry.get("counter")

        ended_at, owner, is_reachable = None, Identity(), True

        @staticmethod
        def shows_token(token):
            return False

        @staticmethod
        def status():
            return {"simulation": "counter", "params": {"level": 7, "size": 4}}

    sessions._sessions["kept-1"] = Kept
    yield "kept-1"
    del sessions._sessions["kept-1"]


class TestGallery:
    def test_lists_every_simulation(self, client):
        html = client.get("/").content.decode()
        for simulation in registry.all():
            assert f'href="/simulations/{simulation.name}/"' in html
            assert simulation.title in html


class TestSimulation:
    def test_offers_its_parameters(self, client):
        html = client.get("/simulations/ising/").content.decode()
        assert '<live-step class="large" simulation="ising" session="" src="/ws" controls' in html
        assert 'name="temperature" value="2.27"' in html
        assert 'data-name="temperature" data-live' in html
        assert 'data-name="size">' in html
        assert 'data-slider aria-hidden="true" tabindex="-1" min="8" max="256" step="1"' in html

    def test_gives_the_browser_its_id(self, client):
        client.get("/simulations/ising/")
        first = client.cookies[BROWSER_COOKIE].value
        assert BROWSER_COOKIE not in client.get("/simulations/tour/").cookies
        assert len(browser_of(None, {BROWSER_COOKIE: first})) >= 20

    def test_takes_no_id_that_it_has_not_signed(self, client):
        client.cookies[BROWSER_COOKIE] = "an-id-of-somebody-else:signed-by-nobody"
        assert BROWSER_COOKIE in client.get("/simulations/ising/").cookies

    @pytest.mark.parametrize("path", ["/", "/simulations/ising/", "/element/", "/?q=x"])
    def test_keeps_no_row_for_a_visit(self, path):
        """However many come, each without a cookie."""
        for _ in range(5):
            assert Client().get(path).status_code == 200
        assert not Session.objects.exists()

    def test_an_unknown_one_is_not_found(self, client):
        assert client.get("/simulations/nope/").status_code == 404


class TestSession:
    def test_shows_its_simulation_with_its_parameters(self, client, kept):
        html = client.get(f"/sessions/{kept}/").content.decode()
        assert 'simulation="counter" session="kept-1"' in html
        assert 'name="level" value="7"' in html

    def test_an_unknown_one_is_not_found_in_a_sentence(self, client):
        response = client.get("/sessions/nope/")
        assert response.status_code == 404
        assert "it ended too long ago" in response.content.decode()


class TestSafety:
    def test_no_page_allows_inline_code(self, client):
        for address in ("/", "/simulations/tour/", "/simulations/nope/"):
            policy = client.get(address)["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert "img-src 'self' blob:" in policy

    def test_a_site_for_users_asks_for_a_login(self, client, settings, django_user_model):
        settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        for address in ("/", "/simulations/tour/"):
            response = client.get(address)
            assert response.status_code == 302
            assert response["Location"].startswith("/admin/login/?next=/")
        client.force_login(django_user_model.objects.create_user("ada"))
        assert client.get("/").status_code == 200
