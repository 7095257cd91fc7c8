"""`/healthz`, `/readyz` and `/metrics` of a process that serves no pages, on a port of its own."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.wsgi import get_wsgi_application

PATHS = ("/healthz", "/readyz", "/metrics")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Whoever looks every ten seconds is not worth a line."""


def serve_operations(host: str, port: int) -> WSGIServer:
    """Answer on a thread until `shutdown` of what is returned.

    Raises:
        OSError: If nobody can listen there.
    """
    application = get_wsgi_application()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] not in PATHS:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Not here.\n"]
        return application(environ, start_response)

    server = make_server(host, port, answer, server_class=_Server, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="operations", daemon=True).start()
    return server
