"""`/healthz` and `/readyz`."""

import asyncio
import errno
import http.client
import json
import os
import signal
import threading

import pytest

import streaming
from streaming.process import process
from streaming.runtime import runtime
from streaming.web import health
from streaming.web.health import DatabaseCheck
from tests.live.clients import clients_of
from tests.parts import bus, sessions


def checks():
    return [thread for thread in threading.enumerate() if thread.name == "database check"]


def wait_for_checks():
    for thread in checks():
        thread.join(5)
    assert not checks()


class TestHealthz:
    def test_asks_nobody(self, client):
        """Without the mark, asking the database would fail the test."""
        response = client.get("/healthz")
        assert response.status_code == 200
        assert response.json() == {
            "status": "ok",
            "version": streaming.__version__,
            "process": process.name,
        }
        assert response["Cache-Control"] == "no-store"
        assert not response.cookies

    def test_needs_no_login(self, client, settings):
        settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        assert client.get("/healthz").status_code == 200

    def test_says_the_name_of_the_process(self, client, settings):
        settings.LIVESTEP = {"PROCESS": "a"}
        assert client.get("/healthz").json()["process"] == "a"

    def test_takes_no_other_method(self, client):
        assert client.post("/healthz").status_code == 405


@pytest.mark.django_db(transaction=True)
class TestReadyz:
    def test_is_ready_when_everything_answers(self, client, settings):
        settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        response = client.get("/readyz")
        assert response.status_code == 200
        assert response.json() == {
            "status": "ready",
            "checks": {
                "database": "ok",
                "channel_layer": "ok",
                "process_engine": "ok",
                "stopping": "ok",
            },
        }
        assert not response.cookies
        wait_for_checks()

    def test_is_not_while_redis_is_away(self, client, monkeypatch):
        monkeypatch.setattr(type(bus), "is_connected", False)
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["checks"]["channel_layer"] == "Redis does not answer."

    def test_is_not_while_the_fork_server_is_silent(self, client, monkeypatch):
        monkeypatch.setattr(type(health.fork_server), "is_silent", True)
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["checks"]["process_engine"] == "The fork server does not answer."

    def test_is_not_while_the_server_stops(self, client, monkeypatch):
        monkeypatch.setattr(sessions, "is_shutting_down", True)
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["status"] == "unavailable"
        assert response.json()["checks"]["stopping"] == "The server is stopping."

    def test_is_not_without_a_database(self, client, monkeypatch):
        monkeypatch.setattr(health, "database", DatabaseCheck(lambda: 1 / 0))
        response = client.get("/readyz")
        assert response.status_code == 503
        assert "the log says why" in response.json()["checks"]["database"]


class TestADatabaseThatHangs:
    @pytest.fixture
    def answers(self):
        answers = threading.Event()
        yield answers
        answers.set()
        wait_for_checks()

    def test_holds_nobody_for_longer_than_was_said(self, answers):
        check = DatabaseCheck(answers.wait)
        assert check.problem(0.05) == "The database has not answered for 0 s; still waiting."

    def test_is_asked_once_however_many_want_to_know(self, answers):
        asked = []
        check = DatabaseCheck(lambda: asked.append(answers.wait()))
        for _ in range(5):
            assert "still waiting" in check.problem(0.02)
        assert len(checks()) == 1
        answers.set()
        wait_for_checks()
        assert len(asked) == 1
        assert check.problem(5) == "", "it is asked anew"

    def test_answers_all_who_wait_for_it(self, answers):
        check = DatabaseCheck(answers.wait)
        said = []
        asking = [threading.Thread(target=lambda: said.append(check.problem(5))) for _ in "abc"]
        for thread in asking:
            thread.start()
        answers.set()
        for thread in asking:
            thread.join(5)
        assert said == ["", "", ""]


def no_thread(self):
    raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_be_had_is_said_and_tried_again(monkeypatch):
    check = DatabaseCheck(lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        said = "The database cannot be asked: the machine allows no more processes or threads."
        assert check.problem(5) == said
    assert check.problem(5) == ""


def test_descriptors_that_are_short_are_named(monkeypatch):
    check = DatabaseCheck(lambda: os.open("/dev/null", os.O_RDONLY))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *args: (_ for _ in ()).throw(OSError(errno.EMFILE, "")))
        said = "The database cannot be used: the server has no file descriptor left."
        assert check.problem(5) == said
        wait_for_checks()


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_can_be_read_and_not_written_is_not_ready(client, monkeypatch):
    monkeypatch.setattr(type(runtime.records), "is_failing", True)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "cannot be written down" in response.json()["checks"]["database"]
    wait_for_checks()


def test_why_a_database_fails_is_for_the_log_only_and_said_once(caplog):
    def ask():
        raise ConnectionError("the database at db.internal refuses livestep's password")

    check = DatabaseCheck(ask)
    for _ in range(3):
        assert "internal" not in check.problem(5)
        wait_for_checks()
    assert caplog.text.count("db.internal") == 1


class TestOfARealServer:
    def get(self, connection, path):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    async def test_one_that_stops_says_so_to_who_is_connected(self, start_server):
        """A proxy keeps its connections; who makes a new one finds nobody listening."""
        server = start_server(LIVESTEP_STOP_GRACE="60", LIVESTEP_SHUTDOWN_GRACE="3")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        try:
            assert self.get(connection, "/readyz")[0] == 200
            async with clients_of(server) as open_client:
                client = await open_client()
                await client.start("stubborn")
                await client.until(type="frame")
                server.process.send_signal(signal.SIGTERM)
                await client.until(type="session", state="stopping")
                status, said = self.get(connection, "/readyz")
                assert status == 503
                assert said["checks"]["stopping"] == "The server is stopping."
                assert self.get(connection, "/healthz")[0] == 200
                assert await asyncio.to_thread(server.wait) == 0
        finally:
            connection.close()
            server.close()
