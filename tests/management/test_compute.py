"""`manage.py compute`, as far as it needs no broker."""

import pytest
from django.core.management import CommandError, call_command

from streaming.management.commands import compute as module
from streaming.process import process


def test_says_what_a_site_lacks_that_can_have_no_machines():
    with pytest.raises(CommandError, match="there is no broker: set REDIS_URL"):
        call_command("compute")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--places", "0"], "--places: expected a whole number from 1 to 10000, got '0'"),
        (["--places", "many"], "--places: expected a whole number"),
        (["--queues", "a,B"], "--queues: expected names of at most 32 of the characters"),
        (["--name", "gpu-1"], "--name: expected at most 16 of the characters"),
        (["--port", "x"], "--port: expected a whole number from 1 to 65535, got 'x'"),
    ],
)
def test_bad_input_gets_one_sentence(options, sentence, monkeypatch):
    monkeypatch.setattr(module, "why_no_cluster", lambda: "")
    with pytest.raises(CommandError, match=sentence) as error:
        call_command("compute", *options)
    assert error.value.returncode == 2
    assert process.name != "gpu-1"
