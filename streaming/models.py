"""The database's record of each session: for the admin, and for what outlives a process."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from streaming.engine.simulations import Engine
from streaming.engine.snapshot import OVER, State

# A process with sessions renews its lease this often.
HEARTBEAT_S = 4
# The sessions of a process whose lease has not changed for so long are given up: it has missed two
# heartbeats, and a third is almost due.
LOST_AFTER_S = 11
LOST_SENTENCE = "The process that ran this session is gone: start it again."
STATE_NAMES: dict[State, Promise] = {
    State.QUEUED: _("Queued"),
    State.STARTING: _("Starting"),
    State.RUNNING: _("Running"),
    State.PAUSED: _("Paused"),
    State.STOPPING: _("Stopping"),
    State.STOPPED: _("Stopped"),
    State.FINISHED: _("Finished"),
    State.FAILED: _("Failed"),
    State.STUCK: _("Stuck"),
    State.LOST: _("Lost"),
}


def state_word(state: State) -> str:
    """Return the name of a state as it stands in the middle of a sentence."""
    return str(STATE_NAMES[state]).lower()


class StreamSessionQuerySet(models.QuerySet["StreamSession"]):
    def active(self) -> "StreamSessionQuerySet":
        return self.exclude(state__in=OVER)

    def leased(self) -> "StreamSessionQuerySet":
        """The active ones that some process has: not those that wait for one."""
        return self.active().exclude(engine=Engine.CLUSTER, state=State.QUEUED)

    def ended_before(self, moment: datetime) -> "StreamSessionQuerySet":
        return self.filter(state__in=OVER, ended__lt=moment)

    def beyond(self, most: int) -> "StreamSessionQuerySet":
        """Those that have ended, but for so many that ended last."""
        newest = self.filter(state__in=OVER).order_by("-ended")
        # Not a subquery with an offset: MySQL has none of these.
        last = newest.values_list("ended", flat=True)[most - 1 : most].first()
        return self.none() if last is None else self.ended_before(last)

    def mark_lost(self, at: datetime) -> None:
        """Give these sessions up, of whose process nothing was heard since a moment.

        The epoch that follows is what tells its process, should it live after all.
        """
        self.update(state=State.LOST, ended=at, epoch=models.F("epoch") + 1, error=LOST_SENTENCE)


class Lease(models.Model):
    """Says that a process lives, and all its sessions with it: one row, however many they are.

    A process has a lease while it has sessions. Only streaming/sessions/lease.py renews it, and
    only streaming/cluster/leases.py gives it up.
    """

    incarnation = models.CharField(primary_key=True, max_length=40)
    # What people see of the process.
    process = models.CharField(max_length=200)
    renewed = models.DateTimeField()

    def __str__(self) -> str:
        return f"lease of {self.process}"


class LargeParams(models.Model):
    """Parameters that are large, such as a file: once, however many sessions have the same."""

    digest = models.CharField(primary_key=True, max_length=64)
    values = models.JSONField()

    def __str__(self) -> str:
        return f"parameters {self.digest}"


class StreamSession(models.Model):
    """One session, as its process last described it: by streaming/sessions/rows.py. What others
    change, its state when it is claimed or given up, is in streaming/cluster."""

    id = models.CharField(primary_key=True, max_length=40)
    simulation = models.CharField(_("simulation"), max_length=64)
    title = models.CharField(_("title"), max_length=200)
    engine = models.CharField(_("engine"), max_length=20)
    state = models.CharField(
        _("state"), max_length=10, choices=[(str(state), STATE_NAMES[state]) for state in State]
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        verbose_name=_("user"),
    )
    owner = models.CharField(_("owner"), max_length=200, blank=True)
    # What all sessions of one owner have in common, and says nothing else; "" for nobody known.
    owner_key = models.CharField(max_length=64, default="", db_index=True)
    # Those of small size; `all_params` gives either.
    params = models.JSONField(_("parameters"), default=dict)
    large_params = models.ForeignKey(LargeParams, null=True, blank=True, on_delete=models.PROTECT)
    step = models.PositiveBigIntegerField(_("steps"), default=0)
    # Over the last heartbeat; empty before the first.
    measured_rate = models.FloatField(_("steps/s"), null=True, blank=True)
    frames = models.PositiveBigIntegerField(_("frames"), default=0)
    viewers = models.PositiveIntegerField(_("viewers"), default=0)
    process = models.CharField(_("process"), max_length=200)
    started = models.DateTimeField(_("started"))
    ended = models.DateTimeField(_("ended"), null=True, blank=True, db_index=True)
    # When the row was written. Of a process without a lease it says that the process lived.
    heartbeat = models.DateTimeField(_("last written"))
    # Tells its process from others of the same name.
    incarnation = models.CharField(max_length=40, default="")
    # The process that writes the row knows its epoch, until the session is given up.
    epoch = models.PositiveIntegerField(_("epoch"), default=1)
    # The `session` message of the wire, as it was last, but for its parameters.
    message = models.JSONField(default=dict)
    # What is unusual about the step in progress.
    warning = models.CharField(_("warning"), max_length=200, blank=True)
    # The reason of the stop, as the receipt names it; empty without a stop.
    stopped_by = models.CharField(_("stopped by"), max_length=20, blank=True)
    stop_receipt = models.CharField(_("receipt of the stop"), max_length=200, blank=True)
    error = models.TextField(_("error"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)

    objects = StreamSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        ordering = ("-started",)
        indexes = (models.Index(fields=["state", "heartbeat"]),)
        permissions = (("control_streamsession", "Can stop, pause and resume every session"),)

    def __str__(self) -> str:
        return f"{self.title} ({self.id})"

    @property
    def all_params(self) -> dict[str, Any]:
        """The parameters, however large. It may ask the database."""
        params: dict[str, Any] = self.large_params.values if self.large_params else self.params
        return params


class Placement(models.Model):
    """A session that waits for a compute machine, and what that needs to run it.

    This table is the queue: a row goes when its session is claimed or stopped. Only
    streaming/cluster/claims.py writes.
    """

    # In the order in which they came.
    id = models.BigAutoField(primary_key=True)
    session = models.OneToOneField(
        StreamSession, on_delete=models.CASCADE, related_name="placement"
    )
    queue = models.CharField(max_length=32, db_index=True)
    # From which the parameters are validated again, and the content of files among them, in base64.
    given = models.JSONField()
    files = models.JSONField(default=dict)
    # What its starter asked for: fps, steps_per_second, abandon, abandon_grace.
    wishes = models.JSONField()
    token_hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.session_id} in {self.queue}"


class LastFrame(models.Model):
    """The last frame of a session that has ended: what its viewers find in any process.

    Written by streaming/sessions/rows.py, and kept as long as the session stays watchable.
    """

    session = models.OneToOneField(
        StreamSession, primary_key=True, on_delete=models.CASCADE, related_name="last_frame"
    )
    # The binary message of the wire.
    message = models.BinaryField()
    kept = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"last frame of {self.session_id}"


class LastLines(models.Model):
    """What a session that has ended has plotted, thinned: written and kept as its last frame."""

    session = models.OneToOneField(
        StreamSession, primary_key=True, on_delete=models.CASCADE, related_name="last_lines"
    )
    # The `series` messages of the wire, a line of JSON each, compressed.
    messages = models.BinaryField()
    kept = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"last lines of {self.session_id}"
