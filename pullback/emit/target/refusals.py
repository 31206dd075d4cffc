"""What emitted code refuses: lengths that do not fit, matrices without an inverse."""

from __future__ import annotations

from pullback.emit.expression.quote import literal
from pullback.emit.of_matrix import OfMatrixStep
from pullback.emit.values import Lowered, Value

# of a module m and a matrix a: singular to working precision, and what that means
_INVERSE = "not {m}.linalg.cond({a}, 1) * {m}.finfo({a}.dtype).eps < 1", "it has no inverse"
_SIGN = "{m}.linalg.slogdet({a})[0] == 0", "its determinant is 0"


def refusal(wrong: str, says: str) -> list[str]:
    return [f"if {wrong}:", f"    raise ValueError({literal(says)})"]


def reasons(program: Lowered, value: Value) -> list[str]:
    """Why the axes of a value have the lengths that they have, where that was told."""
    names = dict.fromkeys(axis.unprimed.name for axis in value.axes)
    return [program.told[name] for name in names if name in program.told]


def other_shape(program: Lowered, key: str, value: Value) -> str:
    """What is wrong with an array of another shape, and why it has to have this one."""
    axes = ", ".join(str(axis.size or axis.name) for axis in value.axes)
    return ": ".join([f"{key} is not of shape ({axes})", *reasons(program, value)])


def other_lengths(program: Lowered) -> list[str]:
    """The lines that refuse arrays on which slices that meet are not of one length."""
    return [
        line
        for value in program.inputs.values()
        for at, axis in enumerate(value.axes)
        if (why := program.told.get(axis.unprimed.name))
        for line in refusal(f"{value.name}.shape[{at}] != {axis.size}", why)
    ]


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
