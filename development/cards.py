"""Makes the small pictures of the gallery's cards: real frames, of little cases, without words.

Again, after a picture has changed:
`manage.py shell -c "from development.cards import write_cards; write_cards()"`
"""

import random
import re
from pathlib import Path

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
from streaming.engine.frames import to_svg

CARD_EDGES = 110
FOLDER = Path(__file__).parent.parent / "gallery" / "static" / "gallery"


def write_cards() -> None:
    """Write each simulation's picture to NAME.svg, the same every time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in CARDS.items():
        (FOLDER / f"{name}.svg").write_text(_small(draw()))


def _tour() -> str:
    drawn_by = random.Random(3)
    tour = Tour(random_cities(40, drawn_by), drawn_by)
    for _ in range(300):
        tour.perturb()
    return draw_tour(tour.cities, tour.order, f"Length {tour.length:,}")


def _ising() -> str:
    drawn_by = random.Random(5)
    spins = [[drawn_by.choice((-1, 1)) for _ in range(40)] for _ in range(40)]
    for _ in range(30):
        sweep(spins, 1.8, drawn_by)
    return draw_spins(spins)


def _countdown() -> str:
    return draw_count(7, 10)


def _layout() -> str:
    graph = read_graph("\n".join(LES_MISERABLES.splitlines()[:CARD_EDGES]))
    layout = Layout(graph, 1)
    while not layout.is_at_rest:
        layout.step(1, 1)
    return draw_layout(graph, layout.positions)


def _reaction() -> str:
    reaction = Reaction(64, 2)
    for _ in range(4000):
        reaction.step(0.037, 0.06)
    return draw_field(reaction.v, ((0.1, "#dbeafe"), (0.22, "#1d4ed8")))


def _descent() -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    training = Training(Dataset.IRIS, 1)
    for _ in range(150):
        training.learn(0.02)
    training.points, training.labels = training.points[::6], training.labels[::6]
    training.held_out_points = training.held_out_points[::6]
    training.held_out_labels = training.held_out_labels[::6]
    figure = Figure(figsize=(4, 3))
    draw_regions(figure.add_axes((0, 0, 1, 1)), training, grid=20)
    with rc_context({"svg.hashsalt": "descent"}):
        return to_svg(figure).decode()


def _orbits() -> str:
    system, trails = SolarSystem(INNER), Trails(INNER)
    for _ in range(1400):
        system.step(0.5)
        trails.add(system.day, system.places)
    return draw_system(INNER, system, trails, by_root=False)


def _life() -> str:
    cells = centred(read_pattern(GLIDER_GUN), 60)
    for _ in range(75):
        cells = next_generation(cells)
    return draw_life(cells)


def _question() -> str:
    random.seed(8)
    svg = get_step_data()
    points = re.search(r'points="([^"]*)"', svg)
    return svg.replace(points.group(1), " ".join(points.group(1).split()[::3])) if points else svg


CARDS = {
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
    svg = re.sub(r"<text.*?</text>|<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(\.\d)\d+", r"\1", svg)
    svg = re.sub(r" ([MLCz]) ", r"\1", re.sub(r"\s+", " ", svg))
    return svg.replace("> <", "><").strip() + "\n"
