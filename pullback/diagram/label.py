"""What stands in a node of a diagram: a function of names, or the sign of a pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import permutations
from typing import Any

from sympy.printing.str import StrPrinter

from pullback.ir import (
    Axes,
    Constant,
    Contract,
    Detach,
    Determinant,
    Inverse,
    LogSumExp,
    Map,
    Node,
    OneHot,
    Pattern,
    Rename,
    Stack,
    fn,
    symbol,
)
from pullback.ir.language.positions import filled
from pullback.ir.reduction import AlongAxis
from pullback.ir.scalar.cases import branches

_WORDS: dict[type[Node], str] = {Determinant: "det", OneHot: "one hot", Detach: "stop"}
_RELATIONS = {"==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}
_PRIVATE = 0xE000  # characters that no name has
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNS = (
    ("**", "^"),
    ("*", "·"),
    ("-", "−"),
    ("sqrt", "√"),
    ("Max(", "max("),
    ("Min(", "min("),
)


def function_label(node: Node, args: Sequence[str]) -> str:
    """A function of some names: tanh(x), A⁻¹, softmax over an axis.

    >>> from pullback.ir import Axis, Input
    >>> from pullback.ir.build import scalar_map
    >>> function_label(scalar_map(1 - symbol(0) ** 2, Input("z", (Axis("i"),))), ["a"])
    '1 − a²'
    """
    of = ", ".join(args)
    if (shares := softmax_of(node)) is not None:
        return f"softmax{_along(shares)}({args[0]})"
    match node:
        case Map(function=function):
            return _written(_Words().doprint(function.expr), args)
        case Inverse():
            return f"{of}⁻¹"
        case AlongAxis():
            return f"{type(node).__name__.lower()}{_along(node)}({of})"
    return f"{_WORDS.get(type(node)) or type(node).__name__.lower()}({of})"


class _Words(StrPrinter):  # type: ignore[misc]
    """A choice as ``where(condition, value, otherwise)``."""

    def _print_Piecewise(self, expr: Any) -> str:
        chosen, otherwise = branches(expr)
        text = self._print(otherwise)
        for value, condition in reversed(chosen):
            text = f"where({self._print(condition)}, {self._print(value)}, {text})"
        return str(text)

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        power = expr.exp
        if power.is_Rational and power < 0 and power.q > 2 - (power.p != -1):
            return f"1/{self._print(expr.base**-power)}"
        return str(super()._print_Pow(expr, rational))

    def _print_Float(self, expr: Any) -> str:
        return re.sub(r"e([+-])0*(?=\d)", r"e\1", f"{float(expr):.12g}").replace("e+", "e")

    def _print_Relational(self, expr: Any) -> str:
        sign = _RELATIONS.get(expr.rel_op, expr.rel_op)
        return f"{self._print(expr.lhs)} {sign} {self._print(expr.rhs)}"


def _along(node: AlongAxis) -> str:
    """Which axis goes, where there is a choice."""
    return f"_{node.axis.name}" if len(node.over) > 1 else ""


def _written(formula: str, args: Sequence[str]) -> str:
    """The formula in the signs of mathematics; the names come last, since they hold any text."""
    holders = [chr(_PRIVATE + at) for at in range(len(args))]
    text = filled(formula, holders)
    text = re.sub(r"\*\*(\d+\b(?!\.)|\(-\d+\))", _raised, text)
    for plain, sign in _SIGNS:
        text = text.replace(plain, sign)
    text = re.sub(r"√\((.)\)", r"√\1", text)
    text = re.sub(r"−(.) \+ (.)(?=\)|$)", r"\2 − \1", text)
    for holder, name in zip(holders, args, strict=True):
        text = text.replace(holder, name)
    return text


def _raised(power: re.Match[str]) -> str:
    return power[1].strip("()").translate(_RAISED)


def softmax_of(node: Node) -> LogSumExp | None:
    """The log Σ exp of a softmax exp(z − log Σ exp z), which is drawn as one function of z."""
    if not isinstance(node, Map) or len(node.args) != 2:
        return None
    for of, total in permutations(range(2)):
        found = node.args[total]
        if (
            isinstance(found, LogSumExp)
            and found.where is None
            and found.arg is node.args[of]
            and node.function.expr == fn("exp")(symbol(of) - symbol(total))
        ):
            return found
    return None


def read_by(node: Node) -> tuple[Node, ...]:
    """What a function is a function of, each once."""
    if (shares := softmax_of(node)) is not None:
        return (shares.arg,)
    return tuple(dict.fromkeys(node.args))


def length_label(node: Node) -> str | None:
    """|n|, for Σ 1 along an axis whose length the data tell."""
    if not isinstance(node, Contract) or node.over:
        return None
    ones = [each for each in node.factors if isinstance(each, Constant) and each.value == 1]
    return _lengths(node.summed) if len(ones) == len(node.factors) else None


def _lengths(axes: Axes) -> str:
    return "·".join(f"|{axis.unprimed.name}|" for axis in axes)


def pattern_label(node: Pattern) -> str:
    """A small sign: a slice, windows, axes put together, a mask.

    >>> from pullback.ir import Axis, Index
    >>> h, o, t = Axis("height", 5), Axis("out", 3), Axis("tap", 3)
    >>> pattern_label(Pattern((h, o, t), (Index.on(h) - Index.on(o) - Index.on(t),)))
    '∗'
    """
    if (part := node.slice) is not None:
        start, stop = ("" if each is None else str(each) for each in (part.start, part.stop))
        return f"[{start}:{stop}]"
    if not node.equations:
        return "mask"
    if any(abs(c) > 1 for each in node.equations for _, c in each.terms):
        return "reshape" if len(node.axes) > 2 else "stride"
    return "∗" if len(node.axes) > 2 else "shift"


def pattern_meaning(node: Pattern) -> str:
    """When an entry is 1, in words."""
    equations = [f"{each!r} = 0" for each in node.equations]
    ranges = [
        f"{'' if each.low is None else f'{each.low} ≤ '}{each.index!r}"
        f"{'' if each.high is None else f' ≤ {each.high}'}"
        for each in node.ranges
    ]
    return f"1 where {' and '.join([*equations, *ranges]) or 'it is'}, else 0"


def stack_label(node: Stack) -> str:
    """The sign of several axes as one."""
    return "vech" if node.half else "stack"


def stack_meaning(node: Stack) -> str:
    """Which axes stand on which, in words."""
    parts = " and ".join(axis.name for axis in node.parts)
    lower = ", of the lower triangle alone" if node.half else ""
    return f"1 where the place on {node.whole.name} is that of {parts} together{lower}, else 0"


def stripped(node: Node) -> Node:
    """The node without renamings around it: the same tensor, place by place."""
    while isinstance(node, Rename):
        node = node.arg
    return node
