"""The filters of the admin's list of sessions: what goes on, and how what is over ended."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from streaming.engine.snapshot import State, StopReason
from streaming.models import StreamSession

END = "end"
STOPPED_BY: dict[str, Promise] = {
    StopReason.CLIENT: gettext_lazy("Stopped by who controls it"),
    StopReason.ADMIN: gettext_lazy("Stopped by an administrator"),
    StopReason.COMMAND: gettext_lazy("Stopped by a command"),
    StopReason.ABANDONED: gettext_lazy("Stopped, since nobody watched"),
    StopReason.BUSY: gettext_lazy("Stopped, since others need the server"),
    StopReason.TIME_LIMIT: gettext_lazy("Stopped at the time limit"),
    StopReason.STEP_LIMIT: gettext_lazy("Stopped at the step limit"),
    StopReason.SHUTDOWN: gettext_lazy("Stopped with its server"),
    StopReason.RELOAD: gettext_lazy("Stopped, since its file was saved"),
}
ENDS: dict[str, Promise] = {
    State.FINISHED: gettext_lazy("Finished"),
    **STOPPED_BY,
    State.FAILED: gettext_lazy("Failed"),
    State.LOST: gettext_lazy("Lost with its process"),
}


class ActivityFilter(admin.SimpleListFilter):
    """Shows what is going on; the history is one click away."""

    title = gettext_lazy("activity")
    parameter_name = "activity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("ended", _("Ended")), ("all", _("All"))]

    def value(self) -> str | None:
        # A filter on how or when sessions ended is not about sessions that run.
        looks_back = any(name == END or name.startswith("ended__") for name in self.request.GET)
        return super().value() or ("all" if looks_back else None)

    def choices(self, changelist: Any) -> Any:
        default = {
            "selected": self.value() is None,
            # Whatever begins with END goes, too: `ended__gte`, for one.
            "query_string": changelist.get_query_string(remove=[self.parameter_name, END]),
            "display": _("Active"),
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


class EndFilter(admin.SimpleListFilter):
    """How a session ended: by itself, by whom, or not at all well."""

    title = gettext_lazy("end")
    parameter_name = END

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(ENDS.items())

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[StreamSession]
    ) -> QuerySet[StreamSession]:
        end = self.value()
        if end is None:
            return queryset
        if end in STOPPED_BY:
            return queryset.filter(state=State.STOPPED, stopped_by=end)
        return queryset.filter(state=end)
