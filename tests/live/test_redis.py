"""With REDIS_URL, on a real redis-server."""

import asyncio
import gc
import json
import os
import shutil
import socket
import subprocess
import time

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streaming.cluster.broker import Broker
from tests.cluster import test_channel
from tests.cluster.test_channel import sent, site  # noqa: F401
from tests.servers import Server
from tests.visitor import Visitor

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [
        shutil.which("redis-server"),
        "--port",
        str(port),
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < deadline
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(10)


async def test_the_default_layer_passes_control_between_processes(redis_url, monkeypatch):
    """The class and the options that project/settings.py gives to it."""
    hosts = [{"address": redis_url, "socket_timeout": 5, "socket_connect_timeout": 5}]
    one, other = RedisPubSubChannelLayer(hosts=hosts), RedisPubSubChannelLayer(hosts=hosts)
    channel = await one.new_channel()
    await one.group_add("livestep.control", channel)
    await other.group_send("livestep.control", {"type": "session.stop"})
    event = await asyncio.wait_for(one.receive(channel), 5)
    assert event["type"] == "session.stop"
    await one.group_discard("livestep.control", channel)
    await one.flush()
    await other.flush()


@pytest.fixture
def layers(redis_url):
    """For the processes of `site`."""
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    return {
        alias: {"BACKEND": backend, "CONFIG": {"hosts": [redis_url], "prefix": f"livestep.{alias}"}}
        for alias in ("default", "frames")
    }


async def test_a_frame_is_sent_once_to_all_over_redis(site, sent):  # noqa: F811
    await test_channel.test_a_frame_is_sent_once_to_each_process_and_beyond_a_few_once_to_all(
        site, sent
    )


async def test_a_session_and_its_viewers_in_one_process_need_no_redis(redis_url, tmp_path):
    """Frames go through the layer in memory, so that they come even when Redis is away."""
    server = await asyncio.to_thread(Server, tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    try:
        async with connect(server.socket_url, subprotocols=["livestep.v1"]) as client:
            await client.send(json.dumps({"type": "start", "simulation": "countdown"}))
            while not isinstance(await asyncio.wait_for(client.recv(), 10), bytes):
                pass
    finally:
        server.stop()


@pytest.mark.celery
def test_who_sends_to_compute_machines_keeps_no_connection(redis_url, settings):
    """One that is kept may be cut while nothing is sent."""
    settings.LIVESTEP = {"BROKER_URL": redis_url}
    broker = Broker()
    broker.send("other", [("s0", "counter")])  # What is loaded for the first one stays open.
    before = open_files()
    broker.send("livestep", [("s1", "counter"), ("s2", "slow")])
    assert broker.length("livestep") == 2
    assert broker.length("none") == 0
    assert open_files() == before


def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


USER = """
from django.contrib.auth.models import User
User.objects.create_superuser("boss", password="boss-password")
"""


async def test_a_login_that_ends_in_one_process_closes_its_connections_to_another(
    redis_url, tmp_path
):
    one = await asyncio.to_thread(Server, tmp_path, REDIS_URL=redis_url, LIVESTEP_PROCESS="a")
    two = await asyncio.to_thread(Server, tmp_path, REDIS_URL=redis_url, LIVESTEP_PROCESS="b")
    one.manage("shell", "-v0", "-c", USER)
    try:
        visitor = Visitor(one)
        await asyncio.to_thread(visitor.log_in, "boss", "boss-password")
        key = visitor.cookie("sessionid")
        headers = {"Cookie": f"sessionid={key}"}
        protocols = ["livestep.v1"]
        async with connect(
            two.socket_url, subprotocols=protocols, additional_headers=headers
        ) as client:
            assert json.loads(await client.recv())["type"] == "hello"
            await asyncio.to_thread(visitor.post, "/admin/logout/")
            error = json.loads(await asyncio.wait_for(client.recv(), 10))
            assert error["message"] == "this login has ended"
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 4401
        for server in (one, two):
            assert key not in server.read_log()
    finally:
        one.stop()
        two.stop()
