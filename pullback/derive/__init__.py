"""Derivations: a program's equations as mathematics that people read."""

from pullback.derive.equations import Equation, equations
from pullback.derive.latex import Latex
from pullback.derive.listing import EquationList, Line
from pullback.derive.mathml import mathml
from pullback.derive.notation import Convention, Notation
from pullback.derive.text import Text

__all__ = [
    "Convention",
    "Equation",
    "EquationList",
    "Latex",
    "Line",
    "Notation",
    "Text",
    "equations",
    "mathml",
]
