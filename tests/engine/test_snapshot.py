"""The words of a session's end: every place that lists them has all of them."""

import re

import pytest

from streaming.admin.filters import ENDS, STOPPED_BY
from streaming.engine.snapshot import ENDED, OVER, Rung, State, StopReason
from streaming.models import STATE_NAMES
from tests.servers import ROOT

# `manage.py stream` has no server, and neither a row nor a page.
SERVED = set(StopReason) - {StopReason.SIGNAL, StopReason.DISK, StopReason.FRAME}
SCRIPT = (ROOT / "streaming/static/streaming/live-step-client.js").read_text()
PROTOCOL = " ".join((ROOT / "docs/protocol.md").read_text().split())


def keys_of(name):
    """The keys of an object literal in the page's script."""
    (body,) = re.findall(rf"const {name} = {{(.*?)}};", SCRIPT, re.DOTALL)
    return set(re.findall(r"\b(\w+): gettext", body))


def test_the_admins_filters_have_every_reason_and_every_end():
    assert set(STOPPED_BY) == SERVED
    assert set(ENDS) == SERVED | OVER - {State.STOPPED}


def test_the_page_has_words_for_every_reason_and_rung_but_the_usual_ones():
    assert keys_of("why") == SERVED - {StopReason.CLIENT}
    assert keys_of("how") == set(Rung) - {Rung.FLAG}


@pytest.mark.parametrize(
    ("what", "words"), [("stop.by", SERVED), ("stop.how", set(Rung)), ("States:", set(State))]
)
def test_the_protocols_document_names_every_word(what, words):
    sentence = re.search(rf"`?{re.escape(what)}`?(.*?)[;.]", PROTOCOL)[1]
    assert words <= set(re.findall(r"\w+", sentence))


def test_every_state_has_a_name():
    assert set(STATE_NAMES) == set(State)


def test_a_stuck_session_has_ended_and_is_not_over():
    assert set(ENDED) - set(OVER) == {State.STUCK}
    assert State.STUCK.ended
    assert not State.STUCK.is_over
