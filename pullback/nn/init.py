"""Initialisers: how the weights are drawn, with the mean and variance that a forecast needs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.errors import ConfigError
from pullback.nn.scope import ParameterSpec

Array = np.ndarray[Any, np.dtype[np.float64]]
_LARGEST = 1e150


@dataclass(frozen=True, kw_only=True)
class Scheme(ABC):
    """A distribution for each weight matrix; biases are zero unless ``bias_std`` is given."""

    bias_std: float = 0.0
    bias_mean: float = field(default=0.0, repr=False)  # as measured in a model; no scheme draws it

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{type(self).__name__}: {name} is {value}; expected a number")
            if isinstance(value, float) and abs(value) > _LARGEST:
                raise ConfigError(
                    f"{type(self).__name__}: {name} is {value}; expected at most {_LARGEST}, "
                    "whose square is still a number"
                )
            if name in ("std", "bias_std", "gain", "bound") and value < 0:
                raise ConfigError(f"{type(self).__name__}: {name} is {value}; expected 0 or more")

    def of_layer(self, name: str) -> Scheme:
        """The scheme of the layer of that name; most schemes are alike for all layers."""
        return self

    @property
    def entries(self) -> str:
        """The joint law of a matrix: independent "normal" entries, "independent" of another law,
        or "orthogonal".
        """
        return "independent"

    @abstractmethod
    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        """One weight, (out, in) or (out, …): what is summed comes after the first axis."""

    @abstractmethod
    def mean(self, n_in: int, n_out: int) -> float:
        """The mean of one weight."""

    @abstractmethod
    def variance(self, n_in: int, n_out: int) -> float:
        """The variance of one weight."""

    def variance_of(self, spec: ParameterSpec) -> float:
        """The variance of one entry of a parameter that it draws as a weight."""
        return self.variance(spec.n_in, spec.n_out)

    def bias_variance(self, n_in: int) -> float:
        """The variance of one bias."""
        return self.bias_std**2

    def bias(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        """One bias vector, (out,)."""
        return self.bias_mean + self.bias_std * rng.standard_normal(spec.shape)

    def draw(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        """One parameter of the state dict."""
        if not spec.drawn:
            return np.full(spec.shape, spec.start)
        law = self.of(spec)
        return law.weight(spec, rng) if spec.kind == "weight" else law.bias(spec, rng)

    def of(self, spec: ParameterSpec) -> Scheme:
        """What draws a parameter: the scheme that it brings along, or else this one."""
        return spec.start if isinstance(spec.start, Scheme) else self


@dataclass(frozen=True, kw_only=True)
class _Normal(Scheme):
    """Independent normal weights with the mean and variance of the scheme."""

    @property
    def entries(self) -> str:
        return "normal"

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        mean, variance = self.mean(spec.n_in, spec.n_out), self.variance_of(spec)
        found = rng.standard_normal(spec.shape)
        found *= math.sqrt(variance)
        return found + mean if mean else found


@dataclass(frozen=True, kw_only=True)
class Normal(_Normal):
    """See ``normal``."""

    std: float = 1.0
    average: float = 0.0
    fan_in: bool = True

    def mean(self, n_in: int, n_out: int) -> float:
        return self.average / n_in if self.fan_in else self.average

    def variance(self, n_in: int, n_out: int) -> float:
        return self.std**2 / n_in if self.fan_in else self.std**2


@dataclass(frozen=True, kw_only=True)
class NormalRows(Normal):
    """See ``rows``."""

    zero: int | None = None

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        found = rng.standard_normal(spec.shape)
        if self.zero is not None:
            found[..., self.zero, :] = 0.0
        return found


@dataclass(frozen=True, kw_only=True)
class Scaled(Scheme):
    """Variance gain² · 2/(n_in + n_out) or gain² · c/n_in, normal or uniform."""

    fan: str = "average"
    gain: float = 1.0
    numerator: float = 1.0
    distribution: str = "normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distribution not in ("normal", "uniform"):
            raise ConfigError(
                f"distribution is {self.distribution!r}; expected 'normal' or 'uniform'"
            )

    @property
    def entries(self) -> str:
        return "normal" if self.distribution == "normal" else "independent"

    def mean(self, n_in: int, n_out: int) -> float:
        return 0.0

    def variance(self, n_in: int, n_out: int) -> float:
        fan = (n_in + n_out) / 2 if self.fan == "average" else n_in
        return self.gain**2 * self.numerator / fan

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        std = math.sqrt(self.variance_of(spec))
        if self.distribution == "uniform":
            return rng.uniform(-math.sqrt(3) * std, math.sqrt(3) * std, spec.shape)
        found = rng.standard_normal(spec.shape)
        found *= std
        return found


@dataclass(frozen=True, kw_only=True)
class Orthogonal(Scheme):
    """See ``orthogonal``."""

    gain: float = 1.0

    @property
    def entries(self) -> str:
        return "orthogonal"

    def mean(self, n_in: int, n_out: int) -> float:
        return 0.0

    def variance(self, n_in: int, n_out: int) -> float:
        return self.gain**2 / max(n_in, n_out)

    def variance_of(self, spec: ParameterSpec) -> float:
        return self.variance(spec.n_in, spec.shape[0] if spec.shape else 1)  # rows, not fan-out

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        out = spec.shape[0] if spec.shape else 1
        rest = math.prod(spec.shape[1:])
        q, r = np.linalg.qr(rng.standard_normal((max(out, rest), min(out, rest))))
        q *= np.sign(np.diag(r))  # without the signs of R, Q is not uniform (Mezzadri 2007)
        return self.gain * (q if out >= rest else q.T).reshape(spec.shape)


@dataclass(frozen=True, kw_only=True)
class Uniform(Scheme):
    """See ``uniform``."""

    bound: float

    def mean(self, n_in: int, n_out: int) -> float:
        return 0.0

    def variance(self, n_in: int, n_out: int) -> float:
        return self.bound**2 / 3

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        return rng.uniform(-self.bound, self.bound, spec.shape)


@dataclass(frozen=True, kw_only=True)
class Constant(Scheme):
    """See ``constant``."""

    value: float

    def mean(self, n_in: int, n_out: int) -> float:
        return self.value

    def variance(self, n_in: int, n_out: int) -> float:
        return 0.0

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        return np.full(spec.shape, self.value)


@dataclass(frozen=True, kw_only=True)
class TorchDefault(Scheme):
    """See ``torch_default``."""

    def mean(self, n_in: int, n_out: int) -> float:
        return 0.0

    def variance(self, n_in: int, n_out: int) -> float:
        return 1 / (3 * n_in)

    def bias_variance(self, n_in: int) -> float:
        return 1 / (3 * n_in)

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        return rng.uniform(-1 / math.sqrt(spec.n_in), 1 / math.sqrt(spec.n_in), spec.shape)

    def bias(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        return self.weight(spec, rng)


def normal(
    std: float = 1.0, mean: float = 0.0, fan_in: bool = True, bias_std: float = 0.0
) -> Scheme:
    """Normal weights: N(mean/n_in, std²/n_in) with ``fan_in``, else N(mean, std²).

    >>> normal(std=2.0).variance(n_in=100, n_out=10)
    0.04
    """
    return Normal(std=std, average=mean, fan_in=fan_in, bias_std=bias_std)


def glorot(gain: float = 1.0, distribution: str = "normal", bias_std: float = 0.0) -> Scheme:
    """Variance gain² · 2/(n_in + n_out) (Glorot and Bengio 2010, eq. 16)."""
    return Scaled(fan="average", gain=gain, distribution=distribution, bias_std=bias_std)


def he(gain: float = 1.0, distribution: str = "normal", bias_std: float = 0.0) -> Scheme:
    """Variance gain² · 2/n_in, for ReLU (He et al. 2015, eq. 10)."""
    return Scaled(fan="in", numerator=2.0, gain=gain, distribution=distribution, bias_std=bias_std)


def lecun(gain: float = 1.0, distribution: str = "normal", bias_std: float = 0.0) -> Scheme:
    """Variance gain² / n_in (LeCun et al. 1998, sec. 4.6)."""
    return Scaled(fan="in", gain=gain, distribution=distribution, bias_std=bias_std)


def orthogonal(gain: float = 1.0, bias_std: float = 0.0) -> Scheme:
    """NormalRows or columns orthonormal, uniform over all such matrices (Saxe et al. 2014).

    A weight of more axes is the matrix (out, all others).
    """
    return Orthogonal(gain=gain, bias_std=bias_std)


def uniform(bound: float = 0.05, bias_std: float = 0.0) -> Scheme:
    """Uniform weights in (−bound, bound)."""
    return Uniform(bound=bound, bias_std=bias_std)


def rows(zero: int | None = None) -> Scheme:
    """N(0, 1) for each entry of a table, as torch.nn.Embedding; the row ``zero`` is 0."""
    return NormalRows(std=1.0, fan_in=False, zero=zero)


def constant(value: float = 0.0, bias_std: float = 0.0) -> Scheme:
    """Every weight the same; symmetric units then stay equal for ever."""
    return Constant(value=value, bias_std=bias_std)


def torch_default() -> Scheme:
    """What torch.nn.Linear does: weights and biases uniform in ±1/√n_in."""
    return TorchDefault()
