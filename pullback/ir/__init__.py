"""The intermediate representation: named axes, a few node kinds, and what they mean."""

from typing import TYPE_CHECKING

from pullback.ir.axis import Axes, Axis
from pullback.ir.graph import Graph
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
from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.ir.flow import Affine, Pointwise, flow
    from pullback.ir.language.parse import parse_scalar
    from pullback.ir.normal.simplify import as_printed, simplify
    from pullback.ir.scalar.function import OUTPUT, Scalar, symbol
    from pullback.ir.scalar.primitives import fn

# what needs SymPy
lazy(
    __name__,
    {
        "Affine": "pullback.ir.flow",
        "Pointwise": "pullback.ir.flow",
        "flow": "pullback.ir.flow",
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
    "OUTPUT",
    "Add",
    "Affine",
    "ArgMax",
    "Axes",
    "Axis",
    "Constant",
    "Contract",
    "Detach",
    "Graph",
    "Index",
    "Input",
    "Label",
    "LogSumExp",
    "Map",
    "Max",
    "Named",
    "Node",
    "OneHot",
    "Parameter",
    "Pattern",
    "Pointwise",
    "Range",
    "Rename",
    "Role",
    "Scalar",
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
    "uses",
    "walk",
]
