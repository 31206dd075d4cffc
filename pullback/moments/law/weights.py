"""What a scheme says of each Linear: mean and variance of a weight, variance of a bias."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pullback.errors import ConfigError, require
from pullback.moments.law.layers import Layer, Structure
from pullback.nn import init


@dataclass(frozen=True)
class Weights:
    """The law of one layer's weights and biases.

    ``bias_variance`` is around ``bias_mean``. ``entries`` is ``"normal"``, ``"independent"`` (of
    another law) or ``"orthogonal"``.
    """

    mean: float
    variance: float
    bias_variance: float
    entries: str
    bias_mean: float = 0.0


def weights_of(
    structure: Structure, scheme: init.Scheme, fixed: bool = False
) -> tuple[Weights, ...]:
    """The law of each Linear's weights, input side first; ``fixed`` ones need not be random.

    Raises ConfigError for a scheme without a usable variance, or if nothing in a layer is random.
    """
    require("scheme", scheme, init.Scheme, "one such as pb.init.he()")
    return tuple(_weights(affine, scheme, fixed) for affine in structure.affines)


def _weights(affine: Layer, scheme: init.Scheme, fixed: bool) -> Weights:
    scheme = scheme.of_layer(affine.name)
    mean = scheme.mean(affine.n_in, affine.n_out)
    variance = scheme.variance(affine.n_in, affine.n_out)
    bias = scheme.bias_variance(affine.n_in) if affine.bias else 0.0
    shift = scheme.bias_mean if affine.bias else 0.0
    laws = (mean, "mean"), (variance, "variance"), (bias, "variance of the biases")
    for value, what in (*laws, (shift, "mean of the biases")):
        if not math.isfinite(value) or (what.startswith("variance") and value < 0):
            raise ConfigError(
                f"the scheme {scheme!r} gives {value!r} as the {what} at layer {affine.name!r}; "
                "a forecast needs a finite number, and variances from 0"
            )
    if variance == 0 and bias == 0 and not fixed:
        raise ConfigError(
            f"nothing in layer {affine.name!r} is random under {scheme!r}: there is no "
            "distribution to forecast; choose one with a variance, such as pb.init.he()"
        )
    return Weights(float(mean), float(variance), float(bias), scheme.entries, float(shift))
