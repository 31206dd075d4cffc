"""All ways from one node of a graph to another as linear maps, not multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pullback.calculus.equation import local_map
from pullback.calculus.factor import LinearMap
from pullback.ir import Constant, Named, Node, inside
from pullback.ir.graph import Path
from pullback.ir.lookup import is_whole
from pullback.ir.source import is_source

Into = tuple[tuple[Node, LinearMap], ...]  # what a node reads, each with the map from it


@dataclass(frozen=True, eq=False)
class Routes:
    """The maps into each node between two nodes, arguments first.

    ∂end/∂start is the sum over all ways of the products of the maps along each.
    """

    start: Node
    end: Node
    into: dict[Node, Into]

    @classmethod
    def of(cls, path: Path) -> Routes:
        """Those from equation to equation along a path of a graph."""
        held = {path.start, *path.equations}
        nodes = [n for n in (*path.equations, path.end) if n is not path.start]
        into = {node: tuple(_into(node, held)) for node in dict.fromkeys(nodes)}
        return cls(path.start, path.end, into)

    @property
    def count(self) -> int:
        """How many ways there are."""
        found = {self.start: 1}
        for node, into in self.into.items():
            found[node] = sum(found.get(source, 0) for source, _ in into)
        return found[self.end]

    @property
    def maps(self) -> Iterator[LinearMap]:
        """Every one of the maps."""
        return (link for into in self.into.values() for _, link in into)


def _into(node: Node, held: set[Node]) -> Iterator[tuple[Node, LinearMap]]:
    for source in _read(node):
        if source in held and (link := local_map(node, source)).tensor != Constant(0.0):
            yield source, link


@lru_cache(maxsize=8192)
def _read(node: Node) -> tuple[Node, ...]:
    """What may move a node, up to the equations before it."""
    right = node if isinstance(node, Named) else Named("end", node)
    return tuple(each for each in inside(right) if is_source(each) and not is_whole(each))
