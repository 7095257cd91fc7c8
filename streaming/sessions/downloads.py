"""The files that sessions have saved: on the disk, until an hour after a session's end.

Each session has a folder of its own, named by its id, in one folder of the site. All processes that
share that folder give out what is in it, and remove what is old.
"""

import asyncio
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from streaming.conf import conf
from streaming.sessions.rows import KEEP_S

logger = logging.getLogger(__name__)

LOOK_S = 60.0
# A folder that was not touched for so long is that of a session which has ended: those of sessions
# that go on are touched at each look.
ENDED_AFTER_S = 2.5 * LOOK_S
# All sessions of the site together.
MOST_BYTES = 1024**3
# What a file, and a folder, takes of a disk at least.
BLOCK_BYTES = 4096
PART = ".part"
# In FILES_DIR: what is old in there is removed, and nothing else.
FOLDER = "livestep-saved"


class Downloads:
    """Keeps the files, gives them out, and removes them. On any thread, but for `start` and `stop`,
    which are the event loop's."""

    def __init__(self) -> None:
        # Guards the folder against two that write or remove, and what follows.
        self._lock = threading.Lock()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        # What the folder takes: as it was looked at last, and what was saved since.
        self._used = 0
        self._looking: asyncio.Task[None] | None = None

    def start(self, going: Callable[[], Iterable[str]]) -> None:
        """Look after the folder every minute.

        Args:
            going: Returns the ids of this process's sessions that go on.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(going), name="downloads")

    def stop(self) -> None:
        """Look after it no longer. A folder of this process's own is removed."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        with self._lock:
            if self._temporary is not None:
                self._temporary.cleanup()
                self._temporary = None

    def keep(self, session_id: str, name: str, content: bytes) -> None:
        """Keep a file of a session, over one that has the same name. Both are safe in a path.

        Raises:
            OSError: If there is no room, or it cannot be written.
        """
        with self._lock:
            folder = self._folder(create=True) / session_id
            size = _on_disk(len(content)) + (0 if folder.is_dir() else BLOCK_BYTES)
            if self._used + size > MOST_BYTES:
                # More than this one needs, or the next would have to look again.
                self._remove_old(min(0.9 * MOST_BYTES, MOST_BYTES - size))
            if self._used + size > MOST_BYTES:
                raise OSError("the server keeps as many files as it may: try again later")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whoever downloads gets all of the former file or all of the new one.
            part = folder / PART
            try:
                part.write_bytes(content)
                part.replace(folder / name)
            except OSError:
                with suppress(OSError):
                    part.unlink()
                raise
            self._used += size

    def open(self, session_id: str, name: str) -> BinaryIO:
        """Open a file that a session has saved.

        Raises:
            OSError: If it is not here.
        """
        return (self._folder() / session_id / name).open("rb")

    def look(self, going: Iterable[str]) -> None:
        """Touch the folders of sessions that go on, and remove those that are old. Blocks."""
        with self._lock:
            for session_id in going:
                with suppress(OSError):  # Most sessions save nothing.
                    os.utime(self._folder() / session_id)
            self._remove_old(MOST_BYTES)

    async def _look_on(self, going: Callable[[], Iterable[str]]) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look, list(going()))
            except Exception:
                # The system has no descriptor or no thread to give: it may have one the next time.
                logger.exception("the saved files could not be looked after")
            await asyncio.sleep(LOOK_S)

    def _folder(self, *, create: bool = False) -> Path:
        if conf().FILES_DIR:
            return Path(conf().FILES_DIR) / FOLDER
        if self._temporary is None and create:
            self._temporary = tempfile.TemporaryDirectory(prefix="livestep-files-")
        return Path(self._temporary.name if self._temporary else os.devnull)

    def _remove_old(self, most: float) -> None:
        """Remove what was kept for an hour, and what is oldest where all takes more than `most`."""
        now = time.time()
        folders = sorted(_folders_in(self._folder()))
        self._used = sum(size for _, size, _ in folders)
        for changed, size, folder in folders:
            age = now - changed
            if age > KEEP_S + LOOK_S or (self._used > most and age > ENDED_AFTER_S):
                shutil.rmtree(folder, ignore_errors=True)
                self._used -= size


def _folders_in(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield each session's folder, with when it was changed or touched and what it takes."""
    for name in os.listdir(folder) if folder.is_dir() else ():
        with suppress(OSError):  # Another process may have removed it.
            sizes = [_on_disk(file.stat().st_size) for file in (folder / name).iterdir()]
            changed = (folder / name).stat().st_mtime
            yield changed, BLOCK_BYTES + sum(sizes), folder / name


def _on_disk(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


downloads = Downloads()
