"""Celery, as far as a site needs it: an app with our options, and messages to compute machines.

Celery is optional. Nothing imports it before a message is sent or a compute machine begins.
"""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from streaming.conf import conf

logger = logging.getLogger(__name__)

TASK = "livestep.run"
# A broker that hangs is given up after so long; the message is sent again anyway.
TIMEOUT_S = 2.0
# Longer than kombu's own wait for the next message, which is one second.
READ_TIMEOUT_S = 5.0


def make_app(name: str = "livestep") -> Any:
    """Return a Celery app with the options of this site; a task is still to be added."""
    from celery import Celery  # Only where there is a broker.

    # Without what Celery does for Django: it would look for tasks in every app, and knows less of
    # our database connections than we do.
    app = Celery(name, broker=conf().BROKER_URL, set_as_current=False, fixups=[])
    app.conf.update(
        task_default_queue=conf().QUEUE,
        task_ignore_result=True,
        # A message is spent as soon as a thread has it: what becomes of the session then is in its
        # row. So RabbitMQ need not wait for hours.
        task_acks_late=False,
        worker_pool="threads",
        worker_prefetch_multiplier=1,
        # With Redis not even that: a busy machine keeps no message from an idle one.
        worker_disable_prefetch=_is_redis(conf().BROKER_URL),
        worker_enable_prefetch_count_reduction=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # The broker may be away for a while, at the beginning as at any time.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Nor does what it refuses, as one that was made a replica does, end a machine's sessions.
        broker_channel_error_retry=True,
        broker_connection_timeout=TIMEOUT_S,
        broker_transport_options=_transport_options(conf().BROKER_URL),
    )
    return app


def _transport_options(address: str) -> dict[str, Any]:
    if not _is_redis(address):
        return {}
    return {
        # Redis keeps no message that was taken: at its limit of memory it could not, and the
        # machine would end. Who has placed a session sends a lost one again within seconds anyway.
        "ack_emulation": False,
        "socket_connect_timeout": TIMEOUT_S,
        "socket_timeout": READ_TIMEOUT_S,
        "socket_keepalive": True,
        "retry_on_timeout": False,
    }


def _is_redis(address: str) -> bool:
    return address.startswith(("redis:", "rediss:", "redis+socket:"))


class Broker:
    """Sends messages that name a session, and counts those that wait.

    It waits for the broker on one thread, so that what hangs is one thread and nothing else. Its
    methods block: the event loop calls them by `run`.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None

    @cached_property
    def _app(self) -> Any:
        return make_app()

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The thread that waits for the broker. It begins with the first work for it."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="broker")
        return self._executor

    def send(self, queue: str, sessions: Iterable[tuple[str, str]]) -> None:
        """Send a message for each session: its id, and its simulation's name for whoever looks at
        the queue.

        Raises:
            Exception: Whatever the broker's library raises; some may have been sent then.
        """
        with self._connection() as connection:
            producer = self._app.amqp.Producer(connection, auto_declare=False)
            for session_id, simulation in sessions:
                self._app.send_task(
                    TASK,
                    args=[session_id],
                    queue=queue,
                    argsrepr=f"({simulation!r}, {session_id!r})",
                    producer=producer,
                    retry=False,
                    ignore_result=True,
                )

    def length(self, queue: str) -> int:
        """Return how many messages wait in a queue, without those that a machine has already.

        Raises:
            Exception: Whatever the broker's library raises.
        """
        from kombu.exceptions import ChannelError  # See `make_app`.

        with self._connection() as connection, connection.channel() as channel:
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except (*connection.channel_errors, ChannelError):
                return 0  # Nothing was ever sent to it, or it is empty.

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Give a new connection, tried once: one that is kept may be cut meanwhile, and whoever
        sends next would be the one to learn it."""
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0)
            yield connection

    def close(self) -> None:
        """Send nothing more. Does not wait."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
