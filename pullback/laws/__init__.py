"""Checkers that we ship: is it the gradient, is it the transpose, does the bracket not matter?

Each compares a rule with something that shares no code with it, and rejects one that is wrong by
0.1 %, in one entry of a small array or in all of them.
"""

from pullback.laws.adjoint import AdjointCheck, adjoint_check
from pullback.laws.bracket import BracketCheck, bracket_check
from pullback.laws.gradient import GradientCheck, gradient_check
from pullback.laws.record import Check, Mismatch

__all__ = [
    "AdjointCheck",
    "BracketCheck",
    "Check",
    "GradientCheck",
    "Mismatch",
    "adjoint_check",
    "bracket_check",
    "gradient_check",
]
