"""The admin of sessions: what runs, and buttons to end it for staff with the permission."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy
from django.views.decorators.http import require_POST

from streaming.admin import dashboard, human
from streaming.admin.filters import ActivityFilter, EndFilter
from streaming.cluster.directory import AnySession
from streaming.delivery.protocol import Verb
from streaming.engine.errors import ClientError, WrongState
from streaming.engine.snapshot import State, StopReason
from streaming.identity import CONTROL_PERMISSION
from streaming.models import StreamSession
from streaming.runtime import runtime
from streaming.sessions.control import STAFF, Caller
from streaming.sessions.rows import KEEP_S
from streaming.web.words import script_words

if TYPE_CHECKING:  # Generic in the stubs only.
    ModelAdmin = admin.ModelAdmin[StreamSession]
else:
    ModelAdmin = admin.ModelAdmin

STOPPED = ngettext_lazy(
    "%(count)d session was asked to stop.", "%(count)d sessions were asked to stop.", "count"
)
PAUSED = ngettext_lazy(
    "%(count)d session was asked to pause.", "%(count)d sessions were asked to pause.", "count"
)
RESUMED = ngettext_lazy(
    "%(count)d session was resumed.", "%(count)d sessions were resumed.", "count"
)
# What the page's script says when it only wants to know what has changed.
REFRESH_HEADER = "X-Livestep-Refresh"
# A parameter that is longer is shown in a box of its own.
SHORT_TEXT = 80
# How long a page waits for another process.
WAIT_S = 3.0


class SessionList(ChangeList):
    """Shows the sessions of this process as they are now: their rows are some seconds older."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for row in self.result_list:
            bring_up_to_date(row)


def bring_up_to_date(row: StreamSession) -> None:
    """Have a row say how its session is now, if it goes on in this process."""
    if row.ended is None and (now := runtime.directory.live_row(row.pk)) is not None:
        for name, value in now.items():
            setattr(row, name, value)


