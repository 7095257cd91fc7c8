"""The user as which child processes run, where it is another than the server's."""

import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from streaming.engine.errors import EngineError

# To become another user and group, and to end what runs as one: bits of the kernel's sets.
CAPABILITIES = {"KILL": 5, "SETGID": 6, "SETUID": 7}


@dataclass(frozen=True, slots=True)
class OtherUser:
    """A user of this machine.

    Raises:
        EngineError: If there is no such user.
    """

    name: str

    def __post_init__(self) -> None:
        self._entry()

    def options(self) -> dict[str, Any]:
        """Return what `subprocess.Popen` has to be told to start a process as this user.

        Raises:
            EngineError: If this process may not; the sentence says what it lacks.
        """
        allowed = _effective_capabilities()
        missing = [name for name, bit in CAPABILITIES.items() if not allowed >> bit & 1]
        if missing:
            raise EngineError(
                f"PROCESS_USER: this server may not start processes as {self.name!r}; it lacks "
                f"the capabilities {', '.join(missing)}"
            )
        entry = self._entry()
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def variables(self) -> Mapping[str, str]:
        """Return what names the user in the environment."""
        return {"USER": self.name, "HOME": self._entry().pw_dir}

    def _entry(self) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(self.name)
        except KeyError as error:
            sentence = f"PROCESS_USER: this machine has no user {self.name!r}"
            raise EngineError(sentence) from error


def _effective_capabilities() -> int:
    with suppress(OSError), open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return -1 if os.geteuid() == 0 else 0
