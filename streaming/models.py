"""The database's record of each session: for the admin, and for what outlives a process."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from streaming.engine.snapshot import ENDED, State

# A process says this often that its sessions live, and is given up after missing three.
HEARTBEAT_S = 5
LOST_AFTER_S = 15
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


class StreamSessionQuerySet(models.QuerySet["StreamSession"]):
    def active(self) -> "StreamSessionQuerySet":
        return self.exclude(state__in=ENDED - {State.STUCK})

    def ended_before(self, moment: datetime) -> "StreamSessionQuerySet":
        return self.filter(state__in=ENDED - {State.STUCK}, ended__lt=moment)

    def mark_lost(self) -> int:
        """Mark the sessions whose process no longer says that they live; return how many."""
        deadline = timezone.now() - timedelta(seconds=LOST_AFTER_S)
        return (
            self.active()
            .filter(heartbeat__lt=deadline)
            .update(state=State.LOST, ended=models.F("heartbeat"))
        )


class StreamSession(models.Model):
    """One session, as its process last described it. Written by streaming/records.py only."""

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
    params = models.JSONField(_("parameters"), default=dict)
    step = models.PositiveBigIntegerField(_("steps"), default=0)
    # Over the last heartbeat; empty before the first.
    measured_rate = models.FloatField(_("steps/s"), null=True, blank=True)
    frames = models.PositiveBigIntegerField(_("frames"), default=0)
    viewers = models.PositiveIntegerField(_("viewers"), default=0)
    process = models.CharField(_("process"), max_length=200)
    started = models.DateTimeField(_("started"))
    ended = models.DateTimeField(_("ended"), null=True, blank=True, db_index=True)
    heartbeat = models.DateTimeField(_("last heartbeat"))
    # What is unusual about the step in progress.
    warning = models.CharField(_("warning"), max_length=200, blank=True)
    # Who or what asked for the stop, as the receipt names it; empty when nobody did.
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
