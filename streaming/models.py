"""The database's record of each session: for the admin, and for what outlives a process."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from streaming.engine.snapshot import ENDED, State

# A process says this often that its sessions live, and is given up after missing three.
HEARTBEAT_S = 5
LOST_AFTER_S = 15


class StreamSessionQuerySet(models.QuerySet["StreamSession"]):
    def active(self) -> "StreamSessionQuerySet":
        return self.exclude(state__in=ENDED - {State.STUCK})

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
    simulation = models.CharField(max_length=64)
    title = models.CharField(max_length=200)
    engine = models.CharField(max_length=20)
    state = models.CharField(
        max_length=10, choices=[(str(state), str(state).capitalize()) for state in State]
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    owner = models.CharField(max_length=200, blank=True)
    params = models.JSONField(default=dict)
    step = models.PositiveBigIntegerField("steps", default=0)
    frames = models.PositiveBigIntegerField(default=0)
    viewers = models.PositiveIntegerField(default=0)
    process = models.CharField(max_length=200)
    started = models.DateTimeField()
    ended = models.DateTimeField(null=True, blank=True)
    heartbeat = models.DateTimeField("last heartbeat")
    # What is unusual about the step in progress.
    warning = models.CharField(max_length=200, blank=True)
    stop_receipt = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    traceback = models.TextField(blank=True)

    objects = StreamSessionQuerySet.as_manager()

    class Meta:
        verbose_name = "session"
        ordering = ("-started",)
        indexes = (models.Index(fields=["state", "heartbeat"]),)
        permissions = (("control_streamsession", "Can stop, pause and resume every session"),)

    def __str__(self) -> str:
        return f"{self.title} ({self.id})"
