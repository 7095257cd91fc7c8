"""The bodies of requests: how large they may be, one and all together, and how they are read."""

import asyncio
import logging
from typing import Any

from django.utils.translation import gettext as _

from streaming.server.complaints import Complaint

logger = logging.getLogger(__name__)

# What all bodies may take that are not answered yet. Twisted keeps them in memory or in files.
BYTES_TOGETHER = 64 * 1024 * 1024
# So much of each does not count: whoever fills the rest keeps nobody from pressing a button.
BYTES_FREE = 64 * 1024
# A chunk counts for so many at least: to parse one costs as much, however short it is.
CHUNK_BYTES = 1024
# Status and sentence with which a request is refused.
Refusal = tuple[int, str]


class Bodies:
    """Measures the bodies of all requests that are not answered yet. For the event loop.

    Args:
        most: How many bytes one may have; None: as many as all of them.
    """

    def __init__(self, most: int | None) -> None:
        self.together = max(BYTES_TOGETHER, 4 * (most or 0))
        self.most = self.together if most is None else most
        self.held = 0
        self.refusals = Complaint(logger, "a body over its limit is refused")

    def begin(self) -> "Body":
        return Body(self)


class Body:
    """What one request may still bring. Holds its share of all until `release`."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._size = self._held = 0
        self.is_refused = self._is_chunked = False

    def expect(self, size: int | None) -> Refusal | None:
        """Say why a body of an announced size, or in chunks, is not taken; None: it may come."""
        self._is_chunked = size is None
        return self._refuse_size() if (size or 0) > self._bodies.most else None

    def take(self, size: int) -> Refusal | None:
        """Count what has come, before it is kept; returns why it must not be."""
        self._size += max(size, CHUNK_BYTES) if self._is_chunked else size
        if self._size > self._bodies.most:
            return self._refuse_size()
        more = max(0, self._size - BYTES_FREE) - self._held
        if self._bodies.held + more > self._bodies.together:
            self._refuse()
            return 503, _("Too much is being uploaded at once; please try again in a moment.")
        self._held += more
        self._bodies.held += more
        return None

    def release(self) -> None:
        self._bodies.held -= self._held
        self._held = 0

    def _refuse_size(self) -> Refusal:
        self._refuse()
        return 413, _("A request to this site may have %(most)s bytes.") % {
            "most": f"{self._bodies.most:,}"
        }

    def _refuse(self) -> None:
        self.is_refused = True
        self.release()
        self._bodies.refusals.add()


class Upload(asyncio.Queue[dict[str, Any]]):
    """A request's body, of which daphne would put all at once into memory.

    Twisted keeps a large one in a file: here each piece is read when it is asked for.
    """

    def __init__(self, request: Any) -> None:
        super().__init__()
        self._request = request
        self._offset = 0

    def _put(self, item: dict[str, Any]) -> None:
        if item["type"] == "http.request":
            size = len(item["body"])
            item = {**item, "body": (self._offset, size)}
            self._offset += size
        super()._put(item)

    def _get(self) -> dict[str, Any]:
        item: dict[str, Any] = super()._get()
        if item["type"] != "http.request":
            return item
        content = getattr(self._request, "content", None)
        if content is None or content.closed:
            return {"type": "http.disconnect"}
        offset, size = item["body"]
        content.seek(offset)
        return {**item, "body": content.read(size)}
