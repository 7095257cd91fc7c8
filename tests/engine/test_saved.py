"""What a simulation saves: what is refused, and what comes of it in both engines."""

import errno

import pytest

from streaming.engine import saved
from streaming.engine.saved import MAX_NAME, MOST_BYTES, MOST_FILES, SavedFiles, parts_of
from streaming.engine.snapshot import State
from streaming.testing import pictures
from tests.engine.running import Run
from tests.samples import faults, simulations


class Kept(dict):
    def __call__(self, name, content):
        self[name] = content


@pytest.fixture
def kept():
    return Kept()


class TestNames:
    @pytest.mark.parametrize(
        "name", ["a", "loss over time.csv", "größe.txt", "x" * MAX_NAME, "a.b.c", "-", "100%"]
    )
    def test_that_are_taken(self, kept, name):
        SavedFiles(kept).save(name, b"1")
        assert kept == {name: b"1"}

    @pytest.mark.parametrize(
        "name",
        [
            *("", " ", ".", "..", ".bashrc", "../x", "a/b", "/etc/passwd", "a\\b"),
            *("a\nb", "a\0b", "\x1b[31m", "a\u202etxt.exe", "\udcff", "x" * (MAX_NAME + 1)),
            *("\N{GRINNING FACE}" * 70, None, 3, b"a", ["a"]),
        ],
    )
    def test_that_are_refused_with_a_sentence(self, kept, name):
        with pytest.raises(ValueError, match=r"expected a file's name of 1 to 100 characters"):
            SavedFiles(kept).save(name, b"1")
        assert kept == {}


class TestLimits:
    def test_of_bytes_counts_a_file_that_is_saved_again_once(self, kept):
        files = SavedFiles(kept)
        for _ in range(3):
            files.save("weights", bytes(MOST_BYTES - 10))
        files.save("small", b"x" * 10)
        with pytest.raises(ValueError, match=r"its other files leave 0, and this one has 1$"):
            files.save("one more", b"x")
        assert files.sizes == {"weights": MOST_BYTES - 10, "small": 10}

    def test_of_files_lets_one_of_them_be_saved_again(self, kept):
        files = SavedFiles(kept)
        for number in range(MOST_FILES):
            files.save(f"{number}", b"")
        with pytest.raises(ValueError, match="a session may save 32 files, and has"):
            files.save("one more", b"")
        files.save("3", b"again")
        assert kept["3"] == b"again"

    def test_hold_for_a_file_that_comes_in_parts(self, kept):
        files = SavedFiles(kept)
        half = bytes(MOST_BYTES // 2)
        for _ in range(2):
            files.take("large", half, is_last=False)
        with pytest.raises(ValueError, match="may save 16,777,216 bytes"):
            files.take("large", b"x", is_last=False)
        assert kept == {}

    def test_content_that_is_none_is_refused(self):
        def saves_a_list(ctx):
            ctx.save("a", [1, 2])
            yield "<svg/>"

        with pytest.raises(TypeError, match="expected text or bytes as a file's content, got list"):
            pictures(saves_a_list, 1)

    def test_hold_in_the_tests_of_an_author(self):
        with pytest.raises(ValueError, match="a file's name"):
            pictures(faults.saves_outside, 2)


class TestParts:
    @pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 25])
    def test_are_the_file_again(self, kept, monkeypatch, size):
        monkeypatch.setattr(saved, "PART_BYTES", 10)
        content = bytes(range(size))
        files = SavedFiles(kept)
        for part, is_last in parts_of(content):
            assert kept == {}
            files.take("a", part, is_last=is_last)
        assert kept == {"a": content}


@pytest.fixture(params=["thread", "process"])
def run(request, fork_server):
    options = {"fork_server": fork_server} if request.param == "process" else {}
    runs = []

    def run(target, keep):
        runs.append(Run(target, files=SavedFiles(keep), **options).start())
        return runs[-1]

    yield run
    for each in runs:
        each.stop()


class TestInAStep:
    def test_text_and_bytes_are_kept_and_told(self, run, kept):
        end = run(simulations.saves, kept).ended()
        assert end.state is State.FINISHED
        assert kept == {"notes.txt": "äh".encode(), "weights.bin": bytes(600_000), "empty": b""}
        assert dict(end.files) == {"notes.txt": 3, "weights.bin": 600_000, "empty": 0}

    def test_what_is_refused_names_the_authors_line(self, run, kept):
        ran = run(faults.saves_outside, kept)
        end = ran.ended()
        assert end.state is State.FAILED
        assert "ValueError: ctx.save(): expected a file's name" in end.error
        assert ran.session.place.code == 'ctx.save("../outside", "x")'
        assert kept == {}

    def test_a_full_disk_is_told_and_the_session_goes_on(self, run):
        def keep(name, content):
            raise OSError(errno.ENOSPC, "No space left on device")

        ran = run(simulations.saves, keep)
        assert ran.ended().state is State.FINISHED
        said = [sentence for code, sentence in ran.notices if code == "file_not_kept"]
        # At the first and the second; the third is counted.
        assert said == [
            "The file notes.txt could not be kept: the disk is full.",
            "The file weights.bin could not be kept: the disk is full.",
        ]
        assert ran.changes[-1].files == ()


def test_a_process_that_saves_more_than_it_may_is_ended(fork_server, kept):
    ran = Run(faults.saves_past_us, fork_server=fork_server, files=SavedFiles(kept)).start()
    end = ran.ended()
    assert end.state is State.FAILED
    assert end.error == "Its process sent what is no message, and was ended."
    assert kept == {}
