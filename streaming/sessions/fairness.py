"""Whose turn it is: of those who wait, the one whose owner has the fewest places."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import TypeVar

Waiting = TypeVar("Waiting")
Owner = TypeVar("Owner", bound=Hashable)


def in_turn(
    waiting: Iterable[Waiting],
    owner_of: Callable[[Waiting], Owner],
    places: Mapping[Owner, int],
) -> list[Waiting]:
    """Return those who wait in the order in which they would get places, one after the other.

    Args:
        waiting: In the order in which they came, which decides among owners with equally many.
        places: How many places each owner has; an owner that is not in it has none.
    """
    queues: dict[Owner, deque[tuple[int, Waiting]]] = {}
    for number, one in enumerate(waiting):
        queues.setdefault(owner_of(one), deque()).append((number, one))
    # No two have the same number, so that owners are never compared.
    heap = [(places.get(owner, 0), queue[0][0], owner) for owner, queue in queues.items()]
    heapify(heap)
    order = []
    while heap:
        taken, _number, owner = heappop(heap)
        order.append(queues[owner].popleft()[1])
        if queues[owner]:
            heappush(heap, (taken + 1, queues[owner][0][0], owner))
    return order
