"""When two products are the same but for the names of their axes, and the order of factors."""

from __future__ import annotations

from collections import defaultdict
from itertools import permutations, product

from pullback.diagram.tensor_network import DiagramTensor, TensorNetwork
from pullback.ir import Axis, Pattern, Scan


def canonical(term: TensorNetwork) -> str:
    """What a term is, whatever its axes are called and in whatever order its factors stand."""
    signs = [_signature(each) for each in term.tensors]
    groups: dict[str, list[int]] = defaultdict(list)
    for at in sorted(range(len(signs)), key=signs.__getitem__):
        groups[signs[at]].append(at)
    several = [permutations(group) if len(group) < 4 else [group] for group in groups.values()]
    told = []
    for orders in product(*several):
        place = {at: k for k, at in enumerate(at for group in orders for at in group)}
        told.append(
            repr(
                sorted(
                    (sorted((place[at], leg) for at, leg in wire.ends), wire.free, wire.axis.size)
                    if not wire.is_length
                    else ([], (), wire.axis.name)
                    for wire in term.wires
                )
            )
        )
    return f"{term.coefficient!r} {sorted(signs)} {min(told)}"


def _signature(tensor: DiagramTensor) -> str:
    """What a tensor is, with its legs by place."""
    node, legs = tensor.node, tensor.legs
    names: dict[Axis, Axis] = {axis: Axis(f"_{at}", axis.size) for at, axis in enumerate(legs)}
    if isinstance(node, Pattern):
        return repr((node.renamed(names).equations, node.renamed(names).ranges))
    reads = [
        (name, [legs.index(axis) if axis in legs else axis.name for axis in arg.axes])
        for arg, name in tensor.reads
    ]
    # a loop says no more than that it is one, and which of its values is meant
    loop = node.digest if isinstance(node, Scan) else ""
    return repr((tensor.label, reads, loop))
