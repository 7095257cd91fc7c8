"""The lease of this process: the one row that says that it lives, and all its sessions with it.

Everything here asks the database: on the thread of records.py, and nowhere else.
"""

from django.utils import timezone

from streaming.engine.snapshot import State
from streaming.models import Lease, StreamSession
from streaming.process import process


def renew() -> list[str]:
    """Renew the lease, or take one.

    Returns:
        The ids of this process's sessions that others have given up, where they gave up the lease.

    Raises:
        DatabaseError: If the database does not answer.
    """
    if Lease.objects.filter(pk=process.incarnation).update(renewed=timezone.now()):
        return []
    lost = StreamSession.objects.filter(state=State.LOST, incarnation=process.incarnation)
    ids = list(lost.values_list("pk", flat=True))
    Lease.objects.create(
        incarnation=process.incarnation, process=str(process), renewed=timezone.now()
    )
    return ids


def release() -> None:
    """Give the lease back: no session is left that it would say anything of.

    Raises:
        DatabaseError: If the database does not answer.
    """
    Lease.objects.filter(pk=process.incarnation).delete()
