"""Diagonal factors: each component of δ is a product of numbers, by logarithms and signs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pullback.closed.power.recurrence import Gradient, Recurrence, one_delta
from pullback.closed.power.scaled import ScaledArray, difference, running_products, times_two_to
from pullback.closed.record import Array, ClosedForm, Cost
from pullback.errors import NotApplicableError


@dataclass(frozen=True, eq=False, repr=False)
class ComponentForm(ClosedForm):
    """δ_i at layer t = δ_i · ∏ over s > t of d_i^s, for factors (steps, units).

    ``source`` is the recurrence whose states the factors belong to; None for a linear network,
    where they hold for all x.
    """

    factors: Array
    source: Recurrence | None = None

    @property
    def exists(self) -> bool:
        return True

    @property
    def method(self) -> str:
        return "diagonal"

    @property
    def form(self) -> str:
        return f"δ_i = δ_i ∏ d_i over {self.last} steps, component by component in the log domain"

    @property
    def reason(self) -> str:
        why = "Every factor is diagonal, so the components of δ do not meet: each is a product of "
        why += "numbers, the exponential of a sum of logarithms, with a sign. "
        if self.source is not None:
            why += f"The factors f'(z_t) w belong to the states that were given, {self.source!r}. "
        zero = int(np.count_nonzero((self.factors == 0).any(axis=0)))
        if zero:
            why += f"{zero} of {self.outputs} components have a factor 0: exactly 0 from there on."
        return why.rstrip()

    @property
    def conditions(self) -> tuple[str, ...]:
        return () if self.source is None else ("for the states that were given",)

    @property
    def condition(self) -> float:
        return 1.0  # a product of numbers cancels nothing

    @property
    def last(self) -> int:
        return len(self.factors)

    @property
    def outputs(self) -> int:
        return int(self.factors.shape[1])

    @property
    def cost(self) -> Cost:
        return Cost(self.outputs, self.factors.size, self.factors.size)

    def latex(self) -> str:
        k = self.last
        return (
            rf"\delta_{{t,i}} = \delta_{{{k},i}} \prod_{{s=t+1}}^{{{k}}} d_{{s,i}} = "
            rf"\delta_{{{k},i}} \Big(\prod_s \operatorname{{sign}} d_{{s,i}}\Big) "
            r"\exp \sum_{s=t+1} \ln \lvert d_{s,i} \rvert"
        )

    @cached_property
    def _tails(self) -> tuple[Array, Array]:
        """∏ over s > t of the factors for every t, as mantissas and powers of two."""
        mantissa, exponent = running_products(self.factors[::-1])
        return mantissa[::-1], exponent[::-1]

    def _delta(self, delta: Array, layer: int) -> Array:
        mantissa, exponent = self._tails
        row = np.broadcast_to(exponent[layer], delta.shape)
        return ScaledArray.gather(delta * mantissa[layer], row).value(f"δ at layer {layer}")

    def gradient(self, delta_out: Array) -> Gradient:
        """∂L/∂W, ∂L/∂state and ∂L/∂inputs for ∂L/∂h_steps (units,), all steps at a time.

        Raises ShapeError, and NotApplicableError for a network: its layers share no weight.
        """
        held = self.source
        if held is None:
            raise NotApplicableError("layers of a network share no weight; pb.Recurrence does")
        delta = one_delta(delta_out, self.outputs)
        mantissa, exponent = self._tails
        return held.pulled(times_two_to(delta * mantissa, exponent))

    @cached_property
    def error(self) -> float:
        """Relative error of δ against the recursion on a random δ, in a scale that never ends."""
        delta = np.random.default_rng(0).standard_normal((1, self.outputs))
        row: Array = delta[0]
        exponent: Array = np.zeros(self.outputs, np.int64)
        for factor in self.factors[::-1]:
            row, shift = np.frexp(row * factor)
            exponent = exponent + shift
        mantissa, tails = self._tails
        found = ScaledArray.gather(delta[0] * mantissa[0], tails[0])
        return difference(found, ScaledArray.gather(row, exponent))
