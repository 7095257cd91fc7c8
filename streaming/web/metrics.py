"""`/metrics`: what was counted, and how things are at the moment when Prometheus asks."""

import secrets
from collections import Counter
from collections.abc import Iterator

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

import streaming
from streaming.cluster.bridge import BridgeWindow
from streaming.conf import conf
from streaming.delivery.window import Window
from streaming.engine.simulations import LOCAL_ENGINES, Engine
from streaming.engine.snapshot import State
from streaming.metrics import registry
from streaming.process import process
from streaming.runtime import runtime
from streaming.sessions.admission import places
from streaming.web.connections import parse_address

SHOWN_STATES = [state for state in State if not state.is_over]
NOT_FROM_HERE = (
    "Only clients on this machine may read the metrics. For others set LIVESTEP_METRICS_TOKEN, and "
    "send it along: `Authorization: Bearer TOKEN`.\n"
)
WITHOUT_TOKEN = (
    "Whoever reads the metrics must send LIVESTEP_METRICS_TOKEN along: "
    "`Authorization: Bearer TOKEN`.\n"
)


class Present(Collector):
    """What needs no bookkeeping, since it can be asked. On any thread."""

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "livestep",
            "The version of Livestep, and the name of this process.",
            {"version": streaming.__version__, "process": process.name},
        )
        yield from _sessions()
        yield from _places()
        yield GaugeMetricFamily(
            "livestep_viewers",
            "Connections to this process that watch a session, wherever that runs.",
            runtime.directory.viewers,
        )
        yield from _delivery()
        yield GaugeMetricFamily(
            "livestep_redis_connected",
            "Whether this process hears itself over Redis; 1 without Redis.",
            runtime.bus.is_connected,
        )
        yield CounterMetricFamily(
            "livestep_redis_errors", "Failures to send or receive over Redis.", runtime.bus.failures
        )


def _sessions() -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "livestep_sessions",
        "Sessions that have not ended, by state: queued ones wait for a place, stuck ones have a "
        "thread that does not end.",
        labels=["engine", "state"],
    )
    counts = Counter((live.engine, live.session.state) for live in runtime.pool.all())
    for engine in Engine:
        for state in SHOWN_STATES:
            family.add_metric([engine, state], counts[engine, state])
    yield family


def _places() -> Iterator[Metric]:
    most = GaugeMetricFamily(
        "livestep_session_places", "Sessions that may run at once.", labels=["engine"]
    )
    taken = GaugeMetricFamily(
        "livestep_session_places_taken",
        "Places that are taken; a stuck session keeps its own.",
        labels=["engine"],
    )
    for engine in LOCAL_ENGINES:
        most.add_metric([engine], places(engine))
        taken.add_metric([engine], runtime.pool.places_taken(engine))
    for engine, (count, of) in runtime.more_figures().get("places", {}).items():
        most.add_metric([engine], of)
        taken.add_metric([engine], count)
    yield most
    yield taken
    yield _waiting()
    yield GaugeMetricFamily(
        "livestep_queue_places",
        "Sessions that may wait for a place; livestep_sessions has how many do.",
        conf().MAX_QUEUED,
    )


def _waiting() -> Metric:
    family = GaugeMetricFamily(
        "livestep_compute_queue_sessions",
        "Sessions of the whole site that wait for a compute machine, by queue; a few seconds old.",
        labels=["queue"],
    )
    for queue, waiting in sorted({conf().QUEUE: 0, **runtime.placing.lengths}.items()):
        family.add_metric([queue], waiting)
    return family


def _delivery() -> Iterator[Metric]:
    sent = CounterMetricFamily(
        "livestep_frames_sent",
        "Frames that were sent, to viewers of this process or to other processes with viewers; "
        "counted for each.",
        labels=["to"],
    )
    skipped = CounterMetricFamily(
        "livestep_frames_skipped",
        "Frames that were not sent, since the way was busy and a newer one came; counted for each.",
        labels=["to"],
    )
    windows: dict[str, type[Window]] = {"viewer": Window, "process": BridgeWindow}
    for to, window in windows.items():
        sent.add_metric([to], window.tally.sent)
        skipped.add_metric([to], window.tally.skipped)
    yield sent
    yield skipped


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Serve this process's metrics to clients that may read them."""
    if refusal := _refusal(request):
        return HttpResponse(refusal, status=403, content_type="text/plain")
    return HttpResponse(
        generate_latest(registry),
        content_type=CONTENT_TYPE_LATEST,
        headers={"Cache-Control": "no-store"},
    )


def _refusal(request: HttpRequest) -> str:
    """Return why the metrics are not for this client, or nothing."""
    expected = conf().METRICS_TOKEN
    if not expected:
        return "" if _is_from_here(request) else NOT_FROM_HERE
    kind, _separator, token = request.headers.get("Authorization", "").partition(" ")
    is_it = secrets.compare_digest(token.strip().encode(), expected.encode())
    return "" if kind.lower() == "bearer" and is_it else WITHOUT_TOKEN


def _is_from_here(request: HttpRequest) -> bool:
    """Whether every address that a request came by is this machine's own.

    Behind a proxy the peer is the proxy, which tells the client's address in a header; and one
    that adds to what the client claims must not be fooled by the claim.
    """
    if "Forwarded" in request.headers:
        return False
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    addresses = [
        # None over a unix socket.
        request.META.get("REMOTE_ADDR") or "",
        request.headers.get("X-Real-IP", ""),
        *forwarded,
    ]
    return all(_is_loopback(address.strip()) for address in addresses if address)


def _is_loopback(text: str) -> bool:
    address = parse_address(text)
    return address is not None and address.is_loopback
