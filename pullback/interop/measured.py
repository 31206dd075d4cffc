"""The initialisation that given parameters look like, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pullback.errors import NotApplicableError, unknown
from pullback.ir.flow import affine
from pullback.net.network import Network
from pullback.net.program import Array
from pullback.nn import ParameterSpec, init

ASSUMED = (
    "the weights of each Linear are taken as drawn anew, independent and normal with the mean and "
    "variance measured in the model, or orthogonal where they are; its biases too. The verdict is "
    "that of the model itself, with the weights that it has"
)
_ZERO = 4.0  # standard errors: a mean nearer to 0 is taken as 0
_EQUAL = 1e-12  # of the mean: a smaller deviation is rounding


@dataclass(frozen=True, kw_only=True)
class Measured(init.Scheme):
    """A scheme of its own for each layer, with the mean and variance that its weights have.

    A parameter that belongs to no layer W a + b is one of its own.
    """

    layers: Mapping[str, init.Scheme]
    owners: Mapping[str, str]  # the layer of each parameter

    def of_layer(self, name: str) -> init.Scheme:
        if name not in self.layers:
            raise unknown("layer", name, self.layers)
        return self.layers[name]

    def mean(self, n_in: int, n_out: int) -> float:
        raise NotApplicableError("each layer has a mean of its own: see of_layer(name)")

    def variance(self, n_in: int, n_out: int) -> float:
        raise NotApplicableError("each layer has a variance of its own: see of_layer(name)")

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        return self.of(spec).weight(spec, rng)

    def bias(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        return self.of(spec).bias(spec, rng)

    def of(self, spec: ParameterSpec) -> init.Scheme:
        return self.of_layer(self.owners[spec.name])

    def __repr__(self) -> str:
        return f"Measured({len(self.layers)} layers)"


def measured(net: Network, params: Mapping[str, Any]) -> Measured:
    """The scheme with the mean and variance of each Linear's weights and of its biases.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(400, 300)), loss=pb.MSELoss())
    >>> found = measured(net, net.init(seed=0, scheme=pb.init.he())).of_layer("0")
    >>> found.mean(400, 300), round(400 * found.variance(400, 300), 1)
    (0.0, 2.0)
    """
    schemes: dict[str, init.Scheme] = {}
    belongs = owners(net)
    for spec in sorted(net.specs, key=lambda spec: spec.kind != "weight"):
        if not spec.drawn:
            continue  # it starts at what it holds
        name, array = belongs[spec.name], np.asarray(params[spec.name], np.float64)
        if spec.kind == "weight":
            found = _of_weight(array)
        else:
            mean, std = _mean_and_std(array)
            found = replace(schemes.get(name, init.constant()), bias_mean=mean, bias_std=std)
        schemes[name] = found
    return Measured(layers=schemes, owners=belongs)


def owners(net: Network) -> dict[str, str]:
    """The layer that each parameter belongs to: the place of its z = W a + b, else its own name."""
    found: dict[str, str] = {}
    for equation in net.built_graph.equations:
        form = affine(equation.arg)
        for leaf in (form.weight, form.bias) if form else ():
            if leaf is not None:
                found.setdefault(leaf.name, equation.label.place)
    return {spec.name: found.get(spec.name, spec.name) for spec in net.specs}


def _of_weight(weight: Array) -> init.Scheme:
    mean, std = _mean_and_std(weight)
    if not mean and weight.ndim == 2 and _is_orthogonal(weight):
        return init.orthogonal(gain=std * math.sqrt(max(weight.shape)))
    return init.normal(std=std, mean=mean, fan_in=False)


def _is_orthogonal(weight: Array) -> bool:
    short = weight if weight.shape[0] <= weight.shape[1] else weight.T
    largest = np.abs(short).max(initial=0.0)
    if len(short) < 2 or not largest:
        return False
    short = short / largest
    gram = short @ short.T
    size = np.trace(gram) / len(gram)
    return bool(np.abs(gram - size * np.eye(len(gram))).max() <= 1e-4 * size)


def _mean_and_std(array: Array) -> tuple[float, float]:
    """Mean and standard deviation; a mean that chance explains is 0."""
    size = float(np.abs(array).max(initial=0.0)) or 1.0
    shares = array / size  # squares of the values themselves may overflow
    mean, std = float(shares.mean()), float(shares.std())
    if std <= _EQUAL * abs(mean):
        std = 0.0
    elif abs(mean) <= _ZERO * std / math.sqrt(array.size):
        mean, std = 0.0, math.sqrt(float(np.mean(shares**2)))
    return size * mean, size * std
