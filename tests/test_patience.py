"""How long PostgreSQL may take, and what PgBouncer and the user's own options make of it."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from project.apps import limit_patience


class Connection:
    def __init__(self, vendor="postgresql", **options):
        self.vendor, self.settings_dict, self.said = vendor, {"OPTIONS": options}, []

    @contextmanager
    def cursor(self):
        yield SimpleNamespace(execute=self.said.append)


@pytest.mark.parametrize(
    ("options", "set_to"),
    [
        ({}, {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}),
        ({"options": "-c search_path=lab -c statement_timeout=60000 -c lock_timeout=1"},
         {"idle_in_transaction_session_timeout"}),
    ],
)  # fmt: skip
def test_is_set_when_connected_but_for_what_the_address_says(options, set_to):
    connection = Connection(**options)
    limit_patience(connection)
    (said,) = connection.said
    assert {statement.split()[1] for statement in said.split("; ")} == set_to


def test_a_migration_may_take_as_long_as_it_takes(monkeypatch):
    monkeypatch.setattr("sys.argv", ["manage.py", "migrate"])
    connection = Connection()
    limit_patience(connection)
    assert "SET statement_timeout = 0" in connection.said[0]


def test_other_databases_hear_of_none_of_it():
    connection = Connection("sqlite")
    limit_patience(connection)
    assert connection.said == []
