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
        # What a command was told to be called.
        self._given_name = ""
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
        if self.is_guest:
            return self._random_name
        return self._given_name or conf().PROCESS or self._random_name

    def call(self, name: str) -> None:
        """Be called otherwise than the settings say."""
        self._given_name = name

    @property
    def id_prefix(self) -> str:
        """What the ids of this process's sessions begin with."""
        return f"{self.name}-" if self.has_others or conf().PROCESS else ""

    def __str__(self) -> str:
        """What people see: the name, the machine and the number of the process."""
        place = f"{socket.gethostname()}:{os.getpid()}"
        return f"{self.name} ({place})" if self.id_prefix else place


process = Process()


def name_in(process: str) -> str:
    """Return the name of a process from what people see of it; "" where it has none."""
    name, parenthesis, _place = process.partition(" (")
    return name if parenthesis else ""


# The ids of the sessions that are placed begin with it: no process has such a name.
PLACED_PREFIX = "_-"


def is_placed(session_id: str) -> bool:
    """Whether a session is run by whichever process has claimed it, which its id does not say."""
    return session_id.startswith(PLACED_PREFIX)


def process_of(session_id: str) -> str:
    """Return the name of the process that a session's id begins with; "" for one that is placed."""
    return "" if is_placed(session_id) else session_id.partition("-")[0]
