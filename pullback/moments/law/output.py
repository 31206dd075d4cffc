"""The output error: the law of δ at the last layer, for every loss, exactly or by integration."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from pullback.calculus import cotangents
from pullback.calculus.quadrature import Array, hermite
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Input, Map, simplify
from pullback.ir.build import sum_over
from pullback.moments.law.activation import Moments, moments
from pullback.moments.law.backward import Cotangent, CotangentLine, OnUnit, expansion
from pullback.moments.law.cases import Cases
from pullback.moments.law.forward import Signal
from pullback.moments.law.layers import IDENTITY, Applied
from pullback.net.program import Compiled, compile_program
from pullback.nn import (
    BCELoss,
    BinaryCrossEntropy,
    CrossEntropy,
    LogisticLoss,
    Loss,
    MSELoss,
    SquaredError,
)

_LAWS = (SquaredError, MSELoss, CrossEntropy, BinaryCrossEntropy, BCELoss, LogisticLoss)
_WIDE = 300.0  # between outputs, from where on the integral goes from node to node
_FURTHEST = 1e9
_NOTHING = 37.0  # exp of minus this is rounding beside 1
_LOG_STEP = 0.4  # of the softmax integral; the trapezoid rule's error is then 1e-9


def check_law(loss: Loss) -> None:
    """Raise NotApplicableError for a loss that is none of the plain ones, whose δ has a law."""
    options = {
        f.name: f.default for f in fields(loss) if f.name not in ("reduction", "from_logits")
    }
    plain = all(getattr(loss, name) == default for name, default in options.items())
    if type(loss) not in _LAWS or not plain:
        raise NotApplicableError(f"the law of its δ is known for plain losses only, not {loss!r}")


@dataclass(frozen=True)
class Output:
    """The last activation and the loss over K outputs, of one sample and not reduced."""

    loss: Loss
    tail: Applied
    outputs: int

    @cached_property
    def _programs(self) -> dict[int, Compiled]:
        return {}

    def _program(self, units: int) -> Compiled:
        if units not in self._programs:
            batch, axis = Axis("batch"), Axis("outputs", units)
            z, target = Input("z", (batch, axis)), Input("target", (batch, axis))
            each = self.loss.per_sample(Map(self.tail.function, (z,)), target)
            (total,) = simplify(sum_over(each, (batch,)))
            (each, slope) = simplify(each, cotangents(total, [z])[z])
            what, given = "The loss of each sample.", (z, target)
            program = compile_program({"loss": each, "delta": slope}, what, leaves=given)
            self._programs[units] = program
        return self._programs[units]

    def __call__(self, z: Array, target: Array) -> tuple[Array, Array]:
        """The loss (batch,) and δ (batch, outputs) at given z and targets."""
        values = self._program(self.outputs)({}, {"z": z, "target": target})
        return values["loss"], values["delta"]

    def start(self, z: Signal, data: Cases, terms: int) -> Cotangent:
        """δ of an output unit for each case.

        Raises NotApplicableError if z is not Gaussian and the loss is not a squared error.
        """
        if not z.gaussian:
            return self._line(data)
        if isinstance(self.loss, CrossEntropy):
            return _softmax(self.tail, self.outputs, z, data, terms)
        at = moments(self.tail.function, z.mean, z.variance)
        base, slope = self._affine_in_target(at)
        on_base, on_slope = (expansion(at.grid, v, terms) for v in (base, slope))
        square = (
            at.expect(base**2)
            + 2 * data.target * at.expect(base * slope)
            + data.target_square * at.expect(slope**2)
        )
        return OnUnit(on_base + data.target * on_slope, square)

    def _affine_in_target(self, at: Moments) -> tuple[Array, Array]:
        """δ = base + slope · t at the nodes: true of each loss that is a sum over outputs."""
        low, high = (-1.0, 1.0) if self.loss.target == "signs" else (0.0, 1.0)
        share = self.scale
        z = at.grid.z.reshape(-1, 1)
        with np.errstate(all="ignore"):
            first, second = (
                share * self._program(1)({}, {"z": z, "target": np.full_like(z, t)})["delta"]
                for t in (low, high)
            )
        rise = (second - first) / (high - low)
        return (first - low * rise).reshape(at.f.shape), rise.reshape(at.f.shape)

    @property
    def scale(self) -> float:
        """What one output's loss is divided by: K for torch's mean over outputs."""
        averaged = isinstance(self.loss, (MSELoss, BCELoss)) and self.loss.reduction == "mean"
        return 1 / self.outputs if averaged else 1.0

    @property
    def squared(self) -> float | None:
        """κ where δ = κ (z − y): 1 for ½‖z − y‖², 2/K for torch's; None for other losses."""
        if self.tail.function is not IDENTITY:
            return None
        if isinstance(self.loss, SquaredError):
            return 1.0
        return 2 * self.scale if isinstance(self.loss, MSELoss) else None

    def _line(self, data: Cases) -> CotangentLine:
        kappa = self.squared
        if kappa is None:
            raise NotApplicableError("the outputs are not Gaussian, and the loss is not squared")
        spread = np.maximum(data.target_square - data.target**2, 0.0)
        slope = np.full_like(data.target, kappa)
        return CotangentLine(-kappa * data.target, slope, kappa**2 * spread)


