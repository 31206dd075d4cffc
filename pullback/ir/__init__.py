"""The intermediate representation: named axes, a few node kinds, and what they mean."""

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
    uses,
    walk,
)
from pullback.ir.scalar import OUTPUT, Scalar, symbol
from pullback.ir.simplify import simplify

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
    "simplify",
    "symbol",
    "uses",
    "walk",
]
