"""Who is on the other end of a connection, and whose a session is."""

import secrets
from dataclasses import dataclass
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.contrib.sessions.backends.base import SessionBase

BROWSER_KEY = "livestep_browser"
CONTROL_PERMISSION = "streaming.control_streamsession"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, a browser without a login, or nobody that could be recognised again."""

    user_id: int | str | None = None
    name: str = ""
    browser: str | None = None
    # Staff with the permission may control every session.
    controls_all: bool = False

    @property
    def owner_key(self) -> str | None:
        """What two connections of the same owner have in common; None without cookies."""
        if self.user_id is not None:
            return f"user:{self.user_id}"
        return None if self.browser is None else f"browser:{self.browser}"


def is_same_owner(one: Identity, other: Identity) -> bool:
    """Whether both are the same user, or the same browser."""
    if one.user_id is not None and one.user_id == other.user_id:
        return True
    return one.browser is not None and one.browser == other.browser


def remember_browser(session: SessionBase) -> str:
    """Give a browser a random id, kept in the data of its login session."""
    browser = session.get(BROWSER_KEY)
    if not browser:
        browser = session[BROWSER_KEY] = secrets.token_urlsafe(16)
    return str(browser)


def identify(user: Any, session: SessionBase | None) -> Identity:
    """Say who a user object and a login session are. It may ask the database: not on the loop."""
    browser = session.get(BROWSER_KEY) if session is not None else None
    if not getattr(user, "is_authenticated", False):
        return Identity(browser=browser)
    return Identity(
        user_id=user.pk,
        name=user.get_username(),
        browser=browser,
        controls_all=user.is_staff and user.has_perm(CONTROL_PERMISSION),
    )


async def identify_scope(scope: Any) -> Identity:
    """Say who opened a connection, without asking the database for one without a cookie."""
    session = scope.get("session")
    if session is None or not session.session_key:
        return Identity()
    user = await get_user(scope)
    return await database_sync_to_async(identify)(user, session)