def _softmax(tail: Applied, outputs: int, z: Signal, data: Cases, terms: int) -> OnUnit:
    """δ = φ'(z) (p − π) with p = softmax φ(z) over K outputs."""
    at = moments(tail.function, z.mean, z.variance)
    basis = hermite(at.grid.x, terms)
    first = softmax_moment(at, outputs, 1, [at.slope * row for row in basis] + [at.slope**2])
    (second,) = softmax_moment(at, outputs, 2, [at.slope**2])
    along = expansion(at.grid, at.slope, terms)
    square = second - 2 * data.target * first[-1] + data.target_square * at.s2
    return OnUnit(first[:-1] - data.target * along, square)


def softmax_moment(at: Moments, outputs: int, power: int, factors: list[Array]) -> Array:
    """E[g(z₁) p₁^power] for each factor g at the nodes, (factors, cases); power is 1 or 2.

    With S = Σ exp φ(z_k), 1/S^a = ∫ t^(a−1) exp(−t S) dt for a = 1, 2: the outputs are independent
    under the integral, so K of them cost what two do.
    """
    f = at.f - at.f.max(axis=1, keepdims=True)
    if f.min() < -_WIDE:
        return _wide_softmax_moment(at, f, outputs, power, factors)
    steps = np.arange(-np.log(outputs) - 45, 5 - f.min(), _LOG_STEP)
    found = np.zeros((len(factors), len(f)))
    grown = [at.grid.weight * g * np.exp(power * f) for g in factors]
    for s in steps:
        damped = np.exp(-np.exp(np.minimum(s + f, 700)))
        rest = np.einsum("gn,gn->g", at.grid.weight, damped) ** (outputs - 1)
        share = _LOG_STEP * np.exp(power * s) * rest
        found += np.stack([share * np.einsum("gn,gn->g", g, damped) for g in grown])
    return found


def _wide_softmax_moment(
    at: Moments, f: Array, outputs: int, power: int, factors: list[Array]
) -> Array:
    """The same where outputs lie far apart: each node sums log t around its own −φ(z₁) only.

    All nodes use one lattice of log t, so that what the other outputs say is worked out once.
    """
    found = np.zeros((len(factors), len(f)))
    least, most = -np.log(outputs) - _NOTHING, 5.0
    steps = np.arange(np.ceil((most - least) / _LOG_STEP))
    for case, values in enumerate(f):
        # so far apart the largest takes all, at any scale; a node has to know its own −φ to 1e-6
        values = values * min(1.0, _FURTHEST / -values.min())
        order = np.argsort(values)
        v, weight = values[order], at.grid.weight[case][order]
        places = np.ceil((least - v) / _LOG_STEP)[:, None] + steps
        lattice, back = np.unique(places, return_inverse=True)
        others = _survival(_LOG_STEP * lattice, v, weight) ** (outputs - 1)
        u = _LOG_STEP * places + v[:, None]
        shares = np.exp(power * u - np.exp(u)) * others[back.reshape(u.shape)]
        inside = _LOG_STEP * shares.sum(axis=1)
        found[:, case] = [(at.grid.weight[case] * g[case])[order] @ inside for g in factors]
    return found


def _survival(s: Array, v: Array, weight: Array) -> Array:
    """E exp(−exp(s + φ)) at each s, over nodes v in rising order."""
    # 1 for the nodes far below −s and 0 for those far above
    first, end = np.searchsorted(v, -_NOTHING - s), np.searchsorted(v, 5 - s)
    count = end - first
    rows = np.repeat(np.arange(len(s)), count)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count - first, count)
    near = weight[columns] * np.exp(-np.exp(s[rows] + v[columns]))
    below = np.concatenate([[0.0], np.cumsum(weight)])[first]
    return np.asarray(below + np.bincount(rows, near, minlength=len(s)))