@admin.register(StreamSession)
class StreamSessionAdmin(ModelAdmin):
    list_display = (
        "state", "simulation", "look", "owner", "engine", "process", "steps", "rate",
        "frame_count", "viewers", "since", "elapsed", "beat", "warning",
    )  # fmt: skip
    list_display_links = ("state", "simulation")
    list_filter = (ActivityFilter, EndFilter, "ended", "state", "engine", "simulation")
    # The list is asked for every two seconds, and Django takes its time for each row.
    list_per_page = 50
    # Sessions that still run come first.
    ordering = (F("ended").desc(nulls_first=True), "-started")
    search_fields = ("id", "owner", "simulation", "title", "process", "error")
    actions = ("stop", "pause", "resume", "stop_owner")
    fieldsets = (
        (None, {"fields": ("state", "warning", "title", "simulation", "owner", "user")}),
        (
            gettext_lazy("Figures"),
            {"fields": ("steps", "rate", "frame_count", "viewers", "elapsed", "beat")},
        ),
        (gettext_lazy("Parameters"), {"fields": ("parameters",)}),
        (
            gettext_lazy("Where and when"),
            {"fields": ("engine", "process", "started", "ended")},
        ),
        (gettext_lazy("End"), {"fields": ("stop_receipt", "failure", "trace")}),
    )
    readonly_fields = (
        "parameters", "steps", "rate", "frame_count", "elapsed", "beat", "failure", "trace",
    )  # fmt: skip

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SessionList

    # What is shown of a row.

    @admin.display(description=gettext_lazy("see"))
    def look(self, row: StreamSession) -> str:
        if not _is_watchable(row):
            return human.NOTHING
        address = reverse("streaming:session", args=[row.pk])
        return format_html('<a href="{}">{}</a>', address, _("Watch"))

    @admin.display(description=gettext_lazy("steps"), ordering="step")
    def steps(self, row: StreamSession) -> str:
        return human.count(row.step)

    @admin.display(description=gettext_lazy("steps/s"), ordering="measured_rate")
    def rate(self, row: StreamSession) -> str:
        return human.NOTHING if row.measured_rate is None else human.rate(row.measured_rate)

    @admin.display(description=gettext_lazy("frames"), ordering="frames")
    def frame_count(self, row: StreamSession) -> str:
        return human.count(row.frames)

    @admin.display(description=gettext_lazy("started"), ordering="started")
    def since(self, row: StreamSession) -> str:
        # Without USE_TZ a time is naive, and a local one already.
        is_local = timezone.is_naive(row.started)
        started = row.started if is_local else timezone.localtime(row.started)
        return date_format(started, "SHORT_DATETIME_FORMAT")

    @admin.display(description=gettext_lazy("elapsed"))
    def elapsed(self, row: StreamSession) -> str:
        return human.duration((row.ended or timezone.now()) - row.started)

    @admin.display(description=gettext_lazy("last written"), ordering="heartbeat")
    def beat(self, row: StreamSession) -> str:
        return _("%(time)s ago") % {"time": human.duration(timezone.now() - row.heartbeat)}

    @admin.display(description=gettext_lazy("parameters"))
    def parameters(self, row: StreamSession) -> str:
        params = row.all_params
        if not params:
            return _("None.")
        items = format_html_join(
            "",
            "<div><dt>{}</dt><dd>{}</dd></div>",
            ((k, _text(v)) for k, v in params.items()),
        )
        return format_html('<dl class="parameters">{}</dl>', items)

    @admin.display(description=gettext_lazy("error"))
    def failure(self, row: StreamSession) -> str:
        return _text(row.error)

    @admin.display(description=gettext_lazy("traceback"))
    def trace(self, row: StreamSession) -> str:
        return _box(row.traceback) if row.traceback else human.NOTHING

    # The pages.

    def get_urls(self) -> list[Any]:
        of_one = "<path:object_id>"
        pages = (
            ("dashboard/", self.dashboard_view, "dashboard"),
            (f"{of_one}/stack/", self.stack_view, "stack"),
            (f"{of_one}/control/", require_POST(self.control_view), "control"),
        )
        return [
            *(
                path(
                    address,
                    self.admin_site.admin_view(view),
                    name=f"streaming_streamsession_{name}",
                )
                for address, view, name in pages
            ),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"warning": runtime.pool.lateness.warning(), **_refreshing(request)}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_object(self, *args: Any, **kwargs: Any) -> StreamSession | None:
        row = super().get_object(*args, **kwargs)
        if row is not None:
            bring_up_to_date(row)
        return row

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = context["original"]
        is_going = _is_going(row)
        context |= {
            **_refreshing(request),
            "is_watchable": _is_watchable(row),
            "words": script_words(),
            "is_going": is_going,
            "may_control": is_going and self.has_control_permission(request),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def dashboard_view(self, request: HttpRequest) -> HttpResponse:
        self._check_may_view(request)
        context = {"title": _("Dashboard"), **dashboard.figures()}
        return self._page(request, "dashboard", context)

    def stack_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show where the Python code of a session is, which goes on meanwhile."""
        self._check_may_view(request)
        row = get_object_or_404(StreamSession, pk=object_id)
        try:
            stack = _stack(row)
        except ClientError as error:
            stack = f"{row.traceback}\n{error}."
        title = _("Stack of %(session)s") % {"session": row}
        return self._page(request, "stack", {"title": title, "row": row, "stack": stack})

    def _check_may_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        site = self.admin_site.each_context(request)
        context = {**site, "opts": self.opts, **_refreshing(request), **context}
        return render(request, f"admin/streaming/streamsession/{name}.html", context)

    def control_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Do to one session what a button of its page says."""
        if not self.has_control_permission(request):
            raise PermissionDenied
        row = get_object_or_404(StreamSession, pk=object_id)
        asked = request.POST.get("command", "")
        if asked in ("stop", "pause", "resume"):
            getattr(self, asked)(request, [row])
        else:
            sentence = _("Expected stop, pause or resume, got %(command)r.")
            self.message_user(request, sentence % {"command": asked[:20]}, messages.ERROR)
        page = reverse("admin:streaming_streamsession_change", args=[quote(row.pk)])
        return HttpResponseRedirect(page)

    # What may be done to sessions.

    @admin.action(description=gettext_lazy("Stop"), permissions=["control"])
    def stop(self, request: HttpRequest, rows: Iterable[StreamSession]) -> None:
        self._control(request, rows, "stop", STOPPED)

    @admin.action(description=gettext_lazy("Pause"), permissions=["control"])
    def pause(self, request: HttpRequest, rows: Iterable[StreamSession]) -> None:
        self._control(request, rows, "pause", PAUSED)

    @admin.action(description=gettext_lazy("Resume"), permissions=["control"])
    def resume(self, request: HttpRequest, rows: Iterable[StreamSession]) -> None:
        self._control(request, rows, "resume", RESUMED)

    @admin.action(description=gettext_lazy("Stop all of this owner"), permissions=["control"])
    def stop_owner(self, request: HttpRequest, rows: QuerySet[StreamSession]) -> None:
        ids = {row.pk for row in rows}
        owners = {row.owner_key for row in rows if row.owner_key}
        own = StreamSession.objects.active().filter(Q(owner_key__in=owners) | Q(pk__in=ids))
        if not own:
            self.message_user(request, _("No session of these owners goes on."), messages.WARNING)
        self.stop(request, own)

    def _control(
        self, request: HttpRequest, rows: Iterable[StreamSession], verb: str, done: Any
    ) -> None:
        reached = 0
        for row in rows:
            try:
                _order(row, verb)
                reached += 1
            except ClientError as error:
                self.message_user(request, f"{row}: {error}.", messages.WARNING)
        if reached:
            self.message_user(request, done % {"count": reached}, messages.SUCCESS)

    # Sessions write their rows themselves: here they are looked at.

    def has_control_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CONTROL_PERMISSION)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _is_going(row: StreamSession) -> bool:
    """Whether its process still has something of it: it goes on, or holds its thread."""
    is_here = runtime.directory.live_row(row.pk) is not None
    return runtime.directory.is_held(row.pk) if is_here else runtime.directory.is_going(row)


