"""What the site does when Django is there: it has PostgreSQL give up what takes too long."""

import sys
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created

# In milliseconds. A process that was frozen in the middle of a write keeps a lock from the others.
PATIENCE = {
    "statement_timeout": 5000,
    "lock_timeout": 3000,
    "idle_in_transaction_session_timeout": 3000,
}


class SiteConfig(AppConfig):
    name = __package__ or ""
    label = "livestep_site"

    def ready(self) -> None:
        connection_created.connect(limit_patience, dispatch_uid="livestep_site")


def limit_patience(connection: Any, **kwargs: Any) -> None:
    """Set these limits for a new connection, but for those that DATABASE_URL has in its `options`.

    Not as parameters of the connection's start, which PgBouncer refuses.
    """
    given = connection.settings_dict["OPTIONS"].get("options", "")
    limits = {name: most for name, most in PATIENCE.items() if name not in given}
    if sys.argv[1:2] == ["migrate"]:
        limits["statement_timeout"] = 0  # It may take as long as it takes.
    if connection.vendor == "postgresql" and limits:
        with connection.cursor() as cursor:
            cursor.execute("; ".join(f"SET {name} = {most}" for name, most in limits.items()))
