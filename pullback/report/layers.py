"""A network as columns from left to right: the input, each layer, and the paths that skip some."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pullback.derive import Equation, EquationList, Text
from pullback.derive.steps.affine import layer_of
from pullback.derive.steps.equations import FORWARD
from pullback.ir import Input, Map, Named, Node, Parameter, Scalar, inside
from pullback.net.network import Network
from pullback.net.trace import Trace
from pullback.nn import Activation, Block, Residual, Sequential
from pullback.nn.block import joined


@dataclass(frozen=True)
class Layer:
    """One z with what follows it; symbols are those of the equations.

    ``path`` finds z and δ in a trace, ``outlet`` names the equation of what leaves the layer.
    ``shape`` is that of W where z = W a + b, else ().
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


def listing_of(net: Network) -> EquationList:
    """Every equation of a network, with a symbol for everything that it reads or has."""
    leaves: tuple[Input | Parameter, ...] = (net.x, net.target, *net.parameters.values())
    return EquationList.of(net.equations.values(), leaves=leaves)


def layers_of(net: Network) -> Layers:
    """The columns of a network, from its equations: one for each z that has a δ."""
    listing = listing_of(net)
    # by name: what is printed is in a textbook's words, and so another node than what runs
    named = (Named, Parameter, Input)
    symbols = {
        n.name: Text()(f) for n, f in listing.notation.symbols.items() if isinstance(n, named)
    }
    column: dict[Node, int] = {net.x: 0}
    groups: list[list[Equation]] = [[]]
    skips: list[Skip] = []
    for each in listing.equations:
        if each.role == "z" and f"delta.{_path(each.node)}" in net.equations:
            groups.append([])
            column[each.node] = len(groups) - 1
        elif each.role in FORWARD:
            sources = [column[node] for node in inside(each.node) if node in column]
            at = column[each.node] = max(sources, default=0)
            skips.extend(Skip(start, at) for start in sources if start < at)
        else:
            continue
        groups[column[each.node]].append(each)
    blocks = dict(_blocks(net.model, ""))
    held: set[Parameter] = set()  # a weight that several layers share counts once
    layers = []
    for group in groups[1:]:
        own = dict.fromkeys(p for each in group for p in _parameters(each.node))
        new = [parameter for parameter in own if parameter not in held]
        held.update(new)
        layers.append(_layer(net, group, new, symbols, blocks))
    features = net.x.axes[-1].size or 0
    parameters = {name: symbols[name] for name in net.parameters}
    return Layers(tuple(layers), tuple(skips), features, parameters)


def norms_of(net: Network, layers: Layers, trace: Trace, batch: int) -> dict[str, float]:
    """‖δ‖ of one sample by layer, its root mean square over the batch of a trace.

    The factor 1/N that a mean over the batch puts into δ is taken out.
    """
    factor = batch if net.criterion.reduction == "mean" else 1
    sizes = trace.rms_delta()
    return {layer.path: float(factor * layer.width**0.5 * sizes[layer.path]) for layer in layers}


def _layer(
    net: Network,
    group: list[Equation],
    own: list[Parameter],
    symbols: dict[str, str],
    blocks: dict[str, Block],
) -> Layer:
    z = group[0].node
    last = [each.node for each in group if each.role != "value"][-1]
    path, affine = _path(z), layer_of(z)
    weights = [affine.weight] if affine is not None else _parameters(z)
    maps = [
        (each.node, computed.function)  # as it is computed, not printed
        for each in group
        if isinstance(computed := net.equations[each.name].arg, Map) and len(computed.args) == 1
    ]
    return Layer(
        path=path,
        outlet=last.name,
        width=math.prod(axis.size or 0 for axis in z.axes if axis != net.x.axes[0]),
        shape=() if affine is None else _shape(affine.weight),
        parameters=sum(math.prod(_shape(parameter)) for parameter in own),
        z=symbols[z.name],
        out=symbols[last.name],
        weight=symbols[weights[0].name] if weights else "",
        delta=symbols[f"delta.{path}"],
        activation=_label(blocks.get(_path(maps[0][0]))) if maps else "",
        function=maps[0][1] if maps else None,
    )


def _path(named: Named) -> str:
    return named.name.partition(".")[2]


def _parameters(named: Named) -> list[Parameter]:
    found = [node for node in inside(named) if isinstance(node, Parameter)]
    return sorted(found, key=lambda parameter: -len(parameter.axes))


def _shape(parameter: Parameter) -> tuple[int, ...]:
    return tuple(axis.size or 0 for axis in parameter.axes)


def _blocks(block: Block, path: str) -> Iterator[tuple[str, Block]]:
    yield path, block
    if isinstance(block, Sequential):
        for at, part in enumerate(block.blocks):
            yield from _blocks(part, joined(path, at))
    elif isinstance(block, Residual):
        yield from _blocks(block.block, joined(path, "block"))


def _label(block: Block | None) -> str:
    if block is None:
        return "own"
    return block.formula if isinstance(block, Activation) else type(block).__name__
