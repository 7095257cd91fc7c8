"""The admin of sessions: who runs what, and the end of it for those with the permission."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import ngettext

from streaming.engine.errors import ClientError
from streaming.identity import CONTROL_PERMISSION
from streaming.models import StreamSession, StreamSessionQuerySet
from streaming.sessions import LiveSession, sessions

if TYPE_CHECKING:  # Generic in the stubs only.
    ModelAdmin = admin.ModelAdmin[StreamSession]
else:
    ModelAdmin = admin.ModelAdmin


class ActivityFilter(admin.SimpleListFilter):
    """Shows what is going on; the history is one click away."""

    title = "activity"
    parameter_name = "activity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("ended", "Ended"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        default = {
            "selected": self.value() is None,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": "Active",
        }
        return [default, *list(super().choices(changelist))[1:]]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[StreamSession]
    ) -> QuerySet[StreamSession]:
        active = StreamSession.objects.active()
        if self.value() == "all":
            return queryset
        if self.value() == "ended":
            return queryset.exclude(pk__in=active.values("pk"))
        return queryset.filter(pk__in=active.values("pk"))


@admin.register(StreamSession)
class StreamSessionAdmin(ModelAdmin):
    list_display = (
        "simulation", "state", "warning", "look", "engine", "who", "step", "frames", "viewers",
        "started", "heartbeat",
    )  # fmt: skip
    list_filter = (ActivityFilter, "state", "engine", "simulation", "started")
    readonly_fields = ("look",)
    search_fields = ("id", "owner", "simulation")
    list_select_related = ("user",)
    actions = ("stop", "pause", "resume")

    def get_queryset(self, request: HttpRequest) -> StreamSessionQuerySet:
        # Whoever looks first notices what a process left behind that is no more.
        StreamSession.objects.mark_lost()
        return StreamSession.objects.all()

    @admin.display(description="owner", ordering="owner")
    def who(self, row: StreamSession) -> str:
        return row.owner

    @admin.display(description="see")
    def look(self, row: StreamSession) -> str:
        return format_html(
            '<a href="{}">Watch</a>, <a href="{}">Stack</a>',
            reverse("streaming:session", args=[row.pk]),
            reverse("admin:streaming_streamsession_stack", args=[row.pk]),
        )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "GET" and (warning := sessions.lateness.warning()):
            self.message_user(request, warning, messages.WARNING)
        return super().changelist_view(request, extra_context)

    # What a session's step is doing now.

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.stack_view)
        path_to_it = path("<path:object_id>/stack/", view, name="streaming_streamsession_stack")
        return [path_to_it, *super().get_urls()]

    def stack_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show where the Python code of a session is, which goes on meanwhile."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(StreamSession, pk=object_id)
        try:
            stack = sessions.get(row.pk).stack()
        except ClientError as error:
            stack = f"{row.traceback}\n{error}."
        context = {
            **self.admin_site.each_context(request),
            "title": f"Stack of {row}",
            "opts": self.opts,
            "row": row,
            "stack": stack,
        }
        return render(request, "admin/streaming/streamsession/stack.html", context)

    @admin.action(description="Stop", permissions=["control"])
    def stop(self, request: HttpRequest, queryset: QuerySet[StreamSession]) -> None:
        self._control(request, queryset, "asked to stop", lambda live: live.request_stop("admin"))

    @admin.action(description="Pause", permissions=["control"])
    def pause(self, request: HttpRequest, queryset: QuerySet[StreamSession]) -> None:
        self._control(request, queryset, "asked to pause", lambda live: live.pause())

    @admin.action(description="Resume", permissions=["control"])
    def resume(self, request: HttpRequest, queryset: QuerySet[StreamSession]) -> None:
        self._control(request, queryset, "resumed", lambda live: live.session.resume())

    def _control(
        self,
        request: HttpRequest,
        queryset: QuerySet[StreamSession],
        done: str,
        command: Callable[[LiveSession], None],
    ) -> None:
        reached = 0
        for row in queryset:
            try:
                command(sessions.get(row.pk))
                reached += 1
            except ClientError as error:
                self.message_user(request, f"{row}: {error}.", messages.WARNING)
        if reached:
            counted = ngettext("%d session was", "%d sessions were", reached) % reached
            self.message_user(request, f"{counted} {done}.", messages.SUCCESS)

    # Sessions write their rows themselves: here they are looked at.

    def has_control_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CONTROL_PERMISSION)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
