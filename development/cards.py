"""Makes the small pictures of the gallery's cards, and their loops: real frames, of little cases,
without words.

Again, after a picture has changed:
`manage.py shell -c "from development.cards import write_cards; write_cards()"`
"""

import copy
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gallery.dark import darken
from gallery.forms import LES_MISERABLES
from gallery.graphfiles import read_graph
from gallery.grayscott import Reaction, draw_field
from gallery.layouts import Layout, draw_layout
from gallery.life import centred, draw_life, next_generation, read_pattern
from gallery.numerical.forms import GLIDER_GUN
from gallery.planets import INNER, SolarSystem, Trails, draw_system
from gallery.simulations import draw_count, get_step_data
from gallery.spins import draw_spins, sweep
from gallery.tours import Tour, draw_tour, random_cities
from gallery.training import Dataset, Training, draw_regions
from streaming.delivery.loop import loop_of
from streaming.engine.frames import to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CARD_EDGES = 110
# A picture that is so wide needs no fractions of its units, but for small ones.
FINE = 500
FOLDER = Path(__file__).parent.parent / "gallery" / "static" / "gallery"

# The frames of a loop, the last of which is the card.
Frames = Iterator[str]


def write_cards() -> None:
    """Write each simulation's picture to NAME.svg and its loop to NAME.loop.svg, the same every
    time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in CARDS.items():
        frames = [_small(svg) for svg in draw()]
        (FOLDER / f"{name}.svg").write_text(frames[-1])
        (FOLDER / f"{name}.loop.svg").write_bytes(loop_of([svg.encode() for svg in frames]))


def _tour() -> Frames:
    drawn_by = random.Random(3)
    tour = Tour(random_cities(40, drawn_by), drawn_by)
    for moves in (2, 8, 10, 12, 12, 14, 20):
        yield draw_tour(tour.cities, tour.order, "")
        for _ in range(moves):
            tour.improve()
    for _ in range(300):
        tour.perturb()
    yield draw_tour(tour.cities, tour.order, "")


def _ising() -> Frames:
    drawn_by = random.Random(5)
    spins = [[drawn_by.choice((-1, 1)) for _ in range(40)] for _ in range(40)]
    for sweeps in (1, 1, 2, 3, 5, 8, 10, 0):
        yield draw_spins(spins)
        for _ in range(sweeps):
            sweep(spins, 1.8, drawn_by)


def _countdown() -> Frames:
    return (draw_count(left, 10) for left in (10, 9, 8, 7))


def _layout() -> Frames:
    graph = read_graph("\n".join(LES_MISERABLES.splitlines()[:CARD_EDGES]))
    layout = Layout(graph, 1)
    for steps in (2, 3, 4, 6, 10, 20, 10**6):
        yield draw_layout(graph, layout.positions)
        while not layout.is_at_rest and (steps := steps - 1) >= 0:
            layout.step(1, 1)
    yield draw_layout(graph, layout.positions)


def _reaction() -> Frames:
    reaction = Reaction(64, 2)
    for steps in (300, 500, 600, 700, 900, 1000):
        for _ in range(steps):
            reaction.step(0.037, 0.06)
        yield draw_field(reaction.v, ((0.1, "#dbeafe"), (0.22, "#1d4ed8")))


def _descent() -> Frames:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    training = Training(Dataset.IRIS, 1)
    for epochs in (1, 4, 15, 130):
        for _ in range(epochs):
            training.learn(0.02)
        with rc_context({"svg.hashsalt": "descent"}):
            figure = Figure(figsize=(4, 3))
            _draw_few_points(figure.add_axes((0, 0, 1, 1)), training)
            yield to_svg(darken(figure)).decode()


def _draw_few_points(axes: "Axes", training: Training) -> None:
    kept = copy.copy(training)
    for name in ("points", "labels", "held_out_points", "held_out_labels"):
        setattr(kept, name, getattr(training, name)[::6])
    draw_regions(axes, kept, grid=20)


def _orbits() -> Frames:
    system, trails = SolarSystem(INNER), Trails(INNER)
    for number in range(1, 1401):
        system.step(0.5)
        trails.add(system.day, system.places)
        if number > 1190 and number % 30 == 20:
            yield draw_system(INNER, system, trails, by_root=False)


def _life() -> Frames:
    cells = centred(read_pattern(GLIDER_GUN), 60)
    for number in range(1, 76):
        cells = next_generation(cells)
        if number >= 60 and number % 2:
            yield draw_life(cells)


def _question() -> Frames:
    random.seed(8)
    for _ in range(5):
        svg = get_step_data()
        points = re.search(r'points="([^"]*)"', svg)
        assert points
        yield svg.replace(points.group(1), " ".join(points.group(1).split()[::3]))


CARDS: dict[str, Callable[[], Frames]] = {
    "tour": _tour,
    "ising": _ising,
    "countdown": _countdown,
    "layout": _layout,
    "reaction": _reaction,
    "descent": _descent,
    "orbits": _orbits,
    "life": _life,
    "question": _question,
}


def _small(svg: str) -> str:
    """Leave out of a picture what a small one does not show: words, remarks and digits."""
    svg = to_svg(svg).decode()
    width = re.search(r'viewBox="\S+ \S+ (\S+)', svg)
    # A card is 400 pixels wide at the most.
    is_fine = width is not None and float(width[1]) >= FINE
    svg = re.sub(r"<text.*?</text>|<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(\.\d)\d+", r"\1", svg)
    if is_fine:
        svg = re.sub(r"\d\d+\.\d", lambda number: f"{float(number[0]):.0f}", svg)
    svg = re.sub(r" ([MLCz]) ", r"\1", re.sub(r"\s+", " ", svg))
    return svg.replace("> <", "><").strip() + "\n"
