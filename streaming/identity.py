"""The identity of a client, and the owner of a session."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db import DatabaseError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac

BROWSER_KEY = BROWSER_COOKIE = "livestep_browser"
NO_COOKIES: Mapping[str, str] = MappingProxyType({})
CONTROL_PERMISSION = "streaming.control_streamsession"

# Of the users of new connections: how many are looked up at once, how long an answer may take, and
# for how long nobody asks after one that did not come. A handshake has 5 s.
LOOKUP_THREADS = 4
ANSWER_S = 3.0
AWAY_S = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, a browser without a login, or a client that cannot be recognised later."""

    user_id: int | str | None = None
    name: str = ""
    browser: str | None = None
    # Staff with the permission may control every session.
    controls_all: bool = False
    # Of a client with neither a login nor a cookie. It owns nothing by that, but shares its limits.
    address: str | None = None
    # Of an owner that was read from a session's row, which has not the browser: its `owner_hash`.
    row_key: str = ""

    @property
    def owner_key(self) -> str | None:
        """What two connections of the same owner have in common; None without cookies."""
        if self.user_id is not None:
            return f"user:{self.user_id}"
        return None if self.browser is None else f"browser:{self.browser}"

    @property
    def places_key(self) -> str | None:
        """What those have in common who share one limit of sessions; None for nobody known."""
        if (own := self.owner_key) is not None or self.address is None:
            return own
        return f"address:{self.address}"


def is_same_owner(one: Identity, other: Identity) -> bool:
    """Whether somebody is the owner of a session: the same user, or the same browser.

    Args:
        one: The client that asks.
        other: The client that started the session. If that was a user, the session is not the
            browser's: another person at the same browser has no part in it.
    """
    # As text: what another process says of a user is no UUID any more.
    if one.user_id is not None and str(one.user_id) == str(other.user_id):
        return True
    if other.user_id is not None or one.browser is None:
        return False
    if other.row_key:
        return owner_hash(f"browser:{one.browser}") == other.row_key
    return one.browser == other.browser


def owner_hash(owner_key: str | None) -> str:
    """Return a keyed hash that identifies the owner without revealing the owner's credentials."""
    if owner_key is None:
        return ""
    return salted_hmac("livestep.owner", owner_key, algorithm="sha256").hexdigest()


def token_hash(token: str) -> str:
    """Return what tells a session's token from others without revealing it: it is random, and needs
    no key."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def browser_of(session: SessionBase | None, cookies: Mapping[str, str]) -> str | None:
    """Return the random id of a browser: of its login session, or of a cookie that we signed."""
    if session is not None and (browser := session.get(BROWSER_KEY)):
        return str(browser)
    try:
        return _signer().unsign(cookies.get(BROWSER_COOKIE, ""))
    except BadSignature:
        return None


def remember_browser(request: HttpRequest) -> None:
    """Give a browser a random id in the data of its login session, which costs a row: for a page
    whose response is not ours."""
    if browser_of(request.session, request.COOKIES) is None:
        request.session[BROWSER_KEY] = secrets.token_urlsafe(16)


def remembering_browser(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """Give a browser a random id in a cookie, which costs no row. Within `answer` it has it."""
    if browser_of(request.session, request.COOKIES) is not None:
        return answer()
    cookie = request.COOKIES[BROWSER_COOKIE] = _signer().sign(secrets.token_urlsafe(16))
    response = answer()
    response.set_cookie(
        BROWSER_COOKIE,
        cookie,
        max_age=settings.SESSION_COOKIE_AGE,
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def _signer() -> Signer:
    return Signer(salt="streaming.identity.browser")


def identify(
    user: Any, session: SessionBase | None, cookies: Mapping[str, str] = NO_COOKIES
) -> Identity:
    """Return the identity of a user in a login session. It may ask the database: not on the
    event loop."""
    browser = browser_of(session, cookies)
    if not getattr(user, "is_authenticated", False):
        return Identity(browser=browser)
    return Identity(
        user_id=user.pk,
        name=user.get_username(),
        browser=browser,
        controls_all=_controls_all(user),
    )


def _controls_all(user: Any) -> bool:
    # A project's own user need have neither.
    is_staff, has_perm = getattr(user, "is_staff", False), getattr(user, "has_perm", None)
    return bool(is_staff and has_perm is not None and has_perm(CONTROL_PERMISSION))


class Lookups:
    """Looks up the users of new connections, on a few threads of its own. When the database has not
    answered, everybody is told so for a while, at once: a user who waited longer than a handshake
    may take could not even watch, or stop a session by its token.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="identities")
        self._away_until = float("-inf")

    async def identity_in(self, session: SessionBase, cookies: Mapping[str, str]) -> Identity:
        """Return the identity in a login session.

        Raises:
            DatabaseError: If the database does not answer, or did not just now.
        """
        self._check_not_away()
        look = database_sync_to_async(self._look, thread_sensitive=False, executor=self._threads)
        loop = asyncio.get_running_loop()
        try:
            # Its time begins on the thread: a crowd that waits for one is no fault of the database.
            async with asyncio.timeout(None) as limit:
                begin = partial(loop.call_soon_threadsafe, _begin, limit)
                return await look(begin, session, cookies)
        except TimeoutError as error:
            self._note_away()
            raise DatabaseError("the database does not answer") from error

    def _look(
        self, begin: Callable[[], Any], session: SessionBase, cookies: Mapping[str, str]
    ) -> Identity:
        begin()
        self._check_not_away()
        try:
            return identify(_user_in(session, {}), session, cookies)
        except OperationalError:
            # Of any other error, such as of a key that no database would take, others' logins know
            # nothing: a client could cause it.
            self._note_away()
            raise

    def _note_away(self) -> None:
        self._away_until = time.monotonic() + AWAY_S

    def _check_not_away(self) -> None:
        if time.monotonic() < self._away_until:
            raise DatabaseError("the database did not answer just now")


