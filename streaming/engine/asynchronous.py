"""Steps that are coroutines: they run in an event loop of their own, on the stepping thread.

The loop runs during a step only. asyncio is imported by the first such simulation, and by nothing
else of the engine.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from streaming.engine.context import Context
from streaming.engine.errors import StopRequested

# How often a step that awaits something looks whether it was stopped.
HEAR_S = 0.05


def is_async(value: Any) -> bool:
    """Whether a step is to be awaited, or iterated over so."""
    return inspect.isasyncgen(value) or inspect.iscoroutine(value)


def async_steps(first: Any, again: Callable[[], Any], context: Context) -> Iterator[Any]:
    """Yield what a coroutine function or an async generator gives, one value for each step.

    A stop cancels what the step awaits.

    Args:
        first: The generator, or the coroutine of the first step.
        again: Makes the coroutine of the next step.
        context: That of the simulation.
    """
    import asyncio

    context.async_sleep = asyncio.sleep

    async def heard(awaitable: Any) -> Any:
        task = asyncio.ensure_future(awaitable)
        is_cancelled = False
        while not task.done():
            if context.stop_requested and not is_cancelled:
                is_cancelled = task.cancel()
            await asyncio.wait([task], timeout=HEAR_S)
        if task.cancelled() and is_cancelled:
            raise StopRequested
        return task.result()

    with asyncio.Runner() as runner:
        if not inspect.isasyncgen(first):
            while (value := runner.run(heard(first))) is not None:
                yield value
                first = again()
            return
        try:
            while True:
                yield runner.run(heard(anext(first)))
        except StopAsyncIteration:
            return
        finally:
            # Its own `finally` may await something, too.
            runner.run(first.aclose())
