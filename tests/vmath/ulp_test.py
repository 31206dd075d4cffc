"""vmath stays within its stated errors over the whole range, special values included."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from pullback.vmath import compiled
from pullback.vmath.functions import LARGEST_ERROR


def normal_cdf(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2 if abs(x) < 1000 else mp.mpf(int(x > 0))


def log_cosh(x: Any) -> Any:
    grown = mp.expm1(abs(x)) if abs(x) < 1 else None
    if grown is not None:
        return mp.log1p(grown**2 / (2 * (1 + grown)))
    return abs(x) - mp.log(2) + mp.log1p(mp.exp(-2 * abs(x)))


PRECISE: dict[str, Callable[[Any], Any]] = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "tanh": mp.tanh,
    "sech2": lambda x: mp.sech(x) ** 2,
    "log_cosh": lambda x: log_cosh(x),
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "sigmoid_slope": lambda x: mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2,
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "erf": mp.erf,
    "normal_cdf": lambda x: normal_cdf(x),
    "gelu": lambda x: x * normal_cdf(x),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "elu": lambda x: x if x > 0 else mp.expm1(x),
    "selu": lambda x: (
        mp.mpf("1.0507009873554804934193349852946")
        * (x if x > 0 else mp.mpf("1.6732632423543772848170429916717") * mp.expm1(x))
    ),
}
TYPES = (np.float32, np.float64)
INF, NAN = math.inf, math.nan
SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp": [(INF, INF), (-INF, 0.0), (0.0, 1.0)],
    "expm1": [(INF, INF), (-INF, -1.0), (0.0, 0.0)],
    "log": [(INF, INF), (0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN)],
    "log1p": [(INF, INF), (-1.0, -INF), (-0.0, -0.0), (0.0, 0.0), (-2.0, NAN)],
    "sech2": [(INF, 0.0), (-INF, 0.0), (0.0, 1.0)],
    "log_cosh": [(INF, INF), (-INF, INF), (-0.0, 0.0), (0.0, 0.0)],
    "sigmoid_slope": [(INF, 0.0), (-INF, 0.0), (0.0, 0.25)],
    "tanh": [(INF, 1.0), (-INF, -1.0), (-0.0, -0.0), (0.0, 0.0)],
    "sinh": [(INF, INF), (-INF, -INF), (-0.0, -0.0)],
    "cosh": [(INF, INF), (-INF, INF), (0.0, 1.0)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5)],
    "softplus": [(INF, INF), (-INF, 0.0)],
    "erf": [(INF, 1.0), (-INF, -1.0), (-0.0, -0.0)],
    "normal_cdf": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5)],
    "gelu": [(INF, INF), (-INF, -0.0), (0.0, 0.0)],
    "silu": [(INF, INF), (-INF, -0.0), (0.0, 0.0)],
    "relu": [(INF, INF), (-INF, 0.0), (-1.0, 0.0), (2.0, 2.0)],
    "step": [(INF, 1.0), (-INF, 0.0), (0.0, 0.0)],
    "sign": [(INF, 1.0), (-INF, -1.0), (0.0, 0.0)],
    "heaviside": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (-0.0, 0.5), (3.0, 1.0)],
    "elu": [(INF, INF), (-INF, -1.0), (0.0, 0.0)],
}


def over(name: str, dtype: Any) -> Callable[[Any], Any]:
    """The function over an array."""

    def run(x: Any) -> Any:
        y = np.empty_like(x)
        compiled.over(name, np.dtype(dtype).name)(x, y)
        return y

    return run


def arguments(name: str, dtype: Any) -> Any:
    """Random bits, every binade alike, and the middle more densely."""
    rng = np.random.default_rng(1)
    whole = np.int32 if dtype is np.float32 else np.int64
    information = np.iinfo(whole)
    bits = rng.integers(information.min, information.max, 1200, dtype=whole, endpoint=True)
    x = np.concatenate(
        [bits.view(dtype), rng.uniform(-4, 4, 1200), rng.uniform(-110, 110, 600)],
        dtype=dtype,
        casting="same_kind",
    )
    x = x[np.isfinite(x)]
    if name == "log1p":
        return np.where(x > -1, x, np.abs(x))
    return np.abs(x) if name == "log" else x


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", sorted(PRECISE))
def test_error_is_within_the_stated_ulps(name: str, dtype: Any) -> None:
    x = arguments(name, dtype)
    y = over(name, dtype)(x)
    limits = np.finfo(dtype)
    with mp.workdps(40):
        for argument, found in zip(x, y, strict=True):
            exact = PRECISE[name](mp.mpf(float(argument)))
            if abs(exact) >= limits.max:
                assert abs(float(found)) >= limits.max * (1 - limits.eps)
                continue
            least = float(limits.tiny)
            if name == "sech2" and abs(exact) < 3 * least:  # what is hardly normal may be 0
                assert abs(found) < 3 * least
                continue
            if name in ("gelu", "silu"):  # x times a factor that is subnormal first
                least *= max(1.0, abs(float(argument)))
            unit = float(np.spacing(dtype(max(abs(float(exact)), least))))
            error = abs(mp.mpf(float(found)) - exact) / unit
            assert error <= LARGEST_ERROR[np.dtype(dtype).name][name], (float(argument), found)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_special_values(name: str, dtype: Any) -> None:
    given = np.array([*(x for x, _ in SPECIAL[name]), NAN], dtype)
    wanted = np.array([*(y for _, y in SPECIAL[name]), NAN], dtype)
    if name in ("step",):
        wanted[-1] = 0  # NaN is not above 0
    found = over(name, dtype)(given)
    assert np.array_equal(found, wanted, equal_nan=True)
    zeros = wanted == 0
    if name not in ("log", "relu", "step", "sign"):
        assert np.array_equal(np.signbit(found[zeros]), np.signbit(wanted[zeros]))


def test_saturation_is_never_exceeded() -> None:
    x = np.linspace(-40, 40, 20001, dtype=np.float32)
    assert np.abs(over("tanh", np.float32)(x)).max() <= 1
    for name in ("sigmoid", "normal_cdf"):
        y = over(name, np.float32)(x)
        assert y.min() >= 0
        assert y.max() <= 1
