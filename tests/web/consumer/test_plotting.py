"""What a session plots, over the WebSocket: to its driver, to viewers, and to late ones."""

import pytest


@pytest.mark.parametrize("engine", ["thread", "process"])
async def test_every_viewer_is_told_all_of_it(connect, engine):
    client = await connect()
    started = await client.start("plotting", params={"steps": 3, "then": "wait"}, engine=engine)
    rows = await rows_of(client)
    assert rows["loss"] == {1: 1.0, 2: 0.5, 3: 1 / 3}
    assert rows["accuracy"] == {1: 1.0, 2: None, 3: 3.0}
    assert rows["rare"] == {2: 2.0}
    late = await connect()
    await late.ask("watch", session=started["session"])
    assert await rows_of(late) == rows
    await client.ask("stop")
    await client.until(type="session", state="stopped")
    latest = await connect()
    await latest.ask("watch", session=started["session"])
    assert await rows_of(latest) == rows


async def rows_of(client):
    """Return the lines once the third step of each of them was told."""
    lines = {}
    while 3 not in lines.get("loss", {}) or 3 not in lines["accuracy"] or "rare" not in lines:
        message = await client.until(type="series")
        for step, *values in message["points"]:
            for name, value in zip(message["names"], values, strict=True):
                lines.setdefault(name, {})[step] = value
    return lines
