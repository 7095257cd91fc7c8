"""The Ising model: spins on a square lattice with periodic edges, and their picture.

Source: Metropolis et al. 1953, doi:10.1063/1.1699114; the critical temperature
2 / ln(1 + sqrt(2)): Onsager 1944, doi:10.1103/PhysRev.65.117.
"""

import math
from random import Random

from gallery.dark import dark


def sweep(spins: list[list[int]], temperature: float, random: Random) -> int:
    """Offer every spin one flip; `temperature` in units of J/k.

    Returns:
        By how much the energy of all of them has changed, in units of J.
    """
    size, change = len(spins), 0
    # Flipping costs 2 * spin * sum of the neighbours: 4 or 8 when it costs at all.
    chance = {cost: math.exp(-cost / temperature) for cost in (4, 8)}
    uniform = random.random
    for y, row in enumerate(spins):
        above, below = spins[y - 1], spins[(y + 1) % size]
        for x, spin in enumerate(row):
            cost = 2 * spin * (row[x - 1] + row[(x + 1) % size] + above[x] + below[x])
            if cost <= 0 or uniform() < chance[cost]:
                row[x] = -spin
                change += cost
    return change


def energy_of(spins: list[list[int]]) -> int:
    """Return the energy of all spins, in units of J: -2 for each when all agree, at most 2."""
    above = [spins[-1], *spins[:-1]]
    return -sum(
        spin * (row[x - 1] + upper[x])
        for row, upper in zip(spins, above, strict=True)
        for x, spin in enumerate(row)
    )


def draw_spins(spins: list[list[int]]) -> str:
    """Draw the spins that point up, each run of them in a row as one rectangle."""
    size = len(spins)
    runs = []
    for y, row in enumerate(spins):
        x = 0
        while x < size:
            start = x
            while x < size and row[x] == 1:
                x += 1
            if x > start:
                runs.append(f"M{start} {y}h{x - start}v1H{start}z")
            x += 1
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}"'
        f' shape-rendering="crispEdges">{dark("#fde68a", "#1e3a8a")}'
        f'<path fill="#fde68a" d="M0 0h{size}v{size}H0z"/>'
        f'<path fill="#1e3a8a" d="{"".join(runs)}"/></svg>'
    )
