"""How log lines are written, and what happens where they cannot be."""

import ast
import asyncio
import concurrent.futures
import errno
import gc
import io
import json
import logging
import logging.config
import os
import re
import subprocess
import sys
import threading
from urllib.request import urlopen

import pytest
from django.conf import settings as site
from django.db import OperationalError
from django.utils.module_loading import import_string

from streaming.logs import Handler, NotNow, SessionField
from streaming.metrics import LOG_LINES_LOST
from tests.live.clients import clients_of
from tests.servers import ROOT, Server, clean_environment

SESSION = "a-Xy_z"


class Full(io.StringIO):
    """Standard error on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")


@pytest.fixture
def log_to():
    """Give a logger that writes to a stream as the site's do."""
    made = []

    def log_to(stream, format="text"):
        handler = Handler(stream)
        handler.addFilter(SessionField(otherwise=None))
        options = dict(site.LOGGING["formatters"][format])
        if factory := options.pop("()", None):
            handler.setFormatter(import_string(factory)(**options))
        else:
            handler.setFormatter(logging.Formatter(options["format"], style=options["style"]))
        logger = logging.getLogger(f"tests.logs.{format}")
        logger.propagate = False
        logger.addHandler(handler)
        made.append((logger, handler))
        return logger

    yield log_to
    for logger, handler in made:
        logger.removeHandler(handler)


@pytest.fixture
def lost():
    before = LOG_LINES_LOST._value.get()
    return lambda: LOG_LINES_LOST._value.get() - before


class TestJson:
    @pytest.fixture
    def said(self, log_to):
        """Log to JSON; returns the fields of what was written last."""
        stream = io.StringIO()
        logger = log_to(stream, "json")

        def said(message, *arguments, level=logging.WARNING, **options):
            logger.log(level, message, *arguments, **options)
            return json.loads(stream.getvalue().splitlines()[-1])

        return said

    def test_has_these_fields(self, said):
        fields = said("session %s started: %s", SESSION, "ising")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", fields.pop("time"))
        assert fields == {
            "level": "WARNING",
            "logger": "tests.logs.json",
            "process": str(os.getpid()),
            "message": f"session {SESSION} started: ising",
            "session": SESSION,
        }

    @pytest.mark.parametrize(
        ("message", "arguments"),
        [
            ("session %s prints: %s", (SESSION, "session of another")),
            ("a viewer of session %s does not read", (SESSION,)),
            ("%d more of session %s at 100%%", (3, SESSION)),
            ("at 100%% in session %s", (SESSION,)),
        ],
    )
    def test_names_the_session_that_a_line_is_about(self, said, message, arguments):
        assert said(message, *arguments)["session"] == SESSION

    def test_names_it_on_every_thread(self, said):
        thread = threading.Thread(target=said, args=("session %s failed", SESSION))
        thread.start()
        thread.join()
        assert said("session %s failed", SESSION)["session"] == SESSION

    @pytest.mark.parametrize(
        ("message", "arguments"),
        [
            ("the event loop is late", ()),
            ("a viewer of session %s does not read", (None,)),
            ("a session prints %s", ("session s1",)),
            ("session %(id)s", ({"id": "s1"},)),
        ],
    )
    def test_names_none_otherwise(self, said, message, arguments):
        assert "session" not in said(message, *arguments)

    def test_keeps_a_traceback_and_line_feeds_in_one_line(self, said):
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            fields = said("session %s failed:\n%s", SESSION, "one\ntwo", exc_info=True)
        assert fields["message"].endswith("one\ntwo")
        assert "ZeroDivisionError" in fields["exc_info"]

    def test_leaves_the_request_out_whose_address_may_hold_a_token(self, said):
        fields = said("Not Found: %s", "/x", extra={"request": object(), "status_code": 404})
        assert "request" not in fields
        assert fields["status_code"] == 404


