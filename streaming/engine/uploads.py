"""The files among a session's parameters, on disk while its steps are taken."""

import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streaming.engine.params import Upload

# What a name may keep of the one that the file had; its ending says what is in it.
UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)
MAX_NAME = 100
# What other users may do with a folder and a file: whoever knows the path may read. The server may
# have no right to give files away, so this is how a child of another user gets them: the folder
# cannot be listed, and the path has a random part of 128 bits.
ENTERED, READ = 0o711, 0o644


@dataclass(frozen=True, slots=True)
class Placed:
    """A file on this machine's disk, in the place of an `Upload`. Any process that is told its path
    may read it."""

    path: Path
    as_path: bool

    def given(self) -> Path | bytes:
        """Return what the step gets. Reads the file."""
        return self.path if self.as_path else self.path.read_bytes()


class UploadFolder:
    """Puts the files of one session into a folder of their own, which `close` deletes.

    One that a child process cannot: it may be killed.

    Args:
        for_another_user: Whether the steps are taken by a process of another user.
    """

    def __init__(self, *, for_another_user: bool = False) -> None:
        self._is_open = for_another_user
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._placed: dict[Upload, Placed] = {}

    def place(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters with each file on the disk.

        Raises:
            OSError: If there is no room for one.
        """
        return {
            name: self._place(value) if isinstance(value, Upload) else value
            for name, value in params.items()
        }

    def close(self) -> None:
        if self._folder is not None:
            with suppress(OSError):
                self._folder.cleanup()
            self._folder = None

    def _place(self, upload: Upload) -> Placed:
        if upload not in self._placed:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="livestep-")
                self._open(Path(self._folder.name), ENTERED)
            name = UNSAFE.sub("_", upload.name)[-MAX_NAME:].lstrip(".") or "file"
            # A folder for each, since two may have one name.
            folder = Path(self._folder.name) / secrets.token_hex(16)
            folder.mkdir()
            self._open(folder, ENTERED)
            path = folder / name
            path.write_bytes(upload.content)
            self._open(path, READ)
            self._placed[upload] = Placed(path, upload.as_path)
        return self._placed[upload]

    def _open(self, path: Path, mode: int) -> None:
        if self._is_open:
            path.chmod(mode)  # Whatever the umask says.


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as the step gets them."""
    return {
        name: value.given() if isinstance(value, Placed) else value
        for name, value in params.items()
    }
