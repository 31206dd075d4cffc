"""``check``: is the gradient that runs the derivative of the loss that is defined?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.ir.evaluate import evaluate
from pullback.laws import GradientCheck, gradient_check
from pullback.net.checks import as_array, checked_batch, checked_parameters
from pullback.net.network import Network


def check(
    net: Network,
    params: Mapping[str, Any],
    X: Any,
    Y: Any,
    tolerance: float = 1e-6,
    seed: int = 0,
    *,
    before: Callable[[str], None] | None = None,
) -> GradientCheck:
    """Compare ``value_and_grad`` with complex steps through the slow interpreter, in float64.

    The two share the loss's definition and nothing else. Per parameter: the relative error along
    random directions and at single entries. ``before`` is called with each parameter's name.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)),
    ...                  loss=pb.CrossEntropy())
    >>> X = np.random.default_rng(0).normal(size=(5, 3))
    >>> check(net, net.init(seed=0), X, [0, 1, 1, 0, 1]).ok
    True
    """
    batch = checked_batch(net, _wide(net, X), Y, params)
    target = batch.pop("target")
    held = checked_parameters(net, params, np.float64)
    _, grads = net.value_and_grad(held, batch if len(batch) > 1 else batch[net.x.name], target)
    trained = {name: held[name] for name in net.trained}

    def loss(at: Mapping[str, Any]) -> Any:
        return evaluate(net.total, {**held, **at, **batch, "target": target})[()]

    return gradient_check(loss, grads, trained, tolerance=tolerance, seed=seed, before=before)


def _wide(net: Network, X: Any) -> Any:
    """The inputs as float64; whole numbers too, unless the network has an input of them."""
    kinds = "f" if any(leaf.whole for leaf in net.xs.values()) else "fiub"
    if isinstance(X, Mapping):
        return {name: _wide(net, each) for name, each in X.items()}
    if isinstance(X, tuple):
        return tuple(_wide(net, each) for each in X)
    given = as_array("X", X)
    return given.astype(np.float64) if given.dtype.kind in kinds else given
