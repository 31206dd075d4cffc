"""Derivations: a program's equations as mathematics that people read, and as code that runs."""

from pullback.derive.derivation import Derivation, Step
from pullback.derive.expectation.expectation import Expectation
from pullback.derive.expectation.front import expect
from pullback.derive.expectation.law import normal
from pullback.derive.formula.latex import Latex
from pullback.derive.formula.notation import Convention, Notation
from pullback.derive.formula.text import Text
from pullback.derive.front import derive
from pullback.derive.steps.equations import Equation, equations
from pullback.derive.steps.listing import EquationList, Line
from pullback.notebook import mathml

__all__ = [
    "Convention",
    "Derivation",
    "Equation",
    "EquationList",
    "Expectation",
    "Latex",
    "Line",
    "Notation",
    "Step",
    "Text",
    "derive",
    "equations",
    "expect",
    "mathml",
    "normal",
]
