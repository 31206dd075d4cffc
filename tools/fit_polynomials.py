"""Compute the polynomial coefficients that ``pullback/vmath/coefficients.py`` holds.

    python tools/fit_polynomials.py > pullback/vmath/coefficients.py

Each function is divided by its leading terms and the rest is interpolated at Chebyshev nodes in 60
digits, which is within a small factor of the best polynomial of that degree; the largest relative
error of what it is used for stands beside each table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp

mp.mp.dps = 60
Function = Callable[[Any], Any]


def chebyshev(f: Function, low: Any, high: Any, degree: int) -> list[Any]:
    """Coefficients, highest power first, of the interpolant at Chebyshev nodes."""
    n = degree + 1
    nodes = [mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    xs = [(low + high) / 2 + (high - low) / 2 * node for node in nodes]
    powers = mp.matrix(n, n)
    for row, x in enumerate(xs):
        for column in range(n):
            powers[row, column] = x ** (degree - column)
    return list(mp.lu_solve(powers, mp.matrix([f(x) for x in xs])))


def horner(coefficients: Sequence[Any], x: Any) -> Any:
    total = mp.mpf(0)
    for c in coefficients:
        total = total * x + c
    return total


def worst(true: Function, approximate: Function, low: Any, high: Any) -> float:
    points = [low + (high - low) * mp.mpf(k) / 997 for k in range(998)]
    return float(max(abs(approximate(x) / true(x) - 1) for x in points if true(x) != 0))


def safe(f: Function, at_zero: Any) -> Function:
    return lambda x: f(x) if abs(x) > mp.mpf(10) ** -20 else at_zero


def expm1_rest(x: Any) -> Any:
    """(exp(x) − 1 − x) / x²."""
    return (mp.expm1(x) - x) / x**2


def log_rest(s2: Any) -> Any:
    """(log((1+s)/(1−s)) − 2s) / s³ as a function of s²."""
    s = mp.sqrt(s2)
    return (2 * mp.atanh(s) - 2 * s) / s**3


def erf_rest(x2: Any) -> Any:
    """erf(x)/x as a function of x²."""
    x = mp.sqrt(x2)
    return mp.erf(x) / x


def erfcx_of_t(t: Any, k: Any) -> Any:
    """(1 + 2x) exp(x²) erfc(x) with t = (x − k)/(x + k), x from 0 to infinity."""
    if abs(1 - t) < mp.mpf(10) ** -30:
        return 2 / mp.sqrt(mp.pi)
    x = k * (1 + t) / (1 - t)
    if x > 1000:
        series = mp.nsum(
            lambda n: (-1) ** int(n) * mp.fac2(2 * n - 1) / (2 * x**2) ** int(n), [0, 8]
        )
        return (1 + 2 * x) * series / (x * mp.sqrt(mp.pi))
    return (1 + 2 * x) * mp.exp(x**2) * mp.erfc(x)


def main() -> None:
    half = mp.log(2) / 2
    s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)
    k = mp.mpf(2)
    tables: dict[str, tuple[str, dict[str, tuple[list[Any], float]]]] = {
        "EXPM1": ("(exp(r) − 1 − r)/r², |r| ≤ ln 2 / 2; error of exp", {}),
        "LOG": ("(log((1+s)/(1−s)) − 2s)/s³ in s², s² ≤ (√2−1)⁴; error of log", {}),
        "ERF": ("erf(x)/x in x², |x| ≤ 1; error of erf", {}),
        "ERFCX": ("(1 + 2x) exp(x²) erfc(x) in t = (x−2)/(x+2), x ≥ 0; error of it", {}),
    }
    for bits, degrees in (("32", (4, 3, 6, 12)), ("64", (10, 7, 12, 27))):
        e, g, r, c = degrees
        p = chebyshev(safe(expm1_rest, mp.mpf(1) / 2), -half, half, e)
        error = worst(mp.exp, lambda x, p=p: 1 + x + x * x * horner(p, x), -half, half)
        tables["EXPM1"][1][bits] = (p, error)
        p = chebyshev(safe(log_rest, mp.mpf(2) / 3), mp.mpf(0), s * s, g)
        error = worst(
            lambda x: 2 * mp.atanh(x), lambda x, p=p: 2 * x + x**3 * horner(p, x * x), s / 997, s
        )
        tables["LOG"][1][bits] = (p, error)
        p = chebyshev(safe(erf_rest, 2 / mp.sqrt(mp.pi)), mp.mpf(0), mp.mpf(1), r)
        error = worst(mp.erf, lambda x, p=p: x * horner(p, x * x), mp.mpf(1) / 997, mp.mpf(1))
        tables["ERF"][1][bits] = (p, error)
        p = chebyshev(lambda t: erfcx_of_t(t, k), mp.mpf(-1), mp.mpf(1), c)
        error = worst(
            lambda t: erfcx_of_t(t, k), lambda t, p=p: horner(p, t), mp.mpf(-1), mp.mpf("0.99")
        )
        tables["ERFCX"][1][bits] = (p, error)
    print('"""Polynomial coefficients, highest power first; made by tools/fit_polynomials.py."""')
    for name, (what, by_bits) in tables.items():
        for bits, (coefficients, error) in by_bits.items():
            print(f"\n# {what}: {error:.1e}\n{name}_{bits} = (")
            print("".join(f"    {mp.nstr(c, 20)},\n" for c in coefficients) + ")")


if __name__ == "__main__":
    main()
