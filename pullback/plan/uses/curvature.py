"""Gauss–Newton curvature and the neural tangent kernel: Jᵀ H J and J Jᵀ, no layer written out."""

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
from pullback.plan.jacobian.parameters import ParameterJacobian, cross_gram
from pullback.plan.uses.kernel import kernel_on_devices
from pullback.train.jax.placement import Hardware


@takes_module("X1")
def ntk(
    net: Network, params: Mapping[str, Any], X1: Any, X2: Any = None, *, devices: Any = None
) -> Array:
    """The neural tangent kernel J(X₁) J(X₂)ᵀ (batch₁·outputs, batch₂·outputs), samples outer.

    J is with respect to all trained parameters; that of a layer's weight is never written out.
    X₂ is X₁ by default. ``ntk(module, X1)`` takes a torch module with its own weights.
    With ``devices`` (a number, a list, a mesh) those of jax compute it, each the rows of its part
    of X₁.
    Jacot, Gabriel and Hongler (2018).

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)),
    ...                  loss=pb.SquaredError())
    >>> ntk(net, net.init(seed=0), np.eye(3), np.ones((5, 3))).shape
    (6, 10)
    """
    if devices is not None:
        place = Hardware(devices).placement
        return kernel_on_devices(net, params, X1, X1 if X2 is None else X2, place)
    one = parameter_jacobian(net, params, X1)
    return one.gram() if X2 is None else cross_gram(one, parameter_jacobian(net, params, X2))


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


def _of_weights(net: Network, vector: Array) -> Array:
    """The vector with zeros for the biases, which are not penalised."""
    kept = [np.full(prod(s.shape), s.kind == "weight") for s in net.specs if s.trained]
    return np.asarray(vector * np.concatenate(kept))
