"""Attention among the equations of a network: scores, their softmax, and the mean of the values.

The three have one law together, which the mean of the values holds: it hands errors on to queries,
keys and values. Scores and weights have moments and errors of their own, and pass nothing on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Graph, Named, Node
from pullback.ir.flow import form
from pullback.ir.forms import Softmax
from pullback.ir.linear import LinearTerm, terms
from pullback.ir.source import bare, is_read
from pullback.moments.law.attention.head import BACKWARD, Head
from pullback.moments.law.attention.mask import Seen, seen
from pullback.moments.law.attention.side import Side, tokens
from pullback.moments.law.given import DataGroups
from pullback.moments.law.units import Placed, Units

_OTHER = "it is a product of equations, and not attention"


@dataclass(frozen=True)
class Silent:
    """Scores or weights: what the mean of the values hands on for them."""

    units: Units

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """Nothing."""
        return []


@dataclass(frozen=True)
class Attended:
    """Σ A v of each case; ``rows`` are the equations of the weights and of the scores."""

    heads: tuple[Head, ...]
    product: QueryKey
    value: Side
    rows: tuple[Node, Node]
    seen: Seen
    units: Units

    @property
    def assumption(self) -> str:
        """What the numbers rest on."""
        return f"attention: {BACKWARD}"

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """The errors at values, weights, scores, keys and queries."""
        arriving = tokens(error)
        found = [
            head.backward(arriving[min(case, len(arriving) - 1)])
            for case, head in enumerate(self.heads)
        ]
        query, key, places = self.product.query, self.product.key, self.seen.places
        weights = np.stack([each.weights for each in found])[:, :, None] * np.ones(len(places))
        scores = np.stack([
            each.scores[:, None] * (places < head.keys[:, None])
            for each, head in zip(found, self.heads, strict=True)
        ])  # fmt: skip
        sides = (
            (self.value, self.value.placed([each.value for each in found], places)),
            (key, key.placed([each.key for each in found], places)),
            (query, query.placed([each.query for each in found])),
        )
        return [
            *((side.node, law.over(side.units.law.kept)) for side, law in sides),
            *(
                (node, Placed(self.product.kept, np.zeros_like(square), square))
                for node, square in zip(self.rows, (weights, scores), strict=True)
            ),
        ]


@dataclass(frozen=True)
class QueryKey:
    """scale · q kᵀ, with the axes of queries and keys; a softmax over the latter reads it."""

    query: Side
    key: Side
    kept: tuple[Axis, Axis]
    scale: float
    d: int

    @classmethod
    def of(cls, term: LinearTerm, keys: Axis, known: Mapping[Node, Units]) -> QueryKey:
        """Raises NotApplicableError where the term is no such product."""
        one, two = term.read if keys in term.read[1].axes else term.read[::-1]
        queries = [axis for axis in one.axes if axis in term.over and axis not in two.axes]
        if len(queries) != 1 or keys in one.axes or keys not in two.axes:
            raise NotApplicableError(_OTHER)
        d = prod(axis.size or 1 for axis in one.axes if axis not in term.over)
        sides = Side.of(one, queries[0], known), Side.of(two, keys, known)
        return cls(*sides, (queries[0], keys), term.scale, d)

    @classmethod
    def behind(cls, softmax: Softmax, known: Mapping[Node, Units]) -> QueryKey:
        """What a softmax is of, with the numbers that it is multiplied by on the way.

        Raises NotApplicableError where it is of something else.
        """
        node, scale = bare(softmax.arg), 1.0
        while (moved := _moved(node)) is not None:
            node, scale = bare(moved.read[0]), scale * moved.scale
        found = terms(node.arg) if isinstance(node, Named) else None
        if not found or not is_product(found):
            raise NotApplicableError("its softmax is of no scores of attention")
        return cls.of(replace(found[0], scale=scale * found[0].scale), softmax.axis, known)

    def units(self, equation: Named, batch: Axis | None) -> Units:
        """Gaussian scores, by place."""
        pairs = zip(self.query.tokens, self.key.tokens, strict=True)
        size = self.scale**2 * self.d
        second = np.stack([size * np.outer(a.square, b.square) for a, b in pairs])
        law = Placed(self.kept, np.zeros_like(second), second)
        return Units(law, _parts(equation, batch), frozenset({equation}), gaussian=True)

    def heads(self, value: Side, d_value: int, found: Seen) -> tuple[Head, ...]:
        """The head of each case."""
        width, order = _width(self.key.node, value.node), found.order
        sides = zip(self.query.tokens, self.key.tokens, value.tokens, found.counts, strict=True)
        return tuple(
            Head(q, k.ordered(order), v.ordered(order), count, self.scale, self.d, d_value, width)
            for q, k, v, count in sides
        )


@dataclass(frozen=True)
class Attending:
    """What attention's laws need of a network, beside the laws of what it reads."""

    graph: Graph
    samples: DataGroups
    given: Mapping[str, Array]  # inputs, and parameters that nothing changes

    def product(self, equation: Named, term: LinearTerm, known: Mapping[Node, Units]) -> Law:
        """The law of a product of two equations: of queries and keys, or of a softmax and values.

        Raises NotApplicableError for any other, and for weights that more than one equation reads.
        """
        if not all(map(is_read, term.read)) or term.parameters or term.given:
            raise NotApplicableError(_OTHER)
        if (softmax := self._softmax(equation)) is not None:
            units = QueryKey.of(term, softmax.axis, known).units(equation, self.graph.batch)
            return Silent(units)
        for read, value in (term.read, term.read[::-1]):
            weights = bare(read)
            found = form(weights) if isinstance(weights, Named) else None
            if not isinstance(found, Softmax) or found.axis in term.over:
                continue
            if len(self._readers(weights)) == 1:
                return self._mean(equation, weights, found, value, known)
        raise NotApplicableError(_OTHER)

    def softmax(self, equation: Named, what: Softmax, known: Mapping[Node, Units]) -> Silent:
        """The law of the weights: of each the mean, and the mean square."""
        product = QueryKey.behind(what, known)
        heads = product.heads(product.key, product.d, self._seen(what, product))
        keys = product.kept[1].size or 1
        of_rows = [(1.0 * (head.keys > 0), head.rows.squares) for head in heads]
        mean, second = np.stack(of_rows, axis=1)[..., None] / keys * np.ones(keys)
        law = Placed(product.kept, mean, second)
        return Silent(Units(law, _parts(equation, self.graph.batch), frozenset({equation})))

    def _mean(
        self,
        equation: Named,
        weights: Node,
        softmax: Softmax,
        read: Node,
        known: Mapping[Node, Units],
    ) -> Attended:
        """Σ A v."""
        product = QueryKey.behind(softmax, known)
        value, found = Side.of(read, softmax.axis, known), self._seen(softmax, product)
        d_value = prod(axis.size or 1 for axis in read.axes if axis not in weights.axes)
        heads = product.heads(value, d_value, found)
        law = product.query.placed([head.output for head in heads])
        means = value.law.mean.reshape(len(heads), -1)[:, found.order]
        mean = np.stack([head.read(each) for head, each in zip(heads, means, strict=True)])
        pairs = law.pairs
        if pairs is not None and value.law.pairs is not None and len(value.law.pairs) > 1:
            across = np.full_like(pairs, value.law.pairs[1].mean())  # of two samples
            pairs = np.concatenate([pairs, across])
        law = replace(law, mean=mean.reshape(law.second.shape), pairs=pairs)
        parts = _parts(equation, self.graph.batch) | {product.kept[0]: product.query.digits}
        units = Units(law, parts, frozenset({equation}))
        return Attended(heads, product, value, (weights, bare(softmax.arg)), found, units)

    def _seen(self, softmax: Softmax, product: QueryKey) -> Seen:
        return seen(softmax.where, *product.kept, self.graph.batch, self.samples, self.given)

    def _softmax(self, equation: Named) -> Softmax | None:
        """What alone reads the equation, or a number times it."""
        readers = self._readers(equation)
        while len(readers) == 1:
            (reader,) = readers
            if isinstance(found := form(reader), Softmax):
                return found
            readers = self._readers(reader) if _moved(reader) is not None else []
        return None

    def _readers(self, node: Node) -> list[Named]:
        return [each for each in self.graph.readers(node) if each.role != "stat"]


