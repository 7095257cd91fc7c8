"""An event loop of which every thread is busy."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager


@asynccontextmanager
async def full_executor():
    """Keep the event loop's own executor busy meanwhile."""
    release = threading.Event()
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    executor.submit(release.wait)
    try:
        yield
    finally:
        release.set()
