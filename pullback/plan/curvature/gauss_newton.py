"""Gauss–Newton curvature: products with Jᵀ H J, and the Hessian of the loss in the output."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from pullback.calculus import gradients, pushforward
from pullback.errors import ShapeError
from pullback.interop.subject import takes_module
from pullback.ir import Axes, Input
from pullback.net.checks import checked_batch
from pullback.net.network import Network
from pullback.net.program import Compiled, compile_program
from pullback.net.vector import ravel
from pullback.nn import Loss
from pullback.plan.jacobian.front import jacobian
from pullback.plan.jacobian.operators import Array
from pullback.plan.jacobian.parameters import ParameterJacobian


@takes_module("X", "Y")
def ggn_vector_product(
    net: Network, params: Mapping[str, Any], X: Any, Y: Any, v: Any, *, loss: Any = None
) -> Any:
    """G v with G = Σ Jᵀ H J, the Gauss–Newton approximation of the loss's Hessian.

    H is the Hessian of the loss in the output; the loss's reduction and its l2 penalty are
    counted. ``v`` is a dict with the shapes of the trained params, or a vector as ``pb.ravel``
    makes it of them; so is the result. One forward and one reverse sweep. Schraudolph (2002).
    ``ggn_vector_product(module, X, Y, v, loss=…)`` takes a torch module with its own weights.
    Raises ShapeError for a v of another shape, and UnknownNameError for one that lacks a name.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Linear(2, 1), loss=pb.SquaredError())
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> ggn_vector_product(net, net.init(seed=0), X, np.zeros(2), np.array([1.0, 0.0, 0.0]))
    array([5., 7., 2.])
    """
    J = parameter_jacobian(net, params, X)
    vector = J.direction(v) if isinstance(v, Mapping) else np.asarray(v)
    if vector.shape != J.shape[1:]:
        raise ShapeError(f"v has shape {vector.shape}; expected ({J.shape[1]})")
    target = checked_batch(net, X, Y, params)["target"]
    change = (J @ vector).reshape(J.output.shape).astype(J.output.dtype, copy=False)
    given = {"output": J.output, "target": target, "change": change}
    bent = loss_curvature(net.criterion, net.output.axes)({}, given)["bent"]
    out = J.T @ bent.ravel()
    if net.l2:
        out = out + net.l2 * _of_weights(net, vector)
    if not isinstance(v, Mapping):
        return out
    return ravel({name: params[name] for name in net.trained})[1](out)


def parameter_jacobian(net: Network, params: Mapping[str, Any], X: Any) -> ParameterJacobian:
    """The Jacobian with respect to all parameters at a batch."""
    J = jacobian(net, params, X, wrt="params")
    assert isinstance(J, ParameterJacobian)
    return J


@lru_cache(maxsize=32)
def loss_curvature(criterion: Loss, axes: Axes) -> Compiled:
    """The program of H·change, H the Hessian of the reduced loss in the output."""
    output, change = (Input(name, axes) for name in ("output", "change"))
    target = Input("target", criterion.target_axes(axes))
    leaves = (output, target, change)
    loss = criterion.build(output, target)
    (slope,) = gradients(loss, [output])
    return compile_program(
        {"bent": pushforward(slope, {output: change})}, "H·change.", leaves=leaves
    )


def loss_at(net: Network, output: Array, target: Array) -> dict[str, Any]:
    """The reduced "loss" of an output, without penalty, and its "slope" there."""
    program = _loss_slope(net.criterion, net.output.axes)
    return program({}, {"output": output, "target": target})


@lru_cache(maxsize=32)
def _loss_slope(criterion: Loss, axes: Axes) -> Compiled:
    output, target = Input("output", axes), Input("target", criterion.target_axes(axes))
    loss = criterion.build(output, target)
    roots = {"loss": loss, "slope": gradients(loss, [output])[0]}
    return compile_program(roots, "The loss and its slope.", leaves=(output, target))


def output_hessian(net: Network, output: Array, target: Array) -> Array:
    """The Hessian (batch, outputs, outputs) of each sample's share of the reduced loss."""
    program = loss_curvature(net.criterion, net.output.axes)
    columns = []
    for at in range(prod(output.shape[1:])):
        change = np.zeros(output.shape, output.dtype)
        change.reshape(len(output), -1)[:, at] = 1
        bent = program({}, {"output": output, "target": target, "change": change})["bent"]
        columns.append(bent.reshape(len(output), -1))
    return np.stack(columns, axis=2)


def roots_of(hessian: Array) -> Array:
    """R with Rᵀ R = H for each sample; H is positive semidefinite up to rounding."""
    values, vectors = np.linalg.eigh((hessian + np.swapaxes(hessian, 1, 2)) / 2)
    return np.asarray(np.sqrt(np.maximum(values, 0))[..., None] * np.swapaxes(vectors, 1, 2))


def _of_weights(net: Network, vector: Array) -> Array:
    """The vector with zeros for the biases, which are not penalised."""
    kept = [np.full(prod(s.shape), s.kind == "weight") for s in net.specs if s.trained]
    return np.asarray(vector * np.concatenate(kept))
