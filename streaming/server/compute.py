"""A compute machine: a process of the site that serves no pages and runs the sessions it claims.

Celery brings the messages, one thread for each place, and the end at SIGTERM. The sessions live on
an event loop of their own, in a thread beside Celery's, as they do in a process that serves pages.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from streaming.catalog.fork_server import fork_server
from streaming.catalog.forms import validate_params
from streaming.catalog.registry import registry
from streaming.cluster import claims
from streaming.cluster.broker import TASK, make_app
from streaming.cluster.claims import Claimed
from streaming.engine.errors import ClientError, EngineError, ServerStopping
from streaming.engine.simulations import Engine, Simulation
from streaming.process import process
from streaming.runtime import runtime
from streaming.server.shutdown import shut_down
from streaming.server.systemd import notify, watchdog_interval
from streaming.sessions.live import LiveSession
from streaming.sessions.memory import settle_memory

logger = logging.getLogger(__name__)

# How long the fork server may load before the first message is taken.
LOAD_S = 60.0
# Before a message is put back of a session that this machine cannot run, or after the database has
# failed: others may want it first, and nobody is to be asked without end.
PUT_BACK_S = 0.5
END_S = 5.0


class Compute:
    """Runs sessions, from `begin` until `end`. On any thread, but for what says otherwise."""

    # A server of pages has these to end, too.
    signal_handlers = False

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="compute", daemon=True)
        self._is_ending = threading.Event()
        self._ended: Future[None] = Future()
        self.queues: tuple[str, ...] = ()
        self.places = 0

    def begin(self, queues: tuple[str, ...], places: int) -> None:
        """Be one of the site's processes. Blocks until the simulations are loaded.

        Raises:
            EngineError: If this system can have no processes for sessions.
        """
        self.queues, self.places = queues, places
        runtime.more_figures = self._figures
        self._thread.start()
        fork_server.start()
        asyncio.run_coroutine_threadsafe(self._take_part(), self._loop).result()
        if not fork_server.wait_ready(LOAD_S):
            logger.warning("the simulations take more than a minute to load")

    def note_ready(self) -> None:
        """Say that sessions are taken from now on."""
        logger.info(
            "compute machine %s: %d places, queues %s",
            process,
            self.places,
            ", ".join(self.queues),
        )
        notify("READY=1")
        settle_memory()

    def run_one(self) -> None:
        """Claim the session whose turn it is, and run it to its end. Called on a place's thread,
        for each message; where no session waits it returns at once."""
        if self._is_ending.is_set():
            return
        known = {simulation.name for simulation in registry.all()}
        try:
            claimed = claims.claim(self.queues, known)
            if claimed is None:
                self._put_back_unknown(known)
            else:
                self._run(claimed)
        except claims.ClaimInDoubt as doubt:
            self._write(claims.put_back, doubt.claimed)
        except DatabaseError as error:
            logger.warning("no session could be claimed: %s", error)
            self._is_ending.wait(PUT_BACK_S)
        finally:
            connections.close_all()

    def request_stop(self) -> None:
        """Take no more sessions, and end those that run within their graces. Returns at once."""
        if not self._is_ending.is_set():
            self._is_ending.set()
            notify("STOPPING=1")
            self._loop.call_soon_threadsafe(self._begin_shutdown)

    def end(self) -> None:
        """End what is left, after Celery has ended. Blocks."""
        self.request_stop()
        self._ended.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_S)
        fork_server.close()

    def sessions(self) -> list[dict[str, Any]]:
        """Return what runs here, for `celery inspect`."""
        snapshots = [live.session.snapshot() for live in runtime.pool.all() if live.is_held]
        return [
            {
                "session": snapshot.id,
                "simulation": snapshot.simulation,
                "state": str(snapshot.state),
                "step": snapshot.step,
            }
            for snapshot in snapshots
        ]

    # What `shut_down` asks of a server.

    def stop_listening(self) -> None:
        """Nobody connects to a compute machine."""

    def close_sockets(self) -> None:
        """Nor does anybody have to go."""

    def applications(self) -> set[asyncio.Future[Any]]:
        return set()

    # On a place's thread.

    def _run(self, claimed: Claimed) -> None:
        try:
            simulation = registry.get(claimed.simulation)
            params = validate_params(simulation, claimed.given)
            live = self._adopt(simulation, params, claimed)
        except ServerStopping:
            self._write(claims.put_back, claimed)
            return
        except ClientError as error:
            self._fail(claimed, f"The session could not be started: {error}")
            return
        except Exception:
            # Whatever an author's form raises.
            logger.exception("session %s could not be started", claimed.id)
            self._fail(claimed, "The server failed at starting this session.")
            return
        connections.close_all()  # The session may take hours.
        asyncio.run_coroutine_threadsafe(self._attend(live), self._loop).result()
        while not live.join(1.0):
            pass

    def _fail(self, claimed: Claimed, sentence: str) -> None:
        self._write(claims.fail, claimed, sentence)
        runtime.bus.broadcast_from_thread("gone", session=claimed.id)

    def _write(self, work: Callable[..., None], claimed: Claimed, *args: Any) -> None:
        """Write down what became of a claimed session, and try until the database takes it: while
        this machine lives nobody gives it up for lost. At the machine's end that is not for long.

        Raises:
            DatabaseError: If the database takes it no longer, or never will.
        """
        is_failing, give_up_at = False, float("inf")
        while True:
            try:
                work(claimed, *args)
                break
            except (OperationalError, InterfaceError) as error:
                connections.close_all()
                if not is_failing:
                    is_failing = True
                    logger.warning("session %s cannot be written; trying on: %s", claimed.id, error)
                if self._is_ending.is_set():
                    give_up_at = min(give_up_at, time.monotonic() + END_S)
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(PUT_BACK_S)

    def _put_back_unknown(self, known: set[str]) -> None:
        """Knock for others, where what waits is unknown here."""
        waiting = claims.waiting_in_turn(self.queues)
        one = next((one for one in waiting if one.simulation not in known), None)
        if one is None:
            return
        connections.close_all()
        self._is_ending.wait(PUT_BACK_S)
        try:
            runtime.broker.send(one.queue, [(one.id, one.simulation)])
        except Exception as error:  # noqa: BLE001  # Of the broker's library.
            logger.debug("a message could not be put back: %s", error)

    def _adopt(
        self, simulation: Simulation, params: dict[str, Any], claimed: Claimed
    ) -> LiveSession:
        """Make a session of this process's pool, on its loop.

        Raises:
            ServerStopping: If it has begun to end.
        """

        async def adopt() -> LiveSession:
            owner, origin, wishes = claimed.owner, claimed.origin, claimed.wishes
            return runtime.pool.adopt(simulation, params, owner, origin, wishes)

        return asyncio.run_coroutine_threadsafe(adopt(), self._loop).result()

    # On the event loop.

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _take_part(self) -> None:
        runtime.take_part()
        if interval := watchdog_interval():
            self._pat(interval)

    def _pat(self, interval: float) -> None:
        """Tell systemd that the loop goes on, again and again."""
        notify("WATCHDOG=1")
        self._loop.call_later(interval, self._pat, interval)

    async def _attend(self, live: LiveSession) -> None:
        """Start a session, and wait for its end."""
        runtime.bus.broadcast("claimed", session=live.id)
        live.start()
        await live.ended.wait()

    def _begin_shutdown(self) -> None:
        self._ending = self._loop.create_task(self._shut_down(), name="shutdown")

    async def _shut_down(self) -> None:
        try:
            await shut_down(self)
        except Exception:
            # The top of a task: the process ends all the same.
            logger.exception("the sessions could not be ended in order")
        finally:
            self._ended.set_result(None)

    def _figures(self) -> Mapping[str, Any]:
        taken = runtime.pool.places_taken(Engine.CLUSTER)
        return {
            "places": {str(Engine.CLUSTER): [taken, self.places]},
            "compute": {
                "queues": list(self.queues),
                "places": self.places,
                "taken": taken,
                "simulations": [simulation.name for simulation in registry.all()],
            },
        }


def celery_app() -> Any:
    """Return the app of `celery -A … worker`: a worker of it is a compute machine."""
    # Only where it is installed: it is optional.
    from celery import bootsteps, signals
    from celery.worker.control import inspect_command

    app = make_app()
    compute = Compute()

    class Forgetting(bootsteps.StartStopStep):
        """Lets go of a broker's connection that has ended: kombu's loop would have each of them
        look for messages at every turn, and keep it for as long as the process lives."""

        def stop(self, consumer: Any) -> None:
            if consumer.hub is not None:
                consumer.hub.on_tick.clear()

    app.steps["consumer"].add(Forgetting)

    @app.task(name=TASK, typing=False)  # type: ignore[untyped-decorator]  # Celery has no types.
    def run(*args: Any) -> None:
        # The message is a knock at the door: whose turn it is, the database says.
        compute.run_one()

    @inspect_command()  # type: ignore[untyped-decorator]  # As above.
    def sessions(state: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Sessions that run on this machine."""
        return compute.sessions()

    def begin(sender: Any, **kwargs: Any) -> None:
        queues = tuple(sender.app.amqp.queues.consume_from)
        try:
            compute.begin(queues, sender.concurrency)
        except EngineError as error:
            # Celery would log any other exception, and go on.
            raise SystemExit(str(error)) from error

    def stop(**kwargs: Any) -> None:
        compute.request_stop()

    # Not weakly: nobody else holds them.
    signals.setup_logging.connect(lambda **kwargs: None, weak=False)  # Django has set it up.
    signals.worker_init.connect(begin, weak=False)
    signals.worker_ready.connect(lambda **kwargs: compute.note_ready(), weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    signals.worker_shutdown.connect(lambda **kwargs: compute.end(), weak=False)
    return app
