"""``StateSpace``: h_t = A h_(t−1) + B x_t, y_t = C h_t + D x_t, a loss at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.closed.power.recurrence import square
from pullback.closed.record import Array, as_floats
from pullback.errors import NonFiniteError, ShapeError, whole

Gradient = dict[str, Array]


@dataclass(frozen=True, eq=False, repr=False)
class StateSpace:
    """A linear recurrence that reads x_t and writes y_t at each of ``steps`` steps, from h_0 = 0.

    ``A`` is (units, units), or (units,) where it is diagonal, ``B`` (units, inputs), ``C``
    (outputs, units), ``D`` (outputs, inputs) or None.
    Raises ShapeError for what does not fit, DTypeError or DataError for what are no finite numbers,
    ConfigError for steps below 1.

    >>> mean = StateSpace([0.9], [[0.1]], [[1.0]], steps=3)
    >>> mean.run([[1.0], [1.0], [1.0]]).ravel()
    array([0.1  , 0.19 , 0.271])
    """

    A: Any
    B: Any
    C: Any
    steps: int
    D: Any = None

    def __post_init__(self) -> None:
        A = square("A", self.A)
        n = len(A)
        B, C = as_floats("B", self.B), as_floats("C", self.C)
        for name, value, at, said in (
            ("B", B, 0, "(units, inputs)"),
            ("C", C, 1, "(outputs, units)"),
        ):
            if value.ndim != 2 or value.shape[at] != n:
                raise ShapeError(f"{name} has shape {value.shape}; expected {said} with {n} units")
        D = np.zeros((len(C), B.shape[1])) if self.D is None else as_floats("D", self.D)
        if D.shape != (len(C), B.shape[1]):
            raise ShapeError(
                f"D has shape {D.shape}; expected ({len(C)}, {B.shape[1]}): (outputs, inputs)"
            )
        held = {"A": A, "B": B, "C": C, "D": D, "steps": whole("steps", self.steps)}
        for name, each in held.items():
            object.__setattr__(self, name, each)

    @property
    def diagonal(self) -> bool:
        """Was A given as its diagonal?"""
        return bool(self.A.ndim == 1)

    @property
    def units(self) -> int:
        """How many units a state has."""
        return len(self.A)

    def run(self, x: Any) -> Array:
        """y (steps, outputs) for x (steps, inputs), step by step."""
        given = self.checked("x", x, self.B.shape[1])
        h, out = np.zeros(self.units), []
        for row in given:
            h = self._turned(h) + self.B @ row
            out.append(self.C @ h + self.D @ row)
        return np.stack(out)

    def delta(self, g: Any) -> Array:
        """δ of the states h_1 … (steps, units) by the recursion, for g = ∂L/∂y (steps, outputs)."""
        given = self.checked("g", g, len(self.C))
        found, after = np.empty((self.steps, self.units)), np.zeros(self.units)
        for at in range(self.steps - 1, -1, -1):
            after = self.back(after) + given[at] @ self.C
            found[at] = after
        return found

    def back(self, delta: Array) -> Array:
        """δ (…, units) of a state for δ of the next one."""
        found: Array = delta * self.A if self.diagonal else delta @ self.A
        return found

    def powers(self, count: int) -> Array:
        """A^j for j = 0 … (count, units, units)."""
        return _powers(self.A, np.eye(self.units), count)

    def _turned(self, h: Array) -> Array:
        found: Array = self.A * h if self.diagonal else self.A @ h
        return found

    def checked(self, name: str, value: Any, width: int) -> Array:
        """An array (steps, width) of finite numbers; raises ShapeError, DTypeError, DataError."""
        array = as_floats(name, value)
        if array.shape != (self.steps, width):
            raise ShapeError(f"{name} has shape {array.shape}; expected ({self.steps}, {width})")
        return array

    @cached_property
    def kernel(self) -> Array:
        """K (steps, outputs, inputs): y_t = Σ_j K_j x_(t−j), with K_j = C A^j B, and D in K_0.

        Raises NonFiniteError where the powers of A leave float64.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.C @ _powers(self.A, self.B, self.steps)
        found[0] += self.D
        return _finite(found, "the kernel C A^j B")

    def gradient(self, g: Any, x: Any) -> Gradient:
        """∂L/∂ of A, B, C, D and x, for g = ∂L/∂y (steps, outputs) and x (steps, inputs).

        The states and their δ come by doubling, in log₂(steps) products of matrices. A diagonal
        A has the gradient of its diagonal.
        """
        dy, given = self.checked("g", g, len(self.C)), self.checked("x", x, self.B.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            h = _running(given @ self.B.T, self.A, forward=True)
            delta = _running(dy @ self.C, self.A, forward=False)
        _finite(h, "a state"), _finite(delta, "δ")
        before = np.concatenate([np.zeros((1, self.units)), h[:-1]])
        of_A = np.sum(delta * before, axis=0) if self.diagonal else delta.T @ before
        return {
            "A": of_A, "B": delta.T @ given, "C": dy.T @ h, "D": dy.T @ given,
            "x": delta @ self.B + dy @ self.D,
        }  # fmt: skip

    def __repr__(self) -> str:
        how = "diagonal, " if self.diagonal else ""
        return (
            f"StateSpace({how}units={self.units}, inputs={self.B.shape[1]}, "
            f"outputs={len(self.C)}, steps={self.steps})"
        )


def _powers(A: Array, B: Array, count: int) -> Array:
    """A^j B for j = 0 … (count, units, inputs)."""
    if A.ndim == 1:
        return np.power(A, np.arange(count)[:, None])[:, :, None] * B
    found, power = B[None], A
    while len(found) < count:
        found = np.concatenate([found, power @ found])
        power = power @ power
    return found[:count]


def _running(rows: Array, A: Array, forward: bool) -> Array:
    """h_t = A h_(t−1) + rows_t for all t at once, or δ_t = Aᵀ δ_(t+1) + rows_t.

    After k rounds each row holds its last 2^k terms (Hillis and Steele 1986).
    """
    step: Callable[[Array, Array], Array] = np.multiply if A.ndim == 1 else np.matmul
    power, reach = (A.T if forward and A.ndim == 2 else A), 1
    found = rows
    while reach < len(rows):
        more = np.zeros_like(found)
        if forward:
            more[reach:] = step(found[:-reach], power)
        else:
            more[:-reach] = step(found[reach:], power)
        found, power, reach = found + more, step(power, power), 2 * reach
    return found


def _finite(found: Array, what: str) -> Array:
    if not np.isfinite(found).all():
        raise NonFiniteError(
            f"{what} leaves float64, which ends at 10^308: A grows with every step"
        )
    return found
