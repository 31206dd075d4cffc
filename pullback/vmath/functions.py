"""exp, log, tanh, σ, erf and their kin in branch-free arithmetic, which LLVM vectorises.

A compiler that calls the C library once for each element vectorises no loop. These functions are
selects, products and sums on one precision throughout. Nothing is reassociated: range reductions
rely on the order of operations. Errors are stated in ``docs/vmath.md`` and tested over the whole
range.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.vmath import coefficients
from pullback.vmath.real import Bits, Real

# in units in the last place, subnormal results in units of the smallest normal one
LARGEST_ERROR: dict[str, dict[str, float]] = {
    "float32": dict(
        exp=1.5, expm1=2, log=1, log1p=2, tanh=3, sech2=5, sinh=3.5, cosh=3.5, log_cosh=5,
        sigmoid=2.5, sigmoid_slope=5, softplus=3, erf=3, normal_cdf=5, gelu=12, silu=3.5, elu=2,
        selu=3,
    ),
    "float64": dict(
        exp=1.5, expm1=2.5, log=1, log1p=2, tanh=3.5, sech2=5, sinh=4, cosh=4, log_cosh=5,
        sigmoid=2.5, sigmoid_slope=5, softplus=4, erf=3.5, normal_cdf=5, gelu=12, silu=3.5,
        elu=2.5, selu=3.5,
    ),
}  # fmt: skip
OWN = (*LARGEST_ERROR["float64"], "relu", "step", "sign", "heaviside")
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_LN2 = math.log(2)


class Functions:
    """The functions in one precision, "float32" or "float64"; ``OWN`` are their names."""

    def __init__(self, dtype: str) -> None:
        single, real = dtype == "float32", np.dtype(dtype).type
        width = 32 if single else 64
        self.mantissa, self.bias = (23, 127) if single else (52, 1023)
        self.expm1_rest, self.log_rest, self.erf_rest, self.erfcx_rest = (
            getattr(coefficients, f"{name}_{width}") for name in ("EXPM1", "LOG", "ERF", "ERFCX")
        )
        # ln 2 in two parts; n times the first is exact
        self.ln2_high = 0.693359375 if single else 0.6931471803691238
        self.ln2_low = _LN2 - self.ln2_high if single else 1.9082149292705877e-10
        self.highest, self.lowest = (89.0, -104.0) if single else (710.0, -746.0)
        # exp(−2·tanh_end) is subnormal, and its exponent of 0 has no other's bits
        self.tanh_end = 44.0 if single else 354.5
        self.smallest = float(np.finfo(real).tiny)
        self.scale_bits = 25 if single else 54
        whole: Any = np.int32 if single else np.int64
        self.sqrt_half_bits = int(np.array(math.sqrt(0.5), real).view(whole))
        self.rounding = 1.5 * 2.0**self.mantissa
        self.rounding_bits = int(np.array(self.rounding, real).view(whole))
        self.shifting = self.rounding + self.bias  # whose last bits are an exponent's
        # x with its lower half cut off has a square without rounding
        self.upper = ~((1 << (12 if single else 27)) - 1)

    def exp(self, x: Real) -> Real:
        n, m = self._reduced(self._inside(x))
        return x.or_nan(self._scaled(1.0 + m, n, x))

    def expm1(self, x: Real) -> Real:
        n, m = self._reduced(self._inside(x))
        first = n >> 1
        a, b = self._power_of_two(first, x), self._power_of_two(n - first, x)
        grown = m * a * b + (a * b - 1.0)
        return x.or_nan((x < self.highest).choose(grown, math.inf))

    # A function and its slope divide once, by the same: where one loop takes both, that is shared.

    def tanh(self, x: Real) -> Real:
        less_one, shrunk = self._shrunk_twice(x)
        return (less_one * (1.0 / (shrunk + 1.0))).with_sign_of(x)

    def sech2(self, x: Real) -> Real:
        _, shrunk = self._shrunk_twice(x)
        part = 1.0 / (shrunk + 1.0)
        return 4.0 * part * (shrunk * part)

    def sigmoid(self, x: Real) -> Real:
        small = self.exp(-abs(x))
        part = 1.0 / (1.0 + small)
        return x.or_nan((x >= 0.0).choose(part, small * part))

    def sigmoid_slope(self, x: Real) -> Real:
        small = self.exp(-abs(x))
        part = 1.0 / (1.0 + small)
        return small * part * part

    def log(self, x: Real) -> Real:
        low = x < self.smallest
        bits = low.choose(x * 2.0**self.scale_bits, x).bits()
        # the exponent that leaves a mantissa from √½ to √2
        n = (bits - self.sqrt_half_bits) >> self.mantissa
        m = (bits - (n << self.mantissa)).as_float(x)
        count = n.converted(x) - low.choose(x.like(self.scale_bits), 0.0)
        f = m - 1.0
        s = f / (2.0 + f)
        square = f * f * 0.5
        rest = s * (square + s * s * (s * s).polynomial(self.log_rest))
        value = count * self.ln2_high - ((square - (rest + count * self.ln2_low)) - f)
        value = x.equals(math.inf).choose(x, value)
        value = x.equals(0.0).choose(-math.inf, value)
        return x.or_nan((x < 0.0).choose(math.nan, value))

    def log1p(self, x: Real) -> Real:
        above = 1.0 + x
        lost = (x - (above - 1.0)) / above  # what rounding 1 + x has cut off
        value = self.log(above)
        value = (x > -1.0).choose(value + lost, value)
        return ((x < math.inf) & (abs(x) > 0.0)).choose(value, x)

    def log_cosh(self, x: Real) -> Real:
        size = abs(x)
        grown = self.expm1((size < 1.0).choose(size, 1.0))
        near = self._log1p_small(0.5 * grown * grown / (1.0 + grown))
        far = (size - _LN2) + self._log1p_small(self.exp(-2.0 * size))
        return (size < 1.0).choose(near, far)

    def softplus(self, x: Real) -> Real:
        return x.or_nan((x > 0.0).choose(x, 0.0) + self._log1p_small(self.exp(-abs(x))))

    def erf(self, x: Real) -> Real:
        size = abs(x)
        near = x * (size < 1.0).choose(x * x, 1.0).polynomial(self.erf_rest)
        far = (size < 30.0).choose(size, 30.0)
        outer = (1.0 - self._gaussian_tail(far, far, 1.0)).with_sign_of(x)
        return x.or_nan((size < 1.0).choose(near, outer))

    def normal_cdf(self, x: Real) -> Real:
        size = (abs(x) < 40.0).choose(abs(x), 40.0)
        tail = 0.5 * self._gaussian_tail(size, size * math.sqrt(0.5), 0.5)
        return x.or_nan((x < 0.0).choose(tail, 1.0 - tail))

    def gelu(self, x: Real) -> Real:
        # −∞ · 0 is no number; so far out the result is −0 anyway
        return (x < self.lowest).choose(self.lowest, x) * self.normal_cdf(x)

    def silu(self, x: Real) -> Real:
        return (x < self.lowest).choose(self.lowest, x) * self.sigmoid(x)

    def relu(self, x: Real) -> Real:
        return (x <= 0.0).choose(0.0, x)

    def step(self, x: Real) -> Real:
        return (x > 0.0).choose(x.like(1.0), 0.0)

    def sign(self, x: Real) -> Real:
        return (x > 0.0).choose(1.0, (x < 0.0).choose(-1.0, x))

    def heaviside(self, x: Real) -> Real:
        at_most = (x < 0.0).choose(0.0, x.equals(0.0).choose(0.5, x))
        return (x > 0.0).choose(1.0, at_most)

    def elu(self, x: Real) -> Real:
        return (x > 0.0).choose(x, self.expm1(x))

    def selu(self, x: Real) -> Real:
        return _SELU_SCALE * (x > 0.0).choose(x, _SELU_ALPHA * self.expm1(x))

    def sinh(self, x: Real) -> Real:
        size = abs(x)
        grown = self.expm1((size < 22.0).choose(size, 22.0))
        root = self.exp(0.5 * size)
        near = 0.5 * (grown + grown / (grown + 1.0))
        return (size < 22.0).choose(near, 0.5 * root * root).with_sign_of(x)

    def cosh(self, x: Real) -> Real:
        size = abs(x)
        grown = self.exp((size < 22.0).choose(size, 22.0))
        root = self.exp(0.5 * size)
        return (size < 22.0).choose(0.5 * (grown + 1.0 / grown), 0.5 * root * root)

    def _inside(self, x: Real) -> Real:
        """x where its exponential is neither 0 nor infinite; a number for what is none."""
        high = (x < self.highest).choose(x, self.highest)
        return (high > self.lowest).choose(high, self.lowest)

    def _reduced(self, x: Real) -> tuple[Bits, Real]:
        """n and exp(r) − 1 with x = n ln 2 + r."""
        shifted = x * (1 / _LN2) + self.rounding  # so large that it has whole numbers only
        m = self._expm1_of_rest(x, shifted - self.rounding)
        return shifted.bits() - self.rounding_bits, m

    def _expm1_of_rest(self, x: Real, n: Real) -> Real:
        """exp(x − n ln 2) − 1."""
        r = (x - n * self.ln2_high) - n * self.ln2_low
        return r + r * r * r.polynomial(self.expm1_rest)

    def _power_of_two(self, n: Bits, like: Real) -> Real:
        return ((n + self.bias) << self.mantissa).as_float(like)

    def _scaled(self, m: Real, n: Bits, like: Real) -> Real:
        first = n >> 1  # in two halves: 2^n itself may be too large or too small
        return m * self._power_of_two(first, like) * self._power_of_two(n - first, like)

    def _shrunk_twice(self, x: Real) -> tuple[Real, Real]:
        """exp(−2|x|) − 1, and exp(−2|x|), which tanh and its slope share where one loop takes both.

        Where the power of two would be subnormal its bits are those of 0. What is no number stays
        none.
        """
        size = abs(x)
        within = (size > self.tanh_end).choose(self.tanh_end, size)
        shifted = within * (-2 / _LN2) + self.shifting
        n = shifted - self.shifting
        m = self._expm1_of_rest(-2.0 * within, n)
        power = (shifted.bits() << self.mantissa).as_float(x)
        return m.fma(power, power - 1.0), m.fma(power, power)

    def _log1p_small(self, u: Real) -> Real:
        """log(1 + u) for u from 0 to 1."""
        above = 1.0 + u
        return self.log(above) + (u - (above - 1.0)) / above

    def _gaussian_tail(self, x: Real, z: Real, share: float) -> Real:
        """exp(−share·x²) erfcx(z), with the square of x taken without rounding."""
        high = (x.bits() & self.upper).as_float(x)
        t = (z - 2.0) / (z + 2.0)
        square = self.exp(-high * high * share) * self.exp(-(x - high) * (x + high) * share)
        return square * (t.polynomial(self.erfcx_rest) / (1.0 + 2.0 * z))
