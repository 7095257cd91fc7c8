"""A disk that is full, under SQLite: what runs goes on and can be stopped, what is new is refused,
and the rows come when there is room again."""

import asyncio
import os
import re
import resource
import sqlite3
import subprocess
import threading
import time
from contextlib import suppress

import pytest

from tests.live.clients import clients_of
from tests.processes import SAMPLES
from tests.servers import Server

SIZE = 4 * 1024 * 1024
WAIT_S = 20
FAILING, MENDED = "session rows cannot be written", "session rows can be written again"


class TinyDisk:
    """A file system of a few megabytes, in memory."""

    def __init__(self, folder):
        self.folder = folder
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "livestep", str(folder)]
        if subprocess.run(mounting, capture_output=True).returncode != 0:
            pytest.skip("no right to mount a file system; the other kind of full disk is tested")

    def fill(self, server):
        with (self.folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        assert os.statvfs(self.folder).f_bavail == 0

    def make_room(self, server):
        (self.folder / "filler").unlink()

    def remove(self):
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class Quota:
    """A process that may not make its files any longer: what a quota does, without rights."""

    def __init__(self, folder):
        self.folder = folder

    def fill(self, server):
        self._limit(server, 0)

    def make_room(self, server):
        self._limit(server, resource.RLIM_INFINITY)

    def remove(self):
        pass

    def _limit(self, server, size):
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class PipedServer(Server):
    """A server whose log goes to a reader, and needs no disk."""

    def _run(self, *command):
        super()._run(*command, stderr=subprocess.PIPE)
        self._lines = []
        self._reader = threading.Thread(target=self._read, name="log reader")
        self._reader.start()

    def _read(self):
        self._lines.extend(iter(self.process.stderr.readline, ""))

    def read_log(self):
        return "".join(self._lines)

    def close(self):
        super().close()
        self._reader.join(WAIT_S)
        self.process.stderr.close()


@pytest.fixture(params=[TinyDisk, Quota])
def disk(request, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = request.param(folder)
    yield disk
    disk.remove()


@pytest.fixture
def server(disk, tmp_path):
    folder, address = tmp_path / "var", f"sqlite:///{disk.folder}/db.sqlite3"
    folder.mkdir()
    server = PipedServer(folder, SIMULATIONS=SAMPLES, DATABASE_URL=address)
    yield server
    server.stop()


def row(disk, session):
    with sqlite3.connect(disk.folder / "db.sqlite3", timeout=WAIT_S) as connection:
        found = connection.execute(
            "SELECT state, step FROM streaming_streamsession WHERE id = ?", [session]
        ).fetchone()
    connection.close()
    return found


async def test_a_full_disk_costs_only_new_sessions(disk, server):
    async with clients_of(server) as open_client:
        owner, viewer, other = [await open_client() for _ in range(3)]
        session = await owner.start("counter")
        await owner.until(type="frame")
        await asyncio.to_thread(disk.fill, server)
        await asyncio.to_thread(server.wait_for_log, FAILING)

        # What runs goes on, is watched by who comes, and obeys.
        await viewer.watch(session)
        count = len(viewer.frames)
        while len(viewer.frames) < count + 30:
            await viewer.until(type="frame")
        await owner.send("pause")
        await owner.until(type="session", state="paused")
        # What is new is refused with a sentence, and again.
        for _ in range(2):
            await other.send("start", simulation="counter", id="s")
            refused = await other.until(id="s")
            assert refused["type"] == "error"
            # SQLite knows by itself that it is the disk, but not in each statement.
            assert re.search("the disk is full|the database does not answer", refused["message"])
        began = time.monotonic()
        await owner.send("stop")
        stopped = await owner.until(type="session", state="stopped")
        assert time.monotonic() - began < 2
        assert stopped["stop"]["how"] == "flag"
        while not viewer.frames[-1]["final"]:
            await viewer.until(type="frame")
        # It is tried again each second, and said once.
        assert server.read_log().count(FAILING) == 1
        assert "Traceback" not in server.read_log()

        await asyncio.to_thread(disk.make_room, server)
        await asyncio.to_thread(server.wait_for_log, MENDED)
        # The first row that could be written may have been an older one.
        async with asyncio.timeout(WAIT_S):
            while row(disk, session) != ("stopped", stopped["step"]):
                await asyncio.sleep(0.05)
        await other.start("counter")
        await other.until(type="frame")
        await other.send("stop")
        await other.until(type="session", state="stopped")
