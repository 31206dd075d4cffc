"""A network as columns from left to right: the input, each layer, and the paths that skip some."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pullback.derive import Equation, EquationList, Text
from pullback.derive.equations import inside
from pullback.ir import Map, Named, Node, Scalar
from pullback.nn import Activation, Block, Residual, Sequential
from pullback.nn.block import joined
from pullback.run.network import Network
from pullback.run.trace import Trace


@dataclass(frozen=True)
class Layer:
    """One linear block with what follows it; symbols are those of the equations.

    ``path`` finds z and δ in a trace, ``outlet`` names the equation of what leaves the layer.
    """

    path: str
    outlet: str
    width: int
    shape: tuple[int, ...]
    parameters: int
    z: str
    out: str
    weight: str
    delta: str
    activation: str
    function: Scalar | None


@dataclass(frozen=True)
class Skip:
    """A path past one or more layers, from column to column; column 0 is the input."""

    start: int
    end: int


@dataclass(frozen=True)
class Layers:
    """The layers in order, the paths that skip some, and the symbol of each parameter."""

    layers: tuple[Layer, ...]
    skips: tuple[Skip, ...]
    features: int
    parameters: dict[str, str]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def layers_of(net: Network) -> Layers:
    """The columns of a network, from its equations."""
    listing = EquationList.of(net.equations.values())
    symbols = {node: Text()(f) for node, f in listing.notation.symbols.items()}
    column: dict[Node, int] = {net.x: 0}
    groups: list[list[Equation]] = [[]]
    skips: list[Skip] = []
    for each in listing.equations:
        if each.role == "z":
            groups.append([])
            column[each.node] = len(groups) - 1
        elif each.role == "a":
            sources = [column[node] for node in inside(each.node) if node in column]
            at = column[each.node] = max(sources, default=0)
            skips.extend(Skip(start, at) for start in sources if start < at)
        else:
            continue
        groups[column[each.node]].append(each)
    blocks = dict(_blocks(net.model, ""))
    layers = tuple(_layer(net, group, symbols, blocks) for group in groups[1:])
    features = net.x.axes[-1].size or 0
    parameters = {name: symbols[leaf] for name, leaf in net.parameters.items()}
    return Layers(layers, tuple(skips), features, parameters)


def norms_of(net: Network, layers: Layers, trace: Trace, batch: int) -> dict[str, float]:
    """‖δ‖ of one sample by layer, its root mean square over the batch of a trace.

    The factor 1/N that a mean over the batch puts into δ is taken out.
    """
    factor = batch if net.criterion.reduction == "mean" else 1
    sizes = trace.rms_delta()
    return {layer.path: float(factor * layer.width**0.5 * sizes[layer.path]) for layer in layers}


def _layer(
    net: Network, group: list[Equation], symbols: dict[Node, str], blocks: dict[str, Block]
) -> Layer:
    z, last = group[0].node, group[-1].node
    path = z.name.partition(".")[2]
    named = {spec.name: spec for spec in net.specs}
    own = [named[n] for part in ("weight", "bias") if (n := joined(path, part)) in named]
    maps = [each.node for each in group if isinstance(each.node.arg, Map)]
    applied = net.equations[maps[0].name].arg if maps else None  # as it is computed, not printed
    function = applied.function if isinstance(applied, Map) else None
    deltas = {node.name: text for node, text in symbols.items() if isinstance(node, Named)}
    return Layer(
        path=path,
        outlet=last.name,
        width=z.axes[-1].size or 0,
        shape=own[0].shape,
        parameters=sum(math.prod(spec.shape) for spec in own),
        z=symbols[z],
        out=symbols[last],
        weight=symbols[net.parameters[own[0].name]],
        delta=deltas.get(f"delta.{path}", "δ"),
        activation=_label(blocks[maps[0].name.partition(".")[2]]) if maps else "",
        function=function,
    )


def _blocks(block: Block, path: str) -> Iterator[tuple[str, Block]]:
    yield path, block
    if isinstance(block, Sequential):
        for at, part in enumerate(block.blocks):
            yield from _blocks(part, joined(path, at))
    elif isinstance(block, Residual):
        yield from _blocks(block.block, joined(path, "block"))


def _label(block: Block) -> str:
    return block.formula if isinstance(block, Activation) else type(block).__name__
