"""Pages in a real Chromium, which fail their test when the console says anything."""

import re
import time

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.hands import HoldingServer
from tests.conftest import CHROMIUM

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
expect.set_options(timeout=20_000)

# After this, a page that waits for nothing has painted without what is late.
LATE_S = 0.3
# Counts the object URLs that are alive.
COUNT_URLS = """
window.urlsAlive = 0;
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (...a) => { window.urlsAlive += 1; return createObjectURL(...a); };
URL.revokeObjectURL = (url) => { if (url) window.urlsAlive -= 1; revokeObjectURL(url); };
"""

# The step of the frame that was painted last.
KEEP_STEP = """
document.addEventListener("frame", (event) => { window.stepPainted = event.detail.step; }, true);
"""

# What the browser says of Django's login page where a test fills it in at once.
QUICKER_THAN_AUTOFOCUS = "Autofocus processing was blocked"

# At full speed, the server would take the processor from the browser that is looked at.
CALM = """
try { localStorage["live-step-speed:ising"] ??= "40"; } catch { /* It keeps nothing. */ }
"""

STOP = """() => Promise.all(
  [...document.querySelectorAll("live-step")].map((player) => player.stop?.().catch(() => {})))"""


# Not for the whole run: while it is open, Playwright's loop runs on this thread, and the
# asynchronous tests could not have theirs.
@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, server, request):
    """Open a page in a browser of its own. What a test's mark `complains` describes may be said."""
    contexts, complaints = [], []

    def open_page(path="/", **options):
        context = chromium.new_context(base_url=server.url, **options)
        context.set_default_timeout(15_000)
        context.add_init_script(COUNT_URLS)
        context.add_init_script(KEEP_STEP)
        context.add_init_script(CALM)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    said = [text for text in complaints if QUICKER_THAN_AUTOFOCUS not in text]
    for context in contexts:
        for page in context.pages:
            # Abandoned, it would take the processor from the next test for a while.
            page.evaluate(STOP)
        context.close()
    mark = request.node.get_closest_marker("complains")
    assert [text for text in said if not (mark and re.search(mark.args[0], text))] == []


@pytest.fixture
def open_held(open_page):
    """Open a simulation's page in front of a server that only does what a test says."""

    servers = []

    def open_held(path="/simulations/ising/", late=None, **options):
        page = open_page("about:blank", **options)
        server = HoldingServer(page)
        servers.append(server)
        if late:
            page.route(re.compile(late), come_late)
        page.goto(path)
        expect(page.locator("live-step")).to_have_attribute("status", "live")
        return page, server

    yield open_held
    # Pages are asked to stop before they are closed, and wait for the answer.
    for server in servers:
        server.is_holding = False


def come_late(route):
    time.sleep(LATE_S)  # While the browser does what it would do without it.
    route.continue_()


@pytest.fixture
def page_of(chromium):
    """Open a file; fails the test when the page complains or asks for another address."""
    contexts, complaints, asked = [], [], []

    def page_of(path, *, scripted=None, **options):
        context = chromium.new_context(**{"reduced_motion": "reduce", **options})
        context.set_default_timeout(15_000)
        context.add_init_script(COUNT_URLS)
        if scripted:
            context.add_init_script(scripted)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"file://{path}")
        return page

    yield page_of
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "blob"}


USERS = """
from django.contrib.auth.models import Permission, User
User.objects.create_superuser("boss", password="boss-password")
eve = User.objects.create_user("eve", password="eve-password", is_staff=True)
eve.user_permissions.add(Permission.objects.get(codename="view_streamsession"))
"""


@pytest.fixture(scope="session")
def users(server):
    server.manage("shell", "-v0", "-c", USERS)
