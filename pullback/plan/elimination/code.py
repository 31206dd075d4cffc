"""An order of elimination as code: the numbers, their slopes, the products, and the arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pullback import emit
from pullback.emit.expression.quote import docstring, literal
from pullback.emit.names import Names
from pullback.emit.target import jax, numba, torch
from pullback.emit.target import numpy as readable
from pullback.errors import unknown
from pullback.ir import (
    Add,
    Constant,
    Contract,
    Input,
    Map,
    Named,
    Node,
    Scalar,
    symbol,
)
from pullback.plan.elimination.program import StraightLine
from pullback.plan.elimination.tape import Leaf

TARGETS: dict[str, tuple[ModuleType, str]] = {  # and how an array is made of numbers
    "numpy": (readable, "np.array([{}])"),
    "numba": (numba, "np.array([{}])"),
    "jax": (jax, "jnp.array([{}])"),
    "torch": (torch, "torch.stack([torch.as_tensor(each) for each in ({},)])"),
}
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Accumulated:
    """The Jacobian's entries as nodes over scalar leaves, by output and input vertex."""

    entries: Mapping[tuple[int, int], Node]
    leaves: Mapping[int, Input]  # by vertex


def accumulated(program: StraightLine, order: Sequence[int]) -> Accumulated:
    """The program's vertices eliminated in an order, carried out on formulas."""
    leaves: dict[int, Input] = {}
    taken: set[str] = set()
    numbers: dict[Any, Node] = {}
    edges: dict[int, dict[int, Node]] = {}
    readers: dict[int, set[int]] = {at: set() for at in range(len(program.vertices))}
    kept = {*program.changing}
    for at, vertex in enumerate(program.vertices):
        if vertex.place is not None:
            leaf, place = vertex.place
            leaves[at] = Input(_free("_".join([leaf.name, *map(str, place)]), taken), ())
            taken.add(leaves[at].name)
            numbers[vertex.symbol] = leaves[at]
        else:
            numbers[vertex.symbol] = _named(f"v{at}", _node(vertex.value, numbers))
        edges[at] = {}
        if at in kept:
            for read, slope in vertex.slopes.items():
                edges[at][read] = _named(f"d{at}_{read}", _node(slope, numbers))
                readers[read].add(at)
    for count, middle in enumerate(order):
        for after in readers[middle]:
            into = edges[after].pop(middle)
            for before, slope in edges[middle].items():
                terms = [_product(into, slope)]
                if before in edges[after]:
                    terms.append(edges[after][before])
                total = terms[0] if len(terms) == 1 else Add(tuple(terms))
                edges[after][before] = _named(f"e{count}_{after}_{before}", total)
                readers[before].add(after)
        for before in edges.pop(middle):
            readers[before].discard(middle)
    found = {(at, to): slope for at in program.outputs for to, slope in edges[at].items()}
    return Accumulated(found, leaves)


def _free(name: str, taken: Collection[str]) -> str:
    return _free(f"{name}_", taken) if name in taken else name


def _named(name: str, node: Node) -> Node:
    return node if isinstance(node, (Named, Input, Constant)) else Named(name, node)


def _product(one: Node, other: Node) -> Node:
    if one == Constant(1.0):
        return other
    return one if other == Constant(1.0) else Contract((one, other), ())


def _node(expr: Any, numbers: Mapping[Any, Node]) -> Node:
    """An expression in symbols as a node over what they stand for."""
    if expr in numbers:
        return numbers[expr]
    if not (free := sorted(expr.free_symbols, key=lambda each: int(each.name[1:]))):
        return Constant(float(expr))
    places = {each: symbol(at) for at, each in enumerate(free)}
    return Map(Scalar.of(expr.xreplace(places), len(free)), tuple(numbers[each] for each in free))


@dataclass(frozen=True)
class Module:
    """What the code is of: a program, what it is differentiated by, its leaves and its result."""

    title: str
    program: StraightLine
    wrt: Sequence[Leaf]
    leaves: Sequence[Leaf]
    outputs: Shape

    def source(self, order: Sequence[int], target: str) -> str:
        """A module with ``jacobian``, which gives an array by each of ``wrt``.

        It takes every variable; a network's parameters are a dict, ``params``, that comes first.

        Raises UnknownNameError for another target.
        """
        if target not in TARGETS:
            raise unknown("target", target, TARGETS)
        emitter, array = TARGETS[target]
        found = accumulated(self.program, order)
        keys = {ends: "{} {}".format(*ends) for ends, node in found.entries.items()
                if not isinstance(node, Constant)}  # fmt: skip
        roots = {key: found.entries[ends] for ends, key in keys.items()}
        reserved = emitter.RESERVED | {"entries", "jacobian", "found", "params"}
        lowered = emit.lower(roots, reserved, tuple(found.leaves.values()))
        doc = "Every entry that is no constant, by the numbers of its ends."
        task = emit.Task("entries", doc, lowered, {key: key for key in roots})
        places, shapes = self.program.places, self.program.shapes
        names = Names(reserved)
        called = {
            x: names.of(x.name) if isinstance(x, Input) else f"params[{literal(x.name)}]"
            for x in self.leaves
        }
        arguments = (_indexed(called, *places[at]) for at in found.leaves)
        inputs = [called[x] for x in self.leaves if isinstance(x, Input)]
        taken = [*(["params"] if len(inputs) < len(called) else []), *inputs]
        lines = [
            f"def jacobian({', '.join(taken)}):",
            f"    {docstring('The derivative of the result, by name: (outputs…, entries…).')}",
            *(line for leaf, shape in shapes.items() for line in _check(called[leaf], shape)),
            f"    found = entries({', '.join(arguments)})",
            "    return {",
        ]
        for leaf in self.wrt:
            columns = [at for at in self.program.inputs if places[at][0] == leaf]
            ends = [(out, at) for out in self.program.outputs for at in columns]
            row = ", ".join(_written(keys.get(each), found.entries.get(each)) for each in ends)
            shape = (*self.outputs, *shapes[leaf])
            lines.append(f"        {literal(leaf.name)}: {array.format(row)}.reshape({shape!r}),")
        return "\n".join([emitter.emit([task], [self.title]), "", *lines, "    }", ""])


def _check(name: str, shape: Shape) -> list[str]:
    """Lines that refuse an array of another shape: its entries would be other ones."""
    if not shape:
        return []
    fault = f"{name} is not of shape {shape}"
    return [
        f"    if tuple({name}.shape) != {shape!r}:",
        f"        raise ValueError({literal(fault)})",
    ]


def _indexed(called: Mapping[Leaf, str], leaf: Leaf, place: Shape) -> str:
    return called[leaf] + (f"[{', '.join(map(str, place))}]" if place else "")


def _written(key: str | None, node: Node | None) -> str:
    """An entry of the Jacobian: one that is computed, a constant, or 0."""
    if key is not None:
        return f"found[{literal(key)}]"
    return repr(float(node.value)) if isinstance(node, Constant) else "0.0"
