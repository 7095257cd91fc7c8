"""A site with compute machines for a test, what reads and breaks it, and the line to one of them,
which can be cut."""

import os
import secrets
import subprocess
from contextlib import contextmanager
from functools import partial

import psycopg
from redis import Redis

from tests.processes import SAMPLES, make_cluster
from tests.proxy import FaultProxy
from tests.servers import ROOT

MARKED = str(ROOT / "tests" / "samples" / "marked.py")
NOTED = str(ROOT / "tests" / "samples" / "noted.py")
# Each with its places, and the queue that it takes sessions from.
MACHINES = {"compute1": (3, "livestep"), "compute2": (1, "livestep"), "compute3": (20, "crowd")}
# Of the queue `livestep`.
PLACES = 4


class Line:
    """The line between a machine and the rest of the site: everything that it says passes here.

    Args:
        host: The address of this machine that is at the other end.
    """

    def __init__(self, cluster, host="127.0.0.1"):
        self._proxies = {
            "REDIS_URL": (FaultProxy(cluster.redis.port, host), cluster.redis),
            "DATABASE_URL": (FaultProxy(cluster.postgres.port, host), cluster.postgres),
        }

    def lead_to(self, machine):
        """Have a machine that is still to be started use it."""
        for name, (proxy, part) in self._proxies.items():
            address = part.url.replace(f"127.0.0.1:{part.port}", f"{proxy.host}:{proxy.port}")
            machine.environment[name] = address

    def cut(self):
        """Let nothing through, without a word to anybody, until `mend`."""
        for proxy, _part in self._proxies.values():
            proxy.blackhole()

    def mend(self):
        for proxy, _part in self._proxies.values():
            proxy.restore()

    def close(self):
        for proxy, _part in self._proxies.values():
            proxy.close()


class NamespaceLine(Line):
    """The same for a machine in a network namespace of its own, at a wire that is pulled out. It
    takes root, and iproute2."""

    HERE, THERE = "10.223.71.1", "10.223.71.2"

    def __init__(self, cluster):
        self._space = f"livestep-{secrets.token_hex(3)}"
        self._wire = f"ls{secrets.token_hex(3)}"
        ip("netns", "add", self._space)
        ip("link", "add", self._wire, "type", "veth", "peer", "name", "wire", "netns", self._space)
        ip("addr", "add", f"{self.HERE}/30", "dev", self._wire)
        ip("-n", self._space, "addr", "add", f"{self.THERE}/30", "dev", "wire")
        for link in (("lo",), ("wire",)):
            ip("-n", self._space, "link", "set", *link, "up")
        self.mend()
        super().__init__(cluster, self.HERE)

    def lead_to(self, machine):
        super().lead_to(machine)
        machine._run = partial(machine._run, "ip", "netns", "exec", self._space)

    def cut(self):
        ip("link", "set", self._wire, "down")

    def mend(self):
        ip("link", "set", self._wire, "up")

    def close(self):
        super().close()
        ip("netns", "del", self._space)  # The wire goes with it.


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=10)


@contextmanager
def running_machines(**environment):
    """Give a cluster with all MACHINES, and the line to the third. The second does not know what is
    in MARKED."""
    cluster = make_cluster(
        computes=len(MACHINES), SIMULATIONS=f"{SAMPLES},{NOTED},{MARKED}", **environment
    )
    for name, (places, queue) in MACHINES.items():
        cluster.computes[name].options = ("--places", str(places), "--queues", queue)
    cluster.computes["compute2"].environment["SIMULATIONS"] = f"{SAMPLES},{NOTED}"
    line = (NamespaceLine if os.environ.get("FAULT_NAMESPACES") else Line)(cluster)
    try:
        line.lead_to(cluster.computes["compute3"])
        cluster.start()
        yield cluster, line
    finally:
        line.mend()
        cluster.stop()
        line.close()


def ensure_running(cluster):
    """Have every part of a site running that a test has ended or held. Blocks."""
    servers, ours = (cluster.redis, cluster.postgres), list(cluster.ours.values())
    for parts in (servers, ours):
        ended = [part for part in parts if not part.is_running]
        for part in parts:
            part.resume()
        for part in ended:
            part.begin()
        for part in ended:
            part.wait_until_ready()


def ask_database(cluster, question, *values):
    """Return the rows that a question to the site's database gives. Blocks."""
    with psycopg.connect(cluster.postgres.url) as connection:
        return connection.execute(question, values).fetchall()


def row_of(cluster, session):
    """Return the state, the epoch and the process of a session's row. Blocks."""
    fields = "SELECT state, epoch, process FROM streaming_streamsession WHERE id = %s"
    return ask_database(cluster, fields, session)[0]


def redis_of(cluster):
    return Redis(port=cluster.redis.port, socket_timeout=5)


@contextmanager
def full(redis):
    """Have a Redis that takes nothing more that costs memory."""
    redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        redis.config_set("maxmemory", "0")
