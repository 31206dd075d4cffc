"""What nothing random has a say in: the data, and equations of them alone, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.ir import Axis, Graph, Input, Named, Node, Parameter, walk
from pullback.ir.linear import LinearTerm
from pullback.ir.pattern import Pattern
from pullback.ir.source import bare, sources
from pullback.moments.law.units import Placed, Units
from pullback.net.program import compile_program

GROUPS = 16  # of samples with nearly the same ‖x‖²
_SEEN = 2**22  # numbers of the data that are looked at
_PAIRS = 2**19  # of the products at pairs of places, over all groups
_PLACES = 300  # beyond, no pairs are followed


@dataclass(frozen=True)
class DataGroups:
    """Groups of samples that the laws are averaged over; ``weight`` sums to 1."""

    members: tuple[Array, ...]
    weight: Array
    count: int  # of all samples, which batch norm sees
    pairs: bool
    across: bool  # are pairs of two samples followed too?


def settled(
    graph: Graph, fixed: Mapping[str, Array], inputs: Mapping[str, Array]
) -> tuple[Node, ...]:
    """The equations and inputs that depend on data and fixed parameters alone."""
    known: dict[Node, bool] = {}
    for node in walk(graph.roots.values()):
        if isinstance(node, (Input, Parameter)):
            known[node] = node.name in (inputs if isinstance(node, Input) else fixed)
        else:
            known[node] = all(known[arg] for arg in node.args)
    reads_data = {
        node: isinstance(node, Input) or any(isinstance(n, Input) for n in walk((node,)))
        for node in known
        if isinstance(node, (Named, Input))
    }
    return tuple(n for n, data in reads_data.items() if data and known[n])


def values_of(
    nodes: Sequence[Node], fixed: Mapping[str, Array], inputs: Mapping[str, Array]
) -> dict[Node, Array]:
    """The numbers of what is settled."""
    equations = {n.name: n for n in nodes if isinstance(n, Named)}
    found: dict[Node, Array] = {n: inputs[n.name] for n in nodes if isinstance(n, Input)}
    if equations:
        leaves = [n for n in nodes if isinstance(n, Input)]
        program = compile_program(equations, "What the data settle.", leaves=leaves)
        with np.errstate(all="ignore"):
            got = program(fixed, inputs)
        found |= {node: got[name] for name, node in equations.items()}
    return found


def wide_axes(
    linear: Mapping[Named, Sequence[LinearTerm] | None], nodes: Sequence[Node], batch: Axis | None
) -> set[Axis]:
    """The axes of the data that weights sum over: units along them are averaged over.

    ``linear`` are the equations in order, with their terms. A norm or an activation of the data
    alone keeps their axes; the weights behind it are the first that sum.
    """
    found: set[Axis] = set()
    held = {node: {axis: axis for axis in node.axes} for node in nodes}
    for equation, terms in linear.items():
        weighed = [t for t in terms or () if t.parameters and len(t.read) == 1]
        for term in weighed:
            if (read := bare(term.read[0])) not in held:
                continue
            own = zip(term.read[0].axes, read.axes, strict=True)
            old = {new: held[read][axis] for new, axis in own if axis in held[read]}
            found |= {old[a] for a in _summed(term) - {batch} if a in old}
        read_by = sources(equation.arg)
        if equation not in held and all(n in held or is_statistic(n) for n in read_by):
            kept = {a: old for n in read_by for a, old in held.get(n, {}).items()}
            held[equation] = {a: kept[a] for a in equation.axes if a in kept}
    return found


def _summed(term: LinearTerm) -> set[Axis]:
    """The axes of what a term reads that its weights sum over."""
    weighed = {axis for weight in term.parameters for axis in weight.axes}
    patterns = [p for p in term.given if isinstance(p, Pattern)]
    found = set()
    for axis in {*term.read[0].axes} - {*term.over}:
        near = _linked(axis, patterns)
        own, out = near & weighed - {*term.over}, near & {*term.over}
        if own and (len(own) > 1 or not out):
            found.add(axis)
    return found


def is_statistic(node: Node) -> bool:
    """A mean or a row sum, which the law of what it is for has in it."""
    return isinstance(node, Named) and node.role == "stat"


def _linked(axis: Axis, patterns: Sequence[Pattern]) -> set[Axis]:
    found = {axis}
    while more := {a for p in patterns if found & {*p.axes} for a in p.axes} - found:
        found |= more
    return found


def samples_of(values: Mapping[Node, Array], places: int, pairs: bool, across: bool) -> DataGroups:
    """The samples in groups of nearly the same ‖x‖², few where pairs of places are many."""
    arrays = [v for v in values.values() if v.dtype.kind == "f"] or list(values.values())
    first = arrays[0]
    pairs = pairs and places <= _PLACES
    count = max(1, min(GROUPS, len(first), _PAIRS // places**2 if pairs else GROUPS))
    square = np.mean(first.reshape(len(first), -1).astype(float) ** 2, axis=1)
    members = tuple(m for m in np.array_split(np.argsort(square, kind="stable"), count) if len(m))
    weight = np.array([len(m) / len(first) for m in members])
    return DataGroups(members, weight, len(first), pairs, across)


def units_of(
    node: Node, values: Array, wide: set[Axis], batch: Axis | None, s: DataGroups
) -> Units:
    """The law of data as they are: moments over the wide axes, in groups of samples."""
    axes = [axis for axis in node.axes if axis != batch]
    sizes = values.shape[1:]
    axes = [Axis(a.name, n) if a.size is None else a for a, n in zip(axes, sizes, strict=True)]
    kept = tuple(a for a in axes if a not in wide)
    order = [1 + axes.index(a) for a in kept] + [1 + axes.index(a) for a in axes if a in wide]
    places = [a.size or 1 for a in kept]
    x = np.transpose(values.astype(float), (0, *order)).reshape(len(values), *places, -1)
    n = x.shape[-1]
    mean = np.stack([x[m].mean(axis=(0, -1)) for m in s.members])
    second = np.stack([(x[m] ** 2).mean(axis=(0, -1)) for m in s.members])
    pairs = None
    if s.pairs:
        flat = x.reshape(len(x), -1, n)
        same = np.stack(
            [np.tensordot(f := flat[m], f, ((0, 2), (0, 2))) / (len(m) * n) for m in s.members]
        )
        relations = [same]
        if s.across:
            total = flat.sum(axis=0)
            own = sum(len(m) * each for m, each in zip(s.members, same, strict=True))
            two = (total @ total.T / n - own) / max(len(x) * (len(x) - 1), 1)
            relations.append(np.broadcast_to(two, same.shape))
        pairs = np.stack(relations).reshape(len(relations), len(same), *places, *places)
    parts = {
        axis: (now,) for axis, now in zip([a for a in node.axes if a != batch], axes, strict=True)
    }
    return Units(Placed(kept, mean, second, pairs), parts, frozenset({node}))
