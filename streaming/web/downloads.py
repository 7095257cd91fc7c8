"""A session's files, and the table of its numbers, over HTTP: to be kept by a visitor, and never
shown as a page of ours."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import BinaryIO

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from streaming.cluster.directory import AnySession
from streaming.engine.errors import Unavailable, UnknownSession
from streaming.engine.saved import PART_BYTES
from streaming.runtime import runtime
from streaming.sessions.downloads import downloads
from streaming.web.views import FRAME_HEADERS, WAIT_S, for_users, says_errors, state_of

CONTENT_TYPE = "application/octet-stream"


@require_safe
@for_users
@says_errors
def saved_file(request: HttpRequest, session_id: str, name: str) -> HttpResponseBase:
    """Give a file that a session has saved."""
    if name not in {file["name"] for file in state_of(session_id).get("files", ())}:
        raise UnknownSession(_("this session has saved no file of that name"))
    try:
        file = downloads.open(session_id, name)
    except OSError as error:
        sentence = _("this file is kept where the process %(process)s of this site runs: ask there")
        raise Unavailable(sentence % {"process": runtime.owners.process_of(session_id)}) from error
    headers = {**_kept_as(name), "Content-Length": str(os.fstat(file.fileno()).st_size)}
    if request.method == "HEAD":
        file.close()
        return HttpResponse(content_type=CONTENT_TYPE, headers=headers)
    return StreamingHttpResponse(_parts_of(file), content_type=CONTENT_TYPE, headers=headers)


@require_safe
@for_users
@says_errors
def table(request: HttpRequest, session_id: str) -> HttpResponse:
    """Give all that a session has plotted as a table: its page holds less of a long run."""

    async def named(session: AnySession) -> tuple[str, bytes]:
        return session.status()["simulation"], await session.table()

    name, content = runtime.directory.from_page(session_id, named, timeout=WAIT_S)
    if not content:
        raise UnknownSession(_("this session has plotted nothing yet"))
    headers = _kept_as(f"{name}-series.csv")
    return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)


def _kept_as(name: str) -> dict[str, str]:
    """Return the headers of what is to be kept under a name."""
    disposition = content_disposition_header(True, name) or "attachment"
    return {**FRAME_HEADERS, "Content-Disposition": disposition}


async def _parts_of(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield a file piece by piece: a visitor may read slowly, and it need not be in memory."""
    with file:
        while part := await asyncio.to_thread(file.read, PART_BYTES):
            yield part
