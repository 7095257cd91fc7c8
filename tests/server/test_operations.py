"""What a compute machine answers over HTTP, and what not."""

import urllib.error
import urllib.request

import pytest

from development.parts import free_port
from streaming.server.operations import serve_operations


@pytest.fixture
def address():
    server = serve_operations("127.0.0.1", port := free_port())
    yield f"http://127.0.0.1:{port}"
    server.shutdown()
    server.server_close()


def test_says_how_it_is_and_nothing_else(address):
    with urllib.request.urlopen(f"{address}/healthz", timeout=10) as response:
        assert b'"status": "ok"' in response.read()
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as response:
        assert b"livestep_session_places" in response.read()
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        urllib.request.urlopen(f"{address}/admin/", timeout=10)
    refused.value.close()
