"""What `/metrics` says, and to whom."""

import asyncio
import re
from urllib.request import urlopen

import pytest
from django.test import RequestFactory
from prometheus_client.parser import text_string_to_metric_families

from streaming.catalog.fork_server import _environment
from streaming.catalog.forms import validate_params
from streaming.catalog.registry import registry as simulations
from streaming.cluster.bridge import BridgeWindow
from streaming.delivery.parcel import Parcel
from streaming.delivery.window import PlainWindow, Window
from streaming.engine.board import Board
from streaming.engine.session import Session
from streaming.engine.simulations import Engine, describe
from streaming.engine.snapshot import Rung, State
from streaming.identity import Identity
from streaming.sessions.lateness import Lateness
from streaming.web import metrics as exposition
from streaming.web.metrics import registry
from tests.live.clients import clients_of
from tests.parts import close_sessions, sessions
from tests.samples import simulations as samples
from tests.servers import ROOT

OPERATING = ROOT / "docs" / "operating.md"
ALERTS = ROOT / "deploy" / "prometheus-alerts.yml"


def value(name, **labels):
    return registry.get_sample_value(name, labels)


class Growth:
    """How much a sample has grown since this was made."""

    def __init__(self, name, **labels):
        self._sample = (name, labels)
        self._before = registry.get_sample_value(name, labels)
        assert self._before is not None, "the series is there before its first event"

    def __call__(self):
        name, labels = self._sample
        return registry.get_sample_value(name, labels) - self._before


@pytest.fixture
async def run(no_rows):
    """Start a session, as if somebody watched it if asked to."""

    def run(name):
        simulation = simulations.get(name)
        live = sessions.create(simulation, validate_params(simulation, {}), Identity(name="ada"))
        live.glance()
        live.start()
        return live

    yield run
    samples.release.set()
    await close_sessions()


async def end(live):
    await asyncio.wait_for(live.ended.wait(), 5)
    await asyncio.to_thread(live.join, 5)


async def until(is_so):
    async with asyncio.timeout(5):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.01)


class TestSessions:
    async def test_are_counted_from_start_to_end(self, run):
        started = Growth("livestep_sessions_started_total", engine="thread")
        finished = Growth("livestep_sessions_ended_total", engine="thread", state="finished")
        steps = Growth("livestep_steps_total", engine="thread")
        frames = Growth("livestep_frames_produced_total", engine="thread")
        await end(run("finite"))
        assert (started(), finished(), steps()) == (1, 1, 3)
        assert 1 <= frames() <= 3

    async def test_are_shown_by_state_while_they_go_on(self, run):
        assert value("livestep_sessions", engine="thread", state="running") == 0
        live = run("counter")
        await until(lambda: value("livestep_sessions", engine="thread", state="running") == 1)
        assert value("livestep_session_places_taken", engine="thread") == 1
        live.request_stop("test")
        await end(live)
        assert value("livestep_sessions", engine="thread", state="running") == 0
        assert value("livestep_sessions", engine="thread", state="stopped") is None, "it is kept"

    async def test_that_wait_are_the_queue(self, run, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1, "MAX_QUEUED": 7}
        run("counter")
        run("counter")
        assert value("livestep_sessions", engine="thread", state="queued") == 1
        assert value("livestep_session_places", engine="thread") == 1
        assert value("livestep_queue_places") == 7

    async def test_a_stop_is_timed_by_the_rung_that_ended_it(self, run):
        count = Growth("livestep_stop_seconds_count", engine="thread", how="flag")
        seconds = Growth("livestep_stop_seconds_sum", engine="thread", how="flag")
        live = run("counter")
        live.request_stop("test")
        await end(live)
        assert count() == 1
        assert seconds() == pytest.approx(live.session.snapshot().stop.after_ms / 1000)

    async def test_a_stuck_thread_is_shown_until_it_ends(self, run, settings):
        settings.LIVESTEP = {"STOP_GRACE": 0.05}
        stuck = Growth("livestep_sessions_ended_total", engine="thread", state="stuck")
        stopped = Growth("livestep_sessions_ended_total", engine="thread", state="stopped")
        live = run("stubborn")
        assert await asyncio.to_thread(samples.entered.wait, 5)
        live.request_stop("test")
        await asyncio.wait_for(live.ended.wait(), 5)
        assert value("livestep_sessions", engine="thread", state="stuck") == 1
        assert (stuck(), stopped()) == (1, 0)
        samples.release.set()
        await asyncio.to_thread(live.join, 5)
        await until(stopped)
        assert value("livestep_sessions", engine="thread", state="stuck") == 0

    async def test_how_long_a_step_takes_is_looked_at_with_each_beat(self, run):
        count = Growth("livestep_step_seconds_count", engine="thread")
        seconds = Growth("livestep_step_seconds_sum", engine="thread")
        live = run("stubborn")
        assert await asyncio.to_thread(samples.entered.wait, 5)
        live.beat(record=False)
        assert count() == 1
        assert 0 < seconds() < 5, "the step in progress counts, though it has not ended"


