"""Frames on disk, and the page that plays them."""

import json
import re
import subprocess
import sys

import pytest

from streaming.delivery.recording import (
    AFTER,
    BEFORE,
    DRAWING,
    DRAWING_PLACE,
    PLACE,
    PLAYER,
    FrameFiles,
    Player,
)
from streaming.engine.frames import Frame
from streaming.engine.series import GAP, Series

ABOUT = {"title": "A title", "simulation": "waves", "lang": "en", "params": {}, "words": {}}


def frame(step, text="x"):
    return Frame(step, step, f"<svg><text>{text}</text></svg>".encode())


def in_script(path):
    """Return what stands in the page's one script of data, as a browser takes it."""
    found = re.findall(re.escape(BEFORE) + "(.*?)" + re.escape(AFTER), path.read_text(), re.DOTALL)
    assert len(found) == 1
    return found[0]


def plotted():
    series = Series()
    series.add(1, {"a, b": GAP, "loss": 0.5})
    series.add(3, {"a, b": 0.1, "loss": 0.25})
    return series


@pytest.fixture
def path(tmp_path):
    return tmp_path / "waves.html"


class TestFrameFiles:
    def test_each_frame_is_a_file_with_the_number_of_its_step(self, tmp_path):
        files = FrameFiles(tmp_path / "new" / "out", "waves")
        files.add(frame(1, "one"), 0.0)
        files.add(frame(1_234_567, "late"), 0.1)
        found = {path.name: path.read_bytes() for path in (tmp_path / "new" / "out").iterdir()}
        assert found == {
            "waves-000001.svg": frame(1, "one").svg,
            "waves-1234567.svg": frame(1, "late").svg,
        }
        assert (files.frames, files.bytes) == (2, sum(map(len, found.values())))

    def test_a_folder_with_frames_of_the_same_simulation_is_refused(self, tmp_path):
        (tmp_path / "waves-000009.svg").write_text("of an earlier run")
        with pytest.raises(FileExistsError):
            FrameFiles(tmp_path, "waves")
        FrameFiles(tmp_path, "other")

    def test_what_was_plotted_is_a_table_beside_them(self, tmp_path):
        files = FrameFiles(tmp_path, "waves")
        files.close(plotted())
        assert (tmp_path / "series.csv").read_text() == 'step,"a, b",loss\n1,,0.5\n3,0.1,0.25\n'
        with pytest.raises(FileExistsError):
            FrameFiles(tmp_path, "other")

    def test_without_lines_there_is_no_table(self, tmp_path):
        FrameFiles(tmp_path, "waves").close(Series())
        assert list(tmp_path.iterdir()) == []

    def test_a_frame_that_cannot_be_written_leaves_no_half_file(self, tmp_path):
        files = FrameFiles(tmp_path, "waves")
        (tmp_path / "waves-000001.svg").symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left"):
            files.add(frame(1), 0.0)
        assert list(tmp_path.iterdir()) == []
        assert files.frames == 0


class TestPlayer:
    def test_the_page_has_what_was_plotted_and_what_draws_it(self, path):
        player = Player(path, ABOUT)
        player.add(frame(1), 0.0)
        player.close(plotted())
        assert json.loads(in_script(path))["series"] == [
            {"type": "series", "names": ["a, b"], "points": [[1, None], [3, 0.1]]},
            {"type": "series", "names": ["loss"], "points": [[1, 0.5], [3, 0.25]]},
        ]
        assert DRAWING.read_text() in path.read_text()
        assert PLAYER.read_text().count(DRAWING_PLACE) == 1

    def test_the_page_has_one_place_for_a_recording(self):
        assert PLAYER.read_text().count(PLACE) == 1
        assert PLAYER.read_text().count('id="recording"') == 1

    def test_the_recording_is_json_in_the_page(self, path):
        player = Player(path, {**ABOUT, "params": {"size": 3, "rule": "a\nb"}, "words": {"a": "b"}})
        player.add(frame(1, "one"), 100.0)
        player.add(frame(7, "seven"), 100.1234)
        player.close()
        assert json.loads(in_script(path)) == {
            "title": "A title",
            "simulation": "waves",
            "lang": "en",
            "params": {"size": 3, "rule": "a\nb"},
            "words": {"a": "b"},
            "frames": [
                {"step": 1, "seq": 1, "ms": 0, "svg": "<svg><text>one</text></svg>"},
                {"step": 7, "seq": 7, "ms": 123.4, "svg": "<svg><text>seven</text></svg>"},
            ],
        }
        assert player.bytes == path.stat().st_size

    def test_only_the_recording_is_added_to_the_page(self, path):
        player = Player(path, ABOUT)
        player.add(frame(1), 0.0)
        player.close()
        assert path.read_text().replace(in_script(path), "null") == PLAYER.read_text()

    @pytest.mark.parametrize(
        "text", ["</script><script>alert(1)</script>", "<!--<script>", "\u2028\u2029", "é≤∂😀"]
    )
    def test_no_text_ends_the_script(self, path, text):
        player = Player(path, {**ABOUT, "title": text, "params": {text: text}})
        player.add(frame(1, text), 0.0)
        player.close()
        written = in_script(path)
        assert not re.search("[<\u2028\u2029]", written)
        recording = json.loads(written)
        assert recording["title"] == recording["params"][text] == text
        assert text in recording["frames"][0]["svg"]

    def test_bytes_of_a_file_name_that_are_no_utf8_are_kept(self, path):
        Player(path, {**ABOUT, "params": {"file": "a\udcff"}}).close()
        assert json.loads(in_script(path))["params"] == {"file": "a\udcff"}

    def test_a_player_without_frames_is_whole(self, path):
        Player(path, ABOUT).close()
        assert json.loads(in_script(path))["frames"] == []

    def test_is_never_larger_than_allowed_and_has_no_hole(self, path, monkeypatch):
        """A frame too many is left out, and each after it, however small."""
        limit = PLAYER.stat().st_size + 3000
        monkeypatch.setattr("streaming.delivery.recording.MAX_PLAYER_BYTES", limit)
        player = Player(path, ABOUT)
        for step, size in enumerate([1000, 1000, 1000, 1], start=1):
            player.add(frame(step, "x" * size), float(step))
        player.close()
        assert [shown["step"] for shown in json.loads(in_script(path))["frames"]] == [1, 2]
        assert (player.frames, player.left_out) == (2, 2)
        assert path.stat().st_size <= limit

    def test_overwrites_nothing(self, path):
        path.write_text("of an earlier run")
        with pytest.raises(FileExistsError):
            Player(path, ABOUT)
        assert path.read_text() == "of an earlier run"


def test_needs_no_framework():
    program = "import sys, streaming.delivery.recording; print('django' in sys.modules, end='')"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("False", "")
