"""A node as text where places say which axis is meant, as in the square matrices of NumPy.

Each part stands for a tensor with its axes in its node's order, so a renaming is not written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_lowercase

from pullback import ir
from pullback.ir.axis import PRIME, Axes, Axis
from pullback.ir.inverse import Determinant, Inverse, LogDet
from pullback.ir.kinds import Add, Constant, Contract, Input, Map, Named, Parameter, Rename
from pullback.ir.node import Node, walk
from pullback.ir.pattern import Pattern

_LETTERS = "ijklmnop" + "".join(c for c in ascii_lowercase if c not in "ijklmnop")


def goes_by_place(node: Node) -> bool:
    """Has a part of it two axes of a kind?"""
    return any(axis.name.endswith(PRIME) for each in walk((node,)) for axis in each.axes)


def by_place(node: Node, args: Sequence[str]) -> str | None:
    """The text of a node from those of its arguments, or None for a kind without one."""
    match node:
        case Input(name=name) | Parameter(name=name) | Named(name=name):
            return name
        case Constant(value=value, over=over):
            ones = [_ones(over)] if over else []
            return _times([*([f"{value:g}"] if value != 1 or not over else []), *ones])
        case Pattern() if node.slice is not None and node.slice.is_whole:
            return f"eye({node.axes[0].unprimed.name})"
        case Rename():
            return args[0]
        case Inverse() | Determinant() | LogDet():
            name = {Inverse: "inv", Determinant: "det", LogDet: "logdet"}[type(node)]
            return f"{name}({args[0]})"
        case Add():
            laid = [laid_along(t, a.axes, node.axes) for t, a in zip(args, node.terms, strict=True)]
            return " + ".join(laid).replace("+ -", "- ")
        case Map():
            laid = [laid_along(t, a.axes, node.axes) for t, a in zip(args, node.args, strict=True)]
            return filled(str(ir.unguarded(node.function.expr)), laid)
        case Contract():
            return _product(node, args)
    return None


def laid_along(text: str, have: Axes, axes: Axes) -> str:
    """A tensor so that it meets the places of others."""
    if have in (axes, ()):
        return text
    if have == axes[::-1] and len(axes) == 2:
        return _turned(text)
    letters = dict(zip(axes, _LETTERS, strict=False))
    whole = [] if set(have) == set(axes) else [(_ones(axes), axes)]
    return _einsum([(text, have), *whole], axes, letters)


def filled(formula: str, args: Sequence[str]) -> str:
    """The formula over x0, x1, … with the arguments' texts; a lone argument stands in a call."""

    def text(found: re.Match[str]) -> str:
        alone, inside = found.groups()
        return f"({args[int(alone)]})" if alone else atom(args[int(inside)])

    return re.sub(r"(?<=\w)\(x(\d+)\)|\bx(\d+)\b", text, formula)


def atom(text: str) -> str:
    """The text as an operand: in parentheses if an operator stands outside all of its own."""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth == 0 and character in "+-*/@":
            return f"({text})"
    return text


def _product(node: Contract, args: Sequence[str]) -> str:
    """Numbers, then A @ B, an elementwise product, or any other as einsum writes it."""
    given = list(zip(args, (factor.axes for factor in node.factors), strict=True))
    numbers = [text for text, axes in given if not axes]
    tensors = [(text, axes) for text, axes in given if axes]
    tensors, traces = _without_traces(tensors, node)
    numbers += traces
    carried = {axis for _, axes in tensors for axis in axes}
    summed = tuple(axis for axis in node.summed if axis in carried)
    letters = dict(zip((*node.over, *summed), _LETTERS, strict=False))
    assert carried == set(letters)
    body = _short(tensors, node) if tensors else None
    if tensors and body is None:
        body = _einsum(tensors, node.over, letters)
    return _times([*numbers, *([] if body is None else [body])])


def _without_traces(
    tensors: list[tuple[str, Axes]], node: Contract
) -> tuple[list[tuple[str, Axes]], list[str]]:
    """The tensors of a product without the matrices of which only a trace is taken."""
    traces = []
    for text, axes in [each for each in tensors if each[0].startswith("eye(")]:
        met = [each for each in tensors if {*each[1]} & {*axes} and each[0] != text]
        if {*axes} <= {*node.summed} and len(met) == 1 and {*met[0][1]} == {*axes}:
            tensors = [each for each in tensors if each not in (met[0], (text, axes))]
            traces.append(f"tr({met[0][0]})")
    return tensors, traces


def _short(tensors: Sequence[tuple[str, Axes]], node: Contract) -> str | None:
    over, summed = node.over, node.summed
    if len(tensors) == 1 and over == ():
        return f"sum({tensors[0][0]})"
    if len(tensors) == 1 and {*over} == {*tensors[0][1]}:
        if tensors[0][0].startswith("eye("):
            return tensors[0][0]
        return laid_along(*tensors[0], over)
    if not summed and all(axes == over for _, axes in tensors):
        return _times([text for text, _ in tensors])
    if len(tensors) != 2 or len(summed) != 1 or any(len(axes) > 2 for _, axes in tensors):
        return None
    for (a, left), (b, right) in (tensors, tensors[::-1]):
        rows = tuple(axis for axis in left if axis not in summed)
        columns = tuple(axis for axis in right if axis not in summed)
        if {*summed} <= {*left} and {*summed} <= {*right} and (*rows, *columns) == over:
            first = atom(a) if left[-1] in summed else _turned(a)
            second = atom(b) if right[0] in summed else _turned(b)
            return f"{first} @ {second}"
    return None


def _turned(text: str) -> str:
    whole = atom(text)
    return whole.removesuffix(".T") if whole.endswith(".T") else f"{whole}.T"


def _times(parts: Sequence[str]) -> str:
    """The parts multiplied; −1 in front is a minus."""
    first, *rest = parts
    if first == "-1" and rest:
        return f"-{_times(rest)}" if "+" not in rest[0] else f"-({_times(rest)})"
    return "*".join(map(atom, parts)) if rest else first


def _einsum(tensors: Sequence[tuple[str, Axes]], over: Axes, letters: dict[Axis, str]) -> str:
    def word(axes: Axes) -> str:
        return "".join(letters[axis] for axis in axes)

    subscripts = ",".join(word(axes) for _, axes in tensors) + "->" + word(over)
    return f'einsum("{subscripts}", {", ".join(text for text, _ in tensors)})'


def _ones(axes: Axes) -> str:
    return f"ones({', '.join(axis.unprimed.name for axis in axes)})"
