"""The loss of a batch and its gradient in jax, on one device or on several."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pullback import calculus, emit
from pullback.interop.extras import library
from pullback.ir import Input, Node, Parameter, Scan, walk
from pullback.ir.lift import lifted
from pullback.net.inputs import BATCH
from pullback.net.network import Network
from pullback.net.program import execute
from pullback.train.jax.placement import Placement

Shape = tuple[int, ...]
Run = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
Taught = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[dict[str, Any], Any]]


def emitted(
    name: str,
    roots: Mapping[str, Node],
    leaves: Iterable[Input | Parameter] = (),
    half: bool = False,
) -> tuple[str, Run]:
    """The source of a program in jax, and the program: results from parameters and inputs.

    With ``half`` its products read their factors in bfloat16.
    """
    target = emit.jax  # not by its path at the top: that would load sympy for every engine
    program = emit.lower(roots, target.RESERVED | {name}, tuple(leaves))
    task = emit.Task(name, f"{name}.", program, {key: key for key in roots})
    source = target.emit([task], [name], target.BFLOAT16 if half else target.JAX)
    function = execute(source, {})[name]
    first = bool(program.parameters)

    def run(params: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        given = [inputs[key] for key in program.inputs]
        found: dict[str, Any] = function(params, *given) if first else function(*given)
        return found

    return source, run


def taught(
    net: Network, trained: Mapping[str, Shape], placement: Placement, half: bool = False
) -> Taught:
    """What a step computes from parameters and a batch, and the gradient as one vector.

    Of several devices each pulls the error of the output back through its own samples, where these
    meet nowhere before the loss, and the vectors are added in one message: over a network each
    message waits, however short it is. Elsewhere jax adds up each parameter's gradient by itself.
    """
    parts = _Parts.of(net) if placement.size > 1 else None
    if parts is None:
        _, run = emitted("training", net.training_roots, net.inputs, half)

        def at_once(params: Mapping[str, Any], batch: Mapping[str, Any]) -> tuple[Any, Any]:
            values = run(params, batch)
            return values, vector_of(values, trained)

        return at_once
    _, judge = emitted("judge", parts.judged, net.inputs, half)
    _, back = emitted("back", parts.slopes, (*net.parameters.values(), *parts.inputs), half)
    _, beside = emitted("beside", parts.beside, net.parameters.values(), half)
    axes = {leaf.name: leaf.axes for leaf in parts.inputs}

    def of_own(params: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
        return vector_of(back(params, own), trained)

    def apart(params: Mapping[str, Any], batch: Mapping[str, Any]) -> tuple[Any, Any]:
        values = judge(params, batch)
        own = {name: {**batch, **values}[name] for name in axes}
        slope = placement.added(of_own, axes)(params, own)
        return values, slope + vector_of(beside(params, {}), trained)

    return apart


@dataclass(frozen=True)
class _Parts:
    """The gradient cut at the output: the loss's error there, and what each sample makes of it."""

    judged: Mapping[str, Node]  # what a step computes but for the gradient, and the error
    slopes: Mapping[str, Node]  # from the inputs and the error of the output, by parameter
    beside: Mapping[str, Node]  # what the loss reads of the parameters themselves, as a penalty
    inputs: tuple[Input, ...]

    @classmethod
    def of(cls, net: Network) -> _Parts | None:
        """None where samples meet before the loss, or the loss reads more than the output."""
        taken = {*net.training_roots, *(each.name for each in net.leaves)}
        leaf = Input(_free("error", taken), net.output.axes)
        (loss,) = lifted((net.total,), {net.output: leaf})
        read = {node for node in walk((loss,)) if isinstance(node, Input)}
        judging = {net.target, net.sample_weight}
        if _samples_meet(net.output) or not read <= {leaf, *judging}:
            return None
        roots = {key: node for key, node in net.training_roots.items() if key not in net.gradients}
        leaves = net.trained_leaves
        error, *beside = calculus.gradients(loss, (leaf, *leaves.values()))
        slopes = calculus.gradients(net.output, leaves.values(), leaf)

        return cls(
            {**roots, leaf.name: lifted((error,), {leaf: net.output})[0]},
            dict(zip(leaves, slopes, strict=True)),
            dict(zip(leaves, beside, strict=True)),
            (*(each for each in net.inputs if each not in judging), leaf),
        )


def _free(name: str, taken: Container[str]) -> str:
    return _free(f"{name}_", taken) if name in taken else name


def _samples_meet(*roots: Node) -> bool:
    """Does some node add up over the samples, or go through them one after another?"""
    for node in walk(roots):
        if any(BATCH in arg.axes for arg in node.args) and BATCH not in node.axes:
            return True
        if isinstance(node, Scan) and (node.over == BATCH or _samples_meet(*node.body.nexts)):
            return True
    return False


def vector_of(values: Mapping[str, Any], trained: Mapping[str, Shape]) -> Any:
    """The values of the trained parameters one after another."""
    jax = library("jax", "jax")
    return jax.numpy.concatenate([jax.numpy.ravel(values[name]) for name in trained])
