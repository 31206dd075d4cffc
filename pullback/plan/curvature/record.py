"""``Curvature``: what ``pb.curvature`` answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ShapeError, UnknownNameError, from_zero, nearest, whole
from pullback.net.vector import ravel
from pullback.notebook import headline, paragraph
from pullback.plan.curvature.maps import StructuredMap
from pullback.plan.jacobian.operators import Array


@dataclass(frozen=True, eq=False, repr=False)
class Curvature:
    """The curvature of a loss in the trained parameters, positive semidefinite, in a structure.

    It is (size, size), parameters in the order of ``pb.ravel``; ``assumes`` says what was left out.
    A vector is an array (size), columns (size, k), or a dict of arrays by name, and so is what
    comes of it.
    """

    structure: str
    names: tuple[str, ...]
    assumes: str
    map: StructuredMap
    example: Mapping[str, Array]  # the parameters that it is of

    @property
    def shape(self) -> tuple[int, int]:
        """(size, size)."""
        return self.map.size, self.map.size

    def __matmul__(self, V: Any) -> Any:
        return self._like(V, self.map.times(self._columns(V, "G @ V: V")))

    def solve(self, r: Any, damping: float = 0.0) -> Any:
        """(G + λ I)⁻¹ r; raises SingularError where that is none, and ShapeError."""
        columns, amount = self._columns(r, "solve: r"), self._damping(damping)
        found = self.map.colour(self.map.whiten(columns, amount), amount)
        return self._like(r, found)

    def logdet(self, damping: float = 0.0) -> float:
        """log det (G + λ I); −∞ where it is singular."""
        amount = from_zero("damping", damping)
        least, _ = self.map.extremes
        return self.map.logdet(amount) if least + amount > 0 else float("-inf")

    def sample(self, count: int = 1, damping: float = 0.0, *, seed: int = 0) -> Array:
        """Draws (count, size) of N(0, (G + λ I)⁻¹)."""
        noise = np.random.default_rng(seed).normal(size=(self.map.size, whole("count", count)))
        return self.map.colour(noise, self._damping(damping)).T

    def covariance(self, rows: Any, damping: float = 0.0) -> Array:
        """J (G + λ I)⁻¹ Jᵀ for rows J (…, m, size): (…, m, m)."""
        J = np.asarray(rows)
        if J.ndim < 2 or J.shape[-1] != self.map.size:
            raise ShapeError(f"rows have shape {J.shape}; expected (…, m, {self.map.size})")
        columns = J.reshape(-1, self.map.size).T
        half = self.map.whiten(columns, self._damping(damping)).T.reshape(J.shape)
        return np.asarray(half @ np.swapaxes(half, -1, -2))

    def diagonal(self) -> Array:
        """The diagonal of G."""
        return self.map.diagonal()

    def dense(self) -> Array:
        """The matrix G."""
        return self.map.times(np.eye(self.map.size))

    def text(self) -> str:
        """What it is, and what was left out."""
        size = self.map.size
        return f"{self!r} of {', '.join(self.names)}.\n{size:,} × {size:,}: {self.assumes}."

    def _repr_html_(self) -> str:
        first, second = self.text().split("\n")
        return headline(first) + paragraph(second)

    def __repr__(self) -> str:
        return f"Curvature({self.structure!r}, {self.map.size:,} parameters)"

    def _damping(self, damping: Any) -> float:
        amount = from_zero("damping", damping)
        self.map.check(amount)
        return amount

    def _columns(self, V: Any, what: str) -> Array:
        if isinstance(V, Mapping):
            for name in self.names:
                if name not in V:
                    raise UnknownNameError(f"{what} lacks {name!r}: {nearest(name, V)}")
            V = ravel({name: V[name] for name in self.names})[0]
        array = np.asarray(V)
        if array.ndim not in (1, 2) or len(array) != self.map.size:
            size = self.map.size
            raise ShapeError(f"{what} has shape {array.shape}; expected ({size}) or ({size}, k)")
        return array.reshape(self.map.size, -1)

    def _like(self, V: Any, found: Array) -> Any:
        if isinstance(V, Mapping):
            return ravel({name: self.example[name] for name in self.names})[1](found[:, 0])
        return found[:, 0] if np.ndim(V) == 1 else found
