"""What is counted where it happens, for Prometheus; web/metrics.py adds what can be asked.

Labels have few values, all of them ours: never an id, a name of a user, or what a client sent.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from streaming.engine.simulations import Engine
from streaming.engine.snapshot import ENDED, Rung

# Of its own: a project may give metrics of its own, under any name, somewhere else.
registry = CollectorRegistry()
ProcessCollector(registry=registry)

SESSIONS_STARTED = Counter(
    "livestep_sessions_started",
    "Sessions whose worker was started.",
    ["engine"],
    registry=registry,
)
SESSIONS_ENDED = Counter(
    "livestep_sessions_ended",
    "Sessions that ended, by how. A stuck one whose thread ends after all counts as stopped, too.",
    ["engine", "state"],
    registry=registry,
)
STEPS = Counter(
    "livestep_steps",
    "Steps that sessions took. Counted once a second, and when a session ends.",
    ["engine"],
    registry=registry,
)
FRAMES_PRODUCED = Counter(
    "livestep_frames_produced",
    "Frames that sessions made. Counted once a second, and when a session ends.",
    ["engine"],
    registry=registry,
)
STOP_SECONDS = Histogram(
    "livestep_stop_seconds",
    "From a request to stop to the end of the worker, by the rung of the ladder that ended it.",
    ["engine", "how"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 3, 3.5, 5, 10, 60),
    registry=registry,
)
STEP_SECONDS = Histogram(
    "livestep_step_seconds",
    "How long a step takes in a running session: its last ones on average, or the one in progress "
    "if that is longer. Observed once a second for each session, so that its count is the seconds "
    "that sessions ran, not their steps.",
    ["engine"],
    buckets=(0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
    registry=registry,
)
EVENT_LOOP_LATENESS_SECONDS = Histogram(
    "livestep_event_loop_lateness_seconds",
    "How late the event loop woke up, measured ten times a second while a session goes on.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)
DATABASE_ERRORS = Counter(
    "livestep_database_errors",
    "Questions that the database failed at: writing session rows, saying who a client is, or "
    "whether it is there.",
    ["operation"],
    registry=registry,
)
LOG_LINES_LOST = Counter(
    "livestep_log_lines_lost",
    "Log lines that could not be written: a full disk, a closed standard error.",
    registry=registry,
)

# Each series is there from the start, or its first event would be no increase.
for _engine in Engine:
    SESSIONS_STARTED.labels(_engine)
    STEPS.labels(_engine)
    FRAMES_PRODUCED.labels(_engine)
    STEP_SECONDS.labels(_engine)
    for _state in sorted(ENDED):
        SESSIONS_ENDED.labels(_engine, _state)
    for _how in Rung:
        STOP_SECONDS.labels(_engine, _how)
for _operation in ("rows", "identity", "readiness"):
    DATABASE_ERRORS.labels(_operation)
