"""Is it the transpose? ⟨u, J v⟩ = ⟨Jᵀ u, v⟩ at random vectors and at unit vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.errors import ShapeError
from pullback.laws.record import (
    SMALLEST,
    Array,
    Check,
    Mismatch,
    Shape,
    compare,
    places,
    summary,
)

Shapes = Shape | Mapping[str, Shape]


class AdjointCheck(Check):
    """What ``adjoint_check`` found, for random pairs and for single entries."""

    title = "Adjoint check"


def adjoint_check(
    forward: Callable[[Any], Any],
    transpose: Callable[[Any], Any],
    into: Shapes,
    out: Shapes,
    *,
    pairs: int = 3,
    entries: int = 64,
    tolerance: float = 1e-10,
    seed: int = 0,
) -> AdjointCheck:
    """Is ``transpose`` the transpose of the linear map ``forward``: ⟨u, J v⟩ = ⟨Jᵀ u, v⟩?

    ``into`` and ``out`` are the shapes of v and u: one shape, or a dict of shapes by name if the
    maps take or give dicts of arrays. Random pairs are compared, and up to ``entries`` entries of
    the matrix, row by row from the transpose and column by column from ``forward``.
    Raises ShapeError where a map gives an array of another shape.

    >>> A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> adjoint_check(lambda v: A @ v, lambda u: A.T @ u, into=(3,), out=(2,)).ok
    True
    >>> adjoint_check(lambda v: A @ v, lambda u: 1.001 * A.T @ u, into=(3,), out=(2,)).ok
    False
    """
    v_space, u_space = _Space("into", into), _Space("out", out)
    rng = np.random.default_rng(seed)

    def push(v: Array) -> Array:
        return u_space.vector(forward(v_space.value(v)))

    def pull(u: Array) -> Array:
        return v_space.vector(transpose(u_space.value(u)))

    compared: dict[str, list[Mismatch]] = {"random pairs": []}
    for number in range(1, pairs + 1):
        v, u = rng.standard_normal(v_space.size), rng.standard_normal(u_space.size)
        pushed, pulled = push(v), pull(u)
        scale = float(np.linalg.norm(u) * np.linalg.norm(pushed)) / math.sqrt(max(u.size, 1))
        where = f"random pair {number}"
        compared["random pairs"].append(
            compare(where, float(pulled @ v), float(u @ pushed), scale=scale)
        )
    rows = places((u_space.size,), math.isqrt(entries), rng)
    columns = places((v_space.size,), math.isqrt(entries), rng)
    if len(rows) * len(columns):
        across = np.array([pull(u_space.unit(i)) for (i,) in rows])[:, [j for (j,) in columns]]
        down = np.array([push(v_space.unit(j)) for (j,) in columns]).T[[i for (i,) in rows]]
        scale = SMALLEST * float(np.max(np.abs(down)))
        compared["entries"] = [
            compare(
                f"out {u_space.name(i)}, into {v_space.name(j)}",
                float(across[a, b]),
                float(down[a, b]),
                scale=scale,
            )
            for a, (i,) in enumerate(rows)
            for b, (j,) in enumerate(columns)
        ]
    return AdjointCheck("⟨u, J v⟩ = ⟨Jᵀ u, v⟩", tolerance, *summary(compared))


class _Space:
    """One array, or several by name, as one vector."""

    def __init__(self, role: str, shapes: Shapes) -> None:
        self.role = role
        self.alone = not isinstance(shapes, Mapping)
        self.shapes = dict(shapes) if isinstance(shapes, Mapping) else {role: tuple(shapes)}
        self.size = sum(math.prod(shape) for shape in self.shapes.values())

    def value(self, vector: Array) -> Any:
        parts: dict[str, Array] = {}
        start = 0
        for name, shape in self.shapes.items():
            end = start + math.prod(shape)
            parts[name] = vector[start:end].reshape(shape)
            start = end
        return parts[self.role] if self.alone else parts

    def vector(self, value: Any) -> Array:
        parts = {self.role: value} if self.alone else value
        flat: list[Array] = []
        for name, shape in self.shapes.items():
            part = np.asarray(parts[name], np.float64)
            if part.shape != shape:
                raise ShapeError(f"{name} has shape {part.shape}; expected {shape}")
            flat.append(part.ravel())
        return np.concatenate(flat)

    def unit(self, index: int) -> Array:
        vector = np.zeros(self.size)
        vector[index] = 1.0
        return vector

    def name(self, index: int) -> str:
        """The place of one entry of the vector, such as ``w[1, 2]``."""
        for name, shape in self.shapes.items():
            if index < math.prod(shape):
                place = ", ".join(str(i) for i in np.unravel_index(index, shape))
                return f"[{place}]" if self.alone else f"{name}[{place}]"
            index -= math.prod(shape)
        raise IndexError(index)
