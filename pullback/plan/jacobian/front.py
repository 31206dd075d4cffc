"""``pb.jacobian``: the derivative of a model's output, as a product not multiplied yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.errors import NotApplicableError, require, unknown
from pullback.net.checks import checked_parameters, checked_x
from pullback.net.network import Network
from pullback.plan.jacobian.base import Jacobian
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.graph import graph_of
from pullback.plan.jacobian.input import InputJacobian
from pullback.plan.jacobian.operators import Array
from pullback.plan.jacobian.parameters import ParameterJacobian


def jacobian(net: Network, params: Mapping[str, Any], X: Any, wrt: str = "input") -> Jacobian:
    """The Jacobian of the model's output at X (batch, features), or at one sample (features).

    ``wrt`` is "input", "params" (all of them), or a parameter's name.
    Raises ShapeError, DTypeError, DataError for data that does not fit, UnknownNameError for
    another ``wrt``, NotApplicableError for "params" of a network that has none.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(5, 2), pb.Tanh(), pb.Linear(2, 4)),
    ...                  loss=pb.SquaredError())
    >>> J = jacobian(net, net.init(seed=0), np.ones((3, 5)))
    >>> J.shape, J.gram().shape, J.solve(np.ones((3, 4)), damping=0.1).shape
    ((3, 4, 5), (3, 4, 4), (3, 5))
    >>> J.plan().table()
    {'forward': 150, 'reverse': 144, 'optimal': 144}
    """
    require("net", net, Network, "a network such as pb.Network(model, loss=…)")
    X = np.asarray(X)
    alone = X.ndim == 1
    x = checked_x(net, X[None] if alone else X)
    held = checked_parameters(net, params, x.dtype)
    if wrt == "input":
        return _of_input(net, held, x, alone)
    if wrt != "params" and wrt not in net.parameters:
        raise unknown("wrt", wrt, ["input", "params", *net.parameters])
    if not net.parameters:
        raise NotApplicableError(
            f"{net.model!r} has no parameters to differentiate with respect to"
        )
    names = list(net.parameters) if wrt == "params" else [wrt]
    leaves = tuple(net.parameters[name] for name in names)
    numbers = Numbers(graph_of(net.output, leaves, (net.x,)), held, {"x": x}, net.x.axes[0])
    return ParameterJacobian(numbers, leaves)


def _of_input(net: Network, held: Mapping[str, Array], x: Array, alone: bool) -> Jacobian:
    graph = graph_of(net.output, (net.x,), (net.x,))
    numbers = Numbers(graph, held, {"x": x}, net.x.axes[0], single=len(x) == 1)
    factors = numbers.chain(graph.chain(net.x, net.output))
    return InputJacobian.of(factors, numbers.output, x, alone, graph.plans)
