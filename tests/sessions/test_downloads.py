"""The folder of saved files: what is kept, for how long, and how it stays small."""

import asyncio
import errno
import itertools
import os
import time

import pytest

from streaming.sessions import downloads as module
from streaming.sessions.downloads import ENDED_AFTER_S, Downloads

HOUR = 3600


@pytest.fixture
def folder(settings, tmp_path):
    settings.LIVESTEP = {"FILES_DIR": str(tmp_path)}
    return tmp_path / "livestep-saved"


@pytest.fixture
def downloads(folder):
    return Downloads()


def age(folder, session_id, seconds):
    at = time.time() - seconds
    os.utime(folder / session_id, (at, at))


def read(downloads, session_id, name):
    with downloads.open(session_id, name) as file:
        return file.read()


def sessions_in(folder):
    return sorted(path.name for path in folder.iterdir())


class TestKeeping:
    def test_a_file_is_there_until_another_has_its_name(self, downloads, folder):
        downloads.keep("s1", "a.txt", b"one")
        reading = downloads.open("s1", "a.txt")
        downloads.keep("s1", "a.txt", b"two, longer")
        # Whoever reads the former one reads it to its end.
        with reading:
            assert reading.read() == b"one"
        assert read(downloads, "s1", "a.txt") == b"two, longer"
        assert [path.name for path in (folder / "s1").iterdir()] == ["a.txt"]
        assert (folder / "s1").stat().st_mode & 0o077 == 0

    def test_another_process_gives_it_out_too(self, downloads):
        downloads.keep("s1", "a", b"x")
        assert read(Downloads(), "s1", "a") == b"x"

    def test_one_that_is_not_here_is_an_error(self, downloads):
        with pytest.raises(OSError, match="No such file"):
            downloads.open("s1", "a")

    def test_of_a_disk_that_fails_no_part_is_left(self, downloads, folder, monkeypatch):
        downloads.keep("s1", "a", b"old")

        def replace(path, target):
            raise OSError("the disk is gone")

        monkeypatch.setattr("pathlib.Path.replace", replace)
        with pytest.raises(OSError, match="gone"):
            downloads.keep("s1", "a", b"new")
        assert [path.name for path in (folder / "s1").iterdir()] == ["a"]
        assert read(downloads, "s1", "a") == b"old"


class TestTheEnd:
    def test_comes_an_hour_after_that_of_the_session(self, downloads, folder):
        for session_id, seconds in (("going", 2 * HOUR), ("ended", HOUR - 60), ("old", HOUR + 61)):
            downloads.keep(session_id, "a", b"x")
            age(folder, session_id, seconds)
        downloads.look(["going", "saves-nothing"])
        assert sessions_in(folder) == ["ended", "going"]
        assert time.time() - (folder / "going").stat().st_mtime < 60

    def test_does_not_come_to_what_is_not_ours(self, downloads, folder, tmp_path):
        """FILES_DIR may be any folder."""
        other = tmp_path / "pictures"
        other.mkdir()
        age(tmp_path, "pictures", 10 * HOUR)
        downloads.keep("s1", "a", b"x")
        downloads.look([])
        assert other.is_dir()

    def test_comes_by_itself(self, downloads, folder, monkeypatch):
        monkeypatch.setattr(module, "LOOK_S", 0.01)

        async def until_gone():
            downloads.keep("old", "a", b"x")
            age(folder, "old", 2 * HOUR)
            downloads.start(list)
            async with asyncio.timeout(10):
                while sessions_in(folder):
                    await asyncio.sleep(0.01)
            looking = downloads._looking
            downloads.stop()
            await asyncio.wait([looking], timeout=10)
            assert looking.cancelled()

        asyncio.run(until_gone())

    def test_comes_after_a_look_that_failed(self, downloads, monkeypatch, caplog):
        monkeypatch.setattr(module, "LOOK_S", 0.01)

        async def until_third():
            looks, third = itertools.count(1), asyncio.Event()

            def look(going):
                if next(looks) == 3:
                    loop.call_soon_threadsafe(third.set)
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

            loop = asyncio.get_running_loop()
            monkeypatch.setattr(downloads, "look", look)
            downloads.start(list)
            await asyncio.wait_for(third.wait(), 10)
            downloads.stop()

        asyncio.run(until_third())
        assert "the saved files could not be looked after" in caplog.text

    def test_of_a_folder_of_its_own_is_that_of_the_process(self, settings, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        settings.LIVESTEP = {}
        downloads = Downloads()
        downloads.look(["s1"])
        assert list(tmp_path.iterdir()) == []
        downloads.keep("s1", "a", b"x")
        assert read(downloads, "s1", "a") == b"x"
        downloads.stop()
        assert list(tmp_path.iterdir()) == []


class TestRoom:
    """A file and its folder take 8,192 bytes at least, as on a disk."""

    @pytest.fixture
    def full(self, downloads, folder, monkeypatch):
        monkeypatch.setattr(module, "MOST_BYTES", 30_000)
        for number in range(3):
            downloads.keep(f"s{number}", "a", b"x")
            age(folder, f"s{number}", 100 - number)
        return downloads

    def test_is_made_from_what_ended_first(self, full, folder):
        for number in range(3):
            age(folder, f"s{number}", ENDED_AFTER_S + 10 - number)
        full.keep("new", "a", bytes(12_000))
        assert sessions_in(folder) == ["new", "s2"]

    def test_is_not_made_from_sessions_that_go_on(self, full, folder):
        with pytest.raises(OSError, match="the server keeps as many files as it may"):
            full.keep("new", "a", bytes(12_000))
        assert sessions_in(folder) == ["s0", "s1", "s2"]

    def test_is_not_used_up_by_one_file_that_is_saved_again_and_again(self, full, folder):
        for _ in range(20):
            full.keep("s1", "a", b"y")
        assert sessions_in(folder) == ["s0", "s1", "s2"]
