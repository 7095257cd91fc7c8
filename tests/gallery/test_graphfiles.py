from itertools import pairwise

import networkx as nx
import pytest

from gallery.forms import LES_MISERABLES, LayoutForm
from gallery.graphfiles import MAX_EDGES, MAX_NODES, GraphError, read_graph

GML = (
    "graph [\n"
    '  node [ id 1 label "Ann" ]\n'
    '  node [ id 2 label "Bob" ]\n'
    "  node [ id 3 ]\n"
    "  edge [ source 1 target 2 weight 2.5 ]\n"
    "  edge [ source 2 target 3 ]\n"
    "]\n"
)
GRAPHML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    '<key id="w" for="edge" attr.name="weight" attr.type="double"/>\n'
    '<graph edgedefault="undirected">\n'
    '<node id="Ann"/><node id="Bob"/><node id="3"/>\n'
    '<edge source="Ann" target="Bob"><data key="w">2.5</data></edge>\n'
    '<edge source="Bob" target="3"/>\n'
    "</graph></graphml>\n"
)
BILLION_LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE lolz [\n<!ENTITY a "lol">\n'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">\n' for a, b in pairwise("abcdefghi"))
    + "]>\n<graphml>&i;</graphml>"
)
EXTERNAL = GRAPHML.replace(
    "<graphml", '<!DOCTYPE graphml [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<graphml'
)


class TestReads:
    @pytest.mark.parametrize(
        "text",
        [
            "Ann Bob 2.5\nBob 3",
            "Ann,Bob,2.5\r\nBob,3\r\n",
            "# people\n\nAnn; Bob; 2.5 # friends\nBob;3",
            "Ann\tBob\t2.5\nBob\t3\n",
            "\ufeffAnn Bob 2.5\nBob 3",
            GML,
            'Creator "me"\n' + GML,
            GRAPHML,
            "\n\n" + GRAPHML,
            GRAPHML.replace(' xmlns="http://graphml.graphdrawing.org/xmlns"', ""),
        ],
    )
    def test_every_form(self, text):
        graph = read_graph(text)
        assert graph.names == ["Ann", "Bob", "3"]
        assert graph.edges == [(0, 1, 2.5), (1, 2, 1.0)]

    @pytest.mark.parametrize("write", [nx.generate_gml, nx.generate_graphml])
    def test_what_networkx_writes(self, write):
        karate = nx.karate_club_graph()
        graph = read_graph("\n".join(write(karate)))
        assert (len(graph.names), len(graph.edges)) == (34, 78)
        assert sum(weight for *_, weight in graph.edges) == karate.size("weight")

    def test_the_novel(self):
        graph = read_graph(LES_MISERABLES)
        assert (len(graph.names), len(graph.edges)) == (77, 254)
        assert "Valjean" in graph.names

    def test_adds_edges_between_the_same_two_and_drops_loops(self):
        graph = read_graph("a b\nb a 2\na a 5")
        assert graph.edges == [(0, 1, 3.0)]

    def test_a_name_with_commas_between_may_hold_spaces_and_signs(self):
        assert read_graph("Ann & <Bob>,C#\n").names == ["Ann & <Bob>", "C#"]

    def test_what_xml_cannot_hold_is_replaced(self):
        """GML may name any code point, and a client may send half of a pair."""
        assert read_graph(GML.replace("Ann", "A&#1;&#xD800;")).names[0] == "A��"
        assert read_graph("A\x07,\ud800\n").names == ["A�", "�"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expected 2 to 1000 nodes, got 0."),
        ("a a", "Expected 2 to 1000 nodes, got 1."),
        ("a b\n\na", "Line 3: expected two names, or two names and a weight, got 'a'."),
        ("a,b\na,,1", "Line 2: expected two names, or two names and a weight, got 'a,,1'."),
        ("a b 1 2", "Line 1: expected two names, or two names and a weight, got 'a b 1 2'."),
        ("a b x", "Line 1: expected a number above 0 for the weight, got 'x'."),
        ("a b nan", "Line 1: expected a number above 0 for the weight, got 'nan'."),
        ("a b 0", "Line 1: expected a number above 0 for the weight, got '0'."),
        ("a b inf", "Line 1: expected a number above 0 for the weight, got 'inf'."),
        ("\n".join(f"{n} {n + 1}" for n in range(MAX_NODES)), "1000 nodes, got 1001."),
        (
            "\n".join(f"{n // 200} a{n % 200}" for n in range(MAX_EDGES + 1)),
            "Expected 1 to 5000 edges between different nodes, got 5001.",
        ),
        (GML.replace("target 3", "target 4"), "cannot be read: edge #1 has undefined target 4."),
        (GML.replace("label", "?", 1), "Line 2: expected GML, but it cannot be read: "),
        (GML.rstrip("]\n"), "Line 7: expected GML, but it cannot be read: expected ']'"),
        (GML.replace("node [ id 3 ]", "node 3"), "Expected GML: graph [ node [ id 1 ] …"),
        ("graph " + "[ a " * 20_000, "Expected GML: graph [ node [ id 1 ] …"),
        (GML.replace("2.5", '"x"'), "The edge from 1 to 2: expected a weight above 0, got 'x'."),
        (
            GRAPHML.replace(">2.5", ">-1"),
            "edge from 'Ann' to 'Bob': expected a weight above",
        ),
        (GRAPHML.replace(">2.5", ">x"), "Expected GraphML: <graphml><graph> with"),
        (GRAPHML.replace(' id="3"', ""), "Line 5: expected the attribute 'id', got <node>."),
        ("\n\n" + GRAPHML.replace(' id="3"', ""), "Line 7: expected the attribute 'id'"),
        (
            GRAPHML.replace(' target="3"', ""),
            "Line 7: expected the attribute 'target', got <edge>.",
        ),
        (GRAPHML.replace("</graph>", ""), "Line 8: expected GraphML, but it is no XML: mismatched"),
        ("<svg/>", "Expected GraphML, but it cannot be read: "),
        (BILLION_LAUGHS, "Line 2: expected GraphML without a document type, got <!DOCTYPE>."),
        (EXTERNAL, "Line 2: expected GraphML without a document type, got <!DOCTYPE>."),
    ],
)
def test_says_where_a_text_is_no_graph(text, said):
    with pytest.raises(GraphError) as caught:
        read_graph(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_form_says_it_at_the_field():
    form = LayoutForm({"graph": "a", "seed": 1, "attraction": 1, "repulsion": 1, "pace": 0})
    assert form.errors == {
        "graph": ["Line 1: expected two names, or two names and a weight, got 'a'."]
    }


@pytest.mark.parametrize("text", ["\n" * 262_144, "(" * 262_144, "graph " * 43_000, "# " * 131_000])
def test_a_strange_text_of_full_size_is_refused_soon(text):
    """No pattern looks at any part of it again and again: the test's time limit would end it."""
    with pytest.raises(GraphError):
        read_graph(text)
