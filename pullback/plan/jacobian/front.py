"""``pb.jacobian``: the derivative of a model's output, as a product not multiplied yet."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pullback.calculus.sweep import moved
from pullback.errors import NotApplicableError
from pullback.interop.subject import takes_module
from pullback.ir import Input, Node, Parameter
from pullback.net.checks import (
    as_array,
    checked_inputs,
    checked_parameters,
    dtype_of,
    merged,
)
from pullback.net.inputs import BATCH
from pullback.net.modes import one_by_one
from pullback.net.network import Network
from pullback.net.together import Together
from pullback.plan.jacobian.base import Jacobian
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.graph_parts import GraphParts
from pullback.plan.jacobian.input import InputJacobian
from pullback.plan.jacobian.inside import apart, equation, value_of
from pullback.plan.jacobian.local import local_jacobians
from pullback.plan.jacobian.on_devices import on_devices
from pullback.plan.jacobian.operators import Array, MatrixOperator
from pullback.plan.jacobian.parameters import ParameterJacobian
from pullback.plan.jacobian.parts import Parts
from pullback.train.jax.placement import Hardware


@takes_module("X")
def jacobian(
    net: Network,
    params: Mapping[str, Any],
    X: Any,
    wrt: str = "input",
    *,
    of: str = "output",
    devices: Any = None,
) -> Jacobian:
    """The Jacobian of the model's output at X (batch, features), or at one sample (features).

    ``wrt`` is "input" (of several, all real ones side by side, in their order), the name of one of
    several inputs, "params" (all that are trained, in the order of ``pb.ravel``), a parameter's
    name, or that of an equation, as ``net.trace`` has them: ``z.0``, ``a.1``. Everything behind an
    equation then moves with it alone: other ways from X stand still. ``of`` is "output", or an
    equation, too. X has the network's input axes, and is a dict by
    name where it has several. ``jacobian(module, X)`` takes a torch module with its own weights.
    The outputs of a sample are one axis of J, whatever axes they have,
    in C order, and so are the features of an input: (batch, outputs, features).
    With ``devices`` (a number, a list, a mesh) J is multiplied out by those of jax, each for its
    part of the samples, and everything else is answered from the matrix: one of vectors and
    columns, by parameters too, where a direction is no dict.
    Raises ShapeError, DTypeError, DataError for data that does not fit, UnknownNameError for
    another ``wrt`` or ``of``, NotApplicableError for "params" of a network that has none and for
    whole numbers, ConfigError where a sample's output depends on other samples.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(5, 2), pb.Tanh(), pb.Linear(2, 4)),
    ...                  loss=pb.SquaredError())
    >>> J = jacobian(net, net.init(seed=0), np.ones((3, 5)))
    >>> J.shape, J.gram().shape, J.solve(np.ones((3, 4)), damping=0.1).shape
    ((3, 4, 5), (3, 4, 4), (3, 5))
    >>> J.plan().table()
    {'forward': 150, 'reverse': 144, 'optimal': 144}
    >>> jacobian(net, net.init(seed=0), np.ones((3, 5)), wrt="z.0", of="a.1").shape
    (3, 2, 2)
    """
    one_by_one(net)
    top = net.output if of == "output" else equation(net, "of", of)
    inputs, alone = _batch_of(net, X)
    held = checked_parameters(net, params, dtype_of(inputs, params))
    if wrt == "params":
        return _by_parameters(net, top, held, inputs, _trained(net), devices)
    if wrt == "input":
        every = Together.of(net, top)
        _is_real(every.leaf)
        leaves = (every.leaf, *every.others)
        return _by_input(every.output, held, every.arrays(inputs), leaves, alone, devices)
    if wrt in net.parameters:
        return _by_parameters(net, top, held, inputs, (wrt,), devices)
    if wrt in net.xs:
        leaf = net.xs[wrt]
        _is_real(leaf)
        others = (each for each in net.xs.values() if each is not leaf)
        return _by_input(top, held, inputs, (leaf, *others), alone, devices)
    within = equation(net, "wrt", wrt, ["input", "params", *net.parameters, *net.xs])
    leaf, top = apart(top, within)
    inputs |= {leaf.name: value_of(net, within, held, inputs)}
    return _by_input(top, held, inputs, (leaf, *net.xs.values()), alone, devices)


def by_parameters(
    net: Network, held: Mapping[str, Array], inputs: Mapping[str, Array], names: tuple[str, ...]
) -> ParameterJacobian:
    """The Jacobian with respect to some parameters, of arrays that have been checked."""
    return _of_parameters(net, net.output, held, inputs, names)


def _of_parameters(
    net: Network,
    top: Node,
    held: Mapping[str, Array],
    inputs: Mapping[str, Array],
    names: tuple[str, ...],
) -> ParameterJacobian:
    leaves = tuple(net.parameters[name] for name in names)
    xs = tuple(net.xs.values())
    if not _is_chain_of_layers(top, leaves):
        return ParameterJacobian(GraphParts(top, leaves, held, inputs, xs), leaves)
    local = local_jacobians(top, leaves, xs)
    return ParameterJacobian(Parts(Numbers(local, held, inputs, BATCH), leaves), leaves)


def all_parameters(
    net: Network, held: Mapping[str, Array], inputs: Mapping[str, Array]
) -> ParameterJacobian:
    """That with respect to all that are trained; raises NotApplicableError where none is."""
    return by_parameters(net, held, inputs, _trained(net))


def _trained(net: Network) -> tuple[str, ...]:
    if not net.trained:
        raise NotApplicableError(
            f"{net.model!r} has no parameters to differentiate with respect to"
        )
    return net.trained


@lru_cache(maxsize=64)
def _is_chain_of_layers(output: Node, leaves: tuple[Parameter, ...]) -> bool:
    """Has a sample one axis everywhere between some parameters and the output?"""
    return all(len(node.axes) <= 2 for node in moved((output,), leaves) if BATCH in node.axes)


def _by_parameters(
    net: Network,
    top: Node,
    held: Mapping[str, Array],
    inputs: Mapping[str, Array],
    names: tuple[str, ...],
    devices: Any,
) -> Jacobian:
    """The same, or multiplied out on some devices."""
    if devices is None:
        return _of_parameters(net, top, held, inputs, names)
    leaves, place = [net.parameters[name] for name in names], Hardware(devices).placement
    found, J = on_devices(top, leaves, [*net.xs.values()], held, inputs, place)
    return InputJacobian((MatrixOperator(J.reshape(-1, J.shape[2])),), found, ())


def _by_input(
    output: Node,
    held: Mapping[str, Array],
    inputs: Mapping[str, Array],
    leaves: tuple[Input, ...],
    alone: bool,
    devices: Any,
) -> Jacobian:
    """That with respect to the first of the inputs; the others are there as well."""
    leaf = leaves[0]
    if devices is not None:
        place = Hardware(devices).placement
        found, J = on_devices(output, leaves[:1], leaves, held, inputs, place)
        return InputJacobian.of((MatrixOperator(J),), found, inputs[leaf.name], alone, {})
    local = local_jacobians(output, (leaf,), leaves)
    single = len(inputs[leaf.name]) == 1
    numbers = Numbers(local, held, inputs, leaf.axes[0], single=single)
    factors = numbers.chain(local.chain(leaf, output))
    return InputJacobian.of(factors, numbers.output, inputs[leaf.name], alone, local.plans)


def _is_real(leaf: Input) -> None:
    if leaf.whole:
        raise NotApplicableError(
            f"the input {leaf.name!r} holds whole numbers: there is no derivative by it"
        )


def _batch_of(net: Network, X: Any) -> tuple[dict[str, Array], bool]:
    """The inputs by name as a batch, and whether X was one sample."""
    if len(net.xs) == 1 and not isinstance(X, Mapping):
        leaf = net.x
        x = merged(net.shapes.get(leaf.name, ()), as_array("X", X))
        alone = x.ndim == len(leaf.axes) - 1
        return checked_inputs(net, x[None] if alone else x), alone
    if not isinstance(X, (Mapping, tuple)) or (isinstance(X, tuple) and len(X) != len(net.xs)):
        return checked_inputs(net, X), False
    given = X if isinstance(X, Mapping) else dict(zip(net.xs, X, strict=True))
    arrays = {name: as_array(name, value) for name, value in given.items() if name in net.xs}
    if any(array.ndim != len(net.xs[name].axes) - 1 for name, array in arrays.items()):
        return checked_inputs(net, X), False
    return checked_inputs(net, {**given, **{n: each[None] for n, each in arrays.items()}}), True
