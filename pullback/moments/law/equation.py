"""The law of one equation by its form, from those of what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Graph, Input, Named, Node, Scalar, symbol
from pullback.ir.axis import show
from pullback.ir.flow import form
from pullback.ir.forms import Lookup, Softmax
from pullback.ir.linear import LinearTerm, terms
from pullback.ir.normal.regions import Region, is_elementwise
from pullback.ir.scan import Scan
from pullback.ir.source import bare, is_read, is_source, sources
from pullback.ir.window import Window
from pullback.moments.law.attention.attended import Attending, is_product
from pullback.moments.law.gate import gate, join
from pullback.moments.law.given import DataGroups
from pullback.moments.law.linear import linear
from pullback.moments.law.lookup import lookup, rows_of
from pullback.moments.law.normalise import norm_of, normalise
from pullback.moments.law.passed import (
    Bent,
    Passed,
    Picked,
    Rescaled,
    behind_batch_norm,
    over_batch,
)
from pullback.moments.law.pointwise import pointwise
from pullback.moments.law.pooling import max_pool
from pullback.moments.law.two_time.looped import looped
from pullback.moments.law.units import Units
from pullback.moments.law.weighing import Weighing

_NONE = "no law is known for it"


@dataclass(frozen=True)
class LawOfForm:
    """What the laws of single equations need beside those of what they read."""

    graph: Graph
    inputs: Mapping[str, Array]
    samples: DataGroups
    weigh: Weighing
    terms: Mapping[Named, tuple[LinearTerm, ...] | None]
    seed: int

    def __call__(
        self, equation: Named, known: Mapping[Node, Units], laws: Mapping[Named, Passed]
    ) -> Passed:
        """Raises NotApplicableError for a form that has no law."""
        batch = self.graph.batch
        if unknown := [a for a in equation.axes if not a.size and a != batch]:
            raise NotApplicableError(
                f"the length of {show(tuple(unknown))} is not known before the network runs; say "
                "the input's sizes, as in Network(…, x='features=8')"
            )
        found, what = self.terms[equation], form(equation)
        if isinstance(what, Lookup) and isinstance(what.index, Input):
            index, table = self.inputs[what.index.name], self.weigh.unchanged(what.table)
            if table is not None and what.index.axes[:1] == (batch,):
                return Picked(rows_of(equation, what, index, table, batch, self.samples))
            weight = self.weigh((what.table,))
            return Picked(lookup(equation, what, index, weight, batch, self.samples))
        if isinstance(what, Window) and what.kind == "max":
            return max_pool(equation, what, known[what.arg], batch)
        if isinstance(what, Softmax) and not what.is_log and known[what.arg].gaussian:
            return self._attending.softmax(equation, what, known)
        if isinstance(equation.arg, Scan):
            rest = self.graph, self.weigh.entries, self.samples.weight, self.seed
            return looped(equation, equation.arg, known, *rest)
        if found is not None:
            if is_product(found):
                return self._attending.product(equation, found[0], known)
            if (norm := norm_of(found)) is not None:
                s = self.samples
                inner = normalise(norm, known[norm.arg], batch, s.weight, s.count)
                here = {**known, norm.arg: inner.units}
                return Rescaled(inner, linear(equation, norm.terms, here, batch, self.weigh))
            if all(len(term.read) <= 1 and _have(term.read, known) for term in found):
                return linear(equation, found, known, batch, self.weigh)
        return self._elementwise(equation, known, laws)

    @property
    def _attending(self) -> Attending:
        return Attending(self.graph, self.samples, {**self.inputs, **self.weigh.fixed})

    def _elementwise(
        self, equation: Named, known: Mapping[Node, Units], laws: Mapping[Named, Passed]
    ) -> Passed:
        """The law of a function of what the equation reads, unit by unit."""
        function, parts = self._function(equation)
        sides = []
        for part in parts:
            if part is None or not all(_have(term.read, known) for term in part):
                raise NotApplicableError(_NONE)
            spread = [replace(term, over=equation.axes) for term in part]
            sides.append(linear(equation, spread, known, self.graph.batch, self.weigh))
        if len(sides) == 1:
            read = [node for term in parts[0] or () for node in term.read]
            if (samples := behind_batch_norm(read[0], laws)) > 0:
                return over_batch(function, sides[0], samples)
            units, slopes = pointwise(function, sides[0].units)
            return Bent(sides[0], units, slopes)
        try:
            return gate(function, sides)
        except NotApplicableError:
            return join(function, sides)

    def _function(self, equation: Named) -> tuple[Scalar, list[tuple[LinearTerm, ...] | None]]:
        """A right side as a function of what moves and spreads other equations, read once each.

        Parameters stand in it as they start.
        """
        node = equation.arg
        if not is_elementwise(node):
            raise NotApplicableError(_NONE)
        region = Region(node, stop=is_source)
        expr, moved = region.expr, []
        for leaf, place in region.leaves.items():
            if sources(leaf):
                moved.append(leaf)
                continue
            mean, variance = self.weigh((leaf,))
            if variance:
                raise NotApplicableError(f"{leaf!r} is drawn, and enters in a way of its own")
            expr = expr.subs(place, mean)
        read = [each for leaf in moved for each in sources(leaf)]
        if not moved or len(set(read)) < len(read):
            raise NotApplicableError(_NONE)
        places = {region.leaves[leaf]: symbol(at) for at, leaf in enumerate(moved)}
        parts = [terms(leaf) if _moves(leaf) else None for leaf in moved]
        return Scalar.of(expr.xreplace(places), len(moved)), parts


def _moves(node: Node) -> bool:
    """Is it an equation that is at most moved and spread, with no weights?"""
    found = terms(node)
    return found is not None and all(len(t.read) == 1 and not t.parameters for t in found)


def _have(reads: Sequence[Node], known: Mapping[Node, Units]) -> bool:
    return all(is_read(n) and bare(n) in known for n in reads)
