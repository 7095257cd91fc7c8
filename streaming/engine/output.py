"""The lines that a session printed last, as the people who control it read them."""

import re

MOST_LINES = 200
MAX_LINE = 500
# At the end of a line that has more characters.
CUT = "…"
# What terminals take for colours and movements, and what no page can show.
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


class RecentLines:
    """Keeps the newest lines. One thread writes; any may read."""

    def __init__(self) -> None:
        # Replaced, never changed, since other threads read it.
        self._lines: tuple[str, ...] = ()
        self._rest = b""
        # How many lines there were, for whoever wants to know whether there is news.
        self.count = 0

    def take(self, content: bytes) -> None:
        """Take what was printed. What is no longer among the newest costs little."""
        ended = content.count(b"\n")
        *lines, rest = (self._rest + content).rsplit(b"\n", min(ended, MOST_LINES))
        if ended > MOST_LINES:
            del lines[0]  # All that was before.
        self._rest = rest[-MAX_LINE * 4 :]
        if lines:
            self._lines = (*self._lines, *map(_readable, lines))[-MOST_LINES:]
        self.count += ended

    def read(self) -> list[str]:
        """Return the lines, the newest last; one that was begun is among them."""
        rest = _readable(self._rest)
        return [*self._lines, rest][-MOST_LINES:] if rest else list(self._lines)


def _readable(line: bytes) -> str:
    # Of a progress bar, which begins its line anew, what stands there now.
    shown = line.removesuffix(b"\r").rpartition(b"\r")[2]
    text = ESCAPES.sub("", shown[: MAX_LINE * 4].decode(errors="replace"))
    is_whole = len(text) <= MAX_LINE and len(shown) <= MAX_LINE * 4
    return text if is_whole else text[: MAX_LINE - 1] + CUT
