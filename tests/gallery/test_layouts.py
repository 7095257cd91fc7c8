import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gallery.forms import LES_MISERABLES
from gallery.graphfiles import MAX_NODES, read_graph
from gallery.layouts import Layout, _fitted, draw_layout
from streaming import Pointer


def at_rest(text, attraction=1.0, repulsion=1.0):
    graph = read_graph(text)
    layout = Layout(graph, seed=1)
    while not layout.is_at_rest:
        layout.step(attraction, repulsion)
    return graph, layout.positions


def spread(positions):
    return float(np.linalg.norm(positions, axis=1).mean())


class TestLayout:
    def test_joined_nodes_come_to_lie_nearer_than_others(self):
        graph, positions = at_rest(LES_MISERABLES)
        distances = np.linalg.norm(positions[:, None] - positions, axis=2)
        joined = [distances[one, other] for one, other, _ in graph.edges]
        assert np.mean(joined) < 0.5 * distances.mean()

    def test_a_path_is_untangled(self):
        """The ends of a chain come to lie farther from each other than any two neighbours."""
        _, positions = at_rest("\n".join(f"{n} {n + 1}" for n in range(9)))
        hops = np.linalg.norm(np.diff(positions, axis=0), axis=1)
        assert np.linalg.norm(positions[0] - positions[-1]) > 2 * hops.max()

    def test_parts_that_do_not_hang_together_stay_near(self):
        _, positions = at_rest("a b\nb c\nd e\ne f")
        assert np.abs(positions).max() < 2

    def test_the_forces_are_felt(self):
        usual = spread(at_rest(LES_MISERABLES)[1])
        assert spread(at_rest(LES_MISERABLES, repulsion=4)[1]) > 1.2 * usual
        assert spread(at_rest(LES_MISERABLES, attraction=4)[1]) < 0.8 * usual

    def test_the_same_seed_gives_the_same_layout(self):
        one, other = at_rest("a b\nb c")[1], at_rest("a b\nb c")[1]
        assert np.array_equal(one, other)

    def test_the_largest_graph_stays_finite(self):
        graph = read_graph("\n".join(f"{n} {n // 2}" for n in range(1, MAX_NODES)))
        layout = Layout(graph, seed=2)
        for _ in range(20):
            layout.step(5.0, 5.0)
        assert np.isfinite(layout.positions).all()
        assert len(draw_layout(graph, layout.positions)) < 100_000


class TestDragging:
    @pytest.fixture
    def layout(self):
        layout = Layout(read_graph(LES_MISERABLES), seed=1)
        for _ in range(100):
            layout.step(1.0, 1.0)
        return layout

    def press(self, layout, node):
        x, y = _fitted(layout.positions)[node]
        layout.drag(Pointer("down", float(x), float(y)))

    def test_a_node_stays_under_the_pointer_until_it_is_let_go(self, layout):
        self.press(layout, 7)
        layout.drag(Pointer("move", 300.0, 200.0))
        for _ in range(3):
            layout.step(1.0, 1.0)
            held = layout.positions[7].copy()
        layout.step(1.0, 1.0)
        assert np.array_equal(layout.positions[7], held)
        layout.drag(Pointer("up", 300.0, 200.0))
        layout.step(1.0, 1.0)
        assert not np.array_equal(layout.positions[7], held)

    def test_it_comes_to_lie_where_the_pointer_is(self, layout):
        self.press(layout, 7)
        layout.drag(Pointer("move", 300.0, 200.0))
        place = layout._held[1]
        layout.positions[7] = place
        assert _fitted(layout.positions)[7] == pytest.approx([300, 200], abs=1)

    def test_a_press_beside_every_node_takes_hold_of_none(self, layout):
        layout.drag(Pointer("down", -500.0, 5000.0))
        layout.drag(Pointer("move", 300.0, 200.0))
        assert layout._held is None

    def test_far_outside_of_the_picture_it_stays_at_its_edge(self, layout):
        self.press(layout, 7)
        for _ in range(50):
            layout.drag(Pointer("move", 1e9, -1e9))
            layout.step(1.0, 1.0)
        assert np.abs(layout.positions).max() < 3


class TestPicture:
    def test_names_are_escaped_and_shortened(self):
        graph = read_graph("A<b>&'\"</b>,A name that is far too long to be read")
        svg = draw_layout(graph, np.array([[0.0, 0.0], [1.0, 1.0]]))
        texts = [
            element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        ]
        assert texts == ["A<b>&'\"</b>", "A name that is fa…"]

    def test_no_name_is_written_over_another(self):
        """Where all nodes lie in one place, the most joined one is named."""
        crowded = read_graph("\n".join(f"{n} hub" for n in range(50)))
        svg = draw_layout(crowded, np.zeros((51, 2)))
        assert svg.count("<text") == 1
        assert "hub" in svg

    @pytest.mark.parametrize("positions", [[[0, 0], [0, 0]], [[0, 0], [1, 0]]])
    def test_positions_without_extent_are_drawn(self, positions):
        svg = draw_layout(read_graph("a b"), np.array(positions, float))
        assert "nan" not in svg
        assert "inf" not in svg
