"""A whole site for a test, and clients of its processes."""

import asyncio
import json
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from websockets.asyncio.client import connect, unix_connect

from development.cluster import Cluster
from development.parts import Postgres
from tests.live.clients import Client
from tests.servers import ROOT, clean_environment

SAMPLES = str(ROOT / "tests" / "samples" / "simulations.py")


@contextmanager
def running_postgres():
    """Have a PostgreSQL in this block."""
    # The user that PostgreSQL runs as, where we are root, may not enter pytest's folders.
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        postgres = Postgres(Path(folder))
        postgres.start()
        yield postgres
        postgres.stop()


def make_cluster(computes=0, **environment):
    """Make a site with the samples beside the gallery; it is still to be started."""
    given = {"SIMULATIONS": SAMPLES, "LIVESTEP_STOP_GRACE": "0.3", **environment}
    return Cluster(environment=clean_environment(**given), computes=computes)


@asynccontextmanager
async def clients_of(cluster):
    """Give what opens a client of one process, or through nginx."""
    async with AsyncExitStack() as stack:

        async def open_client(name=None, query="", additional_headers=None, **options):
            how = {
                "subprotocols": ["livestep.v1"],
                "max_queue": None,
                "close_timeout": 1,
                "additional_headers": additional_headers,
            }
            if name is None:
                opening = connect(f"{cluster.url.replace('http', 'ws')}/ws{query}", **how)
            else:
                path = str(cluster.processes[name].socket_path)
                opening = unix_connect(path, f"ws://localhost/ws{query}", **how)
            client = Client(await stack.enter_async_context(opening), **options)
            assert (await client.receive())["type"] == "hello"
            return client

        yield open_client


@asynccontextmanager
async def reading(client):
    """Have a client read meanwhile, and keep all its messages in the list that is given."""
    messages = []

    async def read():
        while True:
            content = await client.socket.recv()
            if isinstance(content, str):
                messages.append(json.loads(content))
            else:
                frame = json.loads(content.partition(b"\n")[0])
                messages.append(frame)
                await client.send("ack", seq=frame["seq"])

    task = asyncio.create_task(read())
    try:
        yield messages
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fetch(cluster, path, *, process=None, **headers):
    """Ask over HTTP: one process, or whichever nginx chooses. Returns status and body. Blocks."""
    request = urllib.request.Request(f"{cluster.url}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status, response.read()


def manage(cluster, *command):
    """Run manage.py with the site's settings; returns what it said. Blocks."""
    process = cluster.manage(*command, stdout=-1, stderr=-1)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out


def shell(cluster, code):
    """Run Python with the site's settings; returns what it printed. Blocks."""
    return manage(cluster, "shell", "-v", "0", "-c", code).strip()
