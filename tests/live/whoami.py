"""The site with an application that tells each client how the server sees it."""

import json

from project.settings import *  # noqa: F403

ASGI_APPLICATION = "tests.live.whoami.application"


async def application(scope, receive, send):
    seen = {name: scope[name] for name in ("client", "scheme", "root_path")}
    text = json.dumps({**seen, "headers": {k.decode(): v.decode() for k, v in scope["headers"]}})
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close", "code": 1000})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})