@pytest.mark.parametrize("written", [float("nan"), float("inf"), 1e300, -1e300])
def test_a_child_that_writes_nonsense_spoils_no_sum(written):
    simulation = describe(lambda: 1, name="sample")
    session = Session("s", simulation, {}, fps=30, on_change=print, on_notice=print)
    board = session.board = Board()
    board.usual_s = board.began = written
    assert session.step_seconds() == 0, "it has not run yet"


def test_how_late_the_event_loop_was_is_observed():
    count = Growth("livestep_event_loop_lateness_seconds_count")
    late = Growth("livestep_event_loop_lateness_seconds_bucket", le="0.1")
    Lateness(dict).note(0.180)
    assert (count(), late()) == (1, 0)


class TestDelivery:
    @pytest.fixture
    def counted(self):
        sent = Growth("livestep_frames_sent_total", to="viewer")
        skipped = Growth("livestep_frames_skipped_total", to="viewer")
        return lambda: (sent(), skipped())

    def offer(self, window, *numbers):
        for seq in numbers:
            window.offer(Parcel(seq, b"frame", False))
            window.take(0.0)

    def test_what_a_busy_line_did_not_carry_is_skipped(self, counted):
        window = Window(lambda: None)
        self.offer(window, 1, 2, 3, 4, 5)
        assert counted() == (2, 0), "two are in flight, and the newest waits"
        window.ack(2, 0.0)
        window.take(0.0)
        assert counted() == (3, 2)

    def test_what_was_there_before_a_viewer_came_is_not(self, counted):
        self.offer(PlainWindow(lambda: None), 1000, 1001)
        assert counted() == (2, 0)

    def test_nor_is_what_came_while_nobody_could_see_the_viewer(self, counted):
        window = Window(lambda: None)
        self.offer(window, 1)
        window.show(False, 0.0)
        self.offer(window, 2, 3, 4)
        window.show(True, 0.0)
        window.take(0.0)
        assert counted() == (2, 0)

    def test_the_last_frame_may_be_sent_twice_and_skips_nothing(self, counted):
        window = Window(lambda: None)
        self.offer(window, 1)
        window.offer(Parcel(1, b"frame", True))
        window.take(0.0)
        assert counted() == (2, 0)

    def test_what_goes_to_another_process_went_to_no_viewer_yet(self, counted):
        sent = Growth("livestep_frames_sent_total", to="process")
        skipped = Growth("livestep_frames_skipped_total", to="process")
        window = BridgeWindow(None, lambda: None)
        window.show(True, 0.0)
        self.offer(window, 1, 2, 3)
        window.forget_in_flight()
        window.take(0.0)
        assert (sent(), skipped()) == (2, 1)
        assert counted() == (0, 0)