Law = Silent | Attended


def is_product(found: Sequence[LinearTerm]) -> bool:
    """Is a right side one product of two equations that is summed over an axis of both?"""
    if len(found) != 1 or len(found[0].read) != 2:
        return False
    one, two = (set(read.axes) for read in found[0].read)
    return bool(one & two - {*found[0].over})


def _moved(node: Node) -> LinearTerm | None:
    """The term of an equation that only moves entries and multiplies them by a number."""
    found = terms(node.arg) if isinstance(node, Named) else None
    if found is None or len(found) != 1 or len(found[0].read) != 1 or found[0].parameters:
        return None
    return found[0]


def _width(key: Node, value: Node) -> float:
    """Of the tokens that both are made of; infinite where they are made of different ones."""
    (source, width), (other, _) = _made_of(key), _made_of(value)
    return width if source is other else np.inf


def _made_of(node: Node) -> tuple[Node, float]:
    """What keys or values are a wide product of, and how many units that sums."""
    while (moved := _moved(node)) is not None:
        node = bare(moved.read[0])
    for term in (terms(node.arg) if isinstance(node, Named) else None) or ():
        if len(term.read) == 1:
            (read,) = term.read
            return bare(read), prod(axis.size or 1 for axis in read.axes if axis not in term.over)
    return node, np.inf


def _parts(equation: Named, batch: Axis | None) -> dict[Axis, tuple[Axis, ...]]:
    return {axis: (axis,) for axis in equation.axes if axis != batch}
