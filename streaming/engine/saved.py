"""The files that a simulation saves for people to download: what they may be called, how large they
may be, and their sizes. Where they are kept is somebody else's business."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Of one session.
MOST_FILES = 32
MOST_BYTES = 16 * 1024 * 1024
MAX_NAME, MAX_NAME_BYTES = 100, 250
# A file comes from a child process in parts of this size.
PART_BYTES = 256 * 1024

# Keeps a file under its name, over one that has the same. It may raise an OSError.
Keep = Callable[[str, bytes], None]


class SavedFiles:
    """What one session has saved. For the thread that saves, but for `sizes`, which any may read.

    Args:
        keep: Keeps each file.
    """

    def __init__(self, keep: Keep = lambda name, content: None) -> None:
        self._keep = keep
        # By the files' names. Replaced, never changed, since other threads read it.
        self.sizes: Mapping[str, int] = {}
        self._parts = bytearray()

    def check(self, name: Any, size: int) -> None:
        """Refuse a file that may not be saved.

        Raises:
            ValueError: With what was expected and what came.
        """
        if not _is_name(name):
            raise ValueError(
                f"ctx.save(): expected a file's name of 1 to {MAX_NAME} characters, without / and "
                f"\\ and control characters, and no dot at its beginning; got {name!r:.150}"
            )
        others = {other: taken for other, taken in self.sizes.items() if other != name}
        if len(others) >= MOST_FILES:
            raise ValueError(
                f"ctx.save({name!r}): a session may save {MOST_FILES} files, and has: give this "
                "one the name of another to save it in its place"
            )
        if size > (left := MOST_BYTES - sum(others.values())):
            raise ValueError(
                f"ctx.save({name!r}): a session may save {MOST_BYTES:,} bytes; its other files "
                f"leave {left:,}, and this one has {size:,}"
            )

    def save(self, name: str, content: bytes) -> None:
        """Save a file, over one that has the same name.

        Raises:
            ValueError: If it may not be saved.
            OSError: If it cannot be kept.
        """
        self.check(name, len(content))
        self._keep(name, content)
        self.sizes = {**self.sizes, name: len(content)}

    def take(self, name: str, part: bytes, *, is_last: bool) -> None:
        """Take the next part of a file that comes in parts, and save it once it is whole.

        Raises:
            As `save`.
        """
        self._parts += part
        self.check(name, len(self._parts))
        if is_last:
            content, self._parts = bytes(self._parts), bytearray()
            self.save(name, content)


def content_of(content: Any) -> bytes:
    """Return what an author gives as a file's content as bytes; text as UTF-8.

    Raises:
        TypeError: If it is neither text nor bytes.
    """
    if isinstance(content, str):
        return content.encode(errors="replace")
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise TypeError(
        f"ctx.save(): expected text or bytes as a file's content, got {type(content).__name__}"
    )


def parts_of(content: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the parts of a file, each with whether it is the last. An empty one has one."""
    last = max(0, len(content) - 1) // PART_BYTES
    for number in range(last + 1):
        at = number * PART_BYTES
        yield content[at : at + PART_BYTES], number == last


def _is_name(name: Any) -> bool:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return False
    # What is not printable may be a control character, or turn the reading direction around.
    if not name.isprintable() or not name.strip() or name[0] == "." or {"/", "\\"} & set(name):
        return False
    return len(name.encode()) <= MAX_NAME_BYTES
