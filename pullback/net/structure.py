"""Variables of which more is known: symmetric and diagonal matrices, and entries that are ±1.

A slope by such a matrix is by the entries that it has of its own (Matrix Cookbook, section 2.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from pullback.errors import ConfigError, DataError, unknown
from pullback.ir import Add, Axes, Constant, Contract, Node, Rename, identity, simplify
from pullback.ir.build import with_axes
from pullback.ir.language.parse import SIGN, Structure
from pullback.ir.scalar.primitives import Array

Symmetric = Literal["entries", "part"]


def structured(slope: Node, ends: Axes, structure: Structure, symmetric: Symmetric) -> Node:
    """The slope by a structured matrix, from the one by all entries, which has them at the ends.

    By a diagonal matrix it is G ⊙ I. By a symmetric one it is G + Gᵀ − G ⊙ I, which moves an entry
    and its mirror image together, or the symmetric part of G, ½ (G + Gᵀ), which is the direction of
    steepest ascent. Raises UnknownNameError for another convention.
    """
    if symmetric not in get_args(Symmetric):
        raise unknown("convention for symmetric matrices", symmetric, get_args(Symmetric))
    if not structure:
        return slope
    row, column = ends
    diagonal = Contract((slope, identity(row, column)), slope.axes)
    if structure == "diag":
        return simplify(diagonal)[0]
    mirrored = with_axes(Rename(slope, ((row, column), (column, row))), slope.axes)
    both = Add((slope, mirrored))
    if symmetric == "part":
        return simplify(Contract((both, Constant(0.5)), slope.axes))[0]
    return simplify(Add((both, Contract((diagonal, Constant(-1.0)), slope.axes))))[0]


def check_moves(name: str, structure: Structure) -> None:
    """Raise ConfigError for a derivative by a variable that is ±1: there is nothing in between."""
    if structure == SIGN:
        raise ConfigError(
            f"{name} is declared sign, every entry 1 or -1, and has no derivative by it: declare "
            f"{name} without"
        )


def check_structures(structures: Mapping[str, Structure], arrays: Mapping[str, Array]) -> None:
    """Raise DataError where a variable is not what its declaration says."""
    for name, structure in structures.items():
        array = arrays[name]
        if structure == SIGN:
            _check_signs(name, array)
            continue
        room = 8 * np.finfo(array.dtype).eps * float(np.abs(array).max(initial=0.0))
        kept = array.T if structure == "sym" else np.diag(np.diag(array))
        off = np.abs(array - kept)
        if off.max(initial=0.0) > room:
            i, j = map(int, np.unravel_index(off.argmax(), off.shape))
            said = "symmetric" if structure == "sym" else "diagonal"
            fix = f"({name} + {name}.T)/2" if structure == "sym" else f"np.diag(np.diag({name}))"
            other = f" and {name}[{j}, {i}] is {array[j, i]:.6g}" if structure == "sym" else ""
            raise DataError(
                f"{name} is declared {said}, but {name}[{i}, {j}] is {array[i, j]:.6g}{other}: "
                f"pass {fix}, or declare it without"
            )


def _check_signs(name: str, array: Array) -> None:
    """Raise DataError for the first entry that is neither 1 nor −1."""
    wrong = np.argwhere(np.abs(array) != 1)
    if len(wrong):
        place = ", ".join(map(str, wrong[0].tolist()))
        entry = f"{name}[{place}]" if place else name
        raise DataError(
            f"{name} is declared sign, every entry 1 or -1, but {entry} is "
            f"{array[tuple(wrong[0])]:.6g}: pass 2*{name} - 1 for labels 0 and 1, or declare it "
            "without"
        )