def _begin(limit: asyncio.Timeout) -> None:
    with suppress(RuntimeError):  # It may have been cancelled.
        limit.reschedule(asyncio.get_running_loop().time() + ANSWER_S)


lookups = Lookups()


async def identify_scope(scope: Any) -> Identity:
    """Return a connection's identity. Without a login session the database is not asked.

    Raises:
        DatabaseError: If the database does not answer.
    """
    session, cookies = scope.get("session"), scope.get("cookies") or NO_COOKIES
    if session is None or not session.session_key:
        return Identity(browser=browser_of(None, cookies))
    return await lookups.identity_in(session, cookies)


def login_name(session_key: str) -> str:
    """Return what a login session may be called where others can read it.

    Its key is as good as a password.
    """
    return salted_hmac("streaming.identity", session_key, algorithm="sha256").hexdigest()


def identities_of(session_keys: Iterable[str]) -> dict[str, Identity | None]:
    """Return the identity behind each of these login sessions now; None if nobody is logged in.

    Each user is read once. It asks the database: not on the loop. Nothing is written: a login
    session that is no longer valid is for the next request to flush.
    """
    users: dict[tuple[str, str], Any] = {}
    return {key: _identity_of(key, users) for key in session_keys}


def _identity_of(session_key: str, users: dict[tuple[str, str], Any]) -> Identity | None:
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = _user_in(session, users)
    return None if user is None else identify(user, session)


def _user_in(session: SessionBase, users: dict[tuple[str, str], Any]) -> Any:
    """Return the user of a login session; None if nobody is logged in.

    Args:
        users: Those that were read already, by backend and id.
    """
    backend: Any = session.get(BACKEND_SESSION_KEY)
    user_id: Any = session.get(SESSION_KEY)
    if user_id is None or backend not in settings.AUTHENTICATION_BACKENDS:
        return None
    if (backend, user_id) not in users:
        users[backend, user_id] = _read_user(backend, user_id)
    user = users[backend, user_id]
    return user if user is not None and _is_login_of(user, session) else None


def _read_user(backend: str, user_id: str) -> Any:
    try:
        key = get_user_model()._meta.pk.to_python(user_id)
    except ValidationError:
        return None
    return load_backend(backend).get_user(key)


def _is_login_of(user: Any, session: SessionBase) -> bool:
    """Whether a login session is still valid for its user: the hash changes with the password."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    given = session.get(HASH_SESSION_KEY) or ""
    return any(constant_time_compare(given, known) for known in hashes)
