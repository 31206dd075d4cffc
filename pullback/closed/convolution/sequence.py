"""A linear recurrence with a loss at every step: one causal convolution, by Fourier's transform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, log2
from typing import Any

import numpy as np

from pullback.closed.convolution.state_space import Gradient, StateSpace
from pullback.closed.record import Array, ClosedForm, Cost


@dataclass(frozen=True, eq=False, repr=False)
class SequenceForm(ClosedForm):
    """y = K ∗ x with K_j = C A^j B; ∂L/∂x is the correlation of K with ∂L/∂y.

    Layers are the states h_0 … h_steps; ``delta_out`` is ∂L/∂y (steps · outputs), flattened.
    """

    of: StateSpace

    @property
    def exists(self) -> bool:
        return True

    @property
    def method(self) -> str:
        return "convolution"

    @property
    def form(self) -> str:
        power = "diag(a)^j" if self.of.diagonal else "A^j"
        return f"y = K ∗ x with K_j = C {power} B, and ∂L/∂x = K ⋆ ∂L/∂y, by Fourier's transform"

    def latex(self) -> str:
        return (
            r"\delta_t = \sum_{s \ge t} (A^{\top})^{s-t} C^{\top} g_s, \quad "
            r"\frac{\partial L}{\partial x_t} = \sum_{s \ge t} (C A^{s-t} B)^{\top} g_s"
        )

    @property
    def reason(self) -> str:
        return (
            "Nothing bends and every step has the same A, B and C, so what x_t does to y_s depends "
            "on s − t alone: K_(s−t) = C A^(s−t) B. A sum over t of that is a convolution, and "
            "backwards a correlation; both are products in frequency."
        )

    @property
    def last(self) -> int:
        return self.of.steps

    @property
    def outputs(self) -> int:
        return int(self.of.steps * len(self.of.C))

    @cached_property
    def condition(self) -> float:
        """∏‖A‖ / ‖A^steps‖ in the 2-norm: how much the steps cancel."""
        A = np.diag(self.of.A) if self.of.diagonal else self.of.A
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            whole = np.linalg.norm(np.linalg.matrix_power(A, self.of.steps), 2)
            each = np.linalg.norm(A, 2) ** self.of.steps
        return float(each / whole) if whole else (1.0 if not each else float("inf"))

    @cached_property
    def error(self) -> float:
        g = np.random.default_rng(0).standard_normal((self.of.steps, len(self.of.C)))
        expected = self.of.delta(g) @ self.of.B + g @ self.of.D
        apart = float(np.linalg.norm(self.inputs(g) - expected))
        return apart / (float(np.linalg.norm(expected)) or 1.0)

    @property
    def cost(self) -> Cost:
        ss = self.of
        n, p, q, length = ss.units, ss.B.shape[1], len(ss.C), 2 ** ceil(log2(2 * ss.steps))
        closed = round(2 * (p + q) * length * log2(length)) + 4 * p * q * length
        step = (n if ss.diagonal else n * n) + n * (p + q)
        return Cost(closed, ss.steps * step, ss.steps * n * p * (1 if ss.diagonal else n))

    def outcome(self, x: Any) -> Array:
        """y (steps, outputs) for x (steps, inputs), as a convolution."""
        given = self.of.checked("x", x, self.of.B.shape[1])
        waves = np.einsum("koi,ki->ko", self._waves, np.fft.rfft(given, self._length, axis=0))
        return np.fft.irfft(waves, self._length, axis=0)[: self.of.steps]

    def inputs(self, g: Any) -> Array:
        """∂L/∂x (steps, inputs) for g = ∂L/∂y (steps, outputs), as a correlation."""
        given = self.of.checked("g", g, len(self.of.C))
        waves = np.einsum(
            "koi,ko->ki", self._waves.conj(), np.fft.rfft(given, self._length, axis=0)
        )
        return np.fft.irfft(waves, self._length, axis=0)[: self.of.steps]

    def gradient(self, g: Any, x: Any) -> Gradient:
        """∂L/∂ of A, B, C, D and x; see ``StateSpace.gradient``."""
        return self.of.gradient(g, x)

    @property
    def _length(self) -> int:
        return 2 * self.of.steps  # beyond the end nothing wraps round

    @cached_property
    def _waves(self) -> Array:
        found: Array = np.fft.rfft(self.of.kernel, self._length, axis=0)
        return found

    def _delta(self, delta: Array, layer: int) -> Array:
        """Σ over the steps behind of (Aᵀ)^(s−t) Cᵀ g_s."""
        rows = delta.reshape(len(delta), self.of.steps, -1)[:, max(layer - 1, 0) :]
        weights = self.of.C @ self.of.powers(rows.shape[1])
        found = np.einsum("sou,rso->ru", weights, rows)
        return self.of.back(found) if layer == 0 else found
