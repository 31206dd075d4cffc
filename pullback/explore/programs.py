"""The programs that a playground trains with: JavaScript for layers of any width, derived here.

The axes of layers are open, so one program serves every width; the number of layers, what stands
between them and the loss are the program's own. Nothing of the backward pass is written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from pullback.calculus import gradients
from pullback.emit import lower
from pullback.emit.target import javascript
from pullback.emit.target.language import Task
from pullback.errors import ConfigError, unknown, whole
from pullback.explore.play import DEEPEST
from pullback.ir import Axis, Contract, Input, Label, Named, Node, Parameter
from pullback.ir.build import add
from pullback.ir.graph import named_once
from pullback.nn import CrossEntropy, Loss, SquaredError, named_loss
from pullback.nn.activation import BY_NAME
from pullback.nn.scope import Scope
from pullback.nn.softmax import Softmax

BATCH = Axis("batch")


@dataclass(frozen=True)
class Ending:
    """How a network ends: its loss, and whether a softmax stands before it."""

    loss: Loss
    softmax: bool = False


ENDINGS = {
    "cross_entropy": Ending(CrossEntropy()),
    "squares": Ending(SquaredError()),
    "softmax_twice": Ending(CrossEntropy(), softmax=True),
}


def program(hidden: int, activation: str, ending: str) -> str:
    """A module with ``forward(params, x)`` and ``trace(params, x, target)``.

    Parameters are W1 (units, inputs), b1 (units), W2, …; ``trace`` gives the loss, and their
    gradients, every z, a and δ by name.
    Raises ConfigError for too many layers, UnknownNameError for another activation or ending.

    >>> print(program(1, "tanh", "squares").partition("(params, x)")[0].splitlines()[-1])
    export function forward
    """
    if whole("hidden", hidden, least=0) > DEEPEST:
        raise ConfigError(f"hidden is {hidden}; the playground has up to {DEEPEST} layers")
    for what, name, known in (("activation", activation, BY_NAME), ("ending", ending, ENDINGS)):
        if name not in known:
            raise unknown(what, str(name), known)
    inputs = [BATCH, *(Axis(f"units{k}") for k in range(hidden + 2))]
    leaf, parameters = Input("x", (BATCH, inputs[1])), list[Parameter]()
    x: Node = leaf
    values: dict[str, Node] = {}
    block = BY_NAME[activation]()
    for k, (before, units) in enumerate(pairwise(inputs[1:]), start=1):
        weight, bias = Parameter(f"W{k}", (units, before)), Parameter(f"b{k}", (units,))
        parameters += [weight, bias]
        z = add(Contract((x, weight), (BATCH, units)), bias)
        x = values[f"z{k}"] = Named(Label("z", str(k)), z)
        if k <= hidden:
            x = values[f"a{k}"] = block.build(x, Scope(str(k)))
    chosen = ENDINGS[ending]
    if chosen.softmax:
        x = Softmax().build(x, Scope("softmax"))
    target = Input("target", x.axes)
    total = named_loss(chosen.loss, x, target)
    slopes = dict(zip([p.name for p in parameters], gradients(total, parameters), strict=True))
    errors = {
        f"delta{each.label.path}": each
        for each in named_once(tuple(slopes.values())).values()
        if each.role == "delta" and each.label.of == "z"
    }
    tasks = [
        _task("forward", {**values, "output": x}, (*parameters, leaf)),
        _task("trace", {"loss": total, **values, **errors, **slopes}, (*parameters, leaf, target)),
    ]
    return javascript.emit(tasks, [f"{hidden} hidden layers, {activation}, {ending}"])


def _task(name: str, roots: Mapping[str, Node], leaves: tuple[Parameter | Input, ...]) -> Task:
    lowered = lower(roots, javascript.RESERVED, leaves)
    value = "loss" if "loss" in roots else None
    keys = {key: key for key in roots if key != value}
    return Task(name, f"{name.title()}.", lowered, keys, value)
