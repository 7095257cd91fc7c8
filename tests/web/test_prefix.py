"""A site that is not at the root of its host, behind a proxy that takes the prefix away or not."""

import pytest
from django.urls import set_script_prefix

from streaming.routing import websocket_urlpatterns

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def at_lab(settings):
    settings.FORCE_SCRIPT_NAME = "/lab"
    set_script_prefix("/lab/")  # As Django's handler does, but not that of the tests.
    yield
    set_script_prefix("/")


@pytest.mark.usefixtures("at_lab")
@pytest.mark.parametrize("path", ["/", "/simulations/tour/", "/element/"])
async def test_every_address_in_a_page_has_it(async_client, path):
    for asked in (path, f"/lab{path}"):
        page = (await async_client.get(asked)).content.decode()
        assert 'src="/lab/ws"' in page
        assert 'src="/ws"' not in page
        assert 'href="/lab/' in page


@pytest.mark.usefixtures("at_lab")
async def test_a_login_leads_back_to_it(async_client, settings):
    settings.LIVESTEP = {"LOGIN_REQUIRED": True}
    for asked in ("/simulations/tour/?a=1", "/lab/simulations/tour/?a=1"):
        address = (await async_client.get(asked))["Location"]
        assert address == "/lab/admin/login/?next=/lab/simulations/tour/%3Fa%3D1"


@pytest.mark.parametrize(
    ("path", "is_known"), [("ws", True), ("lab/ws", True), ("a/b/ws", True), ("news", False)]
)
def test_the_websocket_is_found_with_it_and_without(path, is_known):
    endpoint, _others = websocket_urlpatterns
    assert bool(endpoint.pattern.match(path)) is is_known
