import pytest
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.management.base import CommandError
from servestatic.middleware import ServeStaticMiddleware

from streaming.management.application import served_application
from streaming.runtime import runtime


class OwnServeStatic(ServeStaticMiddleware):
    pass


async def application(scope, receive, send):
    """A project's own."""


@pytest.fixture(autouse=True)
def _project(settings):
    settings.ASGI_APPLICATION = f"{__name__}.application"


@pytest.fixture
def warnings():
    return []


class TestApplication:
    @pytest.mark.parametrize(
        ("path", "said"),
        [
            (None, "ASGI_APPLICATION is not set: expected the application in asgi.py"),
            ("nowhere.application", "'nowhere.application' cannot be imported: No module named"),
            (f"{__name__}.nothing", 'does not define a "nothing" attribute/class.'),
        ],
    )
    def test_that_is_not_there_is_said_in_a_sentence(self, settings, warnings, path, said):
        settings.ASGI_APPLICATION = path
        with pytest.raises(CommandError) as caught:
            served_application(warnings.append)
        assert said in str(caught.value)
        assert caught.value.returncode == 2

    def test_that_is_not_set_at_all_is_said_in_a_sentence(self, settings, warnings):
        del settings.ASGI_APPLICATION
        with pytest.raises(CommandError, match="ASGI_APPLICATION is not set"):
            served_application(warnings.append)


class TestStaticFiles:
    def test_are_served_while_debugging_as_by_runserver(self, settings, warnings):
        settings.DEBUG = True
        assert isinstance(served_application(warnings.append), ASGIStaticFilesHandler)
        assert warnings == []

    def test_without_the_app_staticfiles_need_another_even_while_debugging(
        self, settings, warnings
    ):
        settings.DEBUG = True
        without = [app for app in settings.INSTALLED_APPS if not app.endswith(".staticfiles")]
        pool = runtime.pool
        settings.INSTALLED_APPS = without
        served_application(warnings.append)
        assert len(warnings) == 1
        assert runtime.pool is pool, "the sessions of before are those of now"

    def test_that_nothing_serves_are_said(self, settings, warnings):
        served_application(warnings.append)
        assert warnings == [
            "Nothing in MIDDLEWARE serves static files, and without them no player works: have "
            "ServeStatic, WhiteNoise or the proxy in front serve /static/."
        ]

    @pytest.mark.parametrize(
        "name", ["servestatic.middleware.ServeStaticMiddleware", f"{__name__}.OwnServeStatic"]
    )
    def test_of_a_middleware_are_left_to_it(self, settings, warnings, name):
        settings.DEBUG = True
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, name]
        assert served_application(warnings.append) is application
        assert warnings == []

    def test_of_another_host_are_left_to_it(self, settings, warnings):
        settings.STATIC_URL = "https://cdn.example/static/"
        served_application(warnings.append)
        assert warnings == []
