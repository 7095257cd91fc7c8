"""The thread on which tables of plotted numbers are made. One may take a second of the processor:
many at once, on the event loop's own threads, would keep everybody waiting."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

_thread = ThreadPoolExecutor(1, thread_name_prefix="tables")


def on_table_thread(work: Callable[..., Result], *args: object) -> asyncio.Future[Result]:
    """Have something done to a table, after what was asked for before. On the event loop."""
    return asyncio.get_running_loop().run_in_executor(_thread, work, *args)
