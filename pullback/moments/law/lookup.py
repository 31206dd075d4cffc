"""The law of an embedding: rows of a table, each unit of variance σ²; one row for one index.

E x x′ at two tokens is σ² where they are the same, else 0. The gradient of a row is
E ‖∂E_v‖² = (N/V) E‖δ‖² + (N(N − 1)/V²) ρ E‖δ‖² for N tokens of V kinds, ρ the correlation of δ.
"""

from __future__ import annotations

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Input, Named
from pullback.ir.forms import Lookup
from pullback.moments.law.given import DataGroups, units_of
from pullback.moments.law.units import Placed, Units


def lookup(
    equation: Named,
    form: Lookup,
    index: Array,
    weight: tuple[float, float],
    batch: Axis | None,
    s: DataGroups,
) -> Units:
    """The law of the rows that ``index`` (batch, …) picks."""
    mean, variance = weight
    kept = tuple(axis for axis in form.index.axes if axis != batch)
    if form.index.axes[:1] != (batch,) or not {*kept} <= {*equation.axes}:
        raise NotApplicableError(f"{equation.name} looks up in an order of its own")
    places = index.shape[1:]
    kept = tuple(
        Axis(a.name, n) if a.size is None else a for a, n in zip(kept, places, strict=True)
    )
    shape = (len(s.members), *places)
    first, second = np.full(shape, mean), np.full(shape, variance + mean**2)
    pairs = None
    if s.pairs:
        flat = index.reshape(len(index), -1)
        same = [np.mean(flat[m][:, :, None] == flat[m][:, None, :], axis=0) for m in s.members]
        relations = [np.stack(same)]
        if s.across:
            shift = np.roll(flat, 1, axis=0)
            relations.append(
                np.stack([np.mean(flat[:, :, None] == shift[:, None, :], axis=0)] * len(same))
            )
        pairs = mean**2 + variance * np.stack(relations)
        pairs = pairs.reshape(len(relations), len(same), *places, *places)
    parts = {axis: (axis,) for axis in equation.axes if axis != batch}
    return Units(Placed(kept, first, second, pairs), parts, frozenset({equation}), gaussian=True)


def rows_of(
    equation: Named, form: Lookup, index: Array, table: Array, batch: Axis | None, s: DataGroups
) -> Units:
    """The law of the rows that ``index`` (batch, …) picks of a table that no draw changes."""
    axes = form.table.axes
    width = [axis for axis in axes if axis != form.axis]
    moved = np.moveaxis(table, axes.index(form.axis), 0)
    rows = Named(equation.name, Input("rows", (*form.index.axes, *width)))
    found = units_of(rows, moved[index.astype(int)], {*width}, batch, s)
    parts = {axis: found.parts[axis] for axis in equation.axes if axis != batch}
    return Units(found.law, parts, frozenset({equation}), gaussian=True)


def row_gradient(tokens: int, rows: int, square: float, correlation: float = 0.0) -> float:
    """E ‖∂L/∂E_v‖² of one row, for N tokens with E‖δ‖² = ``square``.

    >>> row_gradient(64, 5, 1.0)
    12.8
    """
    shared = tokens * (tokens - 1) / rows**2 * correlation
    return (tokens / rows + shared) * square
