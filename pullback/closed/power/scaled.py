"""Arrays with a power of two beside them: products that overflow on the way and not in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import NonFiniteError

Array = np.ndarray[Any, np.dtype[Any]]

_RUN = 512  # numbers in [½, 1) whose product stays far above 0
_COMFORT = 1e100  # squared norms within it need no new scale
_PLAIN = 1000  # float64 holds 2 to this power and its inverse
_FARTHEST = 1 << 20  # exponents beyond it are all the same: nothing, or far too much


def times_two_to(values: Array, exponent: int | Array) -> Array:
    """values · 2^exponent, elementwise; too small is 0, too large is infinite."""
    bounded: Any
    if isinstance(exponent, int) and abs(exponent) < _PLAIN:
        with np.errstate(over="ignore", under="ignore"):
            return values * 2.0**exponent
    if isinstance(exponent, int):
        bounded = min(max(exponent, -_FARTHEST), _FARTHEST)
    else:
        bounded = np.clip(exponent, -_FARTHEST, _FARTHEST).astype(np.int32)
    with np.errstate(over="ignore", under="ignore"):
        if np.iscomplexobj(values):
            both: Array = np.empty(np.broadcast_shapes(values.shape, np.shape(bounded)), complex)
            both.real, both.imag = np.ldexp(values.real, bounded), np.ldexp(values.imag, bounded)
            return both
        return np.asarray(np.ldexp(values, bounded))


@dataclass(frozen=True, eq=False)
class ScaledArray:
    """The array ``mantissa`` · 2^exponent; products and sums keep the mantissa near 1.

    >>> huge = ScaledArray.of(np.array([[3.0]]), 2000)
    >>> (huge @ ScaledArray.of(np.array([[5.0]]), -2000)).value("it")
    array([[15.]])
    """

    mantissa: Array
    exponent: int = 0

    @classmethod
    def of(cls, values: Array, exponent: int = 0) -> ScaledArray:
        """The array in a comfortable scale."""
        square = np.vdot(values, values).real
        if 1 / _COMFORT < square < _COMFORT:
            return cls(values, exponent)
        largest = np.max(np.abs(values), initial=0.0)
        if not (0 < largest < np.inf):
            return cls(values, exponent)
        shift = int(np.frexp(largest)[1])
        return cls(times_two_to(values, -shift), exponent + shift)

    @classmethod
    def gather(cls, values: Array, exponents: Array) -> ScaledArray:
        """Entries that each have a power of two of their own, brought to the largest one."""
        mantissas, shifts = np.frexp(np.abs(values))
        held = shifts + exponents
        most = int(held.max(where=mantissas != 0, initial=-(1 << 62)))
        if most == -(1 << 62):
            return cls(np.zeros_like(values))
        return cls(times_two_to(values, exponents - most), most)

    def __matmul__(self, other: ScaledArray) -> ScaledArray:
        return ScaledArray.of(self.mantissa @ other.mantissa, self.exponent + other.exponent)

    def __add__(self, other: ScaledArray) -> ScaledArray:
        if not other.mantissa.any():
            return self
        if not self.mantissa.any():
            return other
        most = max(self.exponent, other.exponent)
        parts = [
            each.mantissa
            if each.exponent == most
            else times_two_to(each.mantissa, each.exponent - most)
            for each in (self, other)
        ]
        return ScaledArray.of(parts[0] + parts[1], most)

    @property
    def real(self) -> ScaledArray:
        """The real part."""
        return ScaledArray(np.ascontiguousarray(self.mantissa.real), self.exponent)

    def value(self, what: str) -> Array:
        """The plain array; raises NonFiniteError, with the size, where float64 cannot hold it."""
        found = times_two_to(self.mantissa, self.exponent)
        if not np.isfinite(found).all():
            if not np.isfinite(self.mantissa).all():
                raise NonFiniteError(f"{what} is not finite")
            size = self.exponent + np.log2(np.max(np.abs(self.mantissa)))
            raise NonFiniteError(
                f"{what} is about 10^{size * np.log10(2):.0f}: float64 ends at 10^308"
            )
        return found


def difference(one: ScaledArray, other: ScaledArray) -> float:
    """How far two arrays are apart, relative to the second."""
    apart = one + ScaledArray(-other.mantissa, other.exponent)
    size = float(np.linalg.norm(other.mantissa))
    if not apart.mantissa.any():
        return 0.0
    if size == 0:
        return float(np.linalg.norm(times_two_to(apart.mantissa, apart.exponent)))
    shift = apart.exponent - other.exponent
    return float(np.linalg.norm(times_two_to(apart.mantissa, shift)) / size)


def powers(values: Array, times: int) -> tuple[Array, Array]:
    """values^times elementwise in the log domain, as mantissas and powers of two.

    The powers of two in the values are multiplied as integers; the error is that of times · log₂ of
    what is left, which lies in [√½, √2]. A zero gives an exact zero.

    >>> m, e = powers(np.array([2.0, -0.5, 0.0]), 1_000_001)
    >>> m, e
    (array([ 1., -1.,  0.]), array([ 1000001, -1000001,        0]))
    """
    if times == 0:
        return np.ones_like(values), np.zeros(values.shape, np.int64)
    size = np.abs(values)
    part, shift = np.frexp(size)
    low = part < np.sqrt(0.5)  # from √½ to √2, so that a value next to 1 has a small logarithm
    part, shift = np.where(low, 2 * part, part), (shift - low).astype(np.int64)
    log = times * np.log2(part, out=np.zeros(values.shape), where=size > 0)
    whole = np.floor(log)
    mantissa: Array = np.exp2(log - whole) * (size > 0)
    if np.iscomplexobj(values):
        mantissa = mantissa * np.exp(1j * (times * np.angle(values)))
    elif times % 2:
        mantissa = mantissa * np.sign(values)
    return mantissa, (whole.astype(np.int64) + times * shift) * (size > 0)


def running_products(factors: Array) -> tuple[Array, Array]:
    """1 and the products of the first 1, 2, … factors (steps, …), as mantissas and powers of two.

    The logarithms are split: their whole parts are added as integers, without any rounding, and
    what is left of the factors, all in [½, 1), is multiplied. A zero stays an exact zero.

    >>> m, e = running_products(np.array([4.0, -0.5, 0.0]))
    >>> np.ldexp(m, e)
    array([ 1.,  4., -2., -0.])
    """
    mantissas, shifts = np.frexp(factors)
    products: Array = np.ones((len(factors) + 1, *factors.shape[1:]))
    exponents: Array = np.zeros(products.shape, np.int64)
    exponents[1:] = np.cumsum(shifts, axis=0, dtype=np.int64)
    carried: Array = np.zeros(factors.shape[1:], np.int64)
    for start in range(0, len(factors), _RUN):
        run = mantissas[start : start + _RUN]
        found, more = np.frexp(products[start] * np.cumprod(run, axis=0))
        stop = start + len(run)
        products[start + 1 : stop + 1] = found
        exponents[start + 1 : stop + 1] += carried + more
        carried = carried + more[-1]
    return products, exponents


def divided_differences(values: Array, times: int) -> tuple[Array, Array]:
    """Σ_k λ_i^k λ_j^(times−1−k), the divided differences of λ^times: mantissas, powers of two.

    Near-equal eigenvalues lose nothing: with r = λ_small/λ_big the sum is
    λ_big^(times−1) · expm1(times·log r)/(r − 1) (Daleckii and Krein 1965 for the formula).

    >>> m, e = divided_differences(np.array([2.0, 3.0]), 3)
    >>> m * 2.0**e
    array([[12., 19.],
           [19., 27.]])
    """
    from scipy.special import expm1, log1p

    one, other = np.broadcast_arrays(values[:, None], values[None, :])
    swap = np.abs(one) < np.abs(other)
    big, small = np.where(swap, other, one), np.where(swap, one, other)
    apart = np.divide(small - big, big, out=np.zeros_like(big), where=big != 0)  # r − 1
    ratio: Array = np.full_like(big, times)
    # Σ r^k: by the logarithm next to 1, as it stands elsewhere
    near = (apart != 0) & (np.abs(apart) < 0.5)
    if near.any():
        ratio[near] = expm1(times * log1p(apart[near])) / apart[near]
    far = np.abs(apart) >= 0.5
    if far.any():
        mantissa, exponent = powers(1 + apart[far], times)
        ratio[far] = (times_two_to(mantissa, exponent) - 1) / apart[far]
    mantissa, exponent = powers(big, times - 1)
    return mantissa * ratio, exponent