class TestInAProjectsOwnFormat:
    """Of docs/operating.md, with the field `session` in it."""

    @pytest.fixture
    def log(self):
        text = (ROOT / "docs" / "operating.md").read_text()
        (block,) = re.findall(r"```python\n(LOGGING = .*?)```", text, re.DOTALL)
        names = {}
        exec(block, names)
        configuration = logging.config.DictConfigurator(names["LOGGING"])
        for kind in ("formatters", "filters"):
            for name, options in list(configuration.config[kind].items()):
                configure = getattr(configuration, f"configure_{kind.removesuffix('s')}")
                configuration.config[kind][name] = configure(options)
        handler = configuration.configure_handler(configuration.config["handlers"]["console"])
        stream = handler.stream = io.StringIO()
        logger = logging.getLogger("tests.logs.own")
        logger.propagate = False
        logger.addHandler(handler)
        yield lambda *arguments, **options: (logger.warning(*arguments, **options), stream)[1]
        logger.removeHandler(handler)

    @pytest.mark.parametrize(
        ("message", "arguments", "extra", "said"),
        [
            ("session %s failed", (SESSION,), None, f"[{SESSION}]"),
            ("the database is away", (), None, "[-]"),
            ("%s sessions", (3,), None, "[-]"),
            ("a shop's own", (), {"session": "theirs"}, "[theirs]"),
        ],
    )
    def test_every_line_has_one(self, log, message, arguments, extra, said):
        line = log(message, *arguments, extra=extra).getvalue()
        assert said in line
        assert line.count("\n") == 1


def test_every_line_about_a_session_says_so_in_the_words_that_are_looked_for():
    """`session %s`: anything else would be missing from the field."""
    levels = {"debug", "info", "warning", "error", "exception"}
    about_one = 0
    for path in (ROOT / "streaming").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in levels
                and ast.unparse(call.func.value) == "logger"
            ):
                given = [ast.unparse(argument) for argument in call.args[1:]]
                ids = r"\b(live|session|self)\.id\b|session_id"
                if any(re.search(ids, argument) for argument in given):
                    about_one += 1
                    assert "session %s" in call.args[0].value, f"{path}:{call.lineno}"
    assert about_one > 10


class TestWhereNothingCanBeWritten:
    @pytest.mark.parametrize("format", ["text", "json"])
    def test_a_line_is_lost_and_counted_and_nothing_is_raised(self, log_to, lost, capsys, format):
        logger = log_to(Full(), format)
        for _ in range(3):
            logger.warning("session %s failed", SESSION)
        assert lost() == 3
        assert capsys.readouterr().err == "", "no traceback for each"

    def test_nor_with_a_closed_standard_error(self, log_to, lost):
        """Python's own handler raises ValueError here."""
        stream = io.StringIO()
        stream.close()
        log_to(stream).warning("gone")
        assert lost() == 1

    def test_what_cannot_be_put_into_words_is_said_in_one_line(self, log_to, lost):
        stream = io.StringIO()
        logger = log_to(stream)
        record = logger.makeRecord("x", logging.WARNING, "here.py", 7, "%d steps", ("many",), None)
        # Not through the logger, where pytest's own handler would find the mistake.
        logger.handlers[-1].handle(record)
        assert stream.getvalue().startswith("here.py:7 cannot be logged: TypeError(")
        assert stream.getvalue().count("\n") == 1
        assert lost() == 1


class OnAFullDisk(Server):
    """Its standard error takes nothing."""

    def _run(self, *command, **options):
        self.log.close()
        self.log = open("/dev/full", "w")  # noqa: SIM115  # stop() closes it
        super()._run(*command, **options)

    def read_log(self):
        return ""


async def run_one_that_fails(server):
    """Returns its id."""
    async with clients_of(server) as open_client:
        client = await open_client()
        session = await client.start("broken")
        await client.until(type="session", state="failed")
        return session


