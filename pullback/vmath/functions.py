"""exp, log, tanh, σ, erf and their kin in branch-free arithmetic, which LLVM vectorises.

Numba calls the C library once for each element, which no loop can vectorise. These functions are
selects, products and sums on one precision throughout. They are compiled without reassociation:
range reductions rely on the order of operations. Errors are stated in ``docs/vmath.md`` and tested
over the whole range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from pullback.machine.object.jit import inner
from pullback.vmath import coefficients
from pullback.vmath.bits import bit_casts
from pullback.vmath.polynomial import horner

Compiled = Callable[..., Any]


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


NAMES = frozenset(LARGEST_ERROR["float64"]) | {
    "relu", "step", "sign", "heaviside", "sin", "cos", "tan", "atan", "abs", "sqrt",
}  # fmt: skip


@cache
def functions(dtype: str) -> dict[str, Compiled]:
    """The functions by name, for compiled code only, for "float32" or "float64"."""
    to_bits, from_bits = bit_casts()
    compiled = inner({"contract"}, inline=True)
    single = dtype == "float32"
    real: Any = np.float32 if single else np.float64
    whole: Any = np.int32 if single else np.int64
    mantissa, bias = (whole(23), whole(127)) if single else (whole(52), whole(1023))
    expm1_rest, log_rest, erf_rest, erfcx_rest = (
        horner(getattr(coefficients, f"{name}_{32 if single else 64}"))
        for name in ("EXPM1", "LOG", "ERF", "ERFCX")
    )

    zero, half, one, two = real(0), real(0.5), real(1), real(2)
    ln2, log2_e = real(math.log(2)), real(1 / math.log(2))
    # ln 2 in two parts; n times the first is exact
    ln2_high = real(0.693359375) if single else real(0.6931471803691238)
    ln2_low = real(math.log(2) - float(ln2_high)) if single else real(1.9082149292705877e-10)
    highest, lowest = (real(89), real(-104)) if single else (real(710), real(-746))
    tanh_end = real(44) if single else real(354.5)  # exp(2·tanh_end) is still finite
    smallest = real(np.finfo(real).tiny)
    scale_up, scale_bits = (real(2.0**25), real(25)) if single else (real(2.0**54), real(54))
    sqrt_half_bits = whole(np.array(math.sqrt(0.5), real).view(whole))
    root_half, large = real(math.sqrt(0.5)), real(22)
    # x with its lower half cut off has a square without rounding
    upper = whole(~((1 << (12 if single else 27)) - 1))
    selu_scale, selu_alpha = real(1.0507009873554805), real(1.6732632423543772)
    infinity, nan = real(np.inf), real(np.nan)

    @compiled
    def power_of_two(n):  # type: ignore[no-untyped-def]
        return from_bits(whole((n + bias) << mantissa))  # Numba widens whole numbers

    @compiled
    def scaled(x, n):  # type: ignore[no-untyped-def]
        first = whole(n >> 1)  # in two halves: 2^n itself may be too large or too small
        return x * power_of_two(first) * power_of_two(whole(n - first))

    @compiled
    def reduced(x):  # type: ignore[no-untyped-def]
        """n and exp(r) − 1 with x = n ln 2 + r."""
        n = np.floor(x * log2_e + half)
        r = (x - n * ln2_high) - n * ln2_low
        return whole(n), r + r * r * expm1_rest(r)

    @compiled
    def exp(x):  # type: ignore[no-untyped-def]
        inside = highest if x > highest else (lowest if x < lowest else x)
        n, m = reduced(zero if x != x else inside)
        return x if x != x else scaled(one + m, n)

    @compiled
    def expm1(x):  # type: ignore[no-untyped-def]
        inside = highest if x > highest else (lowest if x < lowest else x)
        n, m = reduced(zero if x != x else inside)
        first = whole(n >> 1)
        a, b = power_of_two(first), power_of_two(whole(n - first))
        grown = m * a * b + (a * b - one)
        return x if x != x else (grown if x < highest else infinity)

    @compiled
    def grown_twice(x):  # type: ignore[no-untyped-def]
        """exp(2|x|) − 1, which tanh and its slope share where one loop takes both of them."""
        size = abs(x)
        inside = tanh_end if size > tanh_end else size
        n, m = reduced(zero if x != x else two * inside)
        power = power_of_two(n)
        return m * power + (power - one)

    @compiled
    def tanh(x):  # type: ignore[no-untyped-def]
        grown = grown_twice(x)
        value = grown / (grown + two)
        return x if x != x else math.copysign(value, x)

    @compiled
    def sigmoid(x):  # type: ignore[no-untyped-def]
        small = exp(-abs(x))
        return (one if x >= zero else small) / (one + small) if x == x else x

    @compiled
    def sigmoid_slope(x):  # type: ignore[no-untyped-def]
        small = exp(-abs(x))
        return small / ((one + small) * (one + small))

    @compiled
    def sech2(x):  # type: ignore[no-untyped-def]
        grown = grown_twice(x)
        value = (two * two / (grown + two)) * ((grown + one) / (grown + two))
        return x if x != x else (zero if abs(x) > tanh_end else value)

    @compiled
    def log(x):  # type: ignore[no-untyped-def]
        low = x < smallest
        normal = x * scale_up if low else x
        bits = to_bits(normal)
        # the exponent that leaves a mantissa from √½ to √2
        n = whole((bits - sqrt_half_bits) >> mantissa)
        m = from_bits(whole(bits - (n << mantissa)))
        count = real(n) - (scale_bits if low else zero)
        f = m - one
        s = f / (two + f)
        square = f * f * half
        rest = s * (square + s * s * log_rest(s * s))
        value = count * ln2_high - ((square - (rest + count * ln2_low)) - f)
        value = x if x == infinity else value
        value = -infinity if x == zero else value
        return nan if x < zero else (x if x != x else value)

    @compiled
    def log1p_small(u):  # type: ignore[no-untyped-def]
        """log(1 + u) for u from 0 to 1."""
        above = one + u
        return log(above) + (u - (above - one)) / above

    @compiled
    def log1p(x):  # type: ignore[no-untyped-def]
        above = one + x
        lost = (x - (above - one)) / above  # what rounding 1 + x has cut off
        value = log(above) + lost if x > -one else log(above)
        return value if x < infinity and x != zero else x

    @compiled
    def log_cosh(x):  # type: ignore[no-untyped-def]
        size = abs(x)
        grown = expm1(size if size < one else one)
        near = log1p_small(half * grown * grown / (one + grown))
        return near if size < one else (size - ln2) + log1p_small(exp(-two * size))

    @compiled
    def softplus(x):  # type: ignore[no-untyped-def]
        return (x if x > zero else zero) + log1p_small(exp(-abs(x))) if x == x else x

    @compiled
    def gaussian_tail(x, z, share):  # type: ignore[no-untyped-def]
        """exp(−share·x²) erfcx(z), with the square of x taken without rounding."""
        high = from_bits(whole(to_bits(x) & upper))
        t = (z - two) / (z + two)
        square = exp(-high * high * share) * exp(-(x - high) * (x + high) * share)
        return square * (erfcx_rest(t) / (one + two * z))

    @compiled
    def erf(x):  # type: ignore[no-untyped-def]
        size = abs(x)
        inner = x * erf_rest(x * x if size < one else one)
        far = size if size < real(30) else real(30)
        outer = math.copysign(one - gaussian_tail(far, far, one), x)
        return x if x != x else (inner if size < one else outer)

    @compiled
    def normal_cdf(x):  # type: ignore[no-untyped-def]
        size = abs(x) if abs(x) < real(40) else real(40)
        tail = half * gaussian_tail(size, size * root_half, half)
        return x if x != x else (tail if x < zero else one - tail)

    @compiled
    def gelu(x):  # type: ignore[no-untyped-def]
        # −∞ · 0 is no number; so far out the result is −0 anyway
        return (lowest if x < lowest else x) * normal_cdf(x)

    @compiled
    def silu(x):  # type: ignore[no-untyped-def]
        return (lowest if x < lowest else x) * sigmoid(x)

    @compiled
    def relu(x):  # type: ignore[no-untyped-def]
        return zero if x <= zero else x

    @compiled
    def step(x):  # type: ignore[no-untyped-def]
        return one if x > zero else zero

    @compiled
    def sign(x):  # type: ignore[no-untyped-def]
        return one if x > zero else (-one if x < zero else x)

    @compiled
    def heaviside(x):  # type: ignore[no-untyped-def]
        return one if x > zero else (zero if x < zero else (half if x == zero else x))

    @compiled
    def elu(x):  # type: ignore[no-untyped-def]
        return x if x > zero else expm1(x)

    @compiled
    def selu(x):  # type: ignore[no-untyped-def]
        return selu_scale * (x if x > zero else selu_alpha * expm1(x))

    @compiled
    def sinh(x):  # type: ignore[no-untyped-def]
        size = abs(x)
        grown, root = expm1(size if size < large else large), exp(half * size)
        near = half * (grown + grown / (grown + one))
        return math.copysign(near if size < large else half * root * root, x)

    @compiled
    def cosh(x):  # type: ignore[no-untyped-def]
        size = abs(x)
        grown, root = exp(size if size < large else large), exp(half * size)
        return half * (grown + one / grown) if size < large else half * root * root

    own: tuple[Compiled, ...] = (
        exp,
        expm1,
        tanh,
        sigmoid,
        sigmoid_slope,
        sech2,
        log,
        log1p,
        log_cosh,
        softplus,
        erf,
        normal_cdf,
        gelu,
        silu,
        relu,
        step,
        sign,
        heaviside,
    )
    own += (elu, selu, sinh, cosh)
    by_name = {function.__name__: function for function in own}
    # these keep the C library: a reduction by π over the whole range does not vectorise honestly
    libm = {"sin": math.sin, "cos": math.cos, "tan": math.tan, "atan": math.atan}
    return {**by_name, **libm, "abs": abs, "sqrt": math.sqrt}
