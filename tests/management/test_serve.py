import gc
from types import SimpleNamespace

from streaming.management.commands.serve import Command


def test_what_is_loaded_when_it_is_ready_is_not_gone_through_again():
    """By the collector, which holds up every connection meanwhile."""
    said = []
    systemd = SimpleNamespace(start=lambda: said.append("ready"))
    try:
        Command()._get_ready(lambda: said.append("where"), systemd)
        assert gc.get_freeze_count() > 100_000
    finally:
        gc.unfreeze()
    assert said == ["where", "ready"]
