"""Derivations: a program's equations as mathematics that people read, and as code that runs."""

from typing import TYPE_CHECKING

from pullback.lazy import lazy

if TYPE_CHECKING:
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

lazy(
    __name__,
    {
        "Convention": "pullback.derive.formula.notation",
        "Derivation": "pullback.derive.derivation",
        "Equation": "pullback.derive.steps.equations",
        "EquationList": "pullback.derive.steps.listing",
        "Expectation": "pullback.derive.expectation.expectation",
        "Latex": "pullback.derive.formula.latex",
        "Line": "pullback.derive.steps.listing",
        "Notation": "pullback.derive.formula.notation",
        "Step": "pullback.derive.derivation",
        "Text": "pullback.derive.formula.text",
        "derive": "pullback.derive.front",
        "equations": "pullback.derive.steps.equations",
        "expect": "pullback.derive.expectation.front",
        "mathml": "pullback.notebook",
        "normal": "pullback.derive.expectation.law",
    },
)

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
