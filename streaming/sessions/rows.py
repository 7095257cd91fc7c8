"""The row of a session: what it holds, how it is written, and when it goes.

Everything here asks the database, but for `row`. Only sessions/records.py and cluster/claims.py
write by it.
"""

import hashlib
import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.utils import timezone

from streaming.conf import conf
from streaming.delivery.framing import EPOCH, Encoding, encode_frame
from streaming.delivery.protocol import PARAMS
from streaming.delivery.series import messages_of
from streaming.engine.frames import Frame, deflate
from streaming.engine.params import plain
from streaming.engine.series import Series
from streaming.engine.snapshot import Snapshot, utf8
from streaming.identity import Identity, owner_hash
from streaming.models import LargeParams, LastFrame, LastLines, StreamSession
from streaming.process import process

logger = logging.getLogger(__name__)

MAX_TITLE = MAX_OWNER = 200
# In characters of JSON. Larger parameters are not in the row, and only once in the database.
MAX_ROW_PARAMS = 2000
# Under these names they wait beside the row's own fields.
LAST_FRAME, LAST_LINES = "last_frame", "last_lines"
# How long ended sessions stay watchable, and how many of them.
KEEP_S = 3600.0
KEEP_FRAMES = 500
# So many rows are deleted at once, so that the writer is soon back at its work.
MOST_PRUNED = 500


def row(
    snapshot: Snapshot,
    owner: Identity,
    *,
    viewers: int,
    started: datetime,
    warning: str,
    measured_rate: float | None,
    message: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a session's row, as it is now.

    Args:
        message: Its `session` message.
    """
    return {
        "simulation": snapshot.simulation,
        "title": snapshot.title[:MAX_TITLE],
        "engine": snapshot.engine,
        "state": snapshot.state,
        "user_id": owner.user_id,
        "owner": owner.name[:MAX_OWNER] or "anonymous",
        "owner_key": owner.row_key or owner_hash(owner.owner_key),
        "params": {name: _storable(value) for name, value in snapshot.params.items()},
        "step": snapshot.step,
        "measured_rate": measured_rate,
        "frames": snapshot.seq,
        "viewers": viewers,
        "process": str(process),
        "incarnation": process.incarnation,
        "started": started,
        "ended": timezone.now() if snapshot.state.is_over else None,
        "heartbeat": timezone.now(),
        "message": {name: value for name, value in message.items() if name not in PARAMS},
        "warning": warning,
        "stopped_by": snapshot.stop.by if snapshot.stop else "",
        "stop_receipt": str(snapshot.stop or ""),
        "error": snapshot.error or "",
        "traceback": snapshot.traceback or "",
    }


def _storable(value: Any) -> Any:
    value = plain(value)
    return value if isinstance(value, int | float | None) else utf8(str(value))


def write(batch: dict[str, dict[str, Any]]) -> list[str]:
    """Write rows; returns the ids of sessions that were given up for lost meanwhile."""
    lost = []
    for session_id, values in batch.items():
        try:
            if not _write_one(session_id, dict(values)):
                lost.append(session_id)
        except DataError:
            logger.exception("the row of session %s cannot be stored as it is", session_id)
        except DatabaseError:
            raise
        except Exception:
            # One row that cannot be stored must not take the others with it.
            logger.exception("the row of session %s was dropped", session_id)
    if any(row[LAST_FRAME] or row[LAST_LINES] for row in batch.values()):
        _let_old_go(LastFrame)
        _let_old_go(LastLines)
    return lost


def write_new(session_id: str, values: dict[str, Any]) -> None:
    """Write the row of a session that no process has yet.

    Raises:
        DatabaseError: If the database does not answer.
    """
    user_id = values["user_id"]
    if user_id is not None and not get_user_model().objects.filter(pk=user_id).exists():
        values = values | {"user_id": None}
    StreamSession.objects.create(id=session_id, **{**values, **_kept_params(values["params"])})


def _write_one(session_id: str, values: dict[str, Any]) -> bool:
    frame, series = values.pop(LAST_FRAME), values.pop(LAST_LINES)
    try:
        return _write_with_last(session_id, values, frame, series)
    except IntegrityError:
        # Its user is gone since; the session's own row must not be lost with it.
        return _write_with_last(session_id, values | {"user_id": None}, frame, series)


def _write_with_last(
    session_id: str, values: dict[str, Any], frame: Frame | None, series: Series | None
) -> bool:
    lines = messages_of(series) if series is not None else []
    # All or none: a process that is killed in between would leave an end without its picture.
    with transaction.atomic():
        is_ours = _update_or_create(session_id, values | _kept_params(values["params"]))
        if is_ours and frame is not None:
            _keep(session_id, frame)
        if is_ours and lines:
            _keep_lines(session_id, lines)
    return is_ours


def _kept_params(params: dict[str, Any]) -> dict[str, Any]:
    """Return the row's fields for parameters; keep those that are too large for it."""
    text = json.dumps(params, sort_keys=True)
    if len(text) <= MAX_ROW_PARAMS:
        return {"large_params_id": None}
    digest = hashlib.sha256(text.encode()).hexdigest()
    if not LargeParams.objects.filter(pk=digest).exists():
        LargeParams.objects.get_or_create(digest=digest, defaults={"values": params})
    return {"params": {}, "large_params_id": digest}


def _update_or_create(session_id: str, values: dict[str, Any]) -> bool:
    rows = StreamSession.objects.filter(pk=session_id)
    if rows.filter(epoch=EPOCH).update(**values):
        return True
    if rows.exists():
        return False
    StreamSession.objects.create(id=session_id, **values)
    return True


def _keep(session_id: str, frame: Frame) -> None:
    frame = replace(frame, deflated=frame.deflated or deflate(frame.svg))
    message = encode_frame(session_id, frame, Encoding.DEFLATE_RAW, final=True)
    LastFrame.objects.update_or_create(
        session_id=session_id, defaults={"message": message, "kept": timezone.now()}
    )


def _keep_lines(session_id: str, messages: list[str]) -> None:
    compressed = zlib.compress("\n".join(messages).encode())
    LastLines.objects.update_or_create(
        session_id=session_id, defaults={"messages": compressed, "kept": timezone.now()}
    )


def _let_old_go(kind: type[LastFrame | LastLines]) -> None:
    """Delete last frames, or lines, that are too old or too many."""
    old = kind.objects.filter(kept__lt=timezone.now() - timedelta(seconds=KEEP_S))
    old.delete()
    beyond = kind.objects.order_by("-kept").values_list("pk", flat=True)
    kind.objects.filter(pk__in=list(beyond[KEEP_FRAMES : 2 * KEEP_FRAMES])).delete()


def prune() -> int:
    """Delete rows of sessions that ended long ago, or are too many, and logins that have expired.

    Returns:
        How many sessions' rows it was; at most `MOST_PRUNED`.
    """
    days, most = conf().HISTORY_DAYS, conf().HISTORY_SESSIONS
    sessions, deleted = StreamSession.objects.all(), 0
    for old in (
        sessions.ended_before(timezone.now() - timedelta(days=days)) if days else sessions.none(),
        sessions.beyond(most) if most else sessions.none(),
    ):
        ids = list(old.values_list("pk", flat=True)[: MOST_PRUNED - deleted])
        sessions.filter(pk__in=ids).delete()
        deleted += len(ids)
    unused = LargeParams.objects.filter(streamsession=None).values_list("pk", flat=True)
    LargeParams.objects.filter(pk__in=list(unused[:MOST_PRUNED])).delete()
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return deleted
