"""The last hidden layer under squared error, at any width: E δ and E δ² term by term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.moments.law.activation import Moments
from pullback.moments.law.cases import Cases
from pullback.moments.law.weights import Weights


@dataclass(frozen=True)
class LastHidden:
    """H hidden units z, M outputs, weights of mean μ and variance σ², δ = κ (z − y) at the output.

    Each array is (cases,). The weights into a hidden unit are its own, so given the data z_j and
    z_l are independent: a law after one Linear, a limit in deeper networks.
    """

    at: Moments
    hidden: int
    outputs: int
    law: Weights
    data: Cases
    kappa: float

    @property
    def diagonal(self) -> Array:
        """E[f'(z_j) f(z_j)]."""
        return self.at.expect(self.at.slope * self.at.f)

    @property
    def pairs(self) -> Array:
        """Σ_l E[f'(z_j) f(z_l)]."""
        return np.asarray(self.diagonal + (self.hidden - 1) * self.at.s1 * self.at.m1)

    @property
    def covariances(self) -> Array:
        """Σ_l Cov(f'(z_j), f(z_l)), of which only l = j is left."""
        return np.asarray(self.diagonal - self.at.s1 * self.at.m1)

    @property
    def first(self) -> Array:
        """M σ_w² E[f' f]: the read-out's weights meet themselves in the outputs."""
        return self.kappa * self.outputs * self.law.variance * self.diagonal

    @property
    def second(self) -> Array:
        """M μ_w² Σ_l E[f'(z_j) f(z_l)]."""
        return self.kappa * self.outputs * self.law.mean**2 * self.pairs

    @property
    def third(self) -> Array:
        """−μ_w E[f'] Σ_k E[y_k]."""
        return -self.kappa * self.law.mean * self.at.s1 * self.outputs * self.data.target

    @property
    def mean(self) -> Array:
        """E δ_j = M σ_w² E[f'f] + μ_w Σ_k (μ_w Σ_l E[f'_j f_l] − E[f'_j] E[y_k])."""
        return self.first + self.second + self.third

    @property
    def independence(self) -> Array:
        """E[f'] μ_w Σ_k E[δ_k]."""
        outputs = self.hidden * self.law.mean * self.at.m1 - self.data.target
        return self.kappa * self.at.s1 * self.law.mean * self.outputs * outputs

    @property
    def gap(self) -> Array:
        """M (σ_w² E[f'f] + μ_w² Σ_l Cov(f'_j, f_l)): what independence leaves out."""
        weights = self.law.variance * self.diagonal + self.law.mean**2 * self.covariances
        return self.kappa * self.outputs * weights

    @property
    def square(self) -> Array:
        """E δ_j², from the fourth moments of (w_kj, z_k − y_k), which are jointly normal.

        Raises NotApplicableError if the weights are not normal.
        """
        if self.law.entries != "normal":
            raise NotApplicableError("E δ² needs the fourth moments of normal weights")
        mu, s, M = self.law.mean, self.law.variance, self.outputs
        a = self.at.f
        others = self.hidden - 1
        m1, m2 = self.at.m1[:, None], self.at.m2[:, None]
        y1, y2 = M * self.data.target[:, None], M * self.data.target_square[:, None]
        sums = self.data.sums[:, None]
        total = a + others * m1  # E Σ_l a_l given a_j
        total2 = total**2 + others * (m2 - m1**2)  # E (Σ_l a_l)²
        square = a**2 + others * m2  # E Σ_l a_l²
        residual = M * mu * total - y1  # E Σ_k of the mean of z_k − y_k
        residual2 = M * mu**2 * total2 - 2 * mu * total * y1 + y2  # E Σ_k of its square
        summed2 = M**2 * mu**2 * total2 - 2 * M * mu * total * y1 + sums  # E (Σ_k …)²
        spread = M * (s * square + self.law.bias_variance)
        each = (s + mu**2) * (spread + residual2) + 2 * M * (s * a) ** 2 + 4 * s * a * mu * residual
        mean_squares = M * (s * a) ** 2 + 2 * s * a * mu * residual + mu**2 * residual2
        mean_sum = (M * s * a) ** 2 + 2 * M * s * a * mu * residual + mu**2 * summed2
        inner = each - mean_squares + mean_sum
        return self.kappa**2 * self.at.expect(self.at.slope**2 * inner)


def output_moments(last: LastHidden) -> tuple[Array, Array]:
    """E δ and E δ² at the output: z_k − y_k has the variance σ² E‖a‖² + σ_b² at any width."""
    law, at, data = last.law, last.at, last.data
    mean = law.mean * last.hidden * at.m1 - data.target
    common = law.mean**2 * (last.hidden * (at.m2 - at.m1**2) + (last.hidden * at.m1) ** 2)
    square = law.variance * last.hidden * at.m2 + law.bias_variance + common
    square = square - 2 * law.mean * last.hidden * at.m1 * data.target + data.target_square
    return last.kappa * mean, np.asarray(last.kappa**2 * square)
