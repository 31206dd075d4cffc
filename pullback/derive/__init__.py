"""Derivations: a program's equations as mathematics that people read, and as code that runs."""

from pullback.derive.derivation import Derivation, Step
from pullback.derive.equations import Equation, equations
from pullback.derive.front import derive
from pullback.derive.latex import Latex
from pullback.derive.listing import EquationList, Line
from pullback.derive.notation import Convention, Notation
from pullback.derive.text import Text
from pullback.notebook import mathml

__all__ = [
    "Convention",
    "Derivation",
    "Equation",
    "EquationList",
    "Latex",
    "Line",
    "Notation",
    "Step",
    "Text",
    "derive",
    "equations",
    "mathml",
]
