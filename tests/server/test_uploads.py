"""The bodies of requests; tests/live/test_server.py has real ones."""

import io

import pytest

from streaming.server.uploads import Upload


class TestUpload:
    class Request:
        def __init__(self, body):
            self.content = io.BytesIO(body)

    def put(self, upload, body, more):
        upload.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def test_gives_what_was_put_without_keeping_it(self):
        upload = Upload(self.Request(b"abcde"))
        self.put(upload, b"abc", True)
        self.put(upload, b"de", False)
        upload.put_nowait({"type": "http.disconnect"})
        assert b"abc" not in repr(upload._queue).encode()
        assert (await upload.get())["body"] == b"abc"
        assert await upload.get() == {"type": "http.request", "body": b"de", "more_body": False}
        assert await upload.get() == {"type": "http.disconnect"}

    @pytest.mark.parametrize("gone", ["closed", "deleted"])
    async def test_a_request_that_is_over_has_no_body(self, gone):
        request = self.Request(b"abc")
        upload = Upload(request)
        self.put(upload, b"abc", False)
        request.content.close()
        if gone == "deleted":
            del request.content
        assert await upload.get() == {"type": "http.disconnect"}
