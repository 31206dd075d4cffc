"""The weights of an equation: the parameters that it multiplies by what it reads, and sums over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pullback.ir.kinds import Contract, Named, Parameter, inside
from pullback.ir.lookup import OneHot
from pullback.ir.node import Node
from pullback.ir.scan import Scan
from pullback.ir.source import bare, sources


def weights(equation: Named) -> tuple[Parameter, ...]:
    """The weights of an equation, in order: matrices, kernels, and those that a loop reads.

    A gain for each entry is none, and neither is a table of which rows are looked up.

    >>> from pullback.ir import Axis, Input
    >>> i, o = Axis("in", 3), Axis("out", 2)
    >>> x, W, g = Input("x", (i,)), Parameter("W", (o, i)), Parameter("g", (i,))
    >>> weights(Named("z.0", Contract((x, W), (o,)))), weights(Named("a.0", Contract((x, g), (i,))))
    ((Parameter('W', (out=2, in=3)),), ())
    """
    found = (each for node in inside(equation) for each in _of(node))
    return tuple(dict.fromkeys(found))


def tables(equation: Named) -> tuple[Parameter, ...]:
    """The parameters of which an equation looks rows up."""
    found: dict[Parameter, None] = {}
    for node in inside(equation):
        if isinstance(node, Contract) and any(map(_is_lookup, node.factors)):
            held = map(bare, node.factors)
            found |= dict.fromkeys(each for each in held if isinstance(each, Parameter))
    return tuple(found)


def _of(node: Node) -> Iterator[Parameter]:
    if isinstance(node, Scan):
        yield from _matrices(map(bare, node.reads))
    if not isinstance(node, Contract) or any(map(_is_lookup, node.factors)):
        return
    summed = set(node.summed)
    for factor in node.factors:
        others = [each for each in node.factors if each is not factor]
        if not summed & set(factor.axes) or not any(map(_reads, others)):
            continue
        yield from _matrices(inside(Named("part", factor)))


def _is_lookup(factor: Node) -> bool:
    """Does it say which rows of another factor are meant?"""
    nodes = inside(Named("part", factor))
    holds = any(isinstance(each, Parameter) for each in nodes)
    return not holds and any(isinstance(each, OneHot) for each in nodes)


def _matrices(nodes: Iterable[Node]) -> Iterator[Parameter]:
    return (each for each in nodes if isinstance(each, Parameter) and len(each.axes) > 1)


def _reads(node: Node) -> bool:
    """Does it depend on an equation or an input?"""
    return bool(sources(node))
