"""Sessions side by side: which addresses show them."""

import re

import pytest

pytestmark = pytest.mark.django_db


def shown(response):
    return re.findall(r'<live-step session="([^"]+)"', response.content.decode())


class TestAddress:
    def test_names_the_sessions_in_their_order_and_each_once(self, client):
        response = client.get("/compare/?session=b-2&session=a-1&session=b-2&session=c_3")
        assert response.status_code == 200
        assert shown(response) == ["b-2", "a-1", "c_3"]
        assert 'data-do="start"' not in response.content.decode()

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("", "this address names 0"),
            ("?session=a", "this address names 1"),
            ("?" + "&".join(f"session=s{number}" for number in range(7)), "this address names 7"),
            ("?session=%3Cscript%3E&session=..%2F", "their ids are expected here"),
            (f"?session=a&session={'b' * 41}", "this address names 1"),
        ],
    )
    def test_of_too_few_or_too_many_is_answered_with_a_sentence(self, client, query, said):
        response = client.get(f"/compare/{query}")
        assert response.status_code == 400
        assert said in response.content.decode()
        assert shown(response) == []
        assert "<script>" not in response.content.decode()

    def test_asks_for_a_login_where_the_site_does(self, client, settings):
        settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        assert client.get("/compare/?session=a&session=b").status_code == 302

    def test_takes_no_post(self, client):
        assert client.post("/compare/").status_code == 405


class TestForm:
    def test_offers_the_parameters_that_have_one_value(self, client):
        html = client.get("/simulations/ising/").content.decode()
        form = html.partition('class="compare-form"')[2].partition("</details>")[0]
        assert re.findall(r'<option value="(\w+)"', form) == ["temperature", "size"]

    def test_room_is_kept_for_the_lines_of_those_that_plot(self, client):
        for name, plots in {"ising": True, "orbits": True, "tour": True, "life": False}.items():
            html = client.get(f"/simulations/{name}/").content.decode()
            assert (re.search(r"<live-step [^>]* plots ", html) is not None) is plots, name
