"""Which process has a session: its id says so or, where it was placed, whoever has claimed it."""

from collections import OrderedDict

from streaming.cluster.bus import Bus, Message
from streaming.process import is_placed, process_of

# More than a site runs at once; what was forgotten is read from the session's row again.
MAX_KNOWN = 20_000


class Owners:
    """Remembers which process has claimed each session that was placed.

    It is told by the processes that claim, and by the rows that others read. On any thread.
    """

    def __init__(self, bus: Bus) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()
        bus.on("claimed", self._hear_claim)

    def process_of(self, session_id: str) -> str:
        """Return the name of the process of a session; "" if it has none, as far as is known."""
        if is_placed(session_id):
            return self._names.get(session_id, "")
        return process_of(session_id)

    def note(self, session_id: str, process: str) -> None:
        """Note whose a session is, from its row or from that process itself."""
        if not process or not is_placed(session_id):
            return
        self._names[session_id] = process
        self._names.move_to_end(session_id)
        if len(self._names) > MAX_KNOWN:
            self._names.popitem(last=False)

    def _hear_claim(self, message: Message) -> None:
        self.note(message["session"], message["from"])
