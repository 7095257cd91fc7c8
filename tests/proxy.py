"""A TCP proxy that does to a connection what networks do to it. It runs on a thread of its own."""

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from functools import partial

CHUNK = 16 * 1024
# So that what waits, waits at its sender and not in this process.
BUFFER = 32 * 1024
# The most that is under way over a long line.
MOST_CHUNKS = 64
# With this, closing a socket resets its connection.
RESET = struct.pack("ii", 1, 0)


class FaultProxy:
    """Passes connections on to a port of this machine, until `close`.

    Args:
        host: The address of this machine where it listens.

    Attributes, which may be changed at any time:
        latency: seconds that each chunk is under way, to either side; others follow meanwhile.
        bandwidth: bytes per second to the client; None for no limit.
        slices: most bytes that are passed on at once.
        is_refusing: whether new connections are reset at once.
    """

    def __init__(self, port, host="127.0.0.1"):
        self._target, self.host = port, host
        self.latency, self.bandwidth, self.slices = 0.0, None, CHUNK
        self.is_refusing = False
        self._tasks, self._sockets = set(), set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._passing.set()
        listener = socket.create_server((host, 0), backlog=512)
        self.port = listener.getsockname()[1]
        listener.setblocking(False)
        self._thread = threading.Thread(target=self._run, args=(listener,), name="proxy")
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self):
        return f"ws://127.0.0.1:{self.port}/ws"

    def blackhole(self):
        """Let nothing through, without a word to anybody, until `restore`."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def restore(self):
        self._loop.call_soon_threadsafe(self._passing.set)

    def reset(self):
        """Cut every connection."""
        self._call(self._reset)

    def close(self):
        self._call(self._reset)
        self._loop.call_soon_threadsafe(self._listening.cancel)
        self._thread.join()

    def _call(self, function):
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (function(), done.set()))
        done.wait()

    def _reset(self):
        for one in list(self._sockets):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        for task in list(self._tasks):
            task.cancel()

    def _run(self, listener):
        with (
            listener,
            suppress(asyncio.CancelledError),
            asyncio.Runner(loop_factory=lambda: self._loop) as runner,
        ):
            runner.run(self._listen(listener))

    async def _listen(self, listener):
        self._listening = asyncio.current_task()
        self._loop.add_reader(listener, self._accept, listener)
        try:
            await self._loop.create_future()
        finally:
            self._loop.remove_reader(listener)

    def _accept(self, listener):
        with suppress(BlockingIOError):
            client, _ = listener.accept()
            self._sockets.add(client)
            task = self._loop.create_task(self._serve(client))
            self._tasks.add(task)
            # Also of a task that was cancelled before it began.
            task.add_done_callback(partial(self._end, client))

    def _end(self, client, task):
        self._tasks.discard(task)
        self._sockets.discard(client)
        client.close()

    async def _serve(self, client):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        both = {client, server}
        self._sockets.add(server)
        try:
            for one in both:
                one.setblocking(False)
            if self.is_refusing:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            try:
                await self._loop.sock_connect(server, ("127.0.0.1", self._target))
            except OSError:
                return  # Nobody is there, as the client learns.
            ways = [*self._pass(client, server, None), *self._pass(server, client, "down")]
            tasks = [self._loop.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
        finally:
            self._sockets.discard(server)
            server.close()

    def _pass(self, source, target, way):
        """Return what reads, and what writes later."""
        late = asyncio.Queue(MOST_CHUNKS)
        return self._take(source, late, way), self._give(late, target)

    async def _take(self, source, late, way):
        free_at = 0.0
        with suppress(OSError):
            while data := await self._loop.sock_recv(source, self.slices):
                if way == "down" and self.bandwidth:
                    # By the clock: each sleep is a little too long.
                    free_at = max(free_at, self._loop.time()) + len(data) / self.bandwidth
                    await asyncio.sleep(free_at - self._loop.time())
                await late.put((self._loop.time() + self.latency, data))
                if not self.latency:
                    await late.join()
            await late.join()

    async def _give(self, late, target):
        with suppress(OSError):
            while True:
                due, data = await late.get()
                await asyncio.sleep(due - self._loop.time())
                await self._passing.wait()
                await self._loop.sock_sendall(target, data)
                late.task_done()
