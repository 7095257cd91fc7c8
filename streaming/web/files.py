"""The files that clients send before a `start`: bounded for each connection, and all together.

On the event loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from streaming.delivery.protocol import FilePart
from streaming.engine.errors import TooLarge, Unavailable, WrongState
from streaming.engine.params import MAX_FILE_BYTES, Upload

# What one connection may hold, and all of this process together.
MOST_FILES = 4
BYTES_TOGETHER = 64 * 1024 * 1024


@dataclass
class Incoming:
    """One file, as far as it has come."""

    name: str
    content: bytearray = field(default_factory=bytearray)
    is_whole: bool = False


class Files:
    """The files of one connection, by the parameter that each is for. They stay until it ends, so
    that a session can be started with them again."""

    # What all connections hold, in bytes.
    held = 0

    def __init__(self) -> None:
        self._files: dict[str, Incoming] = {}

    def take(self, part: FilePart) -> None:
        """Add a part.

        Raises:
            TooLarge: If the file, or all of them, would be too large.
            WrongState: If it is no part of a file that was begun.
            Unavailable: If other connections hold too much.
        """
        if part.is_first:
            self.drop(part.param)
            if len(self._files) >= MOST_FILES:
                raise TooLarge(_("at most %(most)d files can be sent") % {"most": MOST_FILES})
            self._files[part.param] = Incoming(part.name)
        incoming = self._files.get(part.param)
        if incoming is None or incoming.is_whole or incoming.name != part.name:
            raise WrongState(_("this is no part of a file that was begun: send it from its first"))
        if len(incoming.content) + len(part.content) > MAX_FILE_BYTES:
            self.drop(part.param)
            said = _("a file may have %(most)s bytes, and this one has more")
            raise TooLarge(said % {"most": f"{MAX_FILE_BYTES:,}"})
        if Files.held + len(part.content) > BYTES_TOGETHER:
            self.drop(part.param)
            raise Unavailable(_("the server holds too many files now: try again in a moment"))
        Files.held += len(part.content)
        incoming.content += part.content
        incoming.is_whole = part.is_last

    def put_into(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters with each file in the place of its name."""
        return {name: self._file_of(name, value) for name, value in params.items()}

    def drop(self, param: str) -> None:
        if (incoming := self._files.pop(param, None)) is not None:
            Files.held -= len(incoming.content)

    def close(self) -> None:
        """Let go of all of them."""
        for param in list(self._files):
            self.drop(param)

    def _file_of(self, param: str, value: Any) -> Any:
        incoming = self._files.get(param)
        if incoming is None or not incoming.is_whole or incoming.name != value:
            return value
        return Upload(incoming.name, bytes(incoming.content))