class TestOfARealServer:
    async def test_a_full_disk_costs_lines_and_nothing_else(self, start_server):
        server = start_server(OnAFullDisk)
        try:
            await run_one_that_fails(server)
            await run_one_that_fails(server)
            with await asyncio.to_thread(urlopen, f"{server.url}/metrics") as response:
                lost = re.search(rb"^livestep_log_lines_lost_total (\S+)", response.read(), re.M)
            # Both started and failed, which is said by two modules.
            assert float(lost[1]) >= 4
        finally:
            assert await asyncio.to_thread(server.stop) == 0

    async def test_every_line_is_json_with_its_session_and_process(self, start_server):
        server = start_server(LOG_FORMAT="json")
        try:
            session = await run_one_that_fails(server)
            await asyncio.to_thread(server.wait_for_log, "failed at step")
            lines = [json.loads(line) for line in server.read_log().splitlines()]
        finally:
            server.stop()
        about = [line["message"] for line in lines if line.get("session") == session]
        assert any(message.startswith(f"session {session} started: broken") for message in about)
        assert any("ZeroDivisionError" in message for message in about)
        assert {line["process"] for line in lines} == {str(server.process.pid)}


class TestSettings:
    def manage(self, tmp_path, *command, **environment):
        return subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=clean_environment(VAR_DIR=str(tmp_path), **environment),
            capture_output=True,
            text=True,
            timeout=60,
        )

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("LOG_FORMAT", "xml", "LOG_FORMAT='xml'; expected text or json"),
            ("LOG_LEVEL", "LOUD", "LOG_LEVEL='LOUD'; expected DEBUG, INFO, WARNING or ERROR"),
        ],
    )
    def test_a_wrong_one_is_said(self, tmp_path, name, value, said):
        result = self.manage(tmp_path, "check", **{name: value})
        assert result.returncode != 0
        assert said in result.stderr

    def test_the_name_of_a_process_stands_for_its_number(self, tmp_path):
        show = "from django.conf import settings as s; print(s.LOGGING['formatters']['json'])"
        result = self.manage(tmp_path, "shell", "-v0", "-c", show, LIVESTEP_PROCESS="a")
        assert "'static_fields': {'process': 'a'}" in result.stdout

    def test_the_redis_layer_does_not_fill_the_log(self):
        """Its traceback each second says less than the bus does once."""
        assert site.LOGGING["loggers"]["channels_redis"]["level"] == "CRITICAL"


class TestWhatIsNotPossibleNow:
    def log(self, error):
        """Log a page that failed by an error, as Django does, three times; give what is written."""
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.addFilter(NotNow())
        logger = logging.getLogger("tests.away")
        logger.propagate = False
        logger.addHandler(handler)
        for _ in range(3):
            logger.error("%s: %s", "Service Unavailable", "/admin/", exc_info=error)
        logger.removeHandler(handler)
        return stream.getvalue()

    def test_is_one_line_without_a_traceback_however_many_pages_fail(self):
        log = self.log(OperationalError("database is locked"))
        assert log == "Service Unavailable: /admin/ (database is locked)\n"

    @pytest.mark.parametrize(
        "error", [OSError(errno.EMFILE, "Too many open files"), MemoryError("no memory")]
    )
    def test_is_a_machine_that_has_too_little(self, error):
        assert self.log(error) == f"Service Unavailable: /admin/ ({error})\n"

    def test_is_not_what_another_error_is(self):
        assert self.log(ZeroDivisionError("x")).count("ZeroDivisionError: x") == 3


class TestAFutureThatNobodyAsked:
    """How a request ended, where nobody was left to hear it."""

    async def forget(self, error):
        asyncio.get_running_loop().create_future().set_exception(error)
        gc.collect()

    @pytest.mark.parametrize("kind", [asyncio.CancelledError, concurrent.futures.CancelledError])
    async def test_is_no_error_when_its_client_has_gone(self, caplog, kind):
        await self.forget(kind())
        assert caplog.records == []

    async def test_is_one_when_something_went_wrong(self, caplog):
        await self.forget(ZeroDivisionError("x"))
        assert "exception was never retrieved" in caplog.text
