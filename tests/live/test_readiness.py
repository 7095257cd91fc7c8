"""`/readyz` and the log while what a server needs is away: a real Redis, a real PostgreSQL."""

import http.client
import json
import time

import pytest

from development.parts import Redis
from tests.processes import running_postgres
from tests.servers import Server

WAIT_S = 20
# More than a database that hangs is waited for.
SOON_S = 4


@pytest.fixture
def redis(tmp_path):
    redis = Redis(tmp_path)
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def postgres():
    with running_postgres() as postgres:
        yield postgres


class Probe:
    """What asks a server whether it is ready."""

    def __init__(self, server):
        self._port = server.port

    def ask(self, path):
        """Returns the status, the answer, and the seconds that it took."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_S)
        began = time.monotonic()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read()), time.monotonic() - began
        finally:
            connection.close()

    def wait_until(self, check, is_said):
        """Ask until a check says so; returns the status then. No answer may take long."""
        deadline = time.monotonic() + WAIT_S
        while True:
            status, answer, seconds = self.ask("/readyz")
            assert seconds < SOON_S, answer
            if is_said(answer["checks"][check]):
                return status
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)

    def is_up(self):
        return self.ask("/healthz")[0] == 200


@pytest.mark.redis
def test_a_redis_that_hangs_and_then_dies_is_said_and_so_is_its_return(redis, tmp_path):
    server = Server(tmp_path, REDIS_URL=redis.url)
    probe = Probe(server)
    try:
        assert probe.wait_until("channel_layer", lambda said: said == "ok") == 200
        redis.pause()
        assert probe.wait_until("channel_layer", lambda said: said != "ok") == 503
        redis.kill()
        assert probe.ask("/readyz")[1]["checks"]["channel_layer"] == "Redis does not answer."
        assert probe.is_up()
        redis.start()
        assert probe.wait_until("channel_layer", lambda said: said == "ok") == 200
        assert "Traceback" not in server.read_log()
    finally:
        server.stop()


@pytest.mark.postgres
def test_a_database_that_hangs_holds_no_answer_for_long(postgres, tmp_path):
    server = Server(tmp_path, DATABASE_URL=postgres.url)
    probe = Probe(server)
    try:
        assert probe.wait_until("database", lambda said: said == "ok") == 200
        postgres.pause()
        assert probe.wait_until("database", lambda said: said != "ok") == 503
        assert probe.is_up()
        postgres.resume()
        assert probe.wait_until("database", lambda said: said == "ok") == 200
        postgres.stop()
        assert probe.wait_until("database", lambda said: "the log says why" in said) == 503
        assert postgres.url.split("@")[0] not in server.read_log(), "no password in the log"
        postgres.start()
        assert probe.wait_until("database", lambda said: said == "ok") == 200
        assert "Traceback" not in server.read_log()
    finally:
        server.stop()
