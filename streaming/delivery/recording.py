"""Frames on disk: each as a file, or all in one page that plays them without a network. What was
plotted beside them: as a table, or as a chart in that page.

Knows nothing of Django. Frames are written as they come, so that a long run needs no memory.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from streaming.delivery.protocol import series_message
from streaming.delivery.series import write_table
from streaming.engine.frames import Frame
from streaming.engine.series import Series

STATIC = Path(__file__).parents[1] / "static" / "streaming"
PLAYER, DRAWING = STATIC / "recording.html", STATIC / "live-step-drawing.js"
# Where the page has what draws its chart.
DRAWING_PLACE = "/* live-step-drawing.js */"
TABLE = "series.csv"
BEFORE, AFTER = '<script type="application/json" id="recording">', "</script>"
PLACE = f"{BEFORE}null{AFTER}"
# The page holds all of it in memory. Chromium shows the first picture of this much after 2.5 s.
MAX_PLAYER_BYTES = 100 * 1000**2
FRAMES_END = "\n]}"
# A script in HTML ends at "</script", whatever quotes it stands in, and JavaScript before 2019
# ended a line at the other two.
ESCAPES = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class FrameFiles:
    """Writes each frame to a folder, under the number of its step.

    Raises:
        OSError: If the folder cannot be made; FileExistsError if it has such files already.
    """

    def __init__(self, folder: Path, simulation: str) -> None:
        self._folder, self._simulation = folder, simulation
        self.frames = self.bytes = 0
        folder.mkdir(parents=True, exist_ok=True)
        # Those of two runs would look like one.
        self._table = folder / TABLE
        if self._table.exists():
            raise FileExistsError(self._table)
        if (found := next(folder.glob(f"{simulation}-*.svg"), None)) is not None:
            raise FileExistsError(found)

    def add(self, frame: Frame, at: float) -> None:
        self.keep(f"{self._simulation}-{frame.step:06}.svg", frame.svg)
        self.frames += 1
        self.bytes += len(frame.svg)

    def keep(self, name: str, content: bytes) -> None:
        """Write a file that the simulation saves, over one that has the same name."""
        path = self._folder / name
        try:
            path.write_bytes(content)
        except OSError:
            # Half a picture is worse than none.
            with suppress(OSError):
                path.unlink()
            raise

    def close(self, series: Series | None = None) -> None:
        """Write what was plotted, if anything was: a row for each step."""
        if series is None or not series.lines():
            return
        with self._table.open("x", encoding="utf-8", newline="") as file:
            write_table(series, file)


class Player:
    """Writes frames into a copy of `recording.html`, which is complete once it is closed.

    It takes no more of them than fit into a file of MAX_PLAYER_BYTES.

    Args:
        path: A file that is not there yet.
        about: What the page says of the run: `title`, `simulation`, `lang`, `params`, `words`.

    Raises:
        OSError: If the file cannot be made; FileExistsError if it is there.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        before, _, after = PLAYER.read_text(encoding="utf-8").partition(PLACE)
        beginning = as_json({**about, "frames": []}).removesuffix("]}")
        self._after = AFTER + after
        self._first_at = 0.0
        self.frames = self.left_out = self.bytes = 0
        self._file = path.open("xb")
        self._write(encoded(before + BEFORE + beginning))

    def add(self, frame: Frame, at: float) -> None:
        """Write a frame that came `at` some seconds, or count it as left out."""
        if not self.frames:
            self._first_at = at
        shown = {
            "step": frame.step,
            "seq": frame.seq,
            "ms": round((at - self._first_at) * 1000, 1),
            "svg": frame.svg.decode(errors="replace"),
        }
        content = encoded((",\n" if self.frames else "\n") + as_json(shown))
        # A smaller one that comes later would fit, but then the film would have a hole.
        size = self.bytes + len(content) + len(FRAMES_END) + len(self._after)
        if self.left_out or size > MAX_PLAYER_BYTES:
            self.left_out += 1
            return
        self._write(content)
        self.frames += 1

    def close(self, series: Series | None = None) -> None:
        """Complete the page, with what was plotted, if anything was."""
        end = FRAMES_END + self._after
        if series is not None and (lines := series.lines()):
            told = [
                series_message([line.name], line.overview.steps, [line.overview.values])
                for line in lines
            ]
            after = self._after.replace(DRAWING_PLACE, DRAWING.read_text(encoding="utf-8"))
            end = f'\n], "series": {as_json(told)}}}{after}'
        with self._file:
            self._write(encoded(end))

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self.bytes += len(content)


def as_json(value: Any) -> str:
    """Return a value as JSON that can stand in a script of an HTML page."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    for sign, escape in ESCAPES.items():  # str.translate() takes 25 times as long.
        text = text.replace(sign, escape)
    return text


def encoded(text: str) -> bytes:
    # What UTF-8 has no code for is, written so, what JSON has for it.
    return text.encode(errors="backslashreplace")
