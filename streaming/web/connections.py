"""The open WebSockets of this process, by address and by owner, and how many of them there may be;
and how often one address may come.

A client over its limit of connections is accepted and then closed with 4429 after a sentence,
since a browser cannot read why a handshake was refused. A client that makes handshakes too fast is
refused with 403: there the sentence itself would be the cost.

Everything here runs on the event loop.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from django.utils.translation import gettext as _

from streaming.conf import conf
from streaming.delivery.allowance import Allowance
from streaming.engine.errors import TooManySessions

# So many handshakes may come at once: a page reloaded by a class of pupils behind one address.
HANDSHAKE_BURST = 50
# Requests of so many seconds: a page takes up to 30 with its files, which browsers then keep.
REQUEST_BURST_S = 20
# The rate of so many addresses is known. Beyond that the one that was silent for longest is new.
MAX_ADDRESSES = 10_000
# What one subscriber of IPv6 is given at least.
SUBSCRIBER_BITS = 64


@dataclass(slots=True, eq=False)
class Place:
    """What one connection counts for."""

    address: str | None
    owner: str | None = None


class Rates:
    """How often each address has come, of which so many are remembered.

    Args:
        burst: How often one may come at once.
    """

    def __init__(self, burst: float) -> None:
        self._burst = burst
        # In the order in which the addresses were heard of last.
        self._allowances: OrderedDict[str, Allowance] = OrderedDict()

    def __len__(self) -> int:
        return len(self._allowances)

    def admits(self, address: str | None, per_second: float, now: float) -> bool:
        """Whether an address may come once more.

        Args:
            address: As `address_of` gives it.
            per_second: How often it may; 0 is no limit.
            now: In seconds, by the monotonic clock.
        """
        if address is None or not per_second:
            return True
        allowance = self._allowances.get(address)
        if allowance is None:
            allowance = self._allowances[address] = Allowance(now, per_second, self._burst)
            if len(self._allowances) > MAX_ADDRESSES:
                self._allowances.popitem(last=False)
        self._allowances.move_to_end(address)
        return allowance.spend(now)


class Connections:
    """Counts connections. Each has a place from `enter` to `leave`, however it ends."""

    def __init__(self) -> None:
        self._places: set[Place] = set()
        self._by_address: Counter[str] = Counter()
        self._by_owner: Counter[str] = Counter()
        self._handshakes = Rates(HANDSHAKE_BURST)

    def __len__(self) -> int:
        return len(self._places)

    def admits(self, address: str | None, now: float) -> bool:
        """Whether a handshake may be looked at: not, if its address makes too many."""
        return self._handshakes.admits(address, conf().HANDSHAKES_PER_SECOND, now)

    def enter(self, address: str | None) -> Place:
        """Give a connection its place.

        Raises:
            TooManySessions: If its address has as many as it may.
        """
        most = conf().MAX_CONNECTIONS_PER_ADDRESS
        if address is not None and most and self._by_address[address] >= most:
            raise TooManySessions(
                _(
                    "%(most)s connections are open from your address, the most allowed: close one "
                    "of them first"
                )
                % {"most": most}
            )
        place = Place(address)
        self._places.add(place)
        if address is not None:
            self._by_address[address] += 1
        return place

    def belong(self, place: Place, owner: str | None) -> None:
        """Record the connection's owner. None: a client that cannot be recognised later.

        Raises:
            TooManySessions: If its owner has as many as it may.
        """
        most = conf().MAX_CONNECTIONS_PER_OWNER
        if owner is None:
            return
        if most and self._by_owner[owner] >= most:
            raise TooManySessions(
                _("you have %(most)s connections open, the most allowed: close one of them first")
                % {"most": most}
            )
        place.owner = owner
        self._by_owner[owner] += 1

    def leave(self, place: Place) -> None:
        """Take a place back. Twice does nothing."""
        if place not in self._places:
            return
        self._places.remove(place)
        _count_down(self._by_address, place.address)
        _count_down(self._by_owner, place.owner)


connections = Connections()


def address_of(scope: Mapping[str, Any]) -> str | None:
    """Return the address that a connection counts for; None if it counts for none.

    None for a unix socket and for the machine itself: what comes from there is a proxy that does
    not say for whom, and all its visitors must not share one limit. An address of IPv6 stands for
    its /64.
    """
    address = parse_address((scope.get("client") or [""])[0])
    if address is None or address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        host_bits = address.max_prefixlen - SUBSCRIBER_BITS
        return str(IPv6Address(int(address) >> host_bits << host_bits))
    return str(address)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, one of IPv4 as such however it is written; None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _count_down(counter: Counter[str], key: str | None) -> None:
    if key is not None:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
