"""Weights and bias of a layer as one matrix Θ, the bias first: z = Θ [1; x]."""

from __future__ import annotations

from dataclasses import replace

from pullback.derive.algebra import product
from pullback.derive.forms import MatrixForm
from pullback.derive.formula import Blocks, Formula, Number, Symbol
from pullback.derive.matrix import Matrix
from pullback.ir import Add, Contract, Node, Parameter


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
    return weights[0], x, biases[0] if biases else None


def with_one(inputs: Formula) -> Blocks:
    """The column with a one on top."""
    return Blocks((Number(1), inputs), stacked=True)
