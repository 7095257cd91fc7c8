"""What a driver does on the picture, over the wire."""

import pytest

from streaming.delivery.allowance import MESSAGE_BURST, POINTER_BURST
from tests.web.consumer.test_livestep import text_of


@pytest.fixture
async def driver(connect):
    """A client whose simulation asks for what it does on the picture."""
    client = await connect()
    client.session = (await client.start("sketch", fps=60))["session"]
    await client.until(type="session", input=True)
    return client


async def drawn(client, text):
    while text_of(await client.frame()) != text:
        pass


async def said_until(client, answer):
    """The types of what is said up to a `pong`, or another answer."""
    said = []
    while not said or said[-1]["type"] != answer:
        said.append(await client.receive())
    return {message["type"] for message in said}


class TestPointer:
    async def test_comes_to_the_simulation_without_an_answer(self, driver):
        await driver.send("pointer", kind="down", x=1, y=2, target="a", id="p")
        await driver.send("ping")
        assert await said_until(driver, "pong") <= {"session", "pong"}
        await drawn(driver, "down:1,2:a")

    async def test_of_a_viewer_is_ignored(self, driver, connect):
        viewer = await connect()
        await viewer.ask("watch", session=driver.session)
        await viewer.send("pointer", kind="down", x=9, y=9)
        await viewer.send("ping")
        assert await said_until(viewer, "pong") <= {"session", "pong"}
        await driver.send("pointer", kind="up", x=1, y=1)
        await drawn(driver, "up:1,1:None")

    async def test_to_a_simulation_that_does_not_ask_for_it_is_ignored(self, connect):
        client = await connect()
        await client.start("counter")
        assert (await client.until(type="session"))["input"] is False
        await client.send("pointer", kind="down", x=1, y=1)
        await client.send("ping")
        assert await said_until(client, "pong") <= {"session", "pong"}

    async def test_with_no_session_is_ignored(self, connect):
        client = await connect()
        await client.send("pointer", kind="down", x=1, y=1)
        await client.send("ping")
        assert await said_until(client, "pong") <= {"session", "pong"}

    async def test_that_is_malformed_is_a_mistake(self, driver):
        assert (await driver.ask("pointer", kind="down", x="1", y=1))["code"] == "bad_message"

    async def test_does_not_count_as_one_of_the_30_messages(self, driver):
        for x in range(int(POINTER_BURST)):
            await driver.send("pointer", kind="move", x=x, y=0)
        for _ in range(int(MESSAGE_BURST) - 5):
            await driver.send("visibility", visible=True)
        await driver.send("ping")
        assert await said_until(driver, "pong") <= {"session", "pong"}

    async def test_floods_of_moves_are_dropped(self, driver):
        for x in range(5 * int(POINTER_BURST)):
            await driver.send("pointer", kind="move", x=x, y=0)
        await driver.send("stop")
        assert await said_until(driver, "ok") <= {"session", "ok"}

    async def test_floods_of_presses_are_too_many_messages(self, driver):
        for _ in range(2 * int(POINTER_BURST + MESSAGE_BURST)):
            await driver.send("pointer", kind="down", x=0, y=0)
        assert (await driver.until(type="error"))["code"] == "too_many_messages"
