"""From the channel layer to the fan-out: one subscription for each session that is watched."""

from streaming.delivery.events import ChangeEvent, Event, FrameEvent, SeriesEvent, StatusEvent
from streaming.delivery.fanout import Dialect, Fanout, OnDemand
from streaming.delivery.window import Window
from streaming.engine.series import Series
from streaming.layer import local_layer


def group_name(session_id: str) -> str:
    return f"livestep.session.{session_id}"


class Relay:
    """Subscribes to a session while somebody watches it, and feeds the fan-out."""

    def __init__(
        self, session_id: str, on_demand: OnDemand, series: Series, most_bytes: int
    ) -> None:
        self.fanout = Fanout(session_id, on_demand, series, most_bytes)
        self._group = group_name(session_id)

    def add(self, window: Window, dialect: Dialect) -> None:
        """Let a window have what comes from now on."""
        if not len(self.fanout):
            local_layer().subscribe(self._group, self._pass_on)
        self.fanout.add(window, dialect)

    def remove(self, window: Window) -> bool:
        """Let a window have nothing more; False if it had nothing already."""
        if window not in self.fanout:
            return False
        self.fanout.remove(window)
        if not len(self.fanout):
            local_layer().unsubscribe(self._group, self._pass_on)
        return True

    def _pass_on(self, event: Event) -> None:
        match event:
            case FrameEvent(frame, final):
                self.fanout.offer(frame, final=final)
            case ChangeEvent(text, revision, plain_line):
                self.fanout.post(text, plain_line, revision)
            case StatusEvent(text, revision):
                self.fanout.tell_all(text, revision)
            case SeriesEvent():
                self.fanout.telling.note_news()
