import pytest
from channels.exceptions import ChannelFull

from streaming.layer import LocalChannelLayer


@pytest.fixture
def layer():
    return LocalChannelLayer()


async def test_every_member_of_a_group_gets_an_event_in_order(layer):
    one, two = await layer.new_channel(), await layer.new_channel()
    for channel in (one, two):
        await layer.group_add("g", channel)
    await layer.group_send("g", {"type": "a"})
    await layer.group_send("g", {"type": "b"})
    for channel in (one, two):
        assert [(await layer.receive(channel))["type"] for _ in "ab"] == ["a", "b"]
    assert layer.channels == {}


async def test_who_left_gets_nothing(layer):
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    await layer.group_discard("g", channel)
    await layer.group_send("g", {"type": "a"})
    assert layer.channels == {}
    assert layer.groups == {}


async def test_a_reader_that_stalls_is_bounded_and_keeps_its_subscription(layer):
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    for number in range(500):
        await layer.group_send("g", {"type": "a", "number": number})
    with pytest.raises(ChannelFull):
        await layer.send(channel, {"type": "a"})
    assert [(await layer.receive(channel))["number"] for _ in range(100)] == list(range(100))
    await layer.group_send("g", {"type": "again"})
    assert (await layer.receive(channel))["type"] == "again"


async def test_names_are_checked(layer):
    with pytest.raises(TypeError):
        await layer.group_send("not a name!", {"type": "a"})


async def test_a_subscriber_has_each_event_as_it_is_published(layer):
    seen = []
    layer.subscribe("g", seen.append)
    await layer.group_send("g", {"type": "a"})
    layer.publish("g", {"type": "b"})
    layer.unsubscribe("g", seen.append)
    layer.publish("g", {"type": "c"})
    assert [event["type"] for event in seen] == ["a", "b"]
    assert layer._subscribers == {}


async def test_a_subscriber_may_leave_while_an_event_is_given_out(layer):
    seen = []

    def leave(event):
        seen.append(event)
        layer.unsubscribe("g", leave)

    layer.subscribe("g", leave)
    layer.subscribe("g", seen.append)
    layer.publish("g", {"type": "a"})
    assert len(seen) == 2
