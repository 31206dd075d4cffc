"""A network as columns from left to right: its inputs, each layer, and the paths that skip some."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pullback.derive import EquationList, Text
from pullback.ir import (
    Axes,
    Axis,
    Graph,
    Input,
    Label,
    Named,
    Node,
    Parameter,
    Scalar,
    Scan,
    inside,
    symbol,
)
from pullback.ir import flow as forms_of
from pullback.ir.forms import Affine, Form, Gate, Join, Normalise, Pointwise, Softmax
from pullback.net.network import Network
from pullback.net.trace import Trace
from pullback.report.sections.samples import Samples, by_input
from pullback.report.words.functions import function_name


@dataclass(frozen=True)
class InputColumn:
    """An input; ``sizes`` are those of its axes after the batch."""

    name: str
    symbol: str
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class LayerColumn:
    """One z with what follows it; symbols are those of the equations.

    ``label`` is that of z, ``outlet`` that of what leaves the layer, with z's sizes if it ``keeps``
    them; ``form`` is that of z where it is W a + b; it ``loops`` where a step reads the one before.
    ``sizes`` are those of the axes after the batch, ``reads`` the columns that z reads.
    """

    label: Label
    outlet: Label
    sizes: tuple[int, ...]
    form: Affine | None
    reads: frozenset[int]
    parameters: int
    z: str
    out: str
    weight: str
    delta: str
    activation: str
    function: Scalar | None
    keeps: bool = True
    loops: bool = False

    @property
    def path(self) -> str:
        """Under which a trace and a forecast have z and δ."""
        return self.label.place

    @property
    def width(self) -> int:
        """How many units there are, over all axes."""
        return math.prod(self.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of W where z = W a + b, else ()."""
        return () if self.form is None else _sizes(self.form.weight.axes, {})


@dataclass(frozen=True)
class SkipArc:
    """A path past one or more layers, from column to column; the inputs are the first columns."""

    start: int
    end: int


@dataclass(frozen=True)
class Layers:
    """The inputs, the layers in order, the paths that skip some, the symbol of each parameter."""

    sources: tuple[InputColumn, ...]
    layers: tuple[LayerColumn, ...]
    skips: tuple[SkipArc, ...]
    parameters: dict[str, str]

    def __iter__(self) -> Iterator[LayerColumn]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def listing_of(net: Network) -> EquationList:
    """Every equation of a network, with a symbol for everything that it reads or has."""
    leaves: tuple[Input | Parameter, ...] = (*net.inputs, *net.parameters.values())
    return EquationList.of(net.equations.values(), leaves=leaves)


def layers_of(net: Network, X: Samples | None = None) -> Layers:
    """The columns of a network, from its equations: one for each z that has a δ.

    Axes whose size the network does not know have that which they have in X.
    """
    symbols = _symbols(listing_of(net))
    idle = {each.name: each for each in net.idle if each.role != "delta"}
    graph = Graph({**idle, "output": net.output, "loss": net.total}, net.graph.batch)
    forms, lengths = forms_of(graph), _lengths(net, X)
    column: dict[Node, int] = {leaf: at for at, leaf in enumerate(net.xs.values())}
    first = len(column)
    groups: list[list[Named]] = []
    reads: list[frozenset[int]] = []
    skips: dict[SkipArc, None] = {}
    for each in (graph.by_name[name] for name in symbols if name in graph.by_name):
        if each.role == "loss":
            continue
        read = frozenset(column[node] for node in graph.reads(each) if node in column)
        if each.role == "z" and str(each.label.delta) in net.equations:
            groups.append([])
            reads.append(read)
            column[each] = first + len(groups) - 1
            skips |= {SkipArc(start, column[each]): None for start in read - {column[each] - 1}}
        else:
            at = column[each] = max(read, default=0)
            skips |= {SkipArc(start, at): None for start in read - {at}}
        if column[each] >= first:
            groups[column[each] - first].append(each)
    held: set[Parameter] = set()  # a weight that several layers share counts once
    layers = []
    for group, read in zip(groups, reads, strict=True):
        own = {p for each in group for p in _parameters(each)} - held
        held |= own
        count = sum(math.prod(_sizes(parameter.axes, lengths)) for parameter in own)
        layers.append(_layer(group, read, count, symbols, forms, lengths))
    sources = tuple(
        InputColumn(leaf.name, symbols[leaf.name], _sizes(leaf.axes[1:], lengths))
        for leaf in net.xs.values()
    )
    parameters = {name: symbols[name] for name in net.parameters}
    return Layers(sources, tuple(layers), tuple(skips), parameters)


