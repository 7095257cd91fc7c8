"""What lives in this process for as long as it serves: built here, in order, each part handed what
it needs. Nothing else builds or finds these parts, and importing a module starts none of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import streaming
from streaming.catalog.registry import registry
from streaming.cluster.bridge import Bridges
from streaming.cluster.broker import Broker
from streaming.cluster.bus import Bus
from streaming.cluster.directory import Directory
from streaming.cluster.leases import Leases
from streaming.cluster.orders import Orders
from streaming.cluster.owners import Owners
from streaming.cluster.peers import Peers
from streaming.cluster.placing import Placing
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
    owners: Owners
    orders: Orders
    broker: Broker
    placing: Placing
    remotes: Remotes
    directory: Directory
    rights: Rights
    is_built = False
    # What a compute machine says of itself beside that. On any thread.
    more_figures: Callable[[], Mapping[str, Any]]

    def build(self) -> None:
        """Make every part. Nothing runs before a session or a connection needs it."""
        self.is_built = True
        self.more_figures = dict
        self.bus = Bus(process)
        self.records = Records()
        self.pool = Pool(self.records)
        self.showcase = Showcase(self.pool, registry.shown)
        self.peers = Peers(self.bus, self.pool, self._figures)
        self.leases = Leases(
            self.bus, self.peers.is_known_to_live, lambda: self.peers.looks_after_leases
        )
        self.bridges = Bridges(self.bus, self.pool)
        self.owners = Owners(self.bus)
        self.orders = Orders(process, self.peers, self.owners)
        self.broker = Broker()
        self.placing = Placing(
            self.bus, self.peers, self.broker, lambda: self.pool.is_shutting_down
        )
        archive = Archive()
        self.remotes = Remotes(self.bus, self.peers, self.orders, self.placing, archive)
        self.directory = Directory(self.pool, self.orders, self.remotes, archive)
        self.rights = Rights(self.bus)
        self.rights.connect_signals()

    def take_part(self) -> None:
        """Be one of the site's processes, from the first connection of this one on."""
        self.bus.start()
        self.leases.start()
        self.peers.start()
        downloads.start(self.pool.going)
        self.placing.start()

    async def leave(self) -> None:
        """End what `take_part` began, and what watches other processes' sessions."""
        self.remotes.close()
        self.placing.stop()
        self.bridges.close()
        self.leases.stop()
        self.peers.stop()
        downloads.stop()
        await self.bus.stop()

    def _figures(self) -> dict[str, Any]:
        """Return what the other processes should know of this one. On any thread."""
        return {
            "version": streaming.__version__,
            **self.pool.figures(),
            "viewers": self.directory.viewers,
            "waiting": self.placing.lengths,
            **self.more_figures(),
        }


runtime = Runtime()
