"""Weights and bias of a layer as one matrix Θ, the bias first: z = Θ [1; x]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pullback.derive.formula.algebra import product
from pullback.derive.formula.forms import MatrixForm
from pullback.derive.formula.matrix import Matrix
from pullback.derive.formula.tree import Blocks, Formula, Number, Symbol
from pullback.derive.steps.equations import FORWARD, Equation
from pullback.ir import Add, Contract, Named, Node, Parameter, Scalar, inside, symbol
from pullback.ir.normal.regions import Region, is_elementwise


class AffineForm(MatrixForm):
    """Matrix form in which W x + b reads Θ [1; x], and W is what Θ is without its first column.

    ``layers`` are the right sides that are read so.
    """

    layers: frozenset[Node] = frozenset()

    def read(self, node: Node, open_sum: bool = False) -> Matrix:
        found = affine(node) if node in self.layers else None
        if found is None:
            return super().read(node, open_sum)
        weight, x, bias = found
        inputs = super().read(x).formula
        column = with_one(inputs) if bias else inputs
        return Matrix(product(self.theta(weight), column), self.shown(node.axes))

    def theta(self, weight: Parameter) -> Symbol:
        """The matrix of a layer, bias included."""
        symbol = self.symbols[weight]
        assert isinstance(symbol, Symbol)
        return replace(symbol, letter="Θ")


def affine(node: Node) -> tuple[Parameter, Node, Parameter | None] | None:
    """The weight, the input and the bias of a layer's pre-activation W x + b, if it is one."""
    terms = node.args if isinstance(node, Add) else (node,)
    products = [t for t in terms if isinstance(t, Contract) and len(t.factors) == 2]
    biases = [t for t in terms if isinstance(t, Parameter)]
    if len(products) != 1 or len(products) + len(biases) != len(terms) or len(biases) > 1:
        return None
    weights = [f for f in products[0].factors if isinstance(f, Parameter) and len(f.axes) == 2]
    if len(weights) != 1 or products[0].summed != weights[0].axes[1:]:
        return None
    (x,) = (f for f in products[0].factors if f is not weights[0])
    if any(bias.axes != weights[0].axes[:1] for bias in biases):
        return None
    return weights[0], x, biases[0] if biases else None


def pointwise(named: Named) -> tuple[Node, Scalar] | None:
    """The one quantity that an activation reads, and the scalar function of it, if it is one."""
    if isinstance(named.arg, Named):
        return named.arg, Scalar.of(symbol(0), 1)
    if not is_elementwise(named.arg):
        return None
    region = Region(named.arg, stop=lambda node: isinstance(node, Named))
    if len(region.leaves) != 1:
        return None
    ((leaf, _),) = region.leaves.items()
    return leaf, Scalar.of(region.expr, 1)


def own_layers(equations: Sequence[Equation]) -> tuple[Named, ...]:
    """The pre-activations W x + b whose weight and bias no other equation reads."""
    forward = [each.node for each in equations if each.role in FORWARD]
    uses = Counter(leaf for node in forward for leaf in inside(node) if isinstance(leaf, Parameter))
    found = []
    for node in forward:
        parts = affine(node.arg) if node.role == "z" else None
        if parts is not None and all(uses[p] == 1 for p in parts if isinstance(p, Parameter)):
            found.append(node)
    return tuple(found)


def with_one(inputs: Formula) -> Blocks:
    """The column with a one on top."""
    return Blocks((Number(1), inputs), stacked=True)
