"""How much δ grows from the output to the first layer, as one number: what verdicts turn on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pullback.errors import NonFiniteError
from pullback.ir import Scalar
from pullback.moments.law.activation import moments
from pullback.moments.law.setting import Setting
from pullback.moments.law.theory import Theory

SMALL, LARGE = 0.1, 10.0  # healthy: RMS ‖δ‖ between these multiples of the output's


def growth(setting: Setting, coupled: bool = True) -> float:
    """ln of RMS ‖δ‖ at the first Linear over the output's; ±inf where it leaves the numbers.

    Raises NotApplicableError if no method at infinite width applies.
    """
    theory = Theory(setting)
    affines = setting.structure.affines
    try:
        found = theory.infinite if coupled else theory.independence
    except NonFiniteError:
        return math.inf
    first, last = (
        affines[at].n_out * setting.data.average(found[at].square) for at in (0, len(affines) - 1)
    )
    with np.errstate(all="ignore"):
        return float(np.log(np.float64(first) / last) / 2)


def is_fair(log_ratio: float) -> bool:
    """Does δ neither vanish nor explode?"""
    return math.log(SMALL) <= log_ratio <= math.log(LARGE)


@dataclass(frozen=True)
class Gain:
    """The σ_w that an activation wants at z ~ Normal(0, 1) to keep norms, forward and backward.

    >>> from pullback.nn import Tanh
    >>> want = gain(Tanh().function, "tanh")
    >>> round(want.forward, 4), round(want.backward, 4)
    (1.5925, 1.4674)
    """

    activation: str
    forward: float
    backward: float

    @property
    def conflict(self) -> float:
        """The larger over the smaller: 1 if both want the same."""
        return max(self.forward / self.backward, self.backward / self.forward)

    def text(self) -> str:
        """The trade-off in one line."""
        return (
            f"{self.activation} at q = 1 wants σ_w = {self.forward:.3g} forward and "
            f"{self.backward:.3g} backward ({self.conflict:.2g}× apart)"
        )


def gain(function: Scalar, label: str) -> Gain:
    """1/√E φ² and 1/√E φ'² at unit variance."""
    at = moments(function, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return Gain(label, float(at.m2[0] ** -0.5), float(at.s2[0] ** -0.5))


def gains(setting: Setting) -> tuple[Gain, ...]:
    """One for each hidden activation."""
    return tuple(gain(a.function, a.label) for a in setting.structure.activations)
