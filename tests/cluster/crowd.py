"""A crowd that wants sessions of compute machines at the same moment, each over a connection of its
own. A program, since it needs another database than the tests have.

    python -m tests.cluster.crowd OWNERS STARTS MOST_WAITING

prints how many came in.
"""

import sys
import threading

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from streaming.catalog.registry import registry  # noqa: E402
from streaming.cluster import claims  # noqa: E402
from streaming.cluster.placing import _first_row, _given  # noqa: E402
from streaming.engine.errors import TooManySessions  # noqa: E402
from streaming.engine.simulations import Abandon  # noqa: E402
from streaming.identity import Identity  # noqa: E402
from streaming.models import Placement, StreamSession  # noqa: E402
from streaming.sessions.live import Wishes  # noqa: E402

WISHES = Wishes(fps=30.0, steps_per_second=None, abandon=Abandon.STOP, abandon_grace=7.0)
owners, starts, most_waiting = map(int, sys.argv[1:])
all_there = threading.Barrier(starts)
simulation = registry.get("counter")
params = {spec.name: spec.default for spec in simulation.params}


def start(number):
    owner, session_id = Identity(browser=f"b{number % owners}"), f"_-{number}"
    _status, row = _first_row(session_id, simulation, params, owner, WISHES)
    connection.ensure_connection()
    all_there.wait()
    try:
        claims.enqueue(
            row,
            session_id,
            queue="livestep",
            given=_given(simulation, params),
            wishes=WISHES,
            token_hash="",
            most_waiting=most_waiting,
        )
    except TooManySessions:
        pass
    finally:
        connection.close()


call_command("migrate", verbosity=0)
StreamSession.objects.all().delete()
threads = [threading.Thread(target=start, args=(number,)) for number in range(starts)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.stdout.write(f"{Placement.objects.count()}\n")
