"""`manage.py serve` and `manage.py simulations`, as somebody types them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.servers import ROOT, Server, clean_environment, make_site

OWN = """
from streaming import simulation

@simulation
def mine():
    for n in range(100000):
        yield f"<svg><text>{n}</text></svg>"
"""


@pytest.fixture
def manage(tmp_path):
    def manage(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=clean_environment(VAR_DIR=str(tmp_path), **environment),
            capture_output=True,
            text=True,
            timeout=60,
        )

    return manage


class TestServe:
    def test_serves_a_file_of_ones_own(self, tmp_path):
        path = tmp_path / "my_sim.py"
        path.write_text(OWN)
        server = Server(tmp_path, str(path))
        try:
            assert f"Your simulation: {server.url}/simulations/mine/" in server.output
            assert "createsuperuser" in server.output
        finally:
            server.stop()

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x = (\n", "my_sim.py:1: SyntaxError"),
            ("\n1/0\n", "my_sim.py:2: ZeroDivisionError"),
            ("x = 1\n", "no simulation in it"),
        ],
    )
    def test_a_file_with_an_error_ends_with_the_line_and_2(self, manage, tmp_path, text, said):
        path = tmp_path / "my_sim.py"
        path.write_text(text)
        for result in (manage("serve", str(path)), manage("serve", SIMULATIONS=str(path))):
            assert result.returncode == 2
            assert said in result.stderr
            assert "Traceback" not in result.stderr

    def test_a_missing_file_ends_with_2(self, manage):
        result = manage("serve", "nowhere.py")
        assert (result.returncode, "there is no such file" in result.stderr) == (2, True)

    def test_a_taken_port_is_said(self, manage, tmp_path):
        make_site(tmp_path)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            result = manage("serve", "--port", str(taken.getsockname()[1]))
        assert result.returncode == 1
        assert "another program listens there" in result.stderr

    def test_a_taken_port_ends_runserver_too(self, manage, tmp_path):
        """With and without the reloader; daphne's own hangs."""
        make_site(tmp_path)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            results = [manage("runserver", port), manage("runserver", port, "--noreload")]
        for result in results:
            assert result.returncode == 1
            assert "another program listens there" in result.stderr
            assert "Traceback" not in result.stderr

    def test_static_files_that_were_not_collected_are_said(self, manage, tmp_path):
        make_site(tmp_path)
        manifest = tmp_path / "static" / "staticfiles.json"
        with_all = manifest.read_text()
        manifest.unlink()
        nothing = manage("serve", "--port", "0")
        manifest.write_text(with_all.replace('"streaming/live-step.js"', '"streaming/older.js"'))
        older = manage("serve", "--port", "0")
        for result in (nothing, older):
            assert result.returncode == 1
            assert "run `manage.py collectstatic` first" in result.stderr
            assert "Traceback" not in result.stderr
        assert "(streaming/live-step.js is missing)" in older.stderr

    def test_without_static_files_serves_while_debugging(self, tmp_path):
        make_site(tmp_path)
        shutil.rmtree(tmp_path / "static")
        server = Server(tmp_path, DEBUG="yes")
        try:
            page = urllib.request.urlopen(server.url, timeout=20).read().decode()
            script = page.split('type="module" src="')[1].split('"')[0]
            assert urllib.request.urlopen(server.url + script, timeout=20).status == 200
        finally:
            server.stop()

    def test_a_second_server_on_one_sqlite_is_said(self, tmp_path):
        first = Server(tmp_path)
        try:
            assert "Another server" not in first.read_log()
            second = Server(tmp_path)
            assert "Another server uses the database" in second.read_log()
            assert second.stop() == 0
        finally:
            assert first.stop() == 0
        third = Server(tmp_path)
        try:
            assert "Another server" not in third.read_log()
        finally:
            assert third.stop() == 0

    @pytest.mark.parametrize("port", ["eighty", "-1", "65536"])
    def test_a_port_that_is_none_is_said(self, manage, port):
        result = manage("serve", f"--port={port}")
        assert (result.returncode, "expected a number from 0 to 65535" in result.stderr) == (
            2,
            True,
        )

    def test_a_database_without_tables_is_said(self, manage):
        result = manage("serve", "--port", "0")
        assert (result.returncode, "run `manage.py migrate` first" in result.stderr) == (1, True)

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("LIVESTEP_FPS", "fast", "LIVESTEP_FPS='fast'; expected a number"),
            ("LIVESTEP_MAX_QUEUED", "1.5", "expected a whole number"),
            ("LIVESTEP_LOGIN_REQUIRED", "maybe", "expected yes or no"),
            ("LIVESTEP_NOSUCH", "1", "LIVESTEP_NOSUCH is no variable of Livestep"),
            ("LIVESTEP_DEFAULT_SIMULATION", "nope", "there is no simulation 'nope'"),
            ("DEBUG", "banana", "expected yes or no"),
            ("DATABASE_URL", "foo", "expected an address"),
            ("LIVESTEP_FPS", "100", "expected a number from 0 to 60"),
            ("LIVESTEP_ENGINE", "gpu", "expected one of thread, process"),
        ],
    )
    def test_a_wrong_setting_is_said(self, manage, name, value, said):
        result = manage("serve", **{name: value})
        assert result.returncode != 0
        assert said in result.stderr
        assert "Traceback" not in result.stderr


