"""The yardstick: a process for each session, and as little else as can be.

    python -m benchmarks.yardstick PORT

No isolation, no limits, no acknowledgements, nobody else who could watch: what the same step costs
when nothing is asked but frames on a WebSocket and a stop that is heard. It speaks the question's
protocol, `ping`, and `finish`: `stop` kills the process, `finish` lets its step end.
"""

import asyncio
import contextlib
import multiprocessing
import socket
import struct
import sys
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event

from websockets.asyncio.server import ServerConnection, serve

from benchmarks.step import steps

SIZE = struct.Struct("<I")


def run_steps(pipe: socket.socket, finish: Event) -> None:
    """Run in the child: the pipe is the backpressure."""
    with contextlib.suppress(BrokenPipeError):
        for svg in steps():
            if finish.is_set():
                return
            content = svg.encode()
            pipe.sendall(SIZE.pack(len(content)) + content)


class Run:
    """One child, and the task that passes its frames on."""

    def __init__(self, process: BaseProcess, finish: Event, forward: "asyncio.Task[None]") -> None:
        self._process, self._finish, self._forward = process, finish, forward

    @classmethod
    async def start(cls, websocket: ServerConnection) -> "Run":
        here, there = socket.socketpair()
        context = multiprocessing.get_context("spawn")
        finish = context.Event()
        process = context.Process(target=run_steps, args=(there, finish), daemon=True)
        await asyncio.to_thread(process.start)
        there.close()
        reader, writer = await asyncio.open_connection(sock=here)
        return cls(process, finish, asyncio.create_task(pass_on(reader, writer, websocket)))

    async def stop(self, *, let_the_step_end: bool = False) -> None:
        if let_the_step_end:
            self._finish.set()
        else:
            self._process.kill()
        self._forward.cancel()
        await asyncio.to_thread(self._process.join)


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, websocket: ServerConnection
) -> None:
    try:
        while True:
            (size,) = SIZE.unpack(await reader.readexactly(SIZE.size))
            await websocket.send((await reader.readexactly(size)).decode())
    finally:
        writer.close()


async def handle(websocket: ServerConnection) -> None:
    run: Run | None = None
    try:
        async for message in websocket:
            match message:
                case "status" if run is None:
                    run = await Run.start(websocket)
                case "stop" | "finish" if run is not None:
                    await run.stop(let_the_step_end=message == "finish")
                    run = None
                case "ping":
                    await websocket.send("pong")
    finally:
        if run is not None:
            await run.stop()


async def main(port: int) -> None:
    async with serve(handle, "127.0.0.1", port, compression=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
