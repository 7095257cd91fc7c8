"""Reads a graph from what people have: a list of edges, GML, or GraphML.

It stays safe with a text of a stranger: an XML document that declares anything is refused, so
that no entity is ever expanded, or fetched.
"""

import re
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from django.utils.translation import gettext as _

# The forces between all pairs are computed in each step: 15 ms for so many nodes.
MAX_NODES = 1000
MAX_EDGES = 5000
# What XML 1.0 cannot hold, not even escaped; a picture with it would not be drawn.
NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LARGEST_WEIGHT = 1e9
NEEDED_ATTRIBUTES = {"node": ("id",), "edge": ("source", "target")}
COMMENT = re.compile(r"(^|\s)#.*")

# NetworkX trusts its input: what a wrong one makes it raise depends on where it stumbles.
STUMBLES = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip

Edge = tuple[str, str, float]


class GraphError(ValueError):
    """A text that holds no graph; the message names the line and what was expected there."""


class Graph:
    """An undirected graph: the names of its nodes, and its edges.

    Attributes:
        names: What to write at each node, by its index.
        edges: Index, index, weight; each pair once, no node with itself.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._index: dict[Any, int] = {}
        self._weights: dict[tuple[int, int], float] = {}

    @property
    def edges(self) -> list[tuple[int, int, float]]:
        return [(one, other, weight) for (one, other), weight in self._weights.items()]

    def add_node(self, key: Any, name: str) -> int:
        """Return the index of a node, which is new if its key is."""
        if key not in self._index:
            self._index[key] = len(self.names)
            self.names.append(NOT_IN_XML.sub("�", name))
        return self._index[key]

    def add_edge(self, one: int, other: int, weight: float) -> None:
        """Join two nodes; the weights of edges between the same two are added."""
        if one != other:
            pair = min(one, other), max(one, other)
            self._weights[pair] = self._weights.get(pair, 0) + weight


def read_graph(text: str) -> Graph:
    """Return the graph in a text.

    Args:
        text: GraphML, GML, or lines `a b` or `a,b`, optionally with a weight; # begins a comment.

    Raises:
        GraphError: If it is none of them, or there are too few or too many nodes or edges.
    """
    graph = _reader(text)(text)
    if not 2 <= len(graph.names) <= MAX_NODES:
        raise GraphError(
            _("Expected 2 to %(most)d nodes, got %(count)d.")
            % {"most": MAX_NODES, "count": len(graph.names)}
        )
    if not 1 <= len(graph.edges) <= MAX_EDGES:
        raise GraphError(
            _("Expected 1 to %(most)d edges between different nodes, got %(count)d.")
            % {"most": MAX_EDGES, "count": len(graph.edges)}
        )
    return graph


def _reader(text: str) -> Callable[[str], Graph]:
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return _read_graphml
    if re.search(r"(?:^|\s)graph\s*\[", text):
        return _read_gml
    return _read_edges


def _read_edges(text: str) -> Graph:
    graph = Graph()
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        content = COMMENT.sub("", line).strip()
        if content:
            one, other, weight = _edge(number, content)
            graph.add_edge(graph.add_node(one, one), graph.add_node(other, other), weight)
    return graph


def _edge(number: int, line: str) -> Edge:
    separator = re.search(r"[,;\t]", line)
    parts = [part.strip() for part in line.split(separator.group() if separator else None)]
    if len(parts) not in (2, 3) or not all(parts):
        raise GraphError(
            _("Line %(line)d: expected two names, or two names and a weight, got %(text)s.")
            % {"line": number, "text": repr(line[:60])}
        )
    weight = _weight(parts[2]) if len(parts) == 3 else 1.0
    if weight is None:
        raise GraphError(
            _("Line %(line)d: expected a number above 0 for the weight, got %(text)s.")
            % {"line": number, "text": repr(parts[2][:60])}
        )
    return parts[0], parts[1], weight


def _weight(value: Any) -> float | None:
    try:
        weight = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return weight if 0 < weight <= LARGEST_WEIGHT else None


def _read_gml(text: str) -> Graph:
    import networkx as nx  # Here, since it takes 0.2 s, which the site's start need not wait for.

    try:
        found = nx.parse_gml(text, label="id")
    except nx.NetworkXException as error:
        raise GraphError(_gml_sentence(error)) from error
    except STUMBLES as error:
        raise GraphError(
            _("Expected GML: graph [ node [ id 1 ] … edge [ source 1 target 2 ] … ].")
        ) from error
    return _from_networkx(found)


def _gml_sentence(error: Exception) -> str:
    """Say what NetworkX said, with the line first where it names one."""
    said = str(error).rstrip(".")
    place = re.search(r" at \((\d+), \d+\)$", said)
    if place is None:
        return _("Expected GML, but it cannot be read: %(error)s.") % {"error": said[:120]}
    return _("Line %(line)d: expected GML, but it cannot be read: %(error)s.") % {
        "line": int(place.group(1)),
        "error": said[: place.start()][:120],
    }


def _read_graphml(text: str) -> Graph:
    import networkx as nx

    text = NOT_IN_XML.sub("�", text.lstrip("\ufeff"))
    if declaration := re.match(r"\s*<\?xml\s[^>]*\?>", text):
        # It may stand on the first line only, and says what is known: empty lines keep the count.
        text = "\n" * declaration.group().count("\n") + text[declaration.end() :]
    _check_graphml(text)
    try:
        found = nx.parse_graphml(text)
    except nx.NetworkXException as error:
        raise GraphError(
            _("Expected GraphML, but it cannot be read: %(error)s.") % {"error": str(error)[:120]}
        ) from error
    except STUMBLES as error:
        raise GraphError(
            _("Expected GraphML: <graphml><graph> with <node>, <edge> and typed <key> elements.")
        ) from error
    return _from_networkx(found)


def _check_graphml(text: str) -> None:
    """Refuse what is no XML, what is no safe XML, and nodes and edges that lack their names."""
    parser = expat.ParserCreate()

    def refuse(what: str, got: str) -> None:
        raise GraphError(
            _("Line %(line)d: expected %(what)s, got %(got)s.")
            % {"line": parser.CurrentLineNumber, "what": what, "got": got}
        )

    def doctype(*declared: object) -> None:
        refuse(_("GraphML without a document type"), "<!DOCTYPE>")

    def element(tag: str, attributes: dict[str, str]) -> None:
        kind = tag.rpartition(":")[2]
        for name in NEEDED_ATTRIBUTES.get(kind, ()):
            if name not in attributes:
                refuse(_("the attribute %(name)s") % {"name": f"{name!r}"}, f"<{kind}>")

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = element
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise GraphError(
            _("Line %(line)d: expected GraphML, but it is no XML: %(error)s.")
            % {"line": error.lineno, "error": expat.ErrorString(error.code)}
        ) from error


def _from_networkx(found: Any) -> Graph:
    graph = Graph()
    for key, data in found.nodes(data=True):
        graph.add_node(key, str(data.get("label", key)).strip())
    for one, other, data in found.edges(data=True):
        given = data.get("weight", data.get("value", 1))
        weight = _weight(given)
        if weight is None:
            raise GraphError(
                _("The edge from %(one)s to %(other)s: expected a weight above 0, got %(text)s.")
                % {"one": f"{one!r:.40}", "other": f"{other!r:.40}", "text": f"{given!r:.40}"}
            )
        graph.add_edge(graph.add_node(one, str(one)), graph.add_node(other, str(other)), weight)
    return graph
