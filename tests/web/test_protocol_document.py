"""docs/protocol.md has every error and every close code, and no other."""

import re

from streaming.engine.errors import ClientError
from streaming.server.websocket import SERVICE_RESTART
from streaming.web.pump import CLOSE_NOT_READING
from tests.servers import ROOT

TEXT = (ROOT / "docs" / "protocol.md").read_text().partition("### Errors")[2]
# Of RFC 6455; autobahn closes with it.
TOO_LARGE_TO_READ = 1009


def errors(kind=ClientError):
    yield kind
    for below in kind.__subclasses__():
        yield from errors(below)


def test_has_the_codes_of_the_errors():
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", TEXT, re.MULTILINE)
    listed = re.findall(r"[a-z_]+", " ".join(rows))
    assert sorted(listed) == sorted({error.code for error in errors()})


def test_has_the_codes_of_the_closes():
    listed = {int(code) for code in re.findall(r"^\| (\d{4}) \|", TEXT, re.MULTILINE)}
    ours = {error.close_code for error in errors()}
    assert listed == {*ours, CLOSE_NOT_READING, SERVICE_RESTART, TOO_LARGE_TO_READ}
