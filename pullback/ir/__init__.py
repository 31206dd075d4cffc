"""The intermediate representation: named axes, a few node kinds, and what they mean."""

from typing import TYPE_CHECKING

from pullback.ir.axis import Axes, Axis
from pullback.ir.graph import Graph
from pullback.ir.inverse import Determinant, Inverse, LogDet
from pullback.ir.kinds import (
    Add,
    Constant,
    Contract,
    Input,
    Map,
    Named,
    Parameter,
    Rename,
    inside,
)
from pullback.ir.label import Label, Role
from pullback.ir.lookup import Detach, OneHot
from pullback.ir.node import Node, uses, walk
from pullback.ir.pattern import Index, Pattern, Range, Slice, identity, rows
from pullback.ir.reduction import ArgMax, LogSumExp, Max
from pullback.ir.scan import Scan
from pullback.ir.stack import Stack
from pullback.lazy import lazy

if TYPE_CHECKING:
    from sympy import Eq, pi

    from pullback.ir.flow import flow
    from pullback.ir.forms import Affine, Pointwise
    from pullback.ir.language.parse import parse_function, parse_scalar
    from pullback.ir.normal.regions import number
    from pullback.ir.normal.simplify import as_printed, simplify
    from pullback.ir.scalar.cases import Piecewise, clipped, unguarded
    from pullback.ir.scalar.function import OUTPUT, Scalar, symbol
    from pullback.ir.scalar.primitives import fn

# what needs SymPy
lazy(
    __name__,
    {
        "Affine": "pullback.ir.forms",
        "Pointwise": "pullback.ir.forms",
        "flow": "pullback.ir.flow",
        "Eq": "sympy",
        "pi": "sympy",
        "Piecewise": "pullback.ir.scalar.cases",
        "clipped": "pullback.ir.scalar.cases",
        "unguarded": "pullback.ir.scalar.cases",
        "number": "pullback.ir.normal.regions",
        "parse_function": "pullback.ir.language.parse",
        "OUTPUT": "pullback.ir.scalar.function",
        "Scalar": "pullback.ir.scalar.function",
        "symbol": "pullback.ir.scalar.function",
        "fn": "pullback.ir.scalar.primitives",
        "parse_scalar": "pullback.ir.language.parse",
        "simplify": "pullback.ir.normal.simplify",
        "as_printed": "pullback.ir.normal.simplify",
    },
)

__all__ = [
    "pi",
    "parse_function",
    "number",
    "clipped",
    "Piecewise",
    "Eq",
    "OUTPUT",
    "Add",
    "Affine",
    "ArgMax",
    "Axes",
    "Axis",
    "Constant",
    "Contract",
    "Detach",
    "Determinant",
    "Graph",
    "Index",
    "Input",
    "Label",
    "Inverse",
    "LogDet",
    "LogSumExp",
    "Map",
    "Max",
    "Named",
    "Node",
    "OneHot",
    "Parameter",
    "Pattern",
    "Stack",
    "Pointwise",
    "Range",
    "Rename",
    "Role",
    "Scalar",
    "Scan",
    "Slice",
    "as_printed",
    "flow",
    "fn",
    "identity",
    "inside",
    "parse_scalar",
    "rows",
    "simplify",
    "symbol",
    "unguarded",
    "uses",
    "walk",
]
