"""`manage.py serve my_sim.py --reload`, as an author uses it: edit, save, look at the picture."""

import time

import pytest

from tests.engine.running import gone
from tests.live.clients import clients_of
from tests.live.test_engines import descendants
from tests.servers import Server

FIRST = """
from streaming import Context, simulation


@simulation
def mine(ctx: Context, size: int = 3):
    while True:
        yield f"<svg><text>first {size}</text></svg>"
        ctx.sleep(0.01)
"""
SECOND = FIRST.replace("first", "again")  # As long, and perhaps saved in the same second.
BROKEN = FIRST.replace("while True:", "while True")
MISTAKE = "my_sim.py:7: SyntaxError: expected ':'"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "my_sim.py"
    path.write_text(FIRST)
    return path


@pytest.fixture
def serve(start_server, path):
    """Serve the file with --reload; the end of the test is that of the server, and a clean one."""
    servers = []

    def reloading(folder, **environment):
        return Server(folder, str(path), "--reload", **environment)

    def serve(**environment):
        servers.append(start_server(reloading, SIMULATIONS="", **environment))
        return servers[-1]

    yield serve
    for server in servers:
        children = descendants(server.process.pid)
        assert server.stop() == 0
        assert gone(*children)


async def picture(client, text):
    """Wait for a frame that shows a text."""
    while not (client.frames and text in client.frames[-1]["svg"]):
        await client.receive()


async def moved(client):
    """Wait until the session was started anew, and go there as the page does."""
    notice = await client.until(type="notice", code="reloaded")
    watching = await client.watch(notice["session"], token=client.token)
    assert watching["can_control"]
    return notice


async def started(client, **fields):
    await client.send("start", simulation="mine", params={"size": 5}, **fields)
    answer = await client.until(type="started")
    client.token = answer["token"]
    return answer["session"]


@pytest.mark.parametrize("engine", ["thread", "process"])
class TestSaved:
    async def test_shows_the_new_code_with_the_same_parameters(self, serve, path, engine):
        server = serve(LIVESTEP_ENGINE=engine)
        async with clients_of(server) as client_of:
            driver = await client_of()
            former = await started(driver)
            await picture(driver, b"first 5")
            processes = descendants(server.process.pid)
            if engine == "process":  # The fork server and its child: others take their place.
                assert len(processes) == 2
            path.write_text(SECOND)
            notice = await moved(driver)
            assert notice["message"] == "my_sim.py was saved: the session was started anew."
            await picture(driver, b"again 5")
            assert gone(*processes)
            late = await client_of()
            await late.watch(former)
            assert (await late.until(type="session"))["stop"]["by"] == "reload"
            assert (await late.until(type="notice"))["session"] == notice["session"]

    async def test_a_mistake_is_said_and_the_session_goes_on_until_it_is_mended(
        self, serve, path, engine
    ):
        server = serve(LIVESTEP_ENGINE=engine)
        async with clients_of(server) as client_of:
            driver = await client_of()
            session = await started(driver)
            await picture(driver, b"first 5")
            path.write_text(BROKEN)
            notice = await driver.until(type="notice")
            assert notice["code"] == "reload_failed"
            assert notice["message"].startswith(MISTAKE)
            driver.frames.clear()
            await picture(driver, b"first 5")
            late = await client_of()
            await late.watch(session)
            assert (await late.until(type="notice")) == notice
            path.write_text(SECOND)
            await moved(driver)
            await picture(driver, b"again 5")
        assert MISTAKE in server.read_log()
        assert "Traceback" not in server.read_log()


class TestEnd:
    def test_a_file_that_never_ends_loading_does_not_keep_the_server(self, serve, path):
        """`serve` stops it, and sees to a clean end."""
        serve()
        loading = path.with_name("loading")
        path.write_text(
            f"import pathlib, time\npathlib.Path({str(loading)!r}).touch()\n"
            "while True:\n    time.sleep(1)\n"
        )
        deadline = time.monotonic() + 10
        while not loading.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
