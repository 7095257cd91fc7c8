"""What a visitor sees when there is nothing to be seen: our own page, a way back, and no secret."""

import pytest
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.web.failing_urls")]


@pytest.fixture
def client():
    return Client(raise_request_exception=False, enforce_csrf_checks=True)


def expect_page(response, status, words):
    html = response.content.decode()
    assert response.status_code == status
    assert words in html
    assert html.count("<h1>") == 1
    assert 'href="/">All simulations</a>' in html
    assert "streaming/pages.css" in html
    assert "script-src 'self'" in response["Content-Security-Policy"]
    for leak in ("secret", "Resolver404", "Traceback", "RuntimeError", "style="):
        assert leak not in html


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/400/", 400, "This request cannot be answered"),
        ("/403/", 403, "This is not for you"),
        ("/nowhere/at/all/", 404, "There is no page at this address."),
        ("/simulations/nope/", 404, "there is no simulation"),
        ("/500/", 500, "Something went wrong here"),
    ],
)
def test_each_status_has_its_own(client, path, status, words):
    expect_page(client.get(path), status, words)


def test_a_host_that_is_not_the_sites_says_what_to_set(client):
    answer = client.get("/", headers={"host": "secret.test"})
    expect_page(answer, 400, "add it to ALLOWED_HOSTS")


def test_a_form_that_has_grown_old_says_so(client):
    expect_page(client.post("/admin/login/"), 403, "The form has grown old")


def test_they_are_in_the_language_of_the_visitor(client):
    html = client.get("/500/", headers={"accept-language": "de"}).content.decode()
    assert "Hier ist etwas schiefgegangen" in html


def test_the_login_has_a_heading(client):
    assert "<h1>Log in</h1>" in client.get("/admin/login/").content.decode()