class TestWhoeverHasEnough:
    """`manage.py … | head -1`."""

    @pytest.mark.parametrize(
        "command",
        ["check_simulation countdown --seconds 0.5", "simulations", "stream countdown", "help"],
    )
    def test_of_a_commands_output_gets_no_traceback(self, tmp_path, command):
        make_site(tmp_path)
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "manage.py", *command.split()],
            cwd=ROOT,
            env=clean_environment(VAR_DIR=str(tmp_path), PYTHONUNBUFFERED=""),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writer)
        os.close(reader)
        _, said = process.communicate(timeout=60)
        assert said == ""
        assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_said_in_a_sentence(tmp_path, unbuffered):
    """`manage.py … > FILE` on a full disk, found at the first word or at the end."""
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "manage.py", "simulations"],
            cwd=ROOT,
            env=clean_environment(VAR_DIR=str(tmp_path), PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.stderr == "The output cannot be written: No space left on device\n"
    assert result.returncode == 1


class TestHostName:
    def test_that_is_not_the_sites_gets_a_sentence_and_one_line_in_the_log(self, tmp_path):
        server = Server(tmp_path)
        try:
            for number in range(20):
                request = urllib.request.Request(server.url, headers={"Host": f"evil{number}.test"})
                with pytest.raises(urllib.error.HTTPError) as caught:
                    urllib.request.urlopen(request, timeout=20)
                assert caught.value.code == 400
                assert "add it to ALLOWED_HOSTS" in caught.value.read().decode()
                caught.value.close()
            log = server.read_log()
        finally:
            assert server.stop() == 0
        assert log.count("Invalid HTTP_HOST header") == 1
        assert " WARNING django.security.DisallowedHost: " in log
        assert "Traceback" not in log
        assert " ERROR " not in log


class TestSettings:
    def test_the_secret_key_is_made_once_and_kept_private(self, manage, tmp_path):
        show = "from django.conf import settings; print(settings.SECRET_KEY, settings.DEBUG)"
        one, two = manage("shell", "-v0", "-c", show), manage("shell", "-v0", "-c", show)
        assert one.stdout == two.stdout
        key, debug = one.stdout.split()
        assert len(key) >= 50
        assert debug == "False"
        assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
        assert manage("shell", "-v0", "-c", show, SECRET_KEY="given").stdout.split()[0] == "given"


class TestSimulations:
    def test_are_listed_with_their_parameters(self, manage):
        result = manage("simulations")
        assert result.returncode == 0
        assert "ising: Ising model (thread)" in result.stdout
        assert (
            "temperature: number from 0.1 to 5.0, default 2.27, live, In units of J/k"
            in result.stdout
        )
        assert "cities: text, default NAME: berlin52 … (59 lines)" in result.stdout

    def test_a_file_with_an_error_ends_with_the_line(self, manage, tmp_path):
        path = tmp_path / "my_sim.py"
        path.write_text("1/0")
        result = manage("simulations", SIMULATIONS=str(path))
        assert (result.returncode, "my_sim.py:1: ZeroDivisionError" in result.stderr) == (2, True)


# It fails where it was not loaded itself.
LOCAL = """
import os
from streaming import Context, simulation

HOME = os.getpid()

@simulation(engine={engine!r})
def local(ctx: Context):
    if os.getpid() != HOME:
        raise RuntimeError("not in a process")
    while True:
        yield "<svg xmlns='http://www.w3.org/2000/svg'/>"
        ctx.sleep(0.001)
"""


class TestCheckSimulation:
    FAULTS = str(ROOT / "tests" / "samples" / "faults.py")

    def test_measures_and_advises(self, manage):
        result = manage("check_simulation", "countdown", "--seconds", "0.7", "--param", "count=3")
        assert result.returncode == 0, result.stderr
        assert "countdown: Countdown" in result.stdout
        assert "steps: 2, median" in result.stdout
        assert "frames: 2, median" in result.stdout
        assert "it leaves the interpreter to others" in result.stdout
        assert result.stdout.count("by flag") >= 2
        assert "Use the thread engine" in result.stdout

    def test_says_nothing_of_what_ends_too_soon(self, manage, tmp_path):
        path = tmp_path / "soon.py"
        path.write_text(
            "from streaming import simulation\n@simulation\ndef soon():\n    yield '<svg/>'\n"
        )
        result = manage("check_simulation", "soon", "--file", str(path))
        assert "it was finished after 1 steps: too soon for more" in result.stdout
        assert "It ends too soon to say which engine" in result.stdout

    def test_names_the_fault_of_a_frame_that_no_browser_shows(self, manage):
        samples = str(ROOT / "tests" / "samples" / "simulations.py")
        result = manage("check_simulation", "no_xml", "--seconds", "0.3", "--file", samples)
        assert result.returncode == 1
        assert "The frame of step 1 is not well-formed SVG: line 1, column" in result.stderr

    def test_finds_one_that_holds_the_interpreter(self, manage):
        result = manage("check_simulation", "briefly_in_c", "--seconds", "1", "--file", self.FAULTS)
        assert "it holds the interpreter for long" in result.stdout
        assert 'Use @simulation(engine="process")' in result.stdout

    def test_says_on_which_rung_a_step_ends(self, manage):
        result = manage("check_simulation", "spins", "--seconds", "0.5", "--file", self.FAULTS)
        assert "flag: its step did not hear it within 5 s" in result.stdout
        assert "by interrupt" in result.stdout
        assert 'Use @simulation(engine="process")' in result.stdout

    def test_a_failure_ends_with_its_trace(self, manage):
        result = manage("check_simulation", "leaves", "--file", self.FAULTS)
        assert result.returncode == 1
        assert "sys.exit(enough)" in result.stderr
        assert "in leaves" in result.stderr

    @pytest.mark.parametrize(
        ("engine", "code", "said"),
        [
            ("process", 1, "not in a process"),
            (None, 0, "Use the thread engine"),
        ],
    )
    def test_a_failure_in_a_process_is_one_if_it_is_to_run_there(
        self, manage, tmp_path, engine, code, said
    ):
        path = tmp_path / "local.py"
        path.write_text(LOCAL.format(engine=engine))
        result = manage("check_simulation", "local", "--seconds", "0.5", "--file", str(path))
        assert result.returncode == code
        assert said in (result.stderr if code else result.stdout)
        assert ("Use the thread engine" in result.stdout) is (code == 0)
        assert ("it does not run in a process" in result.stdout) is (code == 0)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("nope",), "there is no simulation 'nope'"),
            (("countdown", "--param", "count"), "expected NAME=VALUE, got 'count'"),
            (("countdown", "--param", "count=many"), "count: "),
            (("countdown", "--seconds", "0"), "expected a number above 0"),
            (("countdown", "--file", "nowhere.py"), "there is no such file"),
        ],
    )
    def test_bad_input_ends_with_a_sentence_and_2(self, manage, arguments, said):
        result = manage("check_simulation", *arguments)
        assert (result.returncode, said in result.stderr) == (2, True), result.stderr
        assert "Traceback" not in result.stderr
