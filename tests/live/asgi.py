"""Applications that behave badly, on our server: `python -m tests.live.asgi`.

Not the site: what the server promises, it promises to any ASGI application.
"""

import asyncio
import contextlib
import os
import socket
import sys

import django
from daphne.endpoints import build_endpoint_description_strings

BLOCK = bytes(100_000)


async def application(scope, receive, send):
    await {
        "/raises": raises,
        "/deaf": is_deaf,
        "/pushes": pushes,
        "/streams": streams,
        "/breaks": breaks,
        "/clings": clings,
        "/echo": echo,
    }[scope["path"]](receive, send)


async def accept(receive, send):
    await receive()
    await send({"type": "websocket.accept"})


async def raises(receive, send):
    await accept(receive, send)
    await receive()
    raise ZeroDivisionError("the secret of the application")


async def is_deaf(receive, send):
    """Never ask for what the client sends."""
    await accept(receive, send)
    await asyncio.Event().wait()


async def pushes(receive, send):
    """Send half a gigabyte."""
    await accept(receive, send)
    await push_on(lambda: send({"type": "websocket.send", "bytes": BLOCK}))


async def streams(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await push_on(lambda: send({"type": "http.response.body", "body": BLOCK, "more_body": True}))


async def breaks(receive, send):
    """Fail in the middle of a response."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ZeroDivisionError("the secret of the response")


async def push_on(push):
    for number in range(5000):
        await push()
        if number % 10 == 0:
            await asyncio.sleep(0)


async def clings(receive, send):
    """Take a cancellation for nothing, for a while."""
    await accept(receive, send)
    await send({"type": "websocket.send", "text": "here"})
    for _ in range(20):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)


async def echo(receive, send):
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from streaming.server.daphne import leave, server_class

    listener = socket.create_server(("127.0.0.1", 0))
    place = f"at {listener.getsockname()[1]}\n"
    server_class()(
        application=application,
        # Twisted takes a copy of the descriptor and closes this one.
        endpoints=build_endpoint_description_strings(file_descriptor=listener.detach()),
        ready_callable=lambda: sys.stdout.write(place),
        verbosity=0,
    ).run()
    leave()
    sys.exit(0)
