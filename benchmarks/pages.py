"""Measures what a page takes of the processor: with Django's middleware in one thread, and without.

make bench-pages        writes benchmarks/pages.md, in half a minute

The requests go to the ASGI application itself: daphne's part is the same in both.
"""

import asyncio
import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.servers import ROOT

ROUNDS, REQUESTS = 9, 100
LAST = "streaming.web.middleware.in_one_thread"
Get = Callable[[str], Coroutine[Any, Any, bytes]]


def prepare(folder: str) -> None:
    """Set Django up in this process, with a database and static files of its own."""
    os.environ |= {"VAR_DIR": folder, "DJANGO_SETTINGS_MODULE": "project.settings"}
    for step in ("migrate", "collectstatic --noinput"):
        command = [sys.executable, "manage.py", *step.split(), "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, check=True)


def site(*, in_one_thread: bool) -> Get:
    """Return what gets a page from the site, whole, with or without that middleware."""
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    before = settings.MIDDLEWARE
    settings.MIDDLEWARE = [name for name in before if in_one_thread or name != LAST]
    application = get_asgi_application()
    settings.MIDDLEWARE = before

    async def get(path: str) -> bytes:
        requests = asyncio.Queue[dict[str, Any]]()
        requests.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope: Any = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "headers": [(b"host", b"localhost"), (b"accept-encoding", b"gzip")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        await application(scope, requests.get, send)  # type: ignore[arg-type]  # asgiref's own types
        assert sent[0]["status"] == 200, (path, sent[0])
        return b"".join(message.get("body", b"") for message in sent)

    return get


async def cost(get: Get, path: str) -> float:
    """The processor time of a request, in ms."""
    began = time.process_time()
    for _ in range(REQUESTS):
        await get(path)
    return (time.process_time() - began) * 1000 / REQUESTS


async def measure() -> list[str]:
    ours, without = site(in_one_thread=True), site(in_one_thread=False)
    page = (await ours("/simulations/tour/")).decode()
    script = re.search(r"/static/streaming/live-step\.\w+\.js", page)
    assert script is not None
    rows = []
    for name, path in (
        ("`/healthz`", "/healthz"),
        ("the gallery, `/`", "/"),
        ("a simulation's page", "/simulations/tour/"),
        ("a static file", script[0]),
    ):
        rounds = [(await cost(without, path), await cost(ours, path)) for _ in range(ROUNDS)]
        before, now = map(statistics.median, zip(*rounds, strict=True))
        ratio = statistics.median(mine / theirs for theirs, mine in rounds)
        rows.append(f"| {name} | {before:.1f} | {now:.1f} | {ratio:.2f} |")
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        rows = "\n".join(asyncio.run(measure()))
    text = f"""# What a page takes

{datetime.date.today()}, Python {platform.python_version()}, {os.cpu_count()} cores, \
load {os.getloadavg()[0]:.1f}. Made by `make bench-pages`.

Processor time of a request in ms, medians of {ROUNDS} rounds of {REQUESTS} requests each, in \
turn: without and with `{LAST}` as the last of MIDDLEWARE. Daphne's part is in neither.

| | each waits for a thread | in one thread | ratio |
| --- | --- | --- | --- |
{rows}
"""
    (ROOT / "benchmarks" / "pages.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
