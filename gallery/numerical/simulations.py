"""The simulations that need NumPy, networkx, scikit-learn or matplotlib."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING, Annotated

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gallery.brush import Brush
from gallery.forms import LayoutForm
from gallery.graphfiles import read_graph
from gallery.grayscott import Reaction, draw_field
from gallery.layouts import Layout, draw_layout
from gallery.life import centred, draw_life, next_generation, read_pattern
from gallery.numerical.forms import LifeForm
from gallery.planets import INNER, OUTER, SolarSystem, Trails, draw_system
from gallery.training import Dataset, Training, draw_training
from streaming import Context, Param, simulation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = Callable[[], str]
Seed = Annotated[int, Param(0, 2**31, help=gettext_noop("The same seed gives the same pictures."))]


@simulation(title=gettext_noop("Graph layout"), form=LayoutForm)
def layout(
    ctx: Context, graph: str, seed: int, attraction: float, repulsion: float, pace: int
) -> Iterator[Picture]:
    """Untangle a graph, yours or that of a novel's characters, by forces between its nodes.

    Joined nodes attract each other and all nodes repel each other, less and less far in each
    step, until all are at rest; new forces wake them up again, and so does dragging one.
    Source: gallery/layouts.py.
    """
    nodes = read_graph(graph)
    found = Layout(nodes, seed)
    forces = attraction, repulsion
    while not found.is_at_rest:
        for event in ctx.events():
            found.drag(event)
        before, forces = forces, (ctx.params.attraction, ctx.params.repulsion)
        if forces != before:
            found.heat()
        found.step(*forces)
        ctx.plot(stress=found.stress)
        ctx.progress(found.progress, 1)
        ctx.describe(
            _("A graph of %(nodes)d nodes and %(edges)d edges, %(done)d%% at rest.")
            % {
                "nodes": len(nodes.names),
                "edges": len(nodes.edges),
                "done": 100 * found.progress,
            }
        )
        yield lambda: draw_layout(nodes, found.positions)
        if ctx.params.pace:
            ctx.sleep(1 / ctx.params.pace)


@simulation(
    title=gettext_noop("Reaction and diffusion"),
    engine="process",
    presets={
        gettext_noop("Labyrinths"): {"feed": 0.037, "kill": 0.06},
        gettext_noop("Corals"): {"feed": 0.0545, "kill": 0.062},
        gettext_noop("Dividing spots"): {"feed": 0.0365, "kill": 0.065},
        gettext_noop("Restless spots"): {"feed": 0.014, "kill": 0.054},
    },
)
def reaction(
    ctx: Context,
    feed: Annotated[
        float,
        Param(
            0.01,
            0.08,
            step=0.0005,
            live=True,
            help=gettext_noop("How fast U flows in."),
        ),
    ] = 0.037,
    kill: Annotated[
        float,
        Param(
            0.04,
            0.07,
            step=0.0005,
            live=True,
            help=gettext_noop("How fast V decays: the faster, the less lasts."),
        ),
    ] = 0.06,
    size: Annotated[int, Param(32, 192, step=16, help=gettext_noop("Cells on a side."))] = 128,
    seed: Seed = 1,
) -> Iterator[Picture]:
    """Grow spots, stripes and labyrinths from two substances that react and spread.

    The Gray-Scott model: V eats U, which flows in, and decays. Source: gallery/grayscott.py.
    """
    found = Reaction(size, seed)
    while True:
        for _time in range(10):
            ctx.check()
            found.step(ctx.params.feed, ctx.params.kill)
        ctx.describe(
            _("V covers %(share)d%% of %(size)d by %(size)d cells, after %(time)s units of time.")
            % {"share": 100 * found.share, "size": size, "time": f"{found.time:,}"}
        )
        yield lambda: draw_field(found.v)


@simulation(title=gettext_noop("Gradient descent"), engine="process")
def descent(
    ctx: Context,
    dataset: Dataset = Dataset.IRIS,
    rate: Annotated[
        float,
        Param(
            0.001,
            1.0,
            step=0.001,
            live=True,
            help=gettext_noop("The learning rate: how far each point moves the classifier."),
        ),
    ] = 0.02,
    epochs: Annotated[
        int, Param(1, 1000, help=gettext_noop("How often it goes through all points."))
    ] = 150,
    pace: Annotated[
        int,
        Param(
            0,
            100,
            live=True,
            unit=gettext_noop("epochs/s"),
            help=gettext_noop("0: as fast as it goes."),
        ),
    ] = 10,
    seed: Seed = 1,
) -> Iterator[Callable[[], "Figure"]]:
    """Train a classifier on flowers, wines or tumours, and see where it draws its borders.

    Stochastic gradient descent with scikit-learn, drawn with matplotlib; rings are points that it
    has not learned from. It saves the weights for NumPy. Sources: gallery/training.py.
    """
    ctx.progress(0, epochs, _("Loading scikit-learn"))
    found = Training(dataset, seed)
    for epoch in range(1, epochs + 1):
        found.learn(ctx.params.rate)
        ctx.plot(loss=found.losses[-1], accuracy=found.accuracies[-1], held_out=found.held_out[-1])
        ctx.progress(epoch, epochs)
        ctx.describe(
            _(
                "After %(epoch)d epochs the loss is %(loss).2f; it is right for %(trained)d%% of "
                "the points it learns from and %(held_out)d%% of the others."
            )
            % {
                "epoch": epoch,
                "loss": found.losses[-1],
                "trained": 100 * found.accuracies[-1],
                "held_out": 100 * found.held_out[-1],
            }
        )
        if epoch % 10 == 0 or epoch == epochs:
            ctx.save("weights.npz", found.weights())
        yield lambda: draw_training(found, epochs)
        if ctx.params.pace:
            ctx.sleep(1 / ctx.params.pace)


class Planets(StrEnum):
    """Which planets there are, in a whole of their own."""

    INNER = "inner"
    OUTER = "outer"
    ALL = "all"


@simulation(title=gettext_noop("Solar system"))
class Orbits:
    """Let the planets move by each other's gravity, from where they were in the year 2000.

    Thirty steps a second. The symplectic method of Verlet keeps the energy: how well is said
    beside the picture. Sources: gallery/planets.py.
    """

    def __init__(
        self,
        ctx: Context,
        planets: Planets = Planets.INNER,
        days: Annotated[
            int,
            Param(1, 400, live=True, unit=gettext_noop("days"), help=gettext_noop("Of a step.")),
        ] = 2,
    ) -> None:
        self._ctx = ctx
        self._planets = {
            Planets.INNER: INNER,
            Planets.OUTER: OUTER,
            Planets.ALL: INNER + OUTER,
        }[planets]
        self._by_root = planets is Planets.ALL
        # A hundredth of the shortest orbit or less, so that the energy is kept to five digits.
        self._longest = 10.0 if planets is Planets.OUTER else 0.5
        self._system = SolarSystem(self._planets)
        self._trails = Trails(self._planets)
        self._energy = self._system.energy

    def step(self) -> None:
        self._ctx.sleep(1 / 30)
        days = self._ctx.params.days
        parts = ceil(days / self._longest)
        for _part in range(parts):
            self._ctx.check()
            self._system.step(days / parts)
            self._trails.add(self._system.day, self._system.places)
        drift = abs(self._system.energy / self._energy - 1)
        self._ctx.plot(energy_error=drift)
        self._ctx.describe(
            _("%(count)d planets in the year %(year)s; energy drift %(drift)s.")
            % {
                "count": len(self._planets),
                "year": f"{self._system.year:.2f}",
                "drift": f"{drift:.0e}",
            }
        )

    def render(self) -> str:
        return draw_system(self._planets, self._system, self._trails, by_root=self._by_root)


@simulation(title=gettext_noop("Game of Life"), form=LifeForm)
def life(ctx: Context, pattern: str, size: int, pace: int) -> Iterator[Picture]:
    """Watch patterns of cells live, move and breed, your own too, and draw among them.

    A cell with three living neighbours lives next, and one that lives with two lives on; the edges
    are joined. Pressing on a cell turns it over, and dragging draws on. Sources: gallery/life.py.
    """
    cells, generation = centred(read_pattern(pattern), size), 0
    brush, drawn = Brush(size), True
    while True:
        ctx.describe(
            _("Generation %(generation)d: %(count)d living cells of %(all)d.")
            % {"generation": generation, "count": cells.sum(), "all": cells.size}
        )
        yield lambda: draw_life(cells)
        if ctx.params.pace:
            ctx.sleep(1 / ctx.params.pace)
        for begins, stroke in brush.over(ctx.events()):
            if begins and stroke:
                drawn = not cells[stroke[0][::-1]]
            for column, row in stroke:
                cells[row, column] = drawn
        cells[:], generation = next_generation(cells), generation + 1
