"""What lives in this process for as long as it serves: built here, in order, each part handed what
it needs. Nothing else builds or finds these parts, and importing a module starts none of them.
"""

from typing import Any

from streaming.catalog.registry import registry
from streaming.cluster.bridge import Bridges
from streaming.cluster.bus import Bus
from streaming.cluster.directory import Directory
from streaming.cluster.leases import Leases
from streaming.cluster.orders import Orders
from streaming.cluster.peers import Peers
from streaming.cluster.remote import Remotes
from streaming.process import process
from streaming.sessions.downloads import downloads
from streaming.sessions.pool import Pool
from streaming.sessions.records import Records
from streaming.sessions.showcase import Showcase
from streaming.sessions.stored import Archive
from streaming.web.rights import Rights


class Runtime:
    """The parts of one process. `build` makes them, when Django's apps are there."""

    bus: Bus
    records: Records
    pool: Pool
    showcase: Showcase
    peers: Peers
    leases: Leases
    bridges: Bridges
    orders: Orders
    remotes: Remotes
    directory: Directory
    rights: Rights

    def build(self) -> None:
        """Make every part. Nothing runs before a session or a connection needs it."""
        self.bus = Bus(process)
        self.records = Records()
        self.pool = Pool(self.records)
        self.showcase = Showcase(self.pool, registry.shown)
        self.peers = Peers(self.bus, self.pool, self._figures)
        self.leases = Leases(self.bus, self.peers.is_known_to_live)
        self.bridges = Bridges(self.bus, self.pool)
        self.orders = Orders(process, self.peers)
        archive = Archive()
        self.remotes = Remotes(self.bus, self.peers, self.orders, archive)
        self.directory = Directory(self.pool, self.orders, self.remotes, archive)
        self.rights = Rights(self.bus)
        self.rights.connect_signals()

    def take_part(self) -> None:
        """Be one of the site's processes, from the first connection of this one on."""
        self.bus.start()
        self.leases.start()
        self.peers.start()
        downloads.start(self.pool.going)

    async def leave(self) -> None:
        """End what `take_part` began, and what watches other processes' sessions."""
        self.remotes.close()
        self.bridges.close()
        self.leases.stop()
        self.peers.stop()
        downloads.stop()
        await self.bus.stop()

    def _figures(self) -> dict[str, Any]:
        return {**self.pool.figures(), "viewers": self.directory.viewers}


runtime = Runtime()
