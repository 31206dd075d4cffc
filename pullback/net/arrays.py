"""The arrays that a person gives for named variables: what is wrong is named before work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.errors import (
    DataError,
    DTypeError,
    UnknownNameError,
    nearest,
    unknown,
)
from pullback.ir import Axis, Input
from pullback.ir.axis import bind
from pullback.ir.pick import Meeting
from pullback.ir.scalar.primitives import Array


def checked_arrays(
    leaves: Sequence[Input], values: Mapping[str, Any], meetings: Sequence[Meeting] = ()
) -> tuple[dict[str, Array], Any]:
    """A float array for each leaf, and the dtype of the result: float32 if all arrays are.

    Raises UnknownNameError for names too many or too few, DTypeError for what are not real
    numbers, ShapeError for shapes that do not fit the axes, DataError if empty or not finite.

    >>> x = Input("x", (Axis("n"),))
    >>> checked_arrays([x], {"x": [1, 2]})
    ({'x': array([1., 2.])}, dtype('float64'))
    """
    names = [leaf.name for leaf in leaves]
    for name in values:
        if name not in names:
            raise unknown("variable", name, names)
    arrays: dict[str, Array] = {}
    sizes: dict[Axis, int] = {}
    for leaf in leaves:
        if leaf.name not in values:
            missing = nearest(leaf.name, values) if values else f"expected {', '.join(names)}"
            raise UnknownNameError(f"no value is given for {leaf.name!r}: {missing}")
        array = arrays[leaf.name] = _floats(leaf.name, values[leaf.name])
        for meeting in meetings:
            meeting.check(f"{leaf.name} has shape {array.shape}", leaf.axes, array.shape)
        bind(leaf.name, array.shape, leaf.axes, sizes)
        _refuse_useless(leaf.name, array)
    # a bare Python number joins in any precision, as it does in NumPy
    typed = [arrays[name] for name in names if type(values[name]) not in (int, float)]
    return arrays, np.result_type(*typed) if typed else np.dtype(np.float64)


def _floats(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as fault:
        raise DTypeError(f"{name} is not an array of numbers: {fault}") from None
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype.type not in (np.float32, np.float64):
        raise DTypeError(f"{name} has dtype {array.dtype}; expected float32 or float64")
    return array


def _refuse_useless(name: str, array: Array) -> None:
    if array.size == 0:
        raise DataError(f"{name} is empty: its shape is {array.shape}")
    if not np.isfinite(array).all():
        at = np.argwhere(~np.isfinite(array))[0].tolist()
        raise DataError(f"{name} holds {array[tuple(at)]}, first at {at}; expected finite numbers")
