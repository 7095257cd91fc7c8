"""The question's three answers, written anew: default executor, own executor, bare thread.

Each adds only a `ping` that the event loop answers, so that its lateness can be measured.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from benchmarks.step import steps


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, ThreadPoolExecutor]]:
    pool = ThreadPoolExecutor(max_workers=20)
    yield {"pool": pool}
    pool.shutdown(wait=False)


app = FastAPI(lifespan=lifespan)


async def serve(websocket: WebSocket, run: Callable[[Callable[[], None]], object]) -> None:
    await websocket.accept()
    is_running = False
    frames = steps()

    async def push() -> None:
        while is_running:
            await websocket.send_text(next(frames))

    try:
        while True:
            match await websocket.receive_text():
                case "status":
                    is_running = True
                    run(lambda: asyncio.run(push()))
                case "stop":
                    is_running = False
                case "ping":
                    await websocket.send_text("pong")
    except (WebSocketDisconnect, RuntimeError):
        is_running = False


@app.websocket("/default-executor")
async def default_executor(websocket: WebSocket) -> None:
    loop = asyncio.get_running_loop()
    await serve(websocket, lambda target: loop.run_in_executor(None, target))


@app.websocket("/own-executor")
async def own_executor(websocket: WebSocket) -> None:
    loop = asyncio.get_running_loop()
    await serve(websocket, lambda target: loop.run_in_executor(websocket.state.pool, target))


@app.websocket("/thread")
async def thread(websocket: WebSocket) -> None:
    await serve(websocket, lambda target: threading.Thread(target=target, daemon=True).start())