def norms_of(net: Network, layers: Layers, trace: Trace, batch: int) -> dict[str, float]:
    """‖δ‖ of one sample by layer, its root mean square over the batch of a trace.

    The factor 1/N that a mean over the batch puts into δ is taken out.
    """
    factor = batch if net.criterion.reduction == "mean" else 1
    sizes = trace.rms_delta()
    return {layer.path: float(factor * layer.width**0.5 * sizes[layer.path]) for layer in layers}


def _layer(
    group: Sequence[Named],
    reads: frozenset[int],
    parameters: int,
    symbols: Mapping[str, str],
    forms: Mapping[Named, Form],
    lengths: Mapping[Axis, int],
) -> LayerColumn:
    z = group[0]
    form = forms[z]
    affine = form if isinstance(form, Affine) else None
    weights = _parameters(z) if affine is None else [affine.weight]
    last = [each for each in group if each.role in ("z", "a")][-1]
    function = _function(group, forms)
    kinds = {type(forms[each]) for each in group}
    plain = function_name(function) if function else "norm" if Normalise in kinds else ""
    shares = next((f for each in group if isinstance(f := forms[each], Softmax)), None)
    return LayerColumn(
        label=z.label,
        outlet=last.label,
        sizes=_sizes(z.axes[1:], lengths),
        form=affine,
        reads=reads,
        parameters=parameters,
        z=symbols[z.name],
        out=symbols[last.name],
        weight=symbols[weights[0].name] if weights else "",
        delta=symbols[str(z.label.delta)],
        activation=plain if shares is None else "log softmax" if shares.is_log else "softmax",
        function=function,
        keeps=_sizes(last.axes[1:], lengths) == _sizes(z.axes[1:], lengths),
        loops=any(isinstance(node, Scan) for each in group for node in inside(each)),
    )


def _function(group: Sequence[Named], forms: Mapping[Named, Form]) -> Scalar | None:
    """The last function that a layer's units go through, as one of z where it is that alone."""
    found: dict[Node, Any] = {group[0]: symbol(0)}
    for each in group[1:]:
        form = forms[each]
        if isinstance(form, (Pointwise, Join, Gate)) and each.role != "stat":
            args = [found.get(arg, symbol(0) if len(form.args) == 1 else None) for arg in form.args]
            if None not in args:
                places = {symbol(at): arg for at, arg in enumerate(args)}
                found[each] = form.function.expr.xreplace(places)
    last = list(found.values())[-1]
    return None if last == symbol(0) else Scalar.of(last, 1)


def _symbols(listing: EquationList) -> dict[str, str]:
    """The symbol of everything by its name, equations in the order of the listing.

    By name: what is printed is in a textbook's words, and so another node than what runs.
    """
    named = (Named, Parameter, Input)
    known = {n.name: Text()(f) for n, f in listing.notation.symbols.items() if isinstance(n, named)}
    return {each.name: each.name for each in listing.equations} | known


def _lengths(net: Network, X: Samples | None) -> dict[Axis, int]:
    """The sizes of the axes that a batch tells."""
    return {
        axis: size
        for name, array in (by_input(net, X) if X is not None else {}).items()
        for axis, size in zip(net.xs[name].axes, array.shape, strict=True)
    }


def _sizes(axes: Axes, lengths: Mapping[Axis, int]) -> tuple[int, ...]:
    return tuple(axis.size or lengths.get(axis, 0) for axis in axes)


def _parameters(named: Named) -> list[Parameter]:
    found = [node for node in inside(named) if isinstance(node, Parameter)]
    return sorted(found, key=lambda parameter: -len(parameter.axes))
