"""The simulations that ship and need no other library. Each is written as a user's own would be."""

from collections.abc import Callable, Iterator
from random import Random, gauss
from typing import Annotated

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gallery.brush import Brush
from gallery.dark import dark
from gallery.forms import TourForm
from gallery.spins import draw_spins, energy_of, sweep
from gallery.tours import Tour, draw_tour, random_cities
from gallery.tsplib import read_cities, tour_file
from streaming import Context, Param, simulation

Picture = Callable[[], str]


@simulation(title=gettext_noop("Travelling salesman"), form=TourForm)
def tour(ctx: Context, cities: str, seed: int, size: int, pace: int) -> Iterator[Picture]:
    """Find a short round trip through all cities, on your own coordinates.

    From a random tour it goes downhill by 2-opt moves; then it jumps out of the valley it is
    in, again and again, and keeps what is shorter, which it saves as a file of TSPLIB. Sources:
    gallery/tours.py.
    """
    random = Random(seed)
    places = random_cities(size, random) if size else read_cities(cities)
    found = Tour(places, random)
    shortest = found.length
    # More cities need more moves: a step makes so many that the way down is as long to watch.
    moves, jumps = max(1, len(places) // 50), max(1, len(places) // 10)
    while True:
        for _move in range(moves):
            if not found.improve():
                for _jump in range(jumps):
                    ctx.check()
                    found.perturb()
                break
        if found.is_local_optimum and found.length < shortest:
            shortest = found.length
            ctx.save("best.tour", tour_file(found.order, shortest))
        ctx.plot(length=found.length)
        ctx.describe(
            _("A round trip through %(count)d cities, of length %(length)s.")
            % {"count": len(places), "length": f"{found.length:,}"}
        )
        yield lambda: draw_tour(
            places, found.order, _("Length %(length)s") % {"length": f"{found.length:,}"}
        )
        if ctx.params.pace:
            ctx.sleep(1 / ctx.params.pace)


@simulation(title=gettext_noop("Ising model"))
def ising(
    ctx: Context,
    size: Annotated[int, Param(8, 256, help=gettext_noop("Spins on a side."))] = 64,
    temperature: Annotated[
        float,
        Param(
            0.1,
            5.0,
            step=0.01,
            live=True,
            help=gettext_noop("In units of J/k; order is lost at 2.27."),
        ),
    ] = 2.27,
) -> Iterator[Picture]:
    """Watch magnetic domains form and dissolve as you change the temperature.

    The Metropolis algorithm on a square lattice with periodic edges, in pure Python on purpose:
    the kind of loop that keeps an event loop from hearing anything. Draw on it to turn spins
    over. Sources: gallery/spins.py.
    """
    random = Random()
    spins = [[random.choice((-1, 1)) for _ in range(size)] for _ in range(size)]
    brush, painted = Brush(size, radius=size // 20), 1
    energy = energy_of(spins)
    while True:
        for begins, cells in brush.over(ctx.events()):
            painted = _paint(spins, cells, painted, begins=begins)
            energy = energy_of(spins)
        energy += sweep(spins, ctx.params.temperature, random)
        magnetisation = sum(map(sum, spins)) / size**2
        ctx.plot(magnetisation=magnetisation, energy=energy / size**2)
        ctx.describe(
            _("%(size)d by %(size)d spins, magnetisation %(magnetisation)s.")
            % {"size": size, "magnetisation": f"{magnetisation:+.2f}"}
        )
        yield lambda: draw_spins(spins)


def _paint(
    spins: list[list[int]], cells: list[tuple[int, int]], painted: int, *, begins: bool
) -> int:
    """Have spins point as the stroke paints them: a new one the other way than where it begins."""
    if begins and cells:
        column, row = cells[len(cells) // 2]
        painted = -spins[row][column]
    for column, row in cells:
        spins[row][column] = painted
    return painted


@simulation(title=gettext_noop("Countdown"))
def countdown(ctx: Context, count: Annotated[int, Param(1, 100)] = 10) -> Iterator[str]:
    """Count down to zero and end."""
    for left in range(count, -1, -1):
        ctx.progress(count - left, count)
        ctx.describe(_("The number %(number)d") % {"number": left})
        yield draw_count(left, count)
        ctx.sleep(0.5)


def draw_count(left: int, count: int) -> str:
    """Draw a number, and the part of a ring that is left of it."""
    return (
        '<svg viewBox="-12 -12 24 24" font-family="sans-serif" text-anchor="middle">'
        f"{dark('#dbeafe', '#1d4ed8', '#0f172a')}"
        '<g fill="none" stroke-width="1.6"><circle r="10" stroke="#dbeafe"/>'
        '<circle r="10" stroke="#1d4ed8" transform="rotate(-90)" pathLength="100"'
        f' stroke-dasharray="{100 * left / count:g} 100"/></g>'
        f'<text y="3" font-size="8.5" fill="#0f172a">{left}</text></svg>'
    )


@simulation(title=gettext_noop("The plain function"), name="question", engine="process")
def get_step_data() -> str:
    """Draw a random walk of fifty thousand steps, in a function that knows nothing of us.

    A plain function is called again and again, and each call is a step. Whatever it kept in its
    module would be shared by all sessions in threads; this one keeps nothing between its calls,
    so it needs no lock. The problem of the walk: Pearson 1905, doi:10.1038/072294b0.
    """
    x = y = 0.0
    walk = []
    for number in range(50_000):
        x += gauss()
        y += gauss()
        if number % 50 == 0:
            walk.append((x, y))
    xs, ys = sorted(x for x, _ in walk), sorted(y for _, y in walk)
    middle_x, middle_y = (xs[0] + xs[-1]) / 2, (ys[0] + ys[-1]) / 2
    scale = 940 / max(xs[-1] - xs[0], ys[-1] - ys[0])
    points = " ".join(f"{(x - middle_x) * scale:.0f},{(y - middle_y) * scale:.0f}" for x, y in walk)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-500 -500 1000 1000">'
        f'{dark("#1d4ed8")}<polyline points="{points}" fill="none" stroke="#1d4ed8"'
        ' stroke-width="6" stroke-linejoin="round"/></svg>'
    )
