"""All weights as one object, a vector, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.errors import DataError, ShapeError

Array = np.ndarray[Any, np.dtype[Any]]
Unravel = Callable[[Any], dict[str, Array]]


def ravel(params: Mapping[str, Any]) -> tuple[Array, Unravel]:
    """The parameters as one vector (all,), and the function that gives them back.

    ``unravel(vector)`` returns views into the vector. Raises ShapeError for another length.

    >>> vector, unravel = ravel({"w": np.ones((2, 3)), "b": np.zeros(2)})
    >>> vector.shape
    (8,)
    >>> unravel(2 * vector)["w"].sum()
    np.float64(12.0)
    """
    if not params:
        raise DataError("there are no parameters to ravel")
    arrays = {name: np.asarray(value) for name, value in params.items()}
    vector = np.concatenate([array.ravel() for array in arrays.values()])
    shapes = {name: array.shape for name, array in arrays.items()}

    def unravel(flat: Any) -> dict[str, Array]:
        flat = np.asarray(flat)
        if flat.shape != vector.shape:
            raise ShapeError(f"the vector has shape {flat.shape}; expected (all={vector.size})")
        parts: dict[str, Array] = {}
        start = 0
        for name, shape in shapes.items():
            end = start + int(np.prod(shape))
            parts[name] = flat[start:end].reshape(shape)
            start = end
        return parts

    return vector, unravel
