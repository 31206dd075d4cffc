"""The intermediate representation: named axes, a few node kinds, and what they mean."""

from typing import TYPE_CHECKING

from pullback.ir.axis import Axes, Axis
from pullback.ir.node import (
    Add,
    Constant,
    Contract,
    Delta,
    Input,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    Parameter,
    Rename,
    Role,
    Selection,
    inside,
    uses,
    walk,
)
from pullback.lazy import lazy

if TYPE_CHECKING:
    from pullback.ir.parse import parse_scalar
    from pullback.ir.primitives import fn
    from pullback.ir.scalar import OUTPUT, Scalar, symbol
    from pullback.ir.simplify import as_printed, simplify

# what needs SymPy
lazy(
    __name__,
    {
        "OUTPUT": "pullback.ir.scalar",
        "Scalar": "pullback.ir.scalar",
        "symbol": "pullback.ir.scalar",
        "fn": "pullback.ir.primitives",
        "parse_scalar": "pullback.ir.parse",
        "simplify": "pullback.ir.simplify",
        "as_printed": "pullback.ir.simplify",
    },
)

__all__ = [
    "OUTPUT",
    "Add",
    "Axes",
    "Axis",
    "Constant",
    "Contract",
    "Delta",
    "Input",
    "LogSumExp",
    "Map",
    "Max",
    "Named",
    "Node",
    "Parameter",
    "Rename",
    "Role",
    "Scalar",
    "Selection",
    "as_printed",
    "fn",
    "inside",
    "parse_scalar",
    "simplify",
    "symbol",
    "uses",
    "walk",
]
