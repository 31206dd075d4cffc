"""The step of a program that takes a matrix as a whole: its inverse, its determinant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pullback.emit.values import ProgramStep, Value


@dataclass(frozen=True)
class OfMatrixStep(ProgramStep):
    """The inverse of a matrix, its determinant or the logarithm of that; ``called`` names it.

    Rows and columns of an inverse are those of ``arg``, which may come transposed.
    """

    arg: Value
    kind: Literal["inverse", "determinant", "logdet"]
    called: str

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)
