"""Files among the parameters: on the disk for as long as the steps are taken, in both engines."""

import os
import signal
import stat
from pathlib import Path

import pytest

from streaming.engine.params import Upload
from streaming.engine.snapshot import State
from streaming.engine.uploads import UploadFolder, given
from tests.engine.running import Run
from tests.samples import simulations

PARAMS = {
    "table": Upload("my prices.csv", b"1,2", as_path=True),
    "raw": Upload("a.bin", b"xyz"),
    "some": [], "moods": [], "day": "", "walls": simulations.Walls(), "seed": 1,
}  # fmt: skip


@pytest.fixture(params=["thread", "process"])
def run(request, fork_server, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    options = {"fork_server": fork_server} if request.param == "process" else {}
    run = Run(simulations.many_types, params=PARAMS, **options).start()
    yield run.until(lambda: run.frames or run.session.state.ended)
    run.stop()


class TestInAStep:
    def test_are_a_path_or_bytes(self, run):
        assert run.svgs, run.changes
        assert run.svgs[0].startswith("<text>('my_prices.csv 1,2 3', b'xyz'")

    def test_are_gone_with_the_session(self, run, tmp_path):
        assert len(list(tmp_path.iterdir())) == 1
        assert run.stop().state is State.STOPPED
        assert list(tmp_path.iterdir()) == []
        assert run.session.snapshot().params["table"] == Upload("my prices.csv", b"", as_path=True)

    def test_are_gone_when_their_process_is_killed(self, run, tmp_path):
        if pid := getattr(run.worker, "pid", None):
            os.kill(pid, signal.SIGKILL)
            assert run.ended().state is State.FAILED
            assert list(tmp_path.iterdir()) == []


class TestNames:
    @pytest.mark.parametrize(
        ("name", "kept"),
        [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("größe.csv", "gr_e.csv"),
            (".bashrc", "bashrc"),
            ("...", "file"),
            ("a" * 300 + ".csv", "a" * 96 + ".csv"),
        ],
    )
    def test_stay_inside_of_the_folder(self, name, kept):
        folder = UploadFolder()
        placed = folder.place({"file": Upload(name, b"1", as_path=True), "size": 3})
        path = given(placed)["file"]
        assert path.name == kept
        assert path.read_bytes() == b"1"
        assert placed == folder.place({"file": Upload(name, b"1", as_path=True), "size": 3})
        folder.close()
        assert not Path(path).exists()


class TestRights:
    @pytest.fixture(params=[0o022, 0o077])
    def umask(self, request):
        former = os.umask(request.param)
        yield
        os.umask(former)

    def modes(self, **options):
        folder = UploadFolder(**options)
        path = given(folder.place({"file": Upload("a.csv", b"1", as_path=True)}))["file"]
        modes = [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, path.parents[1])]
        folder.close()
        return modes

    def test_let_another_user_read_what_it_is_told_of_and_nothing_else(self, umask):
        assert self.modes(for_another_user=True) == [0o644, 0o711, 0o711]

    def test_are_the_servers_own_where_there_is_no_other_user(self, umask):
        assert self.modes()[-1] == 0o700

    def test_are_those_of_who_knows_a_path_that_is_never_the_same(self):
        """Names in the system's temporary folder are seen by all."""
        names = set()
        for _ in range(2):
            folder = UploadFolder()
            placed = folder.place({"file": Upload("a.csv", b"1", as_path=True)})
            names.add(given(placed)["file"].parent.name)
            folder.close()
        assert len(names) == 2
        assert {len(name) for name in names} == {32}
