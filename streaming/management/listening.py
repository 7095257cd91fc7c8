"""Listening sockets, made before the server runs: daphne only logs that it could not."""

import errno
import socket

from django.core.management.base import CommandError

# So many connections wait while the loop is busy.
BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        CommandError: If it cannot be had; the sentence says why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        reason = (
            "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror
        )
        raise CommandError(f"Cannot listen on {host}, port {port}: {reason}.") from error
    return listener
