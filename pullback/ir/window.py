"""The form of what goes by windows: convolutions and their transposes, pools, axes merged."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from pullback.ir.axis import Axes
from pullback.ir.kinds import Add, Constant, Contract, Parameter
from pullback.ir.node import Node, walk
from pullback.ir.pattern import Pattern
from pullback.ir.reduction import Max
from pullback.ir.source import bare, is_read, is_source


@dataclass(frozen=True)
class Window:
    """z = scale · Σ W a + b, where ``patterns`` say which entries of a belong to which of z.

    Without a weight it is the sum of each window, or with ``kind`` "max" its largest entry.
    ``taps`` are the axes within a window, which z has not; without any, entries only move.
    ``shares`` are numbers for each place that nothing changes, as 1 over the size of a window.
    """

    arg: Node
    patterns: tuple[Pattern, ...]
    taps: Axes
    kind: Literal["sum", "max"] = "sum"
    weight: Parameter | None = None
    bias: Parameter | None = None
    scale: float = 1.0
    shares: tuple[Node, ...] = ()

    @property
    def args(self) -> tuple[Node, ...]:
        """What it reads."""
        return (self.arg,)


def windowed(node: Node) -> Window | None:
    """The form of a right side with windows, if it is one."""
    if isinstance(node, Max):
        return _largest(node)
    terms = node.args if isinstance(node, Add) else (node,)
    products = [term for term in terms if isinstance(term, Contract)]
    biases = [term for term in terms if isinstance(term, Parameter)]
    if len(products) != 1 or len(biases) > 1 or len(terms) != 1 + len(biases):
        return None
    factors = _opened(products[0])
    numbers = [f.value for f in factors if isinstance(f, Constant) and not f.over]
    patterns = tuple(f for f in factors if isinstance(f, Pattern))
    weights = [f for f in factors if isinstance(bare(f), Parameter)]
    args = [f for f in factors if is_read(f)]
    known = {*patterns, *weights, *args}
    shares = tuple(f for f in factors if f not in known and not isinstance(f, Constant))
    if not patterns or len(args) != 1 or len(weights) > 1 or not all(map(_is_given, shares)):
        return None
    weight = bare(weights[0]) if weights else None
    assert weight is None or isinstance(weight, Parameter)
    beside = {axis for f in (*args, *weights, *shares) for axis in f.axes}
    own = dict.fromkeys(axis for pattern in patterns for axis in pattern.axes)
    carried = {*args[0].axes, *products[0].over}
    taps = tuple(axis for axis in own if axis not in carried and (not weights or axis in beside))
    bias, scale = biases[0] if biases else None, prod(numbers, start=1.0)
    return Window(bare(args[0]), patterns, taps, "sum", weight, bias, scale, shares)


def _largest(node: Node) -> Window | None:
    """The largest entry along the axes of windows, one after the other."""
    taps, masks = Axes(), tuple[Pattern, ...]()
    while isinstance(node, Max):
        if not isinstance(node.where, Pattern | None):
            return None
        taps, masks = (*taps, node.axis), masks if node.where is None else (*masks, node.where)
        node = node.arg
    factors = _opened(node) if isinstance(node, Contract) else [node]
    patterns = tuple(f for f in factors if isinstance(f, Pattern))
    args = [f for f in factors if is_read(f)]
    if not (patterns or masks) or len(args) != 1 or len(args) + len(patterns) != len(factors):
        return None
    return Window(bare(args[0]), (*patterns, *masks), taps, "max")


def _opened(product: Contract) -> list[Node]:
    """The factors of a product and of products in it; the product where an axis is meant twice."""
    found: list[Node] = []
    for factor in product.factors:
        found += _opened(factor) if isinstance(factor, Contract) else [factor]
    inner = [axis for f in product.factors if isinstance(f, Contract) for axis in f.summed]
    outer = {axis for f in product.factors for axis in f.axes}
    return [product] if len({*inner}) < len(inner) or outer & {*inner} else found


def _is_given(node: Node) -> bool:
    """Does nothing change it: no data, no parameter?"""
    return not any(is_source(each) or isinstance(each, Parameter) for each in walk((node,)))
