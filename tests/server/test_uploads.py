"""The bodies of requests; tests/live/test_requests.py has real ones."""

import io

import pytest

from streaming.server.uploads import BYTES_FREE, BYTES_TOGETHER, CHUNK_BYTES, Bodies, Upload

MIB = 1024 * 1024


def full_bodies():
    """Return bodies with room for less than 2 MB, and what they hold."""
    bodies = Bodies(BYTES_TOGETHER // 4)
    for size in (16, 16, 16, 14.9):
        assert bodies.begin().take(int(size * MIB)) is None
    return bodies, bodies.held


class TestBodies:
    def test_one_may_have_so_many_bytes_and_not_one_more(self):
        body = Bodies(1000).begin()
        assert body.expect(1000) is None
        assert body.take(600) is None
        assert body.take(400) is None
        status, sentence = body.take(1)
        assert (status, sentence) == (413, "A request to this site may have 1,000 bytes.")
        assert body.is_refused

    def test_one_that_is_announced_too_large_is_refused_before_it_comes(self):
        body = Bodies(1000).begin()
        assert body.expect(1001)[0] == 413
        assert body.is_refused

    def test_a_chunk_counts_for_what_it_costs(self):
        body = Bodies(100 * CHUNK_BYTES).begin()
        assert body.expect(None) is None
        for _ in range(100):
            assert body.take(1) is None
        assert body.take(1)[0] == 413

    def test_all_together_are_bounded_and_what_is_over_gives_its_share_back(self):
        bodies, held = full_bodies()
        assert bodies.begin().take(2 * MIB)[0] == 503
        assert bodies.held == held
        filling = bodies.begin()
        assert filling.take(MIB) is None
        filling.release()
        filling.release()
        assert bodies.held == held

    def test_a_small_one_is_taken_however_many_others_there_are(self):
        bodies, _ = full_bodies()
        assert bodies.begin().take(BYTES_FREE) is None

    def test_a_site_without_a_limit_for_one_has_that_for_all(self):
        body = Bodies(None).begin()
        assert body.expect(BYTES_TOGETHER) is None
        assert body.expect(BYTES_TOGETHER + 1)[0] == 413


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
