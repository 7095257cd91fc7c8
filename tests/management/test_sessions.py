# ruff: noqa: F811  # Its fixture is imported, and so seems to be defined twice.
"""`manage.py sessions stop`."""

import asyncio
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from streaming.management.commands import sessions as module
from streaming.models import LastFrame, LastLines, StreamSession
from tests.live.clients import clients_of
from tests.live.test_readiness import redis  # noqa: F401  # a fixture
from tests.servers import ROOT, Server
from tests.sessions.rows import row

RECEIPT = "stopped in 38 ms, during step 112, by flag (command)"


@pytest.mark.django_db
class TestStop:
    @pytest.fixture(autouse=True)
    def several_processes(self, settings):
        settings.CHANNEL_LAYERS = {**settings.CHANNEL_LAYERS, "frames": {}}

    @pytest.fixture(autouse=True)
    def rows(self):
        fields = {
            "one": {"owner": "ada"},
            "two": {"owner": "bob", "state": "stuck"},
            "over": {"state": "stopped", "ended": timezone.now(), "stop_receipt": RECEIPT},
            "done": {"state": "finished", "ended": timezone.now()},
        }
        for name, given in fields.items():
            StreamSession.objects.create(id=name, **row(**given))

    @pytest.fixture
    def asked(self, monkeypatch):
        """Every process answers; returns who was asked for."""
        asked = []

        def stop_from_command(ids, timeout_s):
            assert timeout_s > 2
            asked.extend(ids)
            return dict.fromkeys(ids, RECEIPT)

        monkeypatch.setattr(module, "stop_from_command", stop_from_command)
        return asked

    @pytest.mark.parametrize(
        ("arguments", "stopped"),
        [
            (["one"], ["one"]),
            (["one", "two", "one"], ["one", "two"]),
            (["--all"], ["one", "two"]),
            (["--owner", "ada"], ["one"]),
        ],
    )
    def test_says_of_each_how_it_went(self, asked, capsys, arguments, stopped):
        call_command("sessions", "stop", *arguments)
        assert sorted(asked) == stopped
        said = sorted(capsys.readouterr().out.splitlines())
        assert said == [f"{name}  {RECEIPT}" for name in stopped]

    def test_of_one_that_has_ended_says_how_and_asks_nobody(self, asked, capsys):
        call_command("sessions", "stop", "over", "done")
        said = sorted(capsys.readouterr().out.splitlines())
        assert said == ["done  has ended already", f"over  {RECEIPT}"]
        assert asked == []

    def test_an_unknown_owner_is_bad_input(self, asked):
        with pytest.raises(CommandError, match="No session of 'adda' is known") as caught:
            call_command("sessions", "stop", "--owner", "adda")
        assert caught.value.returncode == 2
        assert asked == []

    def test_where_nothing_goes_on_says_so(self, asked, capsys):
        StreamSession.objects.create(
            id="past", **row(owner="cleo", state="finished", ended=timezone.now())
        )
        call_command("sessions", "stop", "--owner", "cleo")
        assert capsys.readouterr().out == "No session is active.\n"
        assert asked == []

    def test_a_process_that_does_not_answer_is_a_failure(self, monkeypatch, capsys):
        monkeypatch.setattr(module, "stop_from_command", lambda ids, timeout_s: {"one": RECEIPT})
        with pytest.raises(CommandError, match="1 session was not stopped") as caught:
            call_command("sessions", "stop", "--all")
        assert caught.value.returncode == 1
        assert "two  its process does not answer\n" in capsys.readouterr().out

    def test_an_unknown_id_is_bad_input_and_stops_nothing(self, asked):
        with pytest.raises(CommandError, match="There is no session 'nope'") as caught:
            call_command("sessions", "stop", "one", "nope")
        assert caught.value.returncode == 2
        assert asked == []

    @pytest.mark.parametrize("arguments", [[], ["one", "--all"], ["--all", "--owner", "ada"]])
    def test_needs_to_be_told_which_in_one_way(self, asked, arguments):
        with pytest.raises(CommandError):
            call_command("sessions", "stop", *arguments)
        assert asked == []

    def test_without_redis_says_that_it_reaches_nobody(self, asked, settings):
        del settings.CHANNEL_LAYERS["frames"]
        with pytest.raises(CommandError, match="Without REDIS_URL") as caught:
            call_command("sessions", "stop", "--all")
        assert caught.value.returncode == 2
        assert asked == []


@pytest.mark.django_db
@pytest.mark.parametrize("use_tz", [True, False])
def test_list_and_prune_work_with_and_without_time_zones(settings, capsys, use_tz):
    settings.USE_TZ = use_tz
    StreamSession.objects.create(id="one", **row())
    StreamSession.objects.create(id="over", **row(state="stopped", ended=timezone.now()))
    call_command("sessions", "list")
    call_command("sessions", "prune", "--days", "0")
    said = capsys.readouterr().out
    assert "one  Running" in said
    assert "1 session was deleted." in said


@pytest.mark.django_db
@pytest.mark.parametrize(("arguments", "said"), [(["--dry-run"], "would be"), ([], "were")])
def test_prune_counts_sessions_and_not_what_is_kept_of_them(capsys, arguments, said):
    long_ago = timezone.now() - timedelta(days=99)
    for name in ("one", "two"):
        StreamSession.objects.create(id=name, **row(state="stopped", ended=long_ago))
        LastFrame.objects.create(session_id=name, message=b"frame", kept=long_ago)
        LastLines.objects.create(session_id=name, messages=b"lines", kept=long_ago)
    call_command("sessions", "prune", *arguments)
    assert capsys.readouterr().out == f"2 sessions {said} deleted.\n"
    call_command("sessions", "prune", "--days", "36500")
    assert capsys.readouterr().out == "0 sessions were deleted.\n"


@pytest.mark.redis
async def test_stops_a_session_of_a_server_that_runs(redis, tmp_path):
    server = await asyncio.to_thread(
        Server, tmp_path, REDIS_URL=redis.url, LIVESTEP_PROCESS="a", LIVESTEP_ABANDON="keep"
    )
    try:
        async with clients_of(server) as open_client:
            client = await open_client()
            session = await client.start("ising")
            await client.until(type="frame")
            command = [sys.executable, "manage.py", "sessions", "stop", session]
            result = await asyncio.to_thread(
                subprocess.run,
                command,
                cwd=ROOT,
                env={**server.environment, "LIVESTEP_PROCESS": ""},
                capture_output=True,
                text=True,
                timeout=30,
            )
            assert result.returncode == 0, result.stderr
            assert result.stdout.startswith(f"{session}  stopped in ")
            assert "by flag" in result.stdout
            await client.until(type="session", state="stopped")
    finally:
        server.stop()
