"""Finite width: what a single seed can do. The law of ln‖δ‖², and exact linear second moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import digamma, ndtr, polygamma
from scipy.stats import binom

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir.scalar.function import symbol
from pullback.ir.scalar.primitives import fn
from pullback.moments.law.activation import Moments, moments
from pullback.moments.law.backward import DeltaMoments
from pullback.moments.law.cases import Cases
from pullback.moments.law.forward import Signal, Stage, affine_steps
from pullback.moments.law.layers import IDENTITY, Structure
from pullback.moments.law.output import Output
from pullback.moments.law.weights import Weights

_RELU = fn("relu")(symbol(0))
_ROWS = 4096  # draws of the output error, over all cases
_FREE = 1e-3  # ln‖δ‖² moves by less: as good as independent
_LEAST = 1e-280  # of E δ²
_WIDEST = 200.0  # of Var ln‖δ‖²
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class LogNorm:
    """ln‖δ‖² of one sample at one layer over draws and data: mean, variance, 10-50-90 %."""

    mean: float
    variance: float
    quantiles: tuple[float, float, float]
    law: bool
    dead: float = 0.0


def log_norms(
    structure: Structure,
    steps: Sequence[Stage],
    weights: Sequence[Weights],
    output: Output,
    data: Cases,
    targets: Array,
    deltas: Mapping[int, DeltaMoments],
    independent: Mapping[int, DeltaMoments],
    seed: int,
) -> dict[int, LogNorm]:
    """ln‖δ‖² at each Linear of a plain chain with zero-mean weights.

    ReLU without biases: χ² over a binomial number of active units (Hanin and Nica 2020, section
    2), a law as far as the output error does not depend on the weights; else the linear response
    of (forward fluctuation, log gradient) to each layer's noise, to first order in depth/width.
    ``deltas`` is the better, ``independent`` the independent forecast at infinite width.
    Raises NotApplicableError where neither holds.
    """
    chain = structure.chain()
    _refuse(structure, weights)
    z = [step.after for step in affine_steps(steps)]
    held = {id(step.before): step.moments for step in steps if step.moments is not None}
    hidden = [
        held.get(id(s)) or moments(a.function, s.mean, s.variance)
        for (_, a), s in zip(chain[:-1], z, strict=False)
    ]
    if not all((delta.square > _LEAST).all() for delta in independent.values()):
        raise NotApplicableError("δ is 0, or so small that its square is no number")
    layers = [
        _Layer.of(at, affine.n_out, chain[m + 1][0].n_out, weights[m + 1])
        for m, ((affine, _), at) in enumerate(zip(chain, hidden, strict=False))
    ]
    relu = not any(w.bias_variance or w.bias_mean for w in weights) and all(
        a.function.expr == _RELU for _, a in chain[:-1]
    )
    if not relu and any(w.entries == "orthogonal" for w in weights[1:]):
        raise NotApplicableError("orthogonal weights have a finite-width law for ReLU, no biases")
    squares = structure.outputs * deltas[len(chain) - 1].square
    mean, variance, response = _at_output(output, z[-1], data, targets, squares, seed)
    forward = _forward_variance(layers, len(mean))
    found: dict[int, LogNorm] = {}
    last = len(chain) - 1
    size = _log(structure.outputs * deltas[last].square)
    spread = variance + response**2 * forward[-1]
    shift = {m: _log(deltas[m].square) - _log(independent[m].square) for m in deltas}
    # does the output error depend on the weights that carry it?
    free = max(np.abs(s).max() for s in shift.values()) < _FREE and (
        np.abs(response**2 * forward[-1]).max() < _FREE
    )
    law = relu and bool(free)
    found[last] = _mixture(mean, spread, data.weight, law)
    own, gain, alive = np.zeros_like(mean), np.zeros_like(mean), 1.0
    for m in reversed(range(last)):
        layer = layers[m]
        own = own + layer.noise(response)
        response = layer.tilt + layer.growth * response
        total = variance + own + response**2 * forward[m]
        if relu:
            gain, alive = gain + layer.log_mean, alive * layer.alive
            middle = mean + gain + shift[m]
        else:
            here = _log(chain[m][0].n_out * deltas[m].square)
            middle = here - size + mean - (total - spread) / 2
        found[m] = _mixture(middle, total, data.weight, law, 1 - alive)
    return found


def _refuse(structure: Structure, weights: Sequence[Weights]) -> None:
    if any(w.mean for w in weights):
        raise NotApplicableError("the finite-width recursion is for weights of zero mean")
    if not all(w.variance for w in weights):
        raise NotApplicableError("the finite-width recursion needs random weights in every layer")


@dataclass(frozen=True)
class _Layer:
    """One hidden layer: how it answers to forward noise, and the noise that it adds itself."""

    growth: Array  # χ_q
    tilt: Array  # ∂ ln χ₁ / ∂q
    forward: Array  # Var ε
    backward: Array  # Var η
    both: Array  # Cov(ε, η)
    log_mean: float
    alive: float

    @classmethod
    def of(cls, at: Moments, units: int, onward: int, law: Weights) -> _Layer:
        sigma = law.variance * units
        f2, s2 = at.f * at.f, at.slope * at.slope
        active = _active(units, onward, law)
        if at.function.expr == _RELU:
            backward = np.full_like(at.m2, active[1])
        else:
            backward = (3 * at.expect(s2 * s2) / at.s2**2 - 1) / units
        mixed = at.expect(f2 * s2) - at.m2 * at.s2
        return cls(
            growth=sigma * at.m2_by_variance,
            tilt=at.s2_by_variance / at.s2,
            forward=sigma**2 * (at.expect(f2 * f2) - at.m2**2) / units,
            backward=backward,
            both=sigma * mixed / at.s2 / units,
            log_mean=active[0],
            alive=1 - 0.5**units,
        )

    def noise(self, response: Array) -> Array:
        """The variance that this layer adds, where what comes after answers so to its q."""
        return np.asarray(self.backward + 2 * response * self.both + response**2 * self.forward)


@lru_cache(maxsize=1024)
def _active(units: int, onward: int, law: Weights) -> tuple[float, float]:
    """Mean and variance of ln(‖D Wᵀu‖²/‖u‖²) with half the units active, at least one of them."""
    count = np.arange(1, units + 1)
    chance = binom.pmf(count, units, 0.5)
    chance /= chance.sum()
    by_count = digamma(count / 2)
    mean = float(chance @ by_count)
    variance = float(chance @ polygamma(1, count / 2) + chance @ (by_count - mean) ** 2)
    if law.entries == "orthogonal":  # a Beta in place of a χ²: the direction is uniform
        most = max(units, onward)
        gain = law.variance * most
        return mean - digamma(most / 2) + np.log(gain), variance - float(polygamma(1, most / 2))
    return mean + np.log(2 * law.variance), variance


def active_log(units: int, variance: float, entries: str = "normal") -> tuple[float, float]:
    """What one square ReLU layer adds to ln‖δ‖²: mean and variance, exactly.

    ``variance`` is that of one weight. Orthogonal weights add about 3/(n+2), normal ones 5/n.

    >>> mean, spread = active_log(300, 2 / 300)
    >>> round(300 * spread, 2), round(300 * active_log(300, 2 / 300, "orthogonal")[1], 2)
    (5.06, 3.06)
    """
    return _active(units, units, Weights(0.0, variance, 0.0, entries))


def _forward_variance(layers: Sequence[_Layer], cases: int) -> list[Array]:
    """Var q at each Linear; at the first q is what the data say."""
    found = [np.zeros(cases)]
    for layer in layers:
        found.append(layer.growth**2 * found[-1] + layer.forward)
    return found


def _at_output(
    output: Output, z: Signal, data: Cases, targets: Array, squares: Array, seed: int
) -> tuple[Array, Array, Array]:
    """Mean and variance of ln‖δ‖² at the output given q, and the mean's derivative by q.

    By drawing z, with ‖δ‖² as a control: its mean ``squares`` is known.
    """
    rng = np.random.default_rng(seed)
    groups = len(data.members)
    rows = max(64, min(_ROWS, 10**6 // output.outputs) // groups)
    found = np.zeros((3, groups))
    for g, members in enumerate(data.members):
        x = rng.standard_normal((rows, output.outputs))
        y = targets[rng.choice(members, rows)]
        std, step = np.sqrt(z.variance[g]), 1e-3
        norms, more = (
            np.sum(output(z.mean[g] + s * x, y)[1] ** 2, axis=1)
            for s in (std, std * np.sqrt(1 + step))
        )
        logs, spread = _log(norms), norms.var()
        slope = np.mean((norms - norms.mean()) * logs) / spread if spread else 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            change = (_log(more) - logs).mean() / (step * z.variance[g])
        found[0, g] = logs.mean() - slope * (norms.mean() - squares[g])
        found[1:, g] = logs.var(), change if z.variance[g] else 0.0
    return found[0], found[1], found[2]


def _mixture(mean: Array, variance: Array, weight: Array, law: bool, dead: float = 0.0) -> LogNorm:
    """Normal laws, one a case, mixed by the data."""
    if not (variance <= _WIDEST).all():
        raise NotApplicableError(
            f"Var ln‖δ‖² would be {variance.max():.3g}, far beyond the first order in depth/width"
        )
    middle = float(weight @ mean)
    spread = float(weight @ (variance + (mean - middle) ** 2))
    std = np.sqrt(np.maximum(variance, 1e-300))
    at = np.linspace((mean - 6 * std).min(), (mean + 6 * std).max(), 201)
    below = ndtr((at[:, None] - mean) / std) @ weight
    low, half, high = (float(np.interp(p, below, at)) for p in QUANTILES)
    return LogNorm(middle, spread, (low, half, high), law, dead)


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(values, np.finfo(float).tiny))


def linear_squares(
    structure: Structure,
    weights: Sequence[Weights],
    squares: Sequence[float],
    y: float,
    kappa: float,
) -> list[float]:
    """E δ² at each Linear of a linear chain with squared error, exactly, at any width.

    ``squares`` holds E z² at each Linear, ``y`` E‖y‖² of a sample, δ = kappa (z − y) at the output.
    From the second moments of Wishart matrices: v = (E tr A², E (tr A)²) of A = JᵀJ.
    Raises NotApplicableError if the chain is not linear or the weights are not normal around 0.
    """
    chain = structure.chain()
    if any(a.function is not IDENTITY for _, a in chain):
        raise NotApplicableError("E δ² at finite width is known for linear networks only")
    if any(w.entries != "normal" or w.mean or w.bias_mean for w in weights):
        raise NotApplicableError("the Wishart moments are those of normal weights of zero mean")
    outputs = structure.outputs
    v = np.array([outputs, outputs**2], float)
    path = 1.0  # E‖Jᵀu‖² / ‖u‖² from the output
    biases = weights[-1].bias_variance * outputs
    found = [kappa**2 * (squares[-1] + y / outputs)]
    for m in reversed(range(len(chain) - 1)):
        n, s = chain[m][0].n_out, weights[m + 1].variance
        v = s**2 * np.array([[n * (n + 1), n], [2 * n, n**2]]) @ v
        path, biases = path * n * s, biases * n * s
        found.append(kappa**2 * (squares[m] * v[0] + y * path + biases) / n)
        biases += weights[m].bias_variance * v[0]
    return found[::-1]
