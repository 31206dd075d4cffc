"""What emitted code refuses: lengths that do not fit, matrices without an inverse."""

from __future__ import annotations

from pullback.emit.expression.quote import literal
from pullback.emit.of_matrix import OfMatrixStep

# of a module m and a matrix a: singular to working precision, and what that means
_INVERSE = "not {m}.linalg.cond({a}, 1) * {m}.finfo({a}.dtype).eps < 1", "it has no inverse"
_SIGN = "{m}.linalg.slogdet({a})[0] == 0", "its determinant is 0"


def refusal(wrong: str, says: str) -> list[str]:
    return [f"if {wrong}:", f"    raise ValueError({literal(says)})"]


def singular(step: OfMatrixStep, module: str, matrix: str, traced: str = "") -> list[str]:
    """The lines that name a singular matrix, where its numbers are known: not ``traced``."""
    if step.kind == "determinant":
        return []
    test, means = _INVERSE if step.kind == "inverse" else _SIGN
    known = f"not {traced} and " if traced else ""
    wrong = known + test.format(m=module, a=matrix)
    return refusal(wrong, f"{step.called} is singular: {means}")


def singular_by_sign(step: OfMatrixStep, module: str, matrix: str) -> list[str]:
    """The same where the condition of a matrix is an error if its elimination ends."""
    test, means = _SIGN
    sign = refusal(test.format(m=module, a=matrix), f"{step.called} is singular: {means}")
    inverse = step.kind == "inverse"
    return [*sign, *singular(step, module, matrix)] if inverse else singular(step, module, matrix)
