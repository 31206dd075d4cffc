"""A graph: roots, and the named equations between them and the leaves, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from pullback.errors import ConfigError
from pullback.ir.axis import Axis
from pullback.ir.kinds import Named, inside
from pullback.ir.node import Node, walk


@dataclass(frozen=True)
class Path:
    """What lies between two nodes: ``cuts`` are those that every way passes, start and end too.

    ``nodes`` are all nodes on any way, arguments first; there are none where there is no way.
    """

    start: Node
    end: Node
    nodes: tuple[Node, ...]
    cuts: tuple[Node, ...]

    @property
    def equations(self) -> tuple[Named, ...]:
        """The named ones among the nodes, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Named))

    @property
    def parts(self) -> tuple[Path, ...]:
        """The ways from each cut that has a name, or is an end, to the next."""
        at = {node: place for place, node in enumerate(self.nodes)}
        last = len(self.cuts) - 1
        ends = [k for k, n in enumerate(self.cuts) if isinstance(n, Named) or k in (0, last)]
        found = []
        for k, m in pairwise(ends):
            one, other = self.cuts[k], self.cuts[m]
            nodes = self.nodes[at[one] : at[other] + 1]
            found.append(Path(one, other, nodes, self.cuts[k : m + 1]))
        return tuple(found)

    def between(self, start: Node, end: Node) -> Path:
        """Those of its ways that lead from one of its nodes to another."""
        return _ways(self.nodes, start, end)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes by the name of what they are for; ``batch`` is the axis of the samples.

    Raises ConfigError where two equations have one name.

    >>> from pullback.ir import Input
    >>> x = Input("x", (Axis("i", 2),))
    >>> z = Named("z.0", x, "z")
    >>> graph = Graph({"output": Named("a.0", z, "a")})
    >>> [each.name for each in graph.equations], [n.name for n in graph.readers(z)]
    (['z.0', 'a.0'], ['a.0'])
    """

    roots: Mapping[str, Node]
    batch: Axis | None = None

    @cached_property
    def equations(self) -> tuple[Named, ...]:
        """Every named equation, in an order in which they can be computed."""
        return tuple(self.by_name.values())

    @cached_property
    def by_name(self) -> dict[str, Named]:
        """The equations by name."""
        return named_once(self.roots.values())

    def reads(self, equation: Named) -> tuple[Node, ...]:
        """The equations and leaves that an equation is computed from, each once."""
        return self._sources[equation]

    def readers(self, node: Node) -> tuple[Named, ...]:
        """The equations that an equation or a leaf is read by, in order."""
        return self._readers.get(node, ())

    @cached_property
    def _sources(self) -> dict[Named, tuple[Node, ...]]:
        return {
            each: tuple(n for n in inside(each) if isinstance(n, Named) or not n.args)
            for each in self.equations
        }

    @cached_property
    def _readers(self) -> dict[Node, tuple[Named, ...]]:
        found: dict[Node, list[Named]] = {}
        for each, sources in self._sources.items():
            for source in sources:
                found.setdefault(source, []).append(each)
        return {source: tuple(readers) for source, readers in found.items()}

    def between(self, start: Node, end: Node) -> Path:
        """All ways from one node to another, cut at the nodes that every way passes."""
        return between(start, end)


Links = Callable[[Node], tuple[Node, ...]]  # of a node, those that a way may come from


def between(start: Node, end: Node) -> Path:
    """All ways from one node to another, cut at the nodes that every way passes."""
    return _ways(tuple(walk((end,))), start, end)


def slopes_between(start: Node, end: Node) -> Path:
    """Those of the ways on which a small change of one node goes on to the other."""
    return _ways(tuple(walk((end,))), start, end, lambda node: node.moved_by)


def _args(node: Node) -> tuple[Node, ...]:
    return node.args


def _ways(order: Sequence[Node], start: Node, end: Node, links: Links = _args) -> Path:
    reached = {start}
    for node in order:
        if any(arg in reached for arg in links(node)):
            reached.add(node)
    if end not in reached:
        return Path(start, end, (), ())
    needed = {end}
    for node in reversed(order):
        if node in needed and node is not start:
            needed.update(arg for arg in links(node) if arg in reached)
    nodes = tuple(node for node in order if node in needed)
    return Path(start, end, nodes, _cuts(nodes, start, end, links))


def _cuts(nodes: tuple[Node, ...], start: Node, end: Node, links: Links) -> tuple[Node, ...]:
    """The nodes where ways from the start times ways to the end are all the ways."""
    from_start = dict.fromkeys(nodes, 0) | {start: 1}
    to_end = dict.fromkeys(nodes, 0) | {end: 1}
    for node in nodes:
        if node is not start:
            from_start[node] = sum(from_start.get(arg, 0) for arg in links(node))
    for node in reversed(nodes):
        for arg in links(node) if node is not start else ():
            if arg in to_end:
                to_end[arg] += to_end[node]
    return tuple(n for n in nodes if from_start[n] * to_end[n] == from_start[end])


def named_once(roots: Iterable[Node]) -> dict[str, Named]:
    """The named equations below the roots; raises ConfigError where two have one name."""
    found: dict[str, Named] = {}
    for node in walk(roots):
        if isinstance(node, Named) and found.setdefault(node.name, node) is not node:
            raise ConfigError(
                f"two equations are called {node.name!r}; put the block's path into the name"
            )
    return found
