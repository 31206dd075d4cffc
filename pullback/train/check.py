"""``check``: is the gradient that runs the derivative of the loss that is defined?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.interop.subject import takes_module
from pullback.ir import Detach, Input, Node, walk
from pullback.ir.evaluate import evaluate, evaluate_all
from pullback.ir.lift import lifted
from pullback.laws import GradientCheck, gradient_check
from pullback.net.checks import as_array, by_input, called, checked_parameters
from pullback.net.network import Network


@takes_module("X", "Y")
def check(
    net: Network,
    params: Mapping[str, Any],
    X: Any,
    Y: Any,
    tolerance: float = 1e-6,
    seed: int = 0,
    *,
    before: Callable[[str], None] | None = None,
    loss: Any = None,
) -> GradientCheck:
    """Compare ``value_and_grad`` with complex steps through the slow interpreter, in float64.

    The two share the loss's definition and nothing else. Per trained parameter: the relative error
    along random directions and at single entries. ``before`` is called with each one's name.
    ``check(module, X, Y, loss=…)`` takes a torch module with its own weights.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(3, 4), pb.Tanh(), pb.Linear(4, 2)),
    ...                  loss=pb.CrossEntropy())
    >>> X = np.random.default_rng(0).normal(size=(5, 3))
    >>> check(net, net.init(seed=0), X, [0, 1, 1, 0, 1]).ok
    True
    """
    held = checked_parameters(net, params, np.float64)
    wide = {n: _wide(net, n, x) for n, x in by_input(net, X).items()}
    _, batch = net.batch(held, wide, Y, seed=seed)
    _, grads = net.value_and_grad(held, wide, batch["target"], seed=seed)

    total, fixed = _with_detached_fixed(net.total, {**held, **batch})

    def loss_at(at: Mapping[str, Any]) -> Any:
        return evaluate(total, {**held, **at, **batch, **fixed})[()]

    trained = {name: held[name] for name in grads}
    return gradient_check(loss_at, grads, trained, tolerance=tolerance, seed=seed, before=before)


def _with_detached_fixed(root: Node, values: Mapping[str, Any]) -> tuple[Node, dict[str, Any]]:
    """The root with what is detached as inputs of their own, and these at their values here."""
    detached = [node for node in walk((root,)) if isinstance(node, Detach)]
    names = {node: f"\0detached {at}" for at, node in enumerate(detached)}
    known = evaluate_all((root,), values) if detached else {}
    (fixed,) = lifted([root], {node: Input(name, node.axes) for node, name in names.items()})
    return fixed, {name: known[node] for node, name in names.items()}


def _wide(net: Network, name: str, value: Any) -> Any:
    """Real numbers in float64; whole ones stay where the input takes them."""
    given = as_array(called(net, name), value)
    real = given.dtype.kind in "fiub" and not net.xs[name].whole
    return given.astype(np.float64) if real else given
