import pytest

from streaming.routing import is_allowed_origin


def allowed(origin, host="localhost:8000", scheme="ws", **headers):
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return is_allowed_origin(origin, {b"host": host, **named}, scheme)


class TestOrigin:
    def test_the_sites_own_is_accepted(self):
        assert allowed("http://localhost:8000")
        assert allowed("http://localhost", "localhost:80")
        assert allowed("https://localhost", "localhost", "wss")

    def test_a_client_without_origin_is_accepted(self):
        assert allowed(None)

    @pytest.mark.parametrize(
        "origin",
        [
            "http://localhost:8001",
            "https://localhost:8000",
            "http://evil.test:8000",
            "null",
            "",
            "localhost:8000",
            "http://",
            "http://localhost:8000.evil.test",
            "http://localhost:99999",
            "file://localhost:8000",
            "http://evil@localhost:8000",
            "http://localhost:8000/path",
        ],
    )
    def test_a_foreign_one_is_refused(self, origin):
        assert not allowed(origin)

    def test_a_name_that_an_attacker_points_here_is_refused(self):
        """DNS rebinding: the page's origin is the Host header's, but neither is ours."""
        assert not allowed("http://evil.test:8000", "evil.test:8000")

    def test_allowed_origins_are_accepted_with_scheme_and_port(self, settings):
        settings.LIVESTEP = {"ALLOWED_ORIGINS": ["https://lab.test"]}
        assert allowed("https://lab.test")
        assert allowed("https://LAB.test:443")
        assert not allowed("http://lab.test")
        assert not allowed("https://lab.test:8443")

    def test_the_proxys_scheme_counts_when_the_settings_trust_it(self, settings):
        assert not allowed("https://localhost", "localhost", x_forwarded_proto="https")
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert allowed("https://localhost", "localhost", x_forwarded_proto="https")
