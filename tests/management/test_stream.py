"""`manage.py stream`, and the file that `manage.py new_simulation` writes for a start."""

import contextlib
import io
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import time

import pytest
from django.core.management import CommandError, call_command

from streaming.catalog.registry import registry
from streaming.engine.simulations import LOCAL_ENGINES, Engine
from streaming.management.commands.check_simulation import Check
from tests.engine.running import gone
from tests.samples.simulations import svg
from tests.servers import ROOT, clean_environment

SAMPLES = str(ROOT / "tests" / "samples" / "simulations.py")
WAIT_S = 30

# Its frames say which process drew them.
TELLING = """
import os, time
from streaming import simulation

print("loading")

@simulation
def telling():
    while True:
        print("stepping")
        time.sleep(0.01)
        yield f"<svg><text>{os.getpid()}</text></svg>"

@simulation
def deaf():
    yield f"<svg><text>{os.getpid()}</text></svg>"
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            pass
"""

# More, and in longer lines, than a log takes.
TALKATIVE = """
import sys
from streaming import simulation

@simulation
def talkative():
    for number in range(300):
        print("line", number, "ä€")
        yield "<svg/>"
    print("x" * 100_000)
    sys.stdout.write("no end\\n")
"""


@pytest.fixture
def stream():
    """Run the command here; returns what it said."""

    def stream(*arguments):
        out = io.StringIO()
        call_command("stream", *map(str, arguments), stdout=out, stderr=out)
        return out.getvalue()

    return stream


@pytest.fixture
def manage(tmp_path):
    """Run a command as somebody types it, in a folder of their own."""

    def manage(*arguments, preexec_fn=None, **environment):
        return subprocess.run(
            [sys.executable, ROOT / "manage.py", *map(str, arguments)],
            cwd=tmp_path,
            env=clean_environment(VAR_DIR=str(tmp_path), **environment),
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            preexec_fn=preexec_fn,
        )

    return manage


@pytest.fixture
def telling(tmp_path):
    path = tmp_path / "telling.py"
    path.write_text(TELLING)
    return path


