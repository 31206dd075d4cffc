"""The way back of the errors: from the output through every equation's law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pullback.calculus.quadrature import Array
from pullback.ir import Graph, Input, Named, Node
from pullback.moments.law.linear import sum_of
from pullback.moments.law.measured.drawing import Drawing
from pullback.moments.law.measured.measure import Errors, MeasuredLaw, MeasuredPart
from pullback.moments.law.measured.part import NetworkPart, part_of
from pullback.moments.law.passed import Passed
from pullback.moments.law.units import Placed, Units


@dataclass
class Backward:
    """Errors as they arrive, equation by equation, the last one first.

    ``measured`` are the relative Monte Carlo errors of those that come out of a part without a law.
    """

    passed: Mapping[Named, Passed]
    known: Mapping[Node, Units]
    drawing: Drawing
    graph: Graph
    errors: dict[Node, Placed] = field(default_factory=dict)
    measured: dict[Node, float] = field(default_factory=dict)
    _arrived: dict[Node, list[Placed]] = field(default_factory=dict)
    _within: dict[Node, list[Placed]] = field(default_factory=dict)  # which a part hands on itself

    def run(self, part: NetworkPart, start: Mapping[Node, MeasuredLaw], is_drawn: bool) -> Backward:
        """All errors, from those at the leaves of a part and within it; ``is_drawn`` by weights."""
        self._out_of(part, start, is_drawn)
        for equation, law in reversed(list(self.passed.items())):
            if (total := self._total(equation)) is None:
                continue
            if isinstance(law, MeasuredPart):
                self._out_of(law.part, law.errors(total), is_drawn=True)
            else:
                for node, back in law.backward(total):
                    self._arrived.setdefault(node, []).append(back)
        data = [node for node in self.known if node not in self.passed]
        for node in reversed(data):
            if (total := self._total(node)) is not None and isinstance(node, Named):
                self._through_data(node, total)
        for node in data:
            self._total(node)
        return self

    def _total(self, node: Node) -> Placed | None:
        """What the law of a node has to hand on, if anything; all that arrives is its error."""
        kept, several = self.known[node].law.kept, self._arrived.get(node, [])
        every = [*several, *self._within.get(node, [])]
        if every:
            self.errors[node] = sum_of([error.over(kept) for error in every], kept)
        return sum_of([error.over(kept) for error in several], kept) if several else None

    def _out_of(self, part: NetworkPart, found: Mapping[Node, MeasuredLaw], is_drawn: bool) -> None:
        for node, moments in found.items():
            where = self._arrived if node in part.leaves else self._within
            where.setdefault(node, []).append(moments.law)
            if is_drawn:
                self.measured[node] = max(moments.error, self.measured.get(node, 0.0))

    def _through_data(self, node: Named, error: Placed) -> None:
        """Through what the data settle, as features that are given, to the z in front of it."""
        inputs: dict[Node, Array] = {
            n: v for n, v in self.drawing.given.items() if isinstance(n, Input)
        }
        part = part_of(node, self.graph, {}, inputs, lambda leaf: False)
        if any(each.role == "z" for each in part.inner):
            arriving = self.known[node].with_law(error, gaussian=True)
            self._out_of(part, Errors(part, self.drawing, arriving).found, is_drawn=True)
