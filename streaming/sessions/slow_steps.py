"""The watch over the step in progress of a session: whether it takes far longer than usual."""

from collections.abc import Callable

from streaming.delivery.notices import PAUSING, SLOW_STEP
from streaming.engine.session import Session

# A step is slow once it takes so many times what is usual, and no less than that long.
SLOW_FACTOR = 10
SLOW_STEP_S = 2.0
# Of the first one, which may compile something, nobody knows how long it takes.
SLOW_FIRST_STEP_S = 3.0

Notify = Callable[[str, str], None]


class SlowSteps:
    """Says of a step that it is slow, or that a pause has to wait for it. On the event loop.

    Args:
        notify: Tells the viewers a notice: its code and its sentence.
        withdraw: Drops a notice that is no longer true.
    """

    def __init__(self, session: Session, notify: Notify, withdraw: Callable[[str], None]) -> None:
        self._session, self._notify, self._withdraw = session, notify, withdraw
        # What staff should know of the step in progress; nothing while it is as usual.
        self.warning = ""

    def look(self) -> None:
        """Look at the step in progress, once a second."""
        step = self._session.step_in_progress()
        usual = step and step.usual_s
        if step is None or step.seconds < (
            max(SLOW_STEP_S, SLOW_FACTOR * usual) if usual else SLOW_FIRST_STEP_S
        ):
            self.warning = ""
            self._withdraw(SLOW_STEP)
            return
        if usual:
            self.warning = f"step {step.number} has run for {step.seconds:.0f} s, "
            self.warning += f"usually {_seconds(usual)}"
        else:
            self.warning = f"step {step.number} is still running, {step.seconds:.0f} s"
        if not self._session.state.ended:  # The viewers of a stuck one know it already.
            self._notify(SLOW_STEP, f"{self.warning[0].upper()}{self.warning[1:]}.")

    def say_pausing(self) -> None:
        """Say that a pause waits for the step in progress, if it does."""
        step = self._session.step_in_progress()
        if step is not None and self._session.pause_requested:
            self._notify(
                PAUSING,
                f"Pausing after step {step.number}: a thread cannot pause in the middle of a step.",
            )


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 0.01 else "less than 0.01 s"
