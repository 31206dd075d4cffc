"""A node as one line of plain text, in the words of the expression parser."""

from __future__ import annotations

from collections import Counter

from pullback import ir
from pullback.ir.axis import Axes
from pullback.ir.kinds import (
    Add,
    Constant,
    Contract,
    Input,
    Map,
    Named,
    Parameter,
    Rename,
)
from pullback.ir.language.positions import atom, by_place, filled, goes_by_place
from pullback.ir.lookup import OneHot
from pullback.ir.node import Node, walk
from pullback.ir.pattern import Pattern
from pullback.ir.reduction import ArgMax, LogSumExp, Max

LONGEST = 1000  # characters of one part; shared parts are written out, so text can double


def as_text(node: Node) -> str:
    """The node as text; parts that grow too long are cut short with an ellipsis.

    >>> from pullback.ir import Axis
    >>> X, w = Input("X", (Axis("n"), Axis("d"))), Input("w", (Axis("d"),))
    >>> as_text(Contract((X, w), (Axis("n"),)))
    'sum(X*w, axis="d")'
    """
    texts: dict[Node, str] = {}
    square = goes_by_place(node)
    for each in walk((node,)):
        args = [texts[arg] for arg in each.args]
        text = (by_place(each, args) if square else None) or _text(each, args)
        texts[each] = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return texts[node]


def _text(node: Node, args: list[str]) -> str:
    match node:
        case Input(name=name) | Parameter(name=name) | Named(name=name):
            return name
        case Constant(value=value):
            return f"{value:g}"
        case Pattern():
            return _pattern(node)
        case Contract(summed=summed):
            product = _product(args)
            return f'sum({product}, axis="{_names(summed)}")' if summed else product
        case Map(function=function):
            return filled(str(ir.unguarded(function.expr)), args)
        case Add():
            return " + ".join(args).replace("+ -", "- ")
        case Rename(names=names):
            return f"rename({args[0]}, " + ", ".join(f'{a.name}="{b.name}"' for a, b in names) + ")"
        case LogSumExp(axis=axis) | Max(axis=axis) | ArgMax(axis=axis) | OneHot(axis=axis):
            where = f", where={args[1]}" if len(args) > 1 else ""
            return f'{type(node).__name__.lower()}({args[0]}, axis="{axis.name}"{where})'
    return f"{type(node).__name__.lower()}({', '.join(args)})"  # a kind without words of its own


def _pattern(node: Pattern) -> str:
    part = node.slice
    if part is None:
        bounds = [(each.low, each.index, each.high) for each in node.ranges]
        low = [f"{index} >= {low}" for low, index, _ in bounds if low is not None]
        high = [f"{index} <= {high}" for _, index, high in bounds if high is not None]
        return f"where({', '.join([*(f'{each} = 0' for each in node.equations), *low, *high])})"
    span = f"{'' if part.start is None else part.start}:{'' if part.stop is None else part.stop}"
    return f"eye({part.row.name}, {part.column.name})" + ("" if part.is_whole else f"[{span}]")


def _product(args: list[str]) -> str:
    sign = "-" if args[0] == "-1" and len(args) > 1 else ""
    powers = Counter(args[1:] if sign else args).items()
    factors = (atom(text) + (f"**{times}" if times > 1 else "") for text, times in powers)
    return sign + "*".join(factors)


def _names(axes: Axes) -> str:
    return " ".join(axis.name for axis in axes)
