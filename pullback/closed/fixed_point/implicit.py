"""δ at a fixed point: one linear system instead of a recursion without end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.closed.fixed_point.point import DENSE, FixedPoint
from pullback.closed.power.recurrence import one_delta
from pullback.closed.record import Array, ClosedForm, Cost, as_floats
from pullback.errors import NonFiniteError, NotApplicableError, whole
from pullback.notebook import paragraph

_MOST = 200_000  # terms of a Neumann series that an error is measured with
_RTOL = 1e-12


@dataclass(frozen=True, eq=False)
class Neumann:
    """The first ``terms`` terms of Σ (Jᵀ)^k g, and a bound on what is missing (2-norm)."""

    value: Array
    terms: int
    bound: float
    rho: float
    because: str

    def text(self) -> str:
        """One line."""
        return f"{self.terms} terms, ‖rest‖ ≤ {self.bound:.3g} ({self.because})"

    __str__ = text

    def _repr_html_(self) -> str:
        return paragraph(self.text())

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**vars(self), "value": self.value.tolist()}


@dataclass(frozen=True, eq=False, repr=False)
class ImplicitForm(ClosedForm):
    """δ = (I − Jᵀ)⁻¹ g at z* = F(z*, θ), J = ∂F/∂z; the implicit function theorem.

    Raises NotApplicableError where the spectral radius of J is 1 or more.
    """

    of: FixedPoint

    def __post_init__(self) -> None:
        if self.radius >= 1:
            raise NotApplicableError(
                f"the spectral radius of J at z* is {self.radius:.4g}; below 1 is expected: "
                "the recursion does not settle, so there is no δ that it tends to"
            )

    @property
    def exists(self) -> bool:
        return True

    @property
    def dense(self) -> bool:
        """Is J written out?"""
        return self.of.units <= DENSE

    @property
    def method(self) -> str:
        return "implicit"

    @property
    def form(self) -> str:
        how = "a linear solve" if self.dense else "GMRES"
        return f"δ = (I − Jᵀ)⁻¹ g at z* = F(z*), by {how}"

    def latex(self) -> str:
        return (
            r"\delta = \left(I - J^{\top}\right)^{-1} g = \sum_{k=0}^{\infty} "
            r"\left(J^{\top}\right)^{k} g,\quad J = \left.\frac{\partial F}{\partial z}"
            r"\right|_{z^{*}},\quad \frac{\partial L}{\partial \theta} = "
            r"\left(\frac{\partial F}{\partial \theta}\right)^{\top} \delta"
        )

    @property
    def reason(self) -> str:
        contracts = (
            f"F contracts: ‖J‖ = {self.rho:.4g}."
            if self.rho < 1
            else f"‖J‖ = {self.rho:.4g} is not below 1, so single steps may still grow."
        )
        return (
            "z* solves z* = F(z*, θ), so δ solves δ = Jᵀ δ + g: the end of infinitely many steps "
            f"is one linear system. The spectral radius of J is {self.radius:.4g} < 1, so the "
            f"steps get there. {contracts}"
            + (" The condition number is the bound (1 + ‖J‖)/(1 − ‖J‖)." if self._bounded else "")
        )

    @cached_property
    def jacobian(self) -> Array:
        """∂F/∂z at z* (units, units)."""
        return self.of.jacobian(self.of.value)

    def _operator(self, of: Any) -> Any:
        from scipy.sparse.linalg import LinearOperator

        n = self.of.units
        return LinearOperator((n, n), of, dtype=np.float64)

    def _pull(self, v: Array) -> Array:
        found: Array = self.of.pull(v.reshape(1, -1), self.of.value)[0]
        return found

    def _push(self, v: Array) -> Array:
        return self.of.push(v.reshape(-1), self.of.value)

    @cached_property
    def radius(self) -> float:
        """The spectral radius of J at z*."""
        if self.dense:
            return float(np.max(np.abs(np.linalg.eigvals(self.jacobian))))
        from scipy.sparse.linalg import ArpackNoConvergence, eigs

        start = np.random.default_rng(0).standard_normal(self.of.units)
        try:
            found = eigs(self._operator(self._push), k=1, v0=start, return_eigenvectors=False)
        except ArpackNoConvergence:
            return min(self.rho, 1.0)  # a norm bounds the radius
        return float(np.abs(found[0]))

    @cached_property
    def rho(self) -> float:
        """‖J‖ in the 2-norm."""
        if self.dense:
            return float(np.linalg.norm(self.jacobian, 2))
        from scipy.sparse.linalg import eigsh

        start = np.random.default_rng(0).standard_normal(self.of.units)
        both = self._operator(lambda v: self._pull(self._push(v)))
        found = eigsh(both, k=1, v0=start, return_eigenvectors=False)
        return float(np.sqrt(abs(found[0])))

    @cached_property
    def _factored(self) -> Any:
        from scipy.linalg import lu_factor

        return lu_factor(np.eye(self.of.units) - self.jacobian)

    @property
    def last(self) -> int:
        return 0

    @property
    def outputs(self) -> int:
        return self.of.units

    def _delta(self, delta: Array, layer: int) -> Array:
        if self.dense:
            from scipy.linalg import lu_solve

            return np.asarray(lu_solve(self._factored, delta.T, trans=1).T)
        from scipy.sparse.linalg import gmres

        operator = self._operator(lambda v: v.reshape(-1) - self._pull(v))
        found = np.empty_like(delta)
        for at, row in enumerate(delta):
            found[at], left = gmres(operator, row, rtol=_RTOL, restart=50, maxiter=200)
            if left:
                raise NonFiniteError(f"GMRES did not reach {_RTOL:g} in 10,000 products with Jᵀ")
        return found

    def gradient(self, delta_out: Any) -> dict[str, Array]:
        """∂L/∂θ for g = ∂L/∂z* (units,), with the shapes of the parameters.

        Of z* = f(W z* + u) these are ``W`` and ``inputs``. Raises ShapeError.
        """
        g = one_delta(delta_out, self.of.units)
        return self.of.parameter_gradient(self._delta(g[None], 0)[0])

    def neumann(self, delta_out: Any, terms: int) -> Neumann:
        """The first terms of Σ (Jᵀ)^k g, as unrolling as many steps gives, with an error bound.

        With ‖J‖ = ρ < 1 the bound is ρ^terms/(1 − ρ) ‖g‖; otherwise, for a J that is written
        out, ‖J^terms‖ ‖(I − J)⁻¹‖ ‖g‖. Raises ConfigError for terms below 1 and ShapeError.

        >>> from pullback.closed.fixed_point.point import FixedPoint
        >>> half = ImplicitForm(FixedPoint([[0.5]]))
        >>> half.neumann([1.0], 3).value, half.neumann([1.0], 3).bound
        (array([1.75]), 0.25)
        """
        count = whole("terms", terms)
        g = one_delta(as_floats("delta_out", delta_out), self.of.units)
        total, power = g, g
        for _ in range(count - 1):
            power = self._pull(power)
            total = total + power
        size = float(np.linalg.norm(g))
        if self.rho < 1:
            bound = self.rho**count / (1 - self.rho) * size
            return Neumann(total, count, bound, self.rho, f"ρ^K/(1 − ρ) with ρ = {self.rho:.4g}")
        if not self.dense:
            return Neumann(total, count, np.inf, self.rho, "‖J‖ ≥ 1: no bound")
        left = np.linalg.norm(np.linalg.matrix_power(self.jacobian, count), 2)
        inverse = np.linalg.norm(np.linalg.inv(np.eye(self.of.units) - self.jacobian), 2)
        why = "‖J^K‖ ‖(I − J)⁻¹‖, as ‖J‖ ≥ 1"
        return Neumann(total, count, float(left * inverse) * size, self.rho, why)

    @cached_property
    def condition(self) -> float:
        if self.dense:
            return float(np.linalg.cond(np.eye(self.of.units) - self.jacobian))
        return (1 + self.rho) / (1 - self.rho) if self._bounded else float("nan")

    @property
    def _bounded(self) -> bool:
        return not self.dense and self.rho < 1

    @property
    def _steps(self) -> int:
        """How many steps of the recursion leave 1e-16."""
        if self.radius <= 1e-16:
            return self.of.units  # nilpotent
        return min(int(np.ceil(np.log(1e-16) / np.log(self.radius))) + 1, _MOST)

    @cached_property
    def error(self) -> float:
        """Relative error against the recursion δ ← Jᵀ δ + g, run until it settles."""
        g = np.random.default_rng(0).standard_normal(self.of.units)
        total = g
        for _ in range(self._steps):
            total = g + (total @ self.jacobian if self.dense else self._pull(total))
        found = self._delta(g[None], 0)[0]
        return float(np.linalg.norm(found - total) / np.linalg.norm(total))

    @property
    def cost(self) -> Cost:
        n = self.of.units
        recursion = self._steps * n * n
        if self.dense:
            return Cost(n * n, recursion, n**3 // 3)
        return Cost(50 * n * n, recursion)

    @property
    def conditions(self) -> tuple[str, ...]:
        return ("the spectral radius of J at z* is below 1 (checked)", "z* solves z* = F(z*)")
