# ruff: noqa: F811  # Its fixtures are imported, and so seem to be defined twice.
"""The admin's dashboard, and the commands that tidy what it is about."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

import streaming
from streaming.admin import dashboard
from streaming.cluster.peers import Peer
from streaming.engine.simulations import Engine
from streaming.identity import Identity
from streaming.models import StreamSession
from streaming.runtime import runtime
from streaming.sessions.history import Sample, history
from tests.admin.test_sessions import LIST, get, make_live, page_of, staff  # noqa: F401  # fixtures
from tests.parts import sessions
from tests.sessions.rows import row

pytestmark = pytest.mark.django_db
DASHBOARD = f"{LIST}dashboard/"


@pytest.fixture
def hour(monkeypatch):
    """An hour of which ten seconds were busy, five minutes ago."""

    def last_hour():
        now = dashboard.time.monotonic()
        return [Sample(now - 330, now - 320, 6000, 300, 0.12)]

    monkeypatch.setattr(history, "last_hour", last_hour)


class TestDashboard:
    def test_says_what_goes_on(self, staff, make_live):
        make_live()
        make_live().session.request_stop("test")
        figures = dashboard.figures()
        states = {str(state): (counts, total) for state, counts, total in figures["states"]}
        assert states["Running"] == ([1, 0], 1)
        assert states["Stopping"] == ([1, 0], 1)
        assert states["Paused"] == ([0, 0], 0)
        assert "Stopped" not in states
        html = get(staff("view_streamsession"), DASHBOARD)
        assert figures["process"] in html

    def test_names_compute_machines_and_other_versions(self, staff, settings, monkeypatch):
        settings.CHANNEL_LAYERS = {**settings.CHANNEL_LAYERS, "frames": {}}
        figures = {
            "version": "0.0.1",
            "places": {"cluster": [1, 8]},
            "compute": {"queues": ["livestep", "gpu"]},
        }
        peer = Peer("gpu1", "x", "gpu1 (there:7)", dashboard.time.monotonic(), figures)
        monkeypatch.setattr(runtime.peers, "_peers", {"gpu1": peer})
        monkeypatch.setattr(runtime.placing, "lengths", {"gpu": 12})
        html = get(staff("view_streamsession"), DASHBOARD)
        assert "compute machine for livestep, gpu" in html
        assert f"version 0.0.1, not {streaming.__version__} as here" in html
        assert "cluster 1/8" in html
        assert "gpu 12" in html

    def test_says_who_waits_and_what_is_left(self, staff, make_live, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1, "MAX_QUEUED": 7, "MAX_VIEWERS": 9}
        waiting = make_live(Identity(name="ada"), begin=False)
        first = make_live(begin=False)
        sessions._admission._holding.append(first)
        sessions._admission._waiting.append(waiting)
        waiting.move_in_queue(1)
        figures = dashboard.figures()
        assert figures["places"][0] == (Engine.THREAD, 1, 1)
        ((position, session, owner),) = figures["queue"]
        assert (position, session.id, owner) == (1, waiting.id, "ada")
        html = get(staff("view_streamsession"), DASHBOARD)
        assert page_of(waiting.id) in html
        assert '<td class="number">7</td>' in html
        assert '<td class="number">9</td>' in html

    def test_draws_and_tells_the_last_hour(self, staff, hour):
        html = get(staff("view_streamsession"), DASHBOARD)
        assert "Now 0, at most 600, on average over the hour 1.67." in html
        assert "Now 0, at most 30, on average over the hour 0.08." in html
        assert html.count("<polyline") == 2
        assert '<th scope="row">10 – 5</th>' in " ".join(html.split())  # noqa: RUF001
        assert '<td class="number">20</td>' in html
        assert html.count("120 ms") == 2

    def test_is_linked_from_the_list_and_the_index(self, staff):
        client = staff("view_streamsession")
        assert f'href="{DASHBOARD}"' in get(client)
        assert f'href="{DASHBOARD}"' in get(client, "/admin/")

    def test_is_for_those_who_may_see_sessions(self, staff, client):
        assert client.get(DASHBOARD).status_code == 302
        client = staff()
        assert client.get(DASHBOARD).status_code == 403
        assert DASHBOARD not in get(client, "/admin/")


class TestPrune:
    @pytest.fixture
    def rows(self):
        now = timezone.now()
        old, new = now - timedelta(days=31), now - timedelta(days=29)
        for name, fields in {
            "old": {"state": "finished", "ended": old},
            "new": {"state": "finished", "ended": new},
            "active": {"state": "running", "started": old},
            "stuck": {"state": "stuck", "started": old},
        }.items():
            StreamSession.objects.create(id=name, **row(**fields))

    def left(self):
        return set(StreamSession.objects.values_list("pk", flat=True))

    def test_deletes_what_ended_long_ago_and_nothing_else(self, rows, capsys):
        call_command("sessions", "prune", "--days", "30")
        assert capsys.readouterr().out == "1 session was deleted.\n"
        assert self.left() == {"new", "active", "stuck"}

    def test_of_all_days_spares_what_goes_on(self, rows, capsys):
        call_command("sessions", "prune", "--days=0")
        assert capsys.readouterr().out == "2 sessions were deleted.\n"
        assert self.left() == {"active", "stuck"}

    def test_takes_what_a_dead_process_left(self, rows):
        old = timezone.now() - timedelta(days=40)
        StreamSession.objects.filter(pk="active").update(heartbeat=old, incarnation="gone")
        call_command("sessions", "prune")
        assert self.left() == {"new", "stuck"}

    def test_of_a_dry_run_only_counts(self, rows, capsys):
        call_command("sessions", "prune", "--dry-run")
        assert capsys.readouterr().out == "1 session would be deleted.\n"
        assert len(self.left()) == 4

    @pytest.mark.parametrize("days", ["x", "-1", "1.5", "99999999999", ""])
    def test_with_bad_days_is_refused(self, days):
        with pytest.raises(CommandError, match="expected a whole number from 0 to 36500") as caught:
            call_command("sessions", "prune", f"--days={days}")
        assert caught.value.returncode == 2


class TestSessionsList:
    def test_shows_the_active_ones(self, capsys):
        StreamSession.objects.create(id="going", **row(step=1234))
        StreamSession.objects.create(id="over", **row(state="failed", ended=timezone.now()))
        call_command("sessions", "list")
        out = capsys.readouterr().out
        assert out == "going  Running  ising  thread  ada  1,234 steps, 0 s, in here:1\n"

    def test_says_that_there_is_none(self, capsys):
        call_command("sessions", "list")
        assert capsys.readouterr().out == "No session is active.\n"