class TestAccess:
    def get(self, client, **headers):
        return client.get("/metrics", **headers)

    def test_this_machine_may_read_them_without_a_database(self, client):
        """Without the mark, asking the database would fail the test."""
        response = self.get(client)
        assert response.status_code == 200
        assert response["Content-Type"].startswith("text/plain; version=")
        assert not response.cookies
        assert b"livestep_viewers 0.0" in response.content

    def test_so_may_it_where_users_have_to_log_in(self, client, settings):
        settings.LIVESTEP = {"LOGIN_REQUIRED": True}
        assert self.get(client).status_code == 200

    @pytest.mark.parametrize(
        ("peer", "headers", "status"),
        [
            ("127.0.0.1", {}, 200),
            ("::1", {}, 200),
            ("::ffff:127.0.0.1", {}, 200),
            (None, {}, 200),  # Over a unix socket.
            ("192.0.2.1", {}, 403),
            ("::ffff:192.0.2.1", {}, 403),
            ("unknown", {}, 403),
            # By way of a proxy.
            ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 200),
            ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 403),
            ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1, 192.0.2.1"}, 403),
            ("192.0.2.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
            ("127.0.0.1", {"X-Real-IP": "192.0.2.1"}, 403),
            ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 403),
            (None, {"X-Forwarded-For": "192.0.2.1"}, 403),
        ],
    )
    def test_every_address_on_the_way_must_be_this_machines(self, peer, headers, status):
        request = RequestFactory().get("/metrics", headers=headers)
        request.META["REMOTE_ADDR"] = peer
        response = exposition.metrics(request)
        assert response.status_code == status
        if status == 403:
            assert b"Only clients on this machine" in response.content

    @pytest.mark.parametrize(
        ("header", "status"),
        [
            ({"Authorization": "Bearer s3cret"}, 200),
            ({"Authorization": "bearer  s3cret"}, 200),
            ({"Authorization": "Bearer wrong"}, 403),
            ({"Authorization": "Basic s3cret"}, 403),
            ({"Authorization": "Bearer"}, 403),
            ({"Authorization": "Bearer sécret"}, 403),
            ({}, 403),
        ],
    )
    def test_with_a_token_who_shows_it_may_from_anywhere_and_nobody_else(
        self, settings, header, status
    ):
        settings.LIVESTEP = {"METRICS_TOKEN": "s3cret"}
        request = RequestFactory().get("/metrics", headers=header)
        request.META["REMOTE_ADDR"] = "192.0.2.1" if status == 200 else "127.0.0.1"
        response = exposition.metrics(request)
        assert response.status_code == status
        if status == 403:
            assert b"must send LIVESTEP_METRICS_TOKEN" in response.content

    def test_a_simulation_in_a_process_of_its_own_does_not_get_the_token(self, monkeypatch):
        monkeypatch.setenv("LIVESTEP_METRICS_TOKEN", "s3cret")
        monkeypatch.setenv("LIVESTEP_FPS", "25")
        assert "LIVESTEP_FPS" in _environment()
        assert "LIVESTEP_METRICS_TOKEN" not in _environment()


def labels_of(text):
    """The names of all labels, and their values but for those that are unbounded by nature."""
    found = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found |= sample.labels.keys()
            found |= {
                sample.labels[n] for n in sample.labels if n not in ("le", "process", "version")
            }
    return found


async def test_of_a_real_server_name_no_session_and_nobody(server):
    async with clients_of(server) as open_client:
        client = await open_client()
        session = await client.start("counter")
        await client.until(type="frame")
        text = await asyncio.to_thread(lambda: urlopen(f"{server.url}/metrics").read().decode())
        assert re.search(r'livestep_sessions\{engine="thread",state="running"\} [1-9]', text)
        assert re.search(r"livestep_viewers [1-9]", text)
        assert re.search(r'livestep_frames_sent_total\{to="viewer"\} [1-9]', text)
        assert "process_resident_memory_bytes" in text
        assert session not in text
        assert labels_of(text) <= {
            *("engine", *Engine),
            *("state", *State),
            *("how", *Rung),
            *("operation", "rows", "identity", "readiness"),
            *("to", "viewer", "process"),
            *("queue", "livestep"),
            "version",
            "le",
        }


class TestDocumentation:
    def families(self):
        """The names of ours, as Prometheus knows them."""
        text = exposition.generate_latest(registry).decode()
        for family in text_string_to_metric_families(text):
            if family.name.startswith("livestep") and not family.name.endswith("_created"):
                yield family.name + ("_total" if family.type == "counter" else ""), family

    def test_every_metric_is_in_the_table_and_nothing_else(self):
        listed = re.findall(r"^\| `(livestep\w*)", OPERATING.read_text(), re.MULTILINE)
        assert sorted(listed) == sorted(name for name, _ in self.families())

    def test_every_metric_says_what_it_is(self):
        for name, family in self.families():
            assert family.documentation.endswith("."), name

    @pytest.mark.parametrize("path", [OPERATING, ALERTS])
    def test_alerts_are_about_metrics_that_exist(self, path):
        known = {name for name, _ in self.families()}
        found = set(re.findall(r"\blivestep_\w+", path.read_text()))
        assert found
        for name in found:
            assert re.sub(r"_(bucket|count|sum)$", "", name) in known, name
