"""The bodies of requests."""

import asyncio
from typing import Any


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
