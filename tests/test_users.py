"""Users as other projects have them: without staff or permissions, with any name and any key."""

from types import SimpleNamespace
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from streaming.cluster.bus import Bus
from streaming.engine.snapshot import State
from streaming.identity import Identity, identify
from streaming.models import StreamSession
from streaming.process import process
from streaming.sessions.rows import row
from streaming.web.rights import Rights


def user(**fields):
    return SimpleNamespace(
        **{"is_authenticated": True, "pk": 1, "get_username": lambda: "ada", **fields}
    )


@pytest.mark.parametrize(
    ("fields", "controls_all"),
    [
        ({}, False),
        ({"is_staff": True}, False),
        ({"has_perm": lambda name: True}, False),
        ({"is_staff": True, "has_perm": lambda name: name.startswith("streaming.")}, True),
    ],
)
def test_one_without_staff_or_permissions_controls_what_is_its_own(fields, controls_all):
    identity = identify(user(**fields), None)
    assert (identity.name, identity.controls_all) == ("ada", controls_all)


@pytest.mark.parametrize("key", [7, "a-key", UUID(int=7), "k" * 500])
def test_a_key_of_any_type_makes_an_owner(key):
    assert identify(user(pk=key), None).owner_key == f"user:{key}"


def test_a_model_that_takes_groups_and_permissions_away_is_watched_all_the_same(monkeypatch):
    model = get_user_model()
    for name in ("groups", "user_permissions"):
        monkeypatch.setattr(model, name, None)
    rights = Rights(Bus(process))
    rights.connect_signals()


@pytest.mark.parametrize("owner", [Identity(user_id="k" * 500, name="n" * 300), Identity()])
def test_a_long_name_or_key_fits_into_a_row(owner):
    snapshot = SimpleNamespace(
        simulation="s",
        title="t" * 300,
        engine="thread",
        state=State.RUNNING,
        params={},
        step=0,
        seq=0,
        stop=None,
        error=None,
        traceback=None,
    )
    fields = row(
        snapshot,
        owner,
        viewers=0,
        started=timezone.now(),
        warning="",
        measured_rate=None,
        message={},
    )
    for name, value in fields.items():
        most = getattr(StreamSession._meta.get_field(name), "max_length", None)
        assert most is None or len(str(value)) <= most, name
