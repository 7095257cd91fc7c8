"""The database of simulations' processes: there is none, and whatever asks it is told so.

Django's own dummy says that the settings are wrong, and these are right.
"""

from typing import Any, NoReturn

from django.db import OperationalError
from django.db.backends.dummy import base as dummy

SENTENCE = (
    "the process of a simulation has no database. Give the simulation the values as parameters, "
    'which a form may query, or use engine="thread". AppConfig.ready() and the top of a module run '
    "in this process, too: query there nothing, but where the result is first needed"
)


def complain(*args: Any, **kwargs: Any) -> NoReturn:
    # What a database that is away raises, so that a ready() which is prepared for that goes on.
    raise OperationalError(SENTENCE)


class DatabaseOperations(dummy.DatabaseOperations):
    quote_name = complain


class DatabaseIntrospection(dummy.DatabaseIntrospection):
    get_table_list = complain
    get_table_description = complain
    get_relations = complain


class DatabaseWrapper(dummy.DatabaseWrapper):
    _cursor = complain
    ensure_connection = complain
    _commit = complain
    _savepoint_commit = complain
    _set_autocommit = complain
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations
