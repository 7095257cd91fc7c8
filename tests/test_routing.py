import pytest

from streaming import routing
from streaming.routing import SameOriginValidator, is_allowed_origin


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


class TestRefusal:
    @pytest.fixture
    def open_from(self):
        async def open_from(origin):
            headers = [(b"origin", origin.encode()), (b"host", b"localhost:8000")]
            scope = {"type": "websocket", "path": "/ws", "scheme": "ws", "headers": headers}
            events = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006}]
            sent = []

            async def receive():
                return events.pop(0)

            async def send(event):
                sent.append(event["type"])

            await SameOriginValidator(None)(scope, receive, send)
            assert sent == ["websocket.close"]

        routing._warn_of_origin.cache_clear()
        return open_from

    async def test_is_logged_with_both_origins_and_the_setting(self, open_from, caplog):
        await open_from("https://lab.test")
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        for words in ("'https://lab.test'", "'http://localhost:8000'", "ALLOWED_ORIGINS"):
            assert words in record.getMessage()

    @pytest.mark.parametrize(
        ("origin", "host", "said"),
        [
            ("https://localhost", "localhost", "set ALLOWED_ORIGINS='https://localhost'"),
            ("https://localhost", "localhost", "X-Forwarded-Proto"),
            ("https://lab.test", "lab.test", "ALLOWED_HOSTS lacks"),
            ("http://lab.test", "localhost:8000", "proxy_set_header Host"),
            ("http://lab.test", "localhost:8000", "ALLOWED_ORIGINS lacks 'http://lab.test'"),
        ],
    )
    def test_says_what_has_to_be_another_way(self, origin, host, said):
        assert said in routing._advice(origin, f"http://{host}")

    async def test_is_logged_once_for_each_origin(self, open_from, caplog):
        """Its page tries again and again."""
        for origin in ("https://lab.test", "https://lab.test", "https://other.test"):
            await open_from(origin)
        assert len(caplog.records) == 2

    async def test_is_logged_in_one_line_of_bounded_length(self, open_from, caplog):
        await open_from("https://lab.test\n" + "x" * 10_000)
        assert "\n" not in caplog.text.strip()
        assert len(caplog.text) < 1000
