"""`{% live_step %}` in a page of a project's own."""

import html
import json
import re

import pytest
from django import forms
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.template import engines
from django.template.exceptions import TemplateSyntaxError
from django.test import Client
from django.urls import include, path

from streaming import simulation
from streaming.catalog import registry as module
from streaming.engine.simulations import described
from streaming.identity import BROWSER_COOKIE

pytestmark = pytest.mark.django_db


def render(text, request=None, **context):
    return engines["django"].from_string("{% load livestep %}" + text).render(context, request)


def page(request):
    return HttpResponse(render("{% live_step 'ising' %}{% live_step 'tour' %}", request))


urlpatterns = [path("ours/", page), path("lab/", include("streaming.urls"))]


class WithoutPages:
    urlpatterns = [path("ours/", page)]


class TestVisit:
    @pytest.fixture(autouse=True)
    def urls(self, settings):
        settings.ROOT_URLCONF = __name__

    def test_keeps_no_row_and_has_a_cookie_before_the_player(self):
        client = Client()
        for _ in range(2):
            response = client.get("/ours/")
            assert not response.cookies
        scripts = re.findall(r'<script [^>]*src="([^"]+)"', response.content.decode())
        assert scripts[0] == "/lab/browser.js"
        greeting = client.get(scripts[0])
        assert (greeting.status_code, greeting.content) == (200, b"")
        assert greeting["Content-Type"] == "text/javascript"
        assert "no-store" in greeting["Cache-Control"]
        assert set(client.cookies) == {BROWSER_COOKIE}
        assert not Session.objects.exists()

    def test_of_a_browser_that_is_known_asks_for_nothing(self):
        client = Client()
        client.get("/lab/browser.js")
        known = client.cookies[BROWSER_COOKIE].value
        assert "browser.js" not in client.get("/ours/").content.decode()
        client.get("/lab/browser.js")
        assert client.cookies[BROWSER_COOKIE].value == known

    def test_where_the_pages_are_not_is_kept_in_the_login_session(self, settings):
        settings.ROOT_URLCONF = WithoutPages
        client = Client()
        assert "browser.js" not in client.get("/ours/").content.decode()
        assert Session.objects.count() == 1


@pytest.mark.parametrize("given", [None, 5, ["ising"]])
def test_what_is_no_name_is_a_template_error(given):
    with pytest.raises(TemplateSyntaxError, match="expected the name of a simulation, got"):
        render("{% live_step given %}", given=given)


class UserForm(forms.Form):
    user = forms.ModelChoiceField(get_user_model().objects.all())
    by_name = forms.ModelChoiceField(
        get_user_model().objects.all(), to_field_name="username", required=False
    )
    several = forms.ModelMultipleChoiceField(get_user_model().objects.all(), required=False)


@simulation(form=UserForm)
def greets(**params):
    yield "<svg/>"


class TestParameters:
    @pytest.fixture(autouse=True)
    def greets(self, monkeypatch):
        monkeypatch.setattr(module.registry, "_added", [("tests", described(greets))])

    def params(self, text, **context):
        rendered = render("{% live_step 'greets' " + text + " %}", **context)
        return json.loads(html.unescape(re.search(r'params="([^"]*)"', rendered)[1]))

    def test_that_are_rows_are_given_by_what_the_form_knows_them_by(self):
        ada, eve = (get_user_model().objects.create_user(name) for name in ("ada", "eve"))
        text = "user=ada by_name=eve several=all"
        users = get_user_model().objects.order_by("pk")
        params = self.params(text, ada=ada, eve=eve, all=users)
        assert params == {"user": ada.pk, "by_name": "eve", "several": [ada.pk, eve.pk]}

    def test_that_the_form_refuses_are_a_template_error(self):
        stranger = get_user_model()(pk=999)
        with pytest.raises(TemplateSyntaxError, match="live_step 'greets': user: "):
            self.params("user=stranger", stranger=stranger)

    def test_that_there_are_none_of_are_a_template_error(self):
        with pytest.raises(TemplateSyntaxError, match="There is no such parameter"):
            self.params("nobody=1")
