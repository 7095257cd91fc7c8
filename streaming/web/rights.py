"""Whether the users of open connections are still logged in, and still have their rights.

A WebSocket outlives the request in which its user was looked up. So the login sessions behind the
open ones are read again when something that they depend on was changed, in any process, and once a
minute: not every change gives a signal, and a login session expires in silence.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Protocol

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import ModelSignal, m2m_changed, post_delete, post_save
from django.dispatch import Signal

from streaming.cluster.bus import Bus
from streaming.cluster.database import DatabaseThread
from streaming.identity import Identity, identities_of, login_name

logger = logging.getLogger(__name__)

RECHECK_S = 60.0
RETRY_S = 5.0
# So many are read at once, by one thread: what was changed need not wait for all the others.
BATCH = 50
# So many login sessions are remembered after their end; beyond it the oldest is forgotten.
MAX_ENDED = 1_000
# What a login writes into its user, and no right depends on.
OF_NO_RIGHT = {"last_login"}


class LoggedIn(Protocol):
    """A connection of a user who is logged in."""

    def recheck(self, identity: Identity | None) -> None:
        """Apply the current rights of its user; None: the user is logged out. Returns at once."""


class Rights:
    """Rechecks the connections of this process whose users are logged in.

    Its task lives while there are any. Everything runs on the event loop, but for what hears
    Django's signals.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        # The login session and the user of each.
        self._watched: dict[LoggedIn, tuple[str, str]] = {}
        # Connections whose users are to be read again, in the order in which that was found.
        self._changed: dict[LoggedIn, None] = {}
        self._routine: dict[LoggedIn, None] = {}
        self._ended: deque[str] = deque(maxlen=MAX_ENDED)
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._database = DatabaseThread("rights")
        self._is_failing = False
        # How often something was changed: a user that was being read meanwhile may be out of date.
        self.changes = 0

    def watch(self, peer: LoggedIn, session_key: str, user_id: Any, *, since: int) -> None:
        """Recheck a connection from now on.

        Args:
            since: What `changes` was before its user was looked up.
        """
        self._bus.start()
        self._watched[peer] = (session_key, str(user_id))
        if self._task is None or self._task.done():
            self._woken = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="rights")
        if since != self.changes:
            self._look([peer])

    def forget(self, peer: LoggedIn) -> None:
        """Be done with a connection. With the last one the task ends."""
        for peers in (self._watched, self._changed, self._routine):
            peers.pop(peer, None)
        if not self._watched and self._task is not None:
            self._task.cancel()
            self._task = None
            self._database.close()

    def hear(self, message: dict[str, Any]) -> None:
        """Act on what a process has said of a change; see `_tell`."""
        self.changes += 1
        user, login = message["user"], message["session"]
        found = [
            peer for peer, (_key, its_user) in self._watched.items() if user in (its_user, None)
        ]
        if login is None:
            self._look(found)
            return
        self._ended.append(login)
        for peer in found:
            if login_name(self._watched[peer][0]) == login:
                peer.recheck(None)

    def has_ended(self, session_key: str) -> bool:
        """Whether the user of a login session has logged out, though it may still be readable.

        Django says so before it deletes the login session, and a page that was told may be back
        before that.
        """
        return bool(self._ended) and login_name(session_key) in self._ended

    def _look(self, peers: list[LoggedIn]) -> None:
        self._changed.update(dict.fromkeys(peers))
        self._woken.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + RECHECK_S
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._woken.wait()
            except TimeoutError:
                self._routine.update(dict.fromkeys(self._watched))
                due = loop.time() + RECHECK_S
            self._woken.clear()
            while self._changed or self._routine:
                await self._read_batch()

    async def _read_batch(self) -> None:
        waiting = self._changed or self._routine
        batch = list(islice(waiting, BATCH))
        for peer in batch:
            del waiting[peer]
        keys = {self._watched[peer][0] for peer in batch}
        try:
            found = await self._database.ask(identities_of, keys)
        except Exception:  # Of the database, or of wherever the login sessions are.
            if not self._is_failing:
                logger.warning("the users of the open connections cannot be read", exc_info=True)
            self._is_failing = True
            self._changed.update(dict.fromkeys(peer for peer in batch if peer in self._watched))
            await asyncio.sleep(RETRY_S)
            return
        self._is_failing = False
        for peer in batch:
            if peer in self._watched:
                peer.recheck(found[self._watched[peer][0]])

    def connect_signals(self) -> None:
        """Notice every change that rights depend on. Called once, when the apps are there."""
        user: Any = get_user_model()
        relations = [Group.permissions]
        # A project's own user need not have these.
        own: list[Any] = [getattr(user, name, None) for name in ("groups", "user_permissions")]
        relations += [relation for relation in own if hasattr(relation, "through")]
        watched: list[tuple[ModelSignal | Signal, Callable[..., None], Any]] = [
            (user_logged_out, self._logged_out, None),
            (post_save, self._user_saved, user),
            *((post_delete, self._deleted, sender) for sender in (user, Group, Permission)),
            *((m2m_changed, self._related, relation.through) for relation in relations),
        ]
        for signal, receiver, sender in watched:
            signal.connect(receiver, sender=sender, dispatch_uid="streaming.web.rights")
        self._bus.on("identity", self.hear)

    def _logged_out(self, sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
        session_key = getattr(getattr(request, "session", None), "session_key", None)
        if user is not None and session_key:
            self._tell(user=str(user.pk), session=login_name(session_key))

    def _user_saved(
        self,
        sender: Any,
        instance: Any,
        created: bool,
        update_fields: Any,
        using: str,
        **kwargs: Any,
    ) -> None:
        if not created and (update_fields is None or set(update_fields) - OF_NO_RIGHT):
            self._tell(user=str(instance.pk), using=using)

    def _deleted(self, sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
        # With a group, or a permission, goes what anybody had by it.
        self._tell(user=str(instance.pk) if sender is get_user_model() else None, using=using)

    def _related(self, sender: Any, instance: Any, action: str, using: str, **kwargs: Any) -> None:
        if action.startswith("post_"):
            is_users = isinstance(instance, get_user_model())
            self._tell(user=str(instance.pk) if is_users else None, using=using)

    def _tell(
        self, *, user: str | None, session: str | None = None, using: str | None = None
    ) -> None:
        """Tell every process, once it is written, that something was changed.

        Args:
            user: Whose rights; None: anybody's.
            session: The name of the login session that ends; None: all of that user may be others
                now.
        """
        tell = partial(self._bus.broadcast_from_thread, "identity", user=user, session=session)
        transaction.on_commit(tell, using=using)
