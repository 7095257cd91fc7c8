"""What is given to others: QR codes, the player alone, and what previews of links are told."""

import io

import pytest
import segno

from streaming.engine.frames import fault_of

pytestmark = pytest.mark.django_db
HOST = "http://testserver"


def code_of(address):
    drawn = io.BytesIO()
    segno.make_qr(address).save(
        drawn, kind="svg", light="#fff", omitsize=True, xmldecl=False, svgclass=None, lineclass=None
    )
    return drawn.getvalue()


class TestQrCodes:
    @pytest.mark.parametrize(
        ("path", "address"),
        [
            ("/sessions/a-xyz_1/qr.svg", "/sessions/a-xyz_1/"),
            ("/simulations/ising/qr.svg", "/simulations/ising/"),
            ("/simulations/ising/qr.svg?size=32&x=%C3%A4", "/simulations/ising/?size=32&x=%C3%A4"),
        ],
    )
    def test_are_of_the_page_that_they_stand_for(self, client, path, address):
        response = client.get(path)
        assert response.content == code_of(f"{HOST}{address}")
        assert fault_of(response.content) is None
        assert response["Content-Type"] == "image/svg+xml"
        assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")

    def test_of_an_address_without_end_there_is_none(self, client):
        assert client.get(f"/simulations/ising/qr.svg?x={'a' * 1000}").status_code == 404


class TestThePlayerAlone:
    def test_has_the_parameters_of_its_address(self, client):
        html = client.get("/simulations/ising/embedded/?size=32&nonsense=1").content.decode()
        assert 'params="{&quot;size&quot;: &quot;32&quot;}"' in html
        assert 'session=""' in html
        assert "site-header" not in html

    @pytest.mark.parametrize("session", ["a/b", '"><script>', "x" * 41, "%00"])
    def test_watches_no_session_that_could_be_none(self, client, session):
        html = client.get("/simulations/ising/embedded/", {"session": session}).content.decode()
        assert 'session=""' in html

    def test_watches_the_session_of_its_address(self, client):
        html = client.get("/simulations/ising/embedded/?session=a-b_1").content.decode()
        assert 'session="a-b_1"' in html
        assert 'href="/sessions/a-b_1/" target="_blank" rel="noopener"' in html

    def test_of_an_unknown_simulation_is_not_found(self, client):
        assert client.get("/simulations/nope/embedded/").status_code == 404


def test_previews_of_links_get_words_and_a_picture(client):
    html = client.get("/simulations/countdown/").content.decode()
    assert '<meta property="og:title" content="Countdown">' in html
    assert '<meta property="og:description" content="Count down to zero and end.">' in html
    assert f'<meta property="og:image" content="{HOST}/static/gallery/countdown.svg">' in html
