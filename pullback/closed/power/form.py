"""One matrix, applied again and again: a power, and the gradient of what is shared."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pullback.closed.power.block_power import block_power
from pullback.closed.power.recurrence import Gradient, Recurrence, one_delta
from pullback.closed.power.scaled import ScaledArray, difference, powers, times_two_to
from pullback.closed.power.spectrum import WORST, Powers, Spectrum
from pullback.closed.record import Array, ClosedForm, Cost
from pullback.errors import NotApplicableError, unknown

_WORDS = {
    "diagonal": "logarithms, component by component",
    "orthogonal": "orthogonal eigendecomposition {Q}",
    "eigen": "eigendecomposition P D^{k} P⁻¹",
    "squaring": "repeated squaring",
}
_CHECKED = 20_000_000  # fma that a check against the recursion may cost
GRADIENTS = ("block power", "divided differences")


@dataclass(frozen=True, eq=False, repr=False)
class PowerForm(ClosedForm):
    """δ at layer t = (Aᵀ)^(steps − t) δ.

    A is W times the slope of the activation, the same number everywhere; or D W, where the states
    that were given have one D = diag f'(z_t) at all steps (``still``); or, without a recurrence,
    what every layer of a network has for its Jacobian.
    """

    matrix: Array
    steps: int
    recurrence: Recurrence | None = None
    still: bool = False
    _parts: dict[bytes, Spectrum] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        return True

    @cached_property
    def spectrum(self) -> Spectrum:
        """The matrix with its structure."""
        return Spectrum(self.matrix)

    @property
    def method(self) -> str:
        return self.spectrum.method

    @property
    def form(self) -> str:
        Q = f"Q D^{self.steps} Q{'ᵀ' if self.spectrum.is_symmetric else 'ᴴ'}"
        how = _WORDS[self.method].format(Q=Q, k=self.steps)
        return f"{self._name}^{self.steps} δ by {how}"

    @property
    def _name(self) -> str:
        if self._letter == "A":
            return "(Aᵀ)"
        return "(Wᵀ)" if self._slope == 1 else f"({self._slope:g} Wᵀ)"

    @property
    def _letter(self) -> str:
        return "A" if self.still or self.recurrence is None else "W"

    @property
    def _slope(self) -> float:
        held = self.recurrence
        return 1.0 if held is None or held.constant_slope is None else held.constant_slope

    @property
    def reason(self) -> str:
        return f"{self._why_power} {self._why_method}"

    @property
    def _why_power(self) -> str:
        if self.recurrence is None:
            return "Every layer has the same Jacobian A, so the product is a power."
        if self.still:
            return (
                "Every step has the same W, and at the states that were given the same "
                "D = diag f'(z_t), so the product is a power of A = D W."
            )
        return (
            f"f' = {self._slope:g} everywhere and every step has the same W, so the product is a "
            "power."
        )

    @property
    def _why_method(self) -> str:
        found, W = self.spectrum, self._letter
        if self.method == "diagonal":
            why = f"{W} is diagonal: each component is a number to a power, by logarithm and sign"
            zero = int(np.count_nonzero(found.spectral.values == 0))
            return why + (f"; {zero} of them are 0 and stay exactly 0." if zero else ".")
        if found.is_symmetric:
            return (
                f"{W} is symmetric (‖{W} − {W}ᵀ‖/‖{W}‖ = {found.asymmetry:.1e}), so its "
                "eigenvectors are orthonormal."
            )
        departure = f"‖{W}ᵀ{W} − {W}{W}ᵀ‖/‖{W}‖² = {found.departure:.2g}"
        if self.method == "orthogonal":
            return f"{W} is normal ({departure}), so its eigenvectors are orthonormal."
        refused = (
            f"The orthogonal form Rᵀ D^k R does not hold: {departure}, not 0: {W} is not normal."
        )
        if self.method == "eigen":
            kind = (
                "complex eigenvalues come in pairs"
                if np.iscomplexobj(found.values)
                else "all eigenvalues are real"
            )
            return (
                f"{refused} {W} is diagonalisable and its eigenvectors are well enough "
                f"conditioned: cond(P) = {self.condition:.3g} ≤ {WORST:.0e}; {kind}."
            )
        return (
            f"{refused} Its eigenvectors are of no use either: cond(P) = {self.condition:.2g} > "
            f"{WORST:.0e}, so {W} is defective or close to it. Squaring {W} again and again needs "
            "no eigenvectors."
        )

    @property
    def conditions(self) -> tuple[str, ...]:
        return ("for the states that were given",) if self.still else ()

    @property
    def condition(self) -> float:
        return self.spectrum.condition

    @property
    def last(self) -> int:
        return self.steps

    @property
    def outputs(self) -> int:
        return len(self.matrix)

    @property
    def cost(self) -> Cost:
        closed, preparation = self.spectrum.powers.fma(self.steps)
        return Cost(closed, self.steps * self.matrix.size, preparation)

    def _delta(self, delta: Array, layer: int) -> Array:
        return self._scaled(delta, self.steps - layer).value(f"δ at layer {layer}")

    def _scaled(self, rows: Array, times: int) -> ScaledArray:
        if self.spectrum.is_diagonal:
            return self.spectrum.powers.apply(rows, times)
        used = reached(self.matrix, np.any(rows != 0, axis=0))
        if used.all():
            return self.spectrum.powers.apply(rows, times)
        if not used.any():
            return ScaledArray(np.zeros_like(rows))
        # what δ never reaches must neither overflow nor drown it
        found = self._part(used).apply(rows[:, used], times)
        whole = np.zeros((len(rows), len(used)))
        whole[:, used] = found.mantissa
        return ScaledArray(whole, found.exponent)

    def _part(self, used: Array) -> Powers:
        key = used.tobytes()
        if key not in self._parts:
            while len(self._parts) >= 8:
                self._parts.pop(next(iter(self._parts)))
            self._parts[key] = Spectrum(self.matrix[np.ix_(used, used)])
        return self._parts[key].powers

    def gradient(self, delta_out: Any, method: str = "block power") -> Gradient:
        """∂L/∂W (units, units), ∂L/∂state and, where there are inputs, ∂L/∂inputs.

        ``delta_out`` is ∂L/∂h_steps (units,). ``"block power"`` takes the top-right block of
        [[A, G], [0, A]]^steps by squaring; ``"divided differences"`` those of the eigenvalues.
        Inputs that change from step to step leave the states to a scan, and the gradient to the
        recursion; so do states at which D happens to stand still.
        Raises ShapeError, UnknownNameError for another method, and NotApplicableError for a
        network, without a state, or for eigenvectors that are of no use.
        """
        if method not in GRADIENTS:
            raise unknown("method", method, GRADIENTS)
        held = self.recurrence
        if held is None:
            raise NotApplicableError("layers of a network share no weight; pb.Recurrence does")
        delta = one_delta(delta_out, held.units)
        if not held.has_states:
            raise NotApplicableError(
                "the gradient of W needs a state: pb.Recurrence(W, steps, state=h_0)"
            )
        slope = self._slope
        bias = slope * (0.0 if held.inputs is None else held.inputs) + float(held.function(0.0))
        state = np.zeros(held.units) if held.state is None else held.state
        plain = held.inputs is None and not np.any(bias)
        if self.still or np.ndim(bias) == 2 or (held.W.ndim == 1 and not plain):
            return held.gradient(delta)
        if held.W.ndim == 1:
            return self._of_diagonal(delta, state)
        A, left, right = self.matrix, delta, state
        n = held.units
        if not plain:  # a bias is one more unit that is always 1
            A = np.block([[A, np.broadcast_to(bias, (n,))[:, None]], [np.zeros((1, n)), np.eye(1)]])
            left, right = np.append(delta, 0.0), np.append(state, 1.0)
        block, first = self._shared(A, left, right, method)
        found = {"W": slope * block[:n, :n], "state": first[:n]}
        if held.inputs is not None:
            found["inputs"] = slope * block[:n, n]
        return found

    def _shared(self, A: Array, delta: Array, state: Array, method: str) -> tuple[Array, Array]:
        """Σ_k (Aᵀ)^k δ hᵀ (Aᵀ)^(steps−1−k), and δ at layer 0."""
        spectrum = self.spectrum if A is self.matrix else Spectrum(A)
        if method == "divided differences" and spectrum.method == "squaring":
            raise NotApplicableError(
                f"the eigenvectors are of no use here: cond(P) = {spectrum.condition:.2g}; "
                'take method="block power"'
            )
        what = "∂L/∂W"
        if method == "divided differences" or spectrum.is_diagonal:
            block = spectrum.spectral.sum_of_products(delta, state, self.steps)
            return block.value(what), spectrum.spectral.apply(delta, self.steps).value(what)
        used = reached(A, delta != 0) | reached(A.T, state != 0)
        if used.all():
            inner, first = block_power(A, delta, state, self.steps)
            return inner.value(what), first.value("∂L/∂state")
        found, row = np.zeros(A.shape), np.zeros(len(A))
        if not used.any():
            return found, row
        part = A[np.ix_(used, used)]
        inner, first = block_power(part, delta[used], state[used], self.steps)
        found[np.ix_(used, used)] = inner.value(what)
        row[used] = first.value("∂L/∂state")
        return found, row

    def _of_diagonal(self, delta: Array, state: Array) -> Gradient:
        """steps · w^(steps−1) δ h, one unit at a time."""
        mantissa, exponent = powers(self.matrix, self.steps - 1)
        slope = self._slope * self.steps
        weight = times_two_to(slope * mantissa * delta * state, exponent)
        return {"W": weight, "state": self._delta(delta[None], 0)[0]}

    @cached_property
    def error(self) -> float:
        """Relative error of δ against the recursion on a random δ.

        The recursion goes back as many steps as take a second or so; where there are more, the
        whole power is compared with the product of its halves as well.
        """
        rng = np.random.default_rng(0)
        delta = rng.standard_normal((1, self.outputs))
        count = min(self.steps, max(_CHECKED // self.matrix.size, 1), 20_000)
        row, A = ScaledArray.of(delta), self.matrix
        for _ in range(count):
            row = ScaledArray.of(
                row.mantissa @ A if A.ndim == 2 else row.mantissa * A, row.exponent
            )
        worst = difference(self._scaled(delta, count), row)
        if count < self.steps:
            half = self._scaled(delta, self.steps // 2)
            again = self._scaled(half.mantissa, self.steps - self.steps // 2)
            twice = ScaledArray(again.mantissa, again.exponent + half.exponent)
            worst = max(worst, difference(self._scaled(delta, self.steps), twice))
        return worst

    def latex(self) -> str:
        """The power, and how it is taken."""
        slope = "" if self._slope == 1 else rf"{self._slope:g}\, "
        W = self._letter
        k, end = f"{self.steps} - t", rf"\delta_{{{self.steps}}}"
        power = rf"\delta_t = \left({slope}{W}^{{\top}}\right)^{{{k}}} {end}"
        taken = {
            "diagonal": rf",\quad \delta_{{t,i}} = \lambda_i^{{{k}}}\, \delta_{{{self.steps},i}}",
            "orthogonal": rf" = {self._orthogonal(k)}\, {end}",
            "eigen": rf" = P^{{-\top}} D^{{{k}}} P^{{\top}}\, {end},"
            rf"\quad {slope}{W} = P D P^{{-1}}",
            "squaring": rf",\quad \left({W}^{{\top}}\right)^{{2j}} = "
            rf"\left(\left({W}^{{\top}}\right)^{{j}}\right)^{{2}}",
        }
        return power + taken[self.method]

    def _orthogonal(self, k: str) -> str:
        if self.spectrum.is_symmetric:
            return rf"Q D^{{{k}}} Q^{{\top}}"
        return rf"\overline{{Q}} D^{{{k}}} Q^{{\top}}"


def reached(A: Array, start: Array) -> Array:
    """The units that a row with entries at ``start`` can get to by products with A."""
    found = start
    while not found.all():
        further: Array = found | np.any(A[found] != 0, axis=0)
        if further.sum() == found.sum():
            break
        found = further
    return found
