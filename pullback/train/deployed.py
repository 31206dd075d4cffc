"""``deployed``: a trained network with its scaling in front, and the target's units behind it."""

from __future__ import annotations

import numpy as np

from pullback.data import Scaling
from pullback.errors import ConfigError
from pullback.net.network import Network
from pullback.net.program import Array
from pullback.nn import BatchNorm1d, Block, Sequential, Sigmoid, Softmax
from pullback.train.saved import Trained


def deployed(trained: Trained) -> tuple[Network, dict[str, Array], str]:
    """A network of features as they are in the file, its parameters, and what comes out of it.

    Probabilities come out of a classifier, values in their own units out of a regressor. Categories
    and dates are features already: ``preprocessing.features`` says which. Scaling is a batch norm
    in evaluation, which every library has. Raises ConfigError for a network whose samples are no
    plain list of features.
    """
    made, net = trained.preprocessing, trained.net
    if made is None:
        return net, trained.params, "the network's output"
    if len(net.x.axes) != 2:
        raise ConfigError(
            f"the network takes samples with the axes {net.x.axes[1:]}; export it with "
            "pb.to_onnx(net, params, path), and scale its input yourself"
        )
    blocks: list[Block] = [net.model]
    params = [trained.params[spec.name] for spec in net.specs]
    dtype = next((value.dtype for value in params), np.dtype(np.float32))
    if (scaling := made.scaling.get("x")) is not None:
        width = len(made.features)
        mean, deviation = (np.broadcast_to(each, (width,)) for each in _pair(scaling))
        # the mean is taken off first: what is left has all the digits that float32 holds
        block, own = _affine(np.ones(width), np.zeros(width), mean, deviation)
        blocks, params = [block, *blocks], [*own, *params]
    kind, classes = net.criterion.target, made.target.classes
    told = f"{made.target.name} in its own units"
    if classes and kind != "values":
        told = f"the probabilities of {', '.join(classes)}"
        if kind == "classes":
            blocks.append(Softmax(-1))
        elif not _is_probability(trained):
            blocks.append(Sigmoid())
        if net.n_out == 1:
            told = f"the probability of {classes[-1]}"
    elif (scaling := made.scaling.get("y")) is not None:
        mean, deviation = (np.broadcast_to(each, (net.n_out or 1,)) for each in _pair(scaling))
        block, own = _affine(deviation, mean, np.zeros(1), np.ones(1))
        blocks, params = [*blocks, block], [*params, *own]
    whole = Network(Sequential(*blocks), net.criterion, x=f"features={len(made.features)}")
    names = [spec.name for spec in whole.specs]
    held = {name: np.asarray(value, dtype) for name, value in zip(names, params, strict=True)}
    return whole.eval(), held, told


def _pair(scaling: Scaling) -> tuple[Array, Array]:
    return scaling.mean, scaling.deviation


def _is_probability(trained: Trained) -> bool:
    """Does the loss take outputs between 0 and 1 already?"""
    there = np.array([[0.25]])
    return bool((trained.net.criterion.estimate(there) == there).all()) and (
        trained.net.criterion.target == "probabilities"
    )


def _affine(
    gain: Array, offset: Array, mean: Array, deviation: Array
) -> tuple[BatchNorm1d, list[Array]]:
    """gain · (x − mean) / deviation + offset, as a batch norm that has learnt them."""
    width = len(gain)
    mean, variance = (np.broadcast_to(each, (width,)) for each in (mean, deviation**2))
    return BatchNorm1d(width, eps=0.0), [gain, offset, mean, variance, np.zeros(())]
