"""The simulations that ship. Each is written as a user's own would be."""

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Annotated

from gallery.forms import TourForm
from gallery.tours import Tour
from gallery.tsplib import City, read_cities
from streaming import Context, Param, simulation

Picture = Callable[[], str]


@simulation(title="Travelling salesman", form=TourForm)
def tour(ctx: Context, cities: str, seed: int, pace: int) -> Iterator[Picture]:
    """Find a short round trip through all cities, on your own coordinates.

    From a random tour it goes downhill by 2-opt moves; then it jumps out of the valley it is
    in, again and again, and keeps what is shorter. Sources: gallery/tours.py.
    """
    places = read_cities(cities)
    found = Tour(places, Random(seed))
    # More cities need more moves: a step makes so many that the way down is as long to watch.
    moves, jumps = max(1, len(places) // 50), max(1, len(places) // 10)
    while True:
        for _ in range(moves):
            if not found.improve():
                for _ in range(jumps):
                    ctx.check()
                    found.perturb()
                break
        ctx.describe(f"A round trip through {len(places)} cities, of length {found.length:,}.")
        yield lambda: draw_tour(places, found.order, found.length)
        if ctx.params.pace:
            ctx.sleep(1 / ctx.params.pace)


def draw_tour(places: list[City], order: list[int], length: int) -> str:
    """Draw a closed tour, y upwards, scaled to a picture 1000 units wide."""
    left, right = min(x for x, _ in places), max(x for x, _ in places)
    low, high = min(y for _, y in places), max(y for _, y in places)
    scale = 940 / max(right - left, high - low, 1e-9)
    width, height = (right - left) * scale + 60, (high - low) * scale + 110
    points = [
        (round((x - left) * scale + 30, 1), round((high - y) * scale + 80, 1)) for x, y in places
    ]
    path = " ".join(f"{x},{y}" for x, y in (points[city] for city in order))
    radius = max(2, min(8, 120 / math.sqrt(len(places))))
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="{radius:.1f}"/>' for x, y in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">'
        f'<text x="30" y="52" font-family="sans-serif" font-size="44" fill="#334155">'
        f"Length {length:,}</text>"
        f'<polygon points="{path}" fill="#dbeafe" fill-opacity=".5" stroke="#1d4ed8"'
        f' stroke-width="4" stroke-linejoin="round"/><g fill="#0f172a">{dots}</g></svg>'
    )


@simulation(title="Ising model")
def ising(
    ctx: Context,
    size: Annotated[int, Param(8, 256, help="Spins on a side.")] = 64,
    temperature: Annotated[
        float, Param(0.1, 5.0, step=0.01, live=True, help="In units of J/k; order is lost at 2.27.")
    ] = 2.27,
) -> Iterator[Picture]:
    """Watch magnetic domains form and dissolve as you change the temperature.

    The Metropolis algorithm on a square lattice with periodic edges, in pure Python on purpose:
    the kind of loop that keeps an event loop from hearing anything.

    Source: Metropolis et al. 1953, doi:10.1063/1.1699114; the critical temperature
    2 / ln(1 + sqrt(2)): Onsager 1944, doi:10.1103/PhysRev.65.117.
    """
    random = Random()
    spins = [[random.choice((-1, 1)) for _ in range(size)] for _ in range(size)]
    while True:
        sweep(spins, ctx.params.temperature, random)
        magnetisation = sum(map(sum, spins)) / size**2
        ctx.describe(f"{size} by {size} spins, magnetisation {magnetisation:+.2f}.")
        yield lambda: draw_spins(spins)


def sweep(spins: list[list[int]], temperature: float, random: Random) -> None:
    """Offer every spin one flip; `temperature` in units of J/k."""
    size = len(spins)
    # Flipping costs 2 * spin * sum of the neighbours: 4 or 8 when it costs at all.
    chance = {cost: math.exp(-cost / temperature) for cost in (4, 8)}
    uniform = random.random
    for y, row in enumerate(spins):
        above, below = spins[y - 1], spins[(y + 1) % size]
        for x, spin in enumerate(row):
            cost = 2 * spin * (row[x - 1] + row[(x + 1) % size] + above[x] + below[x])
            if cost <= 0 or uniform() < chance[cost]:
                row[x] = -spin


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
        f' shape-rendering="crispEdges"><path fill="#fde68a" d="M0 0h{size}v{size}H0z"/>'
        f'<path fill="#1e3a8a" d="{"".join(runs)}"/></svg>'
    )


@simulation
def countdown(ctx: Context, count: Annotated[int, Param(1, 100)] = 10) -> Iterator[str]:
    """Count down to zero and end."""
    for left in range(count, -1, -1):
        ctx.progress(count - left, count)
        ctx.describe(f"The number {left}")
        text = f'<text text-anchor="middle" font-size="9">{left}</text>'
        yield f'<svg viewBox="-9 -9 18 12">{text}</svg>'
        ctx.sleep(0.5)
