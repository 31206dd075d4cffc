"""The initialisation that given parameters look like, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pullback.errors import NotApplicableError, unknown
from pullback.ir.flow import affine
from pullback.ir.forms import Affine
from pullback.ir.weights import tables, weights
from pullback.ir.window import windowed
from pullback.net.network import Network
from pullback.net.program import Array
from pullback.nn import ParameterSpec, init

ASSUMED = (
    "the weights of each layer are taken as drawn anew, independent and normal with the mean and "
    "variance measured in the model, or uniform as torch draws them, or orthogonal, where they "
    "are; its biases too. Everything else, such as norms and embeddings, stays as it is. The "
    "verdict is that of the model itself, with the weights that it has"
)
_ZERO = 4.0  # standard errors: a mean nearer to 0 is taken as 0
_DEFAULT = init.torch_default()
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

    def anew(self, laws: Mapping[str, init.Scheme]) -> Measured:
        """The same with some parameters drawn by other laws."""
        return replace(
            self, layers={**self.layers, **{self.owners[n]: law for n, law in laws.items()}}
        )

    def __repr__(self) -> str:
        return f"Measured({len(self.layers)} layers)"


@dataclass(frozen=True, kw_only=True)
class Unchanged(init.Scheme):
    """What no draw changes: every draw is the values that a model holds."""

    values: Array

    def mean(self, n_in: int, n_out: int) -> float:
        return _mean_and_std(self.values)[0]

    def variance(self, n_in: int, n_out: int) -> float:
        return _mean_and_std(self.values)[1] ** 2

    def weight(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        return np.broadcast_to(self.values, spec.shape)

    def bias(self, spec: ParameterSpec, rng: np.random.Generator) -> Array:
        return self.weight(spec, rng)


def redrawn(net: Network) -> tuple[ParameterSpec, ...]:
    """The parameters that an initialisation is about: weights of sums, and the biases added there.

    Not the gains and biases of norms, tables of which rows are looked up, what is frozen, and what
    starts at values of its own. ``n_in`` is what is summed over, however the weight lies.
    """
    equations = net.built_graph.equations
    looked = {table.name for each in equations for table in tables(each)}
    specs = {spec.name: spec for spec in net.specs}
    fans: dict[str, int] = {}
    for each in equations:
        held = [w.name for w in weights(each) if w.name not in looked]
        form = affine(each.arg) or windowed(each.arg)
        fan = form.n_in if isinstance(form, Affine) else None
        bias = [form.bias.name] if form is not None and form.bias is not None and held else []
        fans |= {name: fan or specs[name].n_in for name in (*held, *bias)}
    chosen = (spec for spec in net.specs if spec.name in fans and spec.trained and spec.drawn)
    return tuple(replace(spec, n_in=fans[spec.name]) for spec in chosen)


def measured(net: Network, params: Mapping[str, Any]) -> Measured:
    """The scheme with the mean and variance of each layer's weights and of its biases.

    Where they look as torch draws them they are taken to be; what is no weight or bias of a layer
    stays as it is.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(400, 300)), loss=pb.MSELoss())
    >>> found = measured(net, net.init(seed=0, scheme=pb.init.he())).of_layer("0")
    >>> found.mean(400, 300), round(400 * found.variance(400, 300), 1)
    (0.0, 2.0)
    """
    schemes: dict[str, init.Scheme] = {}
    belongs = owners(net)
    anew = {spec.name for spec in redrawn(net)}
    for spec in sorted(net.specs, key=lambda spec: spec.kind != "weight"):
        if not spec.drawn:
            continue  # it starts at what it holds
        name, array = belongs[spec.name], np.asarray(params[spec.name], np.float64)
        if spec.name not in anew:
            schemes[name] = Unchanged(values=array)
        elif spec.kind == "weight":
            schemes[name] = _of_weight(array, spec)
        elif not (_is_default(array, spec) and schemes.get(name, _DEFAULT) == _DEFAULT):
            mean, std = _mean_and_std(array)
            law = _spelled(schemes.get(name, init.constant()), spec)
            schemes[name] = replace(law, bias_mean=mean, bias_std=std)
        else:
            schemes[name] = _DEFAULT
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


def _of_weight(weight: Array, spec: ParameterSpec) -> init.Scheme:
    if _is_default(weight, spec):
        return _DEFAULT
    mean, std = _mean_and_std(weight)
    if not mean and weight.ndim == 2 and _is_orthogonal(weight):
        return init.orthogonal(gain=std * math.sqrt(max(weight.shape)))
    return init.normal(std=std, mean=mean, fan_in=False)


def _spelled(law: init.Scheme, spec: ParameterSpec) -> init.Scheme:
    """torch's default without its law of the biases."""
    return init.uniform(1 / math.sqrt(spec.n_in)) if law == _DEFAULT else law


def _is_default(array: Array, spec: ParameterSpec) -> bool:
    """Does it look uniform in ±1/√n_in, as torch draws weights and biases?"""
    shares = array * math.sqrt(spec.n_in)
    if not np.abs(shares).max(initial=0.0) <= 1 + 1e-6:
        return False
    # of n uniform numbers in ±1: the mean has variance 1/3n, the mean square 4/45n
    mean, square = abs(shares.mean()), abs(np.mean(shares**2) - 1 / 3)
    errors = math.sqrt(1 / 3 / array.size), math.sqrt(4 / 45 / array.size)
    return bool(
        mean <= _ZERO * errors[0] and square <= min(_ZERO * errors[1], 0.95 / 3)
    )  # zeros are not


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
