"""The law of one equation by its form, from those of what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pullback.errors import NotApplicableError
from pullback.ir import Graph, Input, Named, Node, Scalar, symbol
from pullback.ir.axis import show
from pullback.ir.flow import form
from pullback.ir.forms import Lookup, Softmax
from pullback.ir.linear import LinearTerm
from pullback.ir.normal.regions import Region, is_elementwise
from pullback.ir.scan import Scan
from pullback.ir.source import bare, is_read, is_source, sources
from pullback.ir.window import Window
from pullback.moments.law.attention.attended import Attending, is_product
from pullback.moments.law.gate import gate, join
from pullback.moments.law.given import DataGroups
from pullback.moments.law.linear import linear
from pullback.moments.law.lookup import lookup
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
from pullback.moments.law.quadrature import Array
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
            index, weight = self.inputs[what.index.name], self.weigh((what.table,))
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
        return Attending(self.graph, self.samples, self.inputs)

    def _elementwise(
        self, equation: Named, known: Mapping[Node, Units], laws: Mapping[Named, Passed]
    ) -> Passed:
        """The law of a function of what the equation reads, unit by unit."""
        function, reads = self._function(equation)
        if not _have(reads, known):
            raise NotApplicableError(_NONE)
        sides = [
            linear(equation, [LinearTerm((n,), (), (), 1.0, equation.axes)], known,
                   self.graph.batch, self.weigh)
            for n in reads
        ]  # fmt: skip
        if len(sides) == 1:
            if (samples := behind_batch_norm(reads[0], laws)) > 0:
                return over_batch(function, sides[0], samples)
            units, slopes = pointwise(function, sides[0].units)
            return Bent(sides[0], units, slopes)
        try:
            return gate(function, sides)
        except NotApplicableError:
            return join(function, sides)

    def _function(self, equation: Named) -> tuple[Scalar, list[Node]]:
        """A right side as a function of what it reads, with its parameters as they start."""
        node = equation.arg
        if not is_elementwise(node):
            raise NotApplicableError(_NONE)
        region = Region(node, stop=is_source)
        reads = [leaf for leaf in region.leaves if is_read(leaf)]
        expr = region.expr
        for leaf, place in region.leaves.items():
            if leaf in reads:
                continue
            if sources(leaf):
                raise NotApplicableError(_NONE)
            mean, variance = self.weigh((leaf,))
            if variance:
                raise NotApplicableError(f"{leaf!r} is drawn, and enters in a way of its own")
            expr = expr.subs(place, mean)
        if not reads or len(set(map(bare, reads))) < len(reads):
            raise NotApplicableError(_NONE)
        places = {region.leaves[leaf]: symbol(at) for at, leaf in enumerate(reads)}
        return Scalar.of(expr.xreplace(places), len(reads)), reads


def _have(reads: Sequence[Node], known: Mapping[Node, Units]) -> bool:
    return all(is_read(n) and bare(n) in known for n in reads)
