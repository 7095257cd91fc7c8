"""What viewers were told of a session beside its states, for the viewers that come later."""

from collections.abc import Iterator
from typing import Any

from streaming.engine.snapshot import State

# Codes of notices that something else makes untrue.
SLOW_STEP, PAUSING, SERVER_STOPPING = "slow_step", "pausing", "server_stopping"
# More codes than there are. Another process, of another version, may have others.
MAX_NOTICES = 32

Message = dict[str, Any]


class Notices:
    """The newest notice of each code, for as long as it is true. For one thread only."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._place: tuple[State, int] | None = None

    def __iter__(self) -> Iterator[Message]:
        return iter(list(self._messages.values()))

    def keep(self, message: Message) -> None:
        """Keep a `notice` message in the place of an earlier one of its code."""
        code = str(message.get("code"))
        self._messages.pop(code, None)
        self._messages[code] = message
        if len(self._messages) > MAX_NOTICES:
            del self._messages[next(iter(self._messages))]

    def withdraw(self, code: str) -> None:
        """Drop a notice that is no longer true, so that new viewers do not get it."""
        self._messages.pop(code, None)

    def note_place(self, state: State, step: int) -> None:
        """Drop the notices that are untrue in this state, or after another step."""
        if (state, step) != self._place:
            self._place = (state, step)
            self.withdraw(SLOW_STEP)
            self.withdraw(PAUSING)
        if state.ended:
            self.withdraw(SERVER_STOPPING)
