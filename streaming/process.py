"""What this process is called among the processes of its site."""

import os
import secrets
import socket

from django.conf import settings

from streaming.conf import conf
from streaming.layer import FRAMES_ALIAS


class Process:
    """The name, the incarnation and the id prefix of a process. On any thread."""

    def __init__(self) -> None:
        self._random_name = secrets.token_hex(4)
        # Tells this process from an earlier, or another, one of the same name.
        self.incarnation = secrets.token_hex(8)
        # Whether it is a command with a server's settings, which must not pass for that server.
        self.is_guest = False

    @property
    def has_others(self) -> bool:
        """Whether this site may have other processes."""
        return FRAMES_ALIAS in getattr(settings, "CHANNEL_LAYERS", {})

    @property
    def name(self) -> str:
        """What other processes call this one."""
        return self._random_name if self.is_guest else conf().PROCESS or self._random_name

    @property
    def id_prefix(self) -> str:
        """What the ids of this process's sessions begin with."""
        return f"{self.name}-" if self.has_others or conf().PROCESS else ""

    def __str__(self) -> str:
        """What people see: the name, the machine and the number of the process."""
        place = f"{socket.gethostname()}:{os.getpid()}"
        return f"{self.name} ({place})" if self.id_prefix else place


process = Process()


def process_of(session_id: str) -> str:
    """Return the name of the process that a session's id begins with."""
    return session_id.partition("-")[0]
