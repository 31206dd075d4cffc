"""Numbers inside formulas: they stay exact (⅓, π, e), and they are finite and real."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.errors import NonFiniteError
from pullback.ir.build import scalar_map
from pullback.ir.kinds import Add, Constant, Contract, Map
from pullback.ir.node import Node, walk
from pullback.ir.normal.regions import Region, is_finite_real
from pullback.ir.scalar.function import Scalar, symbol

NOT_REAL = "this is not a finite real number"


def literal(value: float) -> Node:
    """A number; raises NonFiniteError for a whole number that no float can hold."""
    try:
        return Constant(float(value))
    except OverflowError:
        raise NonFiniteError(NOT_REAL) from None


def elementwise(expr: Any, *args: Node) -> Node:
    """A function of nodes; numbers among them go into the function, where they stay exact.

    >>> from pullback.ir import Input
    >>> elementwise(symbol(0) / symbol(1), Input("x", ()), Constant(3.0)).function
    x0/3
    """
    exact = {
        symbol(i): formula(arg) for i, arg in enumerate(args) if not arg.axes and is_number(arg)
    }
    filled = expr.xreplace(exact)
    if not is_finite_real(filled):
        raise NonFiniteError(NOT_REAL)
    rest = [i for i, arg in enumerate(args) if symbol(i) not in exact]
    renumbered = {symbol(old): symbol(new) for new, old in enumerate(rest)}
    return scalar_map(filled.xreplace(renumbered), *(args[i] for i in rest))


def formula(node: Node) -> Any:
    """The SymPy expression of a node that is elementwise down to its leaves."""
    # a sum of one term, because a region needs something elementwise at its root
    return Region(Add((node,)), stop=lambda inner: False).expr


def is_number(node: Node) -> bool:
    """Is it made of numbers alone, entry by entry?"""
    return all(
        isinstance(each, (Constant, Map, Add)) or (isinstance(each, Contract) and not each.summed)
        for each in walk((node,))
    )


def value_of(number: Node) -> float:
    """The value of a number; raises NonFiniteError where that is too large, or none."""
    try:
        with np.errstate(all="ignore"):
            value = float(Scalar.of(formula(number), 0)())
    except ArithmeticError:  # Python's own floats raise where NumPy's become infinite
        raise NonFiniteError(NOT_REAL) from None
    if not np.isfinite(value):
        raise NonFiniteError(NOT_REAL)
    return value


def finite_power(base: float, power: float) -> None:
    """Refuse a power of numbers before it is worked out exactly, digit by digit."""
    try:
        result: Any = base**power
    except ArithmeticError:
        result = None
    if not isinstance(result, float) or abs(result) == float("inf"):
        raise NonFiniteError(NOT_REAL)