def _is_watchable(row: StreamSession) -> bool:
    if row.ended is None:
        return runtime.directory.is_going(row)
    is_kept = row.ended > timezone.now() - timedelta(seconds=KEEP_S)
    return is_kept and bool(row.message)


def _order(row: StreamSession, verb: str) -> None:
    """Do something to a session, in whichever process it is.

    Raises:
        ClientError: If it cannot be done, or its process does not answer.
    """

    async def obey(session: AnySession) -> None:
        state = State(session.status()["state"])
        # To a client that is no mistake; here a person wants to know that nothing was done.
        if verb == Verb.STOP and state.ended:
            raise WrongState(f"the session is {state} and can no longer be stopped")
        await session.obey({"type": verb}, Caller(STAFF, by=StopReason.ADMIN))

    runtime.directory.from_page(row.pk, obey, timeout=WAIT_S)


def _stack(row: StreamSession) -> str:
    async def stack(session: AnySession) -> str:
        return await session.stack()

    return runtime.directory.from_page(row.pk, stack, timeout=WAIT_S)


def _refreshing(request: HttpRequest) -> dict[str, bool]:
    """Say whether the page's script asks, to whom no message may be shown: nobody would read it."""
    return {"is_refresh": REFRESH_HEADER in request.headers}


def _text(value: Any) -> str | SafeString:
    """Return a value; a long one shortened, and behind that as a whole."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    text = human.NOTHING if value in (None, "") else str(value)
    if len(text) <= SHORT_TEXT and "\n" not in text:
        return text
    return format_html(
        "<details><summary>{}…</summary>{}</details>", text.split("\n")[0][:SHORT_TEXT], _box(text)
    )


def _box(text: str) -> SafeString:
    # It scrolls, so the keyboard must reach it.
    return format_html('<pre class="box" tabindex="0">{}</pre>', text)
