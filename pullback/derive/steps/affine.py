"""Weights and bias of a layer as one matrix Θ, the bias first: z = Θ [1; x]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pullback.derive.formula.algebra import product
from pullback.derive.formula.forms import MatrixForm, Symbols
from pullback.derive.formula.matrix import Matrix
from pullback.derive.formula.tree import Blocks, Formula, Number, Symbol
from pullback.ir import Axes, Axis, Graph, Named, Node, Parameter
from pullback.ir.flow import affine
from pullback.ir.forms import Affine


class AffineForm(MatrixForm):
    """Matrix form in which W x + b reads Θ [1; x], and W is what Θ is without its first column.

    ``layers`` are the right sides that are read so.
    """

    def __init__(
        self,
        symbols: Symbols,
        batch: Axis | None,
        dropped: Axis | None,
        layout: Axes,
        layers: Mapping[Node, Affine],
    ) -> None:
        super().__init__(symbols, batch, dropped, layout)
        self.layers = layers

    def read(self, node: Node, open_sum: bool = False) -> Matrix:
        layer = self.layers.get(node)
        if layer is None:
            return super().read(node, open_sum)
        inputs = super().read(layer.arg).formula
        column = with_one(inputs) if layer.bias else inputs
        return Matrix(product(theta(self.symbols, layer), column), self.shown(node.axes))


def theta(symbols: Symbols, layer: Affine) -> Symbol:
    """The matrix of a layer, bias included."""
    symbol = symbols[layer.weight]
    assert isinstance(symbol, Symbol)
    return replace(symbol, letter="Θ")


def layer_of(node: Named) -> Affine | None:
    """The form of a pre-activation W x + b with a matrix W, if it is one."""
    found = affine(node.arg) if node.role == "z" else None
    if found is None or not found.is_matrix or found.scale != 1.0:
        return None
    names = dict(found.names)
    rows = tuple(names.get(axis, axis) for axis in found.rows)
    return found if found.bias is None or found.bias.axes == rows else None


def own_layers(graph: Graph) -> dict[Named, Affine]:
    """The layers whose weight and bias no other equation reads, but for a penalty in the loss."""
    found = {node: layer for node in graph.equations if (layer := layer_of(node)) is not None}
    return {
        node: layer
        for node, layer in found.items()
        if all(
            reader is node or reader.role == "loss"
            for p in parameters(layer)
            for reader in graph.readers(p)
        )
    }


def theta_layers(graph: Graph, batch: Axis | None) -> dict[Named, Affine]:
    """Those that have a Θ: all of it is trained, and what a sample brings is a column."""
    return {
        node: layer
        for node, layer in own_layers(graph).items()
        if all(p.trained for p in parameters(layer))
        and len([axis for axis in layer.arg.axes if axis != batch]) == 1
    }


def parameters(layer: Affine) -> Iterable[Parameter]:
    """The weight and, if there is one, the bias."""
    return (layer.weight, *(() if layer.bias is None else (layer.bias,)))


def with_one(inputs: Formula) -> Blocks:
    """The column with a one on top."""
    return Blocks((Number(1), inputs), stacked=True)