@pytest.fixture
def start(tmp_path, telling):
    """Start the command and wait until its first frame is there; nothing ends it by itself."""
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "manage.py", "stream", "--file", telling, *map(str, arguments)],
            cwd=ROOT,
            env=clean_environment(VAR_DIR=str(tmp_path), LIVESTEP_STOP_GRACE="0.1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        deadline = time.monotonic() + WAIT_S
        while not list((tmp_path / "out").glob("*.svg")):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def frames_in(folder):
    return [path.read_text() for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("engine", LOCAL_ENGINES)
class TestSteps:
    def test_exactly_as_many_steps_as_asked_for_are_taken_and_drawn(self, stream, tmp_path, engine):
        """The last frame, too, is there: what ends the run does not overtake it."""
        out = tmp_path / "out"
        said = stream("counter", "--param=level=7", "--steps=5", "--out", out, "--engine", engine)
        assert frames_in(out) == [svg(f"{step} 7 4") for step in range(1, 6)]
        assert "counter took 5 steps in" in said
        assert "all steps are taken" in said
        assert f"{out}: 5 frames, {sum(map(len, frames_in(out)))} bytes" in said

    def test_without_a_number_it_runs_until_it_ends(self, stream, tmp_path, engine):
        said = stream("finite", "--out", tmp_path / "out", "--engine", engine)
        assert frames_in(tmp_path / "out") == [svg(1), svg(2), svg(3)]
        assert "it ended by itself" in said

    def test_one_that_ends_before_its_first_says_what_a_step_is(self, stream, engine):
        said = stream("finite", "--param=count=0", "--engine", engine)
        assert "finite ended before its first step: each `yield` of a generator" in said
        assert "first step" not in stream("finite", "--engine", engine)

    def test_one_that_fails_ends_with_1_and_its_trace(self, stream, tmp_path, engine):
        """What it had drawn is there."""
        with pytest.raises(CommandError) as failure:
            stream("broken", "--out", tmp_path / "out", "--engine", engine)
        assert failure.value.returncode == 1
        assert "failed after step 2: ZeroDivisionError" in str(failure.value)
        assert "\nsimulations.py, line " in str(failure.value)
        assert "in broken" in str(failure.value)
        assert frames_in(tmp_path / "out") == [svg(0), svg(1)]

    def test_a_frame_that_is_not_well_formed_ends_it_with_1(self, stream, engine, tmp_path):
        with pytest.raises(CommandError) as failure:
            stream("no_xml", "--out", tmp_path / "out", "--steps=1000000", "--engine", engine)
        assert failure.value.returncode == 1
        said = "The frame of step 1 is not well-formed SVG: line 1, column 49: mismatched tag."
        assert said in str(failure.value)


class TestOutputs:
    def test_without_an_output_only_the_last_frame_is_drawn(self, stream):
        said = json.loads(stream("counter", "--steps=3", "--json"))
        assert (said["steps"], said["frames"], said["bytes"]) == (3, 1, 0)

    def test_the_player_has_every_frame_and_the_parameters(self, stream, tmp_path):
        path = tmp_path / "counter.html"
        said = stream("counter", "--steps=4", "--html", path)
        text = path.read_text()
        recording = json.loads(text.split('id="recording">')[1].split("</script>")[0])
        assert [shown["svg"] for shown in recording["frames"]] == [
            svg(f"{step} 1 4") for step in range(1, 5)
        ]
        times = [shown["ms"] for shown in recording["frames"]]
        assert times[0] == 0
        assert times == sorted(times)
        assert recording["params"] == {"level": 1, "size": 4}
        assert recording["title"] == "Counter"
        assert f"{path}: 4 frames, {path.stat().st_size:,} bytes" in said

    @pytest.mark.parametrize("engine", LOCAL_ENGINES)
    def test_what_is_plotted_is_a_table_and_in_the_player(self, stream, tmp_path, engine):
        out, path = tmp_path / "out", tmp_path / "plotting.html"
        arguments = ("--out", out, "--html", path, "--engine", engine)
        said = stream("plotting", "--param=steps=3", *arguments)
        assert f"{out / 'series.csv'}: loss, accuracy, rare" in said
        assert (out / "series.csv").read_text().splitlines() == [
            "step,loss,accuracy,rare",
            "1,1.0,1.0,",
            "2,0.5,,2.0",
            f"3,{1 / 3},3.0,",
        ]
        recording = json.loads(path.read_text().split('id="recording">')[1].split("</script>")[0])
        assert [line["names"] for line in recording["series"]] == [["loss"], ["accuracy"], ["rare"]]

    def test_a_clock_leaves_frames_out_but_not_the_last(self, stream, tmp_path):
        stream("finite", "--param=count=2000", "--fps=1", "--out", tmp_path)
        frames = frames_in(tmp_path)
        assert len(frames) < 1000
        assert frames[-1] == svg(2000)

    def test_frames_that_are_too_large_are_counted(self, stream, tmp_path):
        said = stream("noisy", "--param=size=1250000", "--steps=2", "--out", tmp_path)
        assert "was not sent: the limit of what is sent is 900,000 (2 so far)" in said
        assert frames_in(tmp_path) == []

    @pytest.mark.parametrize("engine", LOCAL_ENGINES)
    def test_of_frames_that_are_too_large_the_limit_that_was_hit_is_told(
        self, stream, tmp_path, engine
    ):
        """One that compresses well is too large as it is."""
        size = "--param=size=6000000"
        said = stream("sized", size, "--steps=3", "--out", tmp_path, "--engine", engine)
        assert (
            "A frame of 6,000,000 bytes was not sent: an SVG may have 4,194,304 at most "
            "(3 so far)." in said
        )

    def test_a_player_that_is_full_says_so(self, stream, tmp_path, monkeypatch):
        monkeypatch.setattr("streaming.delivery.recording.MAX_PLAYER_BYTES", 0)
        said = stream("finite", "--html", tmp_path / "small.html")
        assert "3 frames have no room in the player" in said

    def test_what_it_saves_is_beside_the_frames(self, stream, tmp_path):
        said = stream("saves", "--out", tmp_path)
        assert (tmp_path / "notes.txt").read_text() == "äh"
        assert (tmp_path / "weights.bin").stat().st_size == 600_000
        assert f"{tmp_path}: what it saved, notes.txt, weights.bin, empty" in said

    def test_what_it_saves_is_told_where_there_is_no_folder_for_it(self, stream):
        said = stream("saves")
        assert "It saved notes.txt, weights.bin, empty, which are not kept without --out." in said
        said = json.loads(stream("saves", "--json"))
        assert said["saved"] == {"notes.txt": 3, "weights.bin": 600_000, "empty": 0}

    def test_a_disk_that_is_full_for_what_it_saves_ends_it_with_1(self, manage):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

        saves = ("saves", "--file", SAMPLES)
        result = manage("stream", *saves, "--out", "out", preexec_fn=limit)
        assert result.returncode == 1
        assert "A file could not be written: [Errno 27] File too large" in result.stderr

    def test_a_disk_that_is_full_ends_it_with_a_sentence_and_1(self, manage, tmp_path):
        """The limit stands for the disk: no file may be larger than 2000 bytes."""

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

        sized = ("sized", "--file", SAMPLES, "--param=size=5000")
        result = manage("stream", *sized, "--out", "out", preexec_fn=limit)
        assert result.returncode == 1
        assert "A file could not be written" in result.stderr
        assert "File too large" in result.stderr
        assert "Traceback" not in result.stderr
        assert list((tmp_path / "out").iterdir()) == []


def test_a_check_names_the_lines_that_are_plotted():
    """With the newest value of each."""
    simulation = registry.get("plotting")
    lines = list(Check(simulation, {"steps": 3, "then": "end"}).watch(0.1))
    assert "plots: loss (last 0.3333), accuracy (last 3), rare (last 2)" in lines


@pytest.mark.parametrize("engine", LOCAL_ENGINES)
def test_all_that_is_printed_goes_to_standard_error_as_it_is(manage, tmp_path, engine):
    (tmp_path / "talkative.py").write_text(TALKATIVE)
    result = manage("stream", "talkative", "--file", "talkative.py", "--engine", engine)
    assert result.returncode == 0
    assert result.stdout.startswith("talkative took 300 steps")
    assert result.stdout.count("\n") == 1
    printed = [f"line {number} ä€" for number in range(300)] + ["x" * 100_000, "no end"]
    assert result.stderr.splitlines()[:302] == printed


class TestJson:
    def test_is_all_that_is_written_to_standard_output(self, manage, telling):
        """What the author prints while loading and while stepping goes elsewhere."""
        result = manage(
            *("stream", "telling", "--file", telling, "--steps=3", "--json", "--engine=thread"),
            *("--out", "out"),
        )
        said = json.loads(result.stdout)
        seconds = said.pop("seconds")
        assert 0 < seconds < WAIT_S
        assert said == {
            "simulation": "telling",
            "engine": "thread",
            "params": {},
            "state": "stopped",
            "by": "step_limit",
            "steps": 3,
            "frames": 3,
            "frames_too_large": 0,
            "files": 3,
            "saved": {},
            "bytes": said["bytes"],
            "player": None,
            "frames_left_out": 0,
            "series": [],
            "error": None,
        }
        assert result.stderr.split() == ["loading", "stepping", "stepping", "stepping"]

    def test_is_alone_there_in_a_process_too(self, manage, telling):
        """Where the file is loaded twice."""
        words = ["--steps=3", "--json", "--engine=process"]
        result = manage("stream", "telling", "--file", telling, *words)
        assert json.loads(result.stdout)["steps"] == 3
        assert set(result.stderr.split()) == {"loading", "stepping"}

    def test_tells_a_failure_too(self, manage):
        result = manage("stream", "broken", "--file", SAMPLES, "--json")
        said = json.loads(result.stdout)
        assert (result.returncode, said["state"], said["steps"]) == (1, "failed", 2)
        assert "ZeroDivisionError" in said["error"]
        assert result.stderr.count("in broken") == 1


class TestProgress:
    def test_is_a_bar_on_a_terminal(self, tmp_path):
        """With the rate, the number of steps and the remaining time."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        result = subprocess.run(
            [
                *(sys.executable, "manage.py", "stream", "slow"),
                *("--file", SAMPLES, "--steps=4"),
            ],
            cwd=ROOT,
            env=clean_environment(VAR_DIR=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            timeout=WAIT_S,
        )
        os.close(theirs)
        shown = b""
        # At the end of what the other side wrote, Linux says EIO.
        with contextlib.suppress(OSError):
            while content := os.read(ours, 4096):
                shown += content
        os.close(ours)
        assert result.returncode == 0
        assert b"slow: 100%" in shown
        assert re.search(rb" 4/4 \[\d\d:\d\d<\d\d:\d\d, +\d.\d\d steps/s\]", shown), shown

    def test_is_a_line_now_and_then_in_a_log(self, stream, monkeypatch):
        monkeypatch.setattr("streaming.management.commands.stream.LINE_EVERY_S", 0.0)
        assert "slow: 1 of 2 steps" in stream("slow", "--steps=2")


class TestSignals:
    @pytest.mark.parametrize("engine", LOCAL_ENGINES)
    @pytest.mark.parametrize(
        ("number", "code", "how"),
        [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    )
    def test_end_it_cleanly(self, start, tmp_path, engine, number, code, how):
        """With the summary, whole files, and no process left."""
        player = tmp_path / "player.html"
        process = start("telling", "--engine", engine, "--out", tmp_path / "out", "--html", player)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=WAIT_S)
        assert process.returncode == code, stderr
        assert f"it was {how}" in stdout
        assert "Traceback" not in stderr
        frames = frames_in(tmp_path / "out")
        assert f"{len(frames)} frame" in stdout
        assert all(frame.startswith("<svg") and frame.endswith("</svg>") for frame in frames)
        data = player.read_text().split('id="recording">')[1].split("</script>")[0]
        assert len(json.loads(data)["frames"]) == len(frames)
        pid = int(frames[0].split("<text>")[1].split("<")[0])
        assert (pid == process.pid) is (engine is Engine.THREAD)
        assert gone(pid)

    def test_a_step_that_hears_nothing_does_not_keep_it(self, start, tmp_path):
        """Its thread is given up, and it says where that was."""
        process = start("deaf", "--engine=thread", "--out", tmp_path / "out")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=WAIT_S)
        assert process.returncode == 130
        assert "it was interrupted" in stdout
        assert "does not end" in stderr
        assert "in deaf" in stderr


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nope"], "there is no simulation 'nope'; there are: "),
            (["counter", "--param=x=1"], "There is no such parameter. There are: level, size."),
            (["counter", "--param=level"], "expected NAME=VALUE, got 'level'"),
            (["counter", "--param=level=11"], "level: "),
            (["counter", "--steps=0"], "expected a whole number above 0, got '0'"),
            (["counter", "--steps=many"], "expected a whole number above 0, got 'many'"),
            (["counter", "--fps=61"], "expected a number from 0 to 60, got '61'"),
            (["counter", "--fps=nan"], "expected a number from 0 to 60, got 'nan'"),
            (["counter", "--engine=gpu"], "invalid choice: 'gpu'"),
            (["counter", "--file=nowhere.py"], "there is no such file"),
            (["counter", "--out=/dev/null"], "--out: cannot write to /dev/null: File exists"),
            (["counter", "--html=/nowhere/x.html"], "cannot write /nowhere/x.html: No such file"),
            (["counter", "--html=manage.py"], "manage.py is there already: name another file"),
        ],
    )
    def test_is_told_by_a_sentence(self, stream, arguments, said):
        with pytest.raises(CommandError) as refusal:
            stream(*arguments)
        assert said in str(refusal.value)

    def test_ends_with_2(self, manage):
        for arguments in (["nope"], ["ising", "--steps=0"], ["ising", "--file=nowhere.py"]):
            result = manage("stream", *arguments)
            assert (result.returncode, "Traceback" in result.stderr) == (2, False), result.stderr

    def test_a_folder_with_frames_of_it_is_left_as_it_is(self, stream, tmp_path):
        stream("finite", "--out", tmp_path)
        with pytest.raises(CommandError, match=r"has frames of finite, or a series\.csv, already"):
            stream("finite", "--param=count=1", "--out", tmp_path)
        assert len(frames_in(tmp_path)) == 3


class TestNewSimulation:
    def test_writes_a_file_that_works_as_it_is(self, manage, tmp_path):
        result = manage("new_simulation", "my_walk")
        assert result.returncode == 0, result.stderr
        assert "manage.py serve my_walk.py --reload" in result.stdout
        run = ("stream", "my_walk", "--file", "my_walk.py", "--steps=5", "--out", "out")
        for engine in LOCAL_ENGINES:
            result = manage(*run, "--engine", engine, "--param=walkers=3")
            assert result.returncode == 0, result.stderr
            frames = frames_in(tmp_path / "out")
            assert [frame.count("<circle") for frame in frames] == [3] * 5
            assert len(set(frames)) == 5
            for path in (tmp_path / "out").iterdir():
                path.unlink()

    def test_the_file_has_a_live_and_a_fixed_parameter(self, manage):
        manage("new_simulation", "my_walk")
        listed = manage("simulations", SIMULATIONS="my_walk.py").stdout
        assert "my_walk: My walk" in listed
        assert "walkers: whole number from 1 to 1000, default 100, How many" in listed
        assert "stride: number from 0.1 to 5, default 1.0, live, How far" in listed

    def test_the_file_is_as_ruff_wants_it(self, manage, tmp_path):
        manage("new_simulation", "my_walk")
        for command in (["check"], ["format", "--check"]):
            arguments = ["--config", ROOT / "pyproject.toml", "my_walk.py"]
            subprocess.run(
                [sys.executable, "-m", "ruff", *command, *arguments], cwd=tmp_path, check=True
            )

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("3d", "expected a name as of a Python function"),
            ("my-walk", "expected a name as of a Python function"),
            ("../walk", "expected a name as of a Python function"),
            ("class", "expected a name as of a Python function"),
            ("größe", "expected a name as of a Python function"),
            ("draw", "'draw' means something else in the file"),
            ("sum", "'sum' means something else in the file"),
            ("ising", "there is a simulation 'ising' already"),
        ],
    )
    def test_a_name_that_cannot_be_is_refused(self, tmp_path, monkeypatch, name, said):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(CommandError, match=re.escape(said)) as refusal:
            call_command("new_simulation", name)
        assert refusal.value.returncode == 2
        assert list(tmp_path.iterdir()) == []

    def test_overwrites_nothing(self, manage, tmp_path):
        (tmp_path / "mine.py").write_text("mine")
        for arguments in (["mine"], ["other", "--file", "mine.py"]):
            result = manage("new_simulation", *arguments)
            assert (result.returncode, "is there already" in result.stderr) == (2, True)
        assert (tmp_path / "mine.py").read_text() == "mine"

    def test_a_file_elsewhere(self, manage, tmp_path):
        (tmp_path / "some where").mkdir()
        result = manage("new_simulation", "walk", "--file", "some where/else.py")
        assert "serve 'some where/else.py' --reload" in result.stdout
        assert "def walk(" in (tmp_path / "some where" / "else.py").read_text()
        assert manage("new_simulation", "walk", "--file", "nowhere/else.py").returncode == 1
        assert manage("new_simulation", "walk", "--file", "walk.txt").returncode == 2
