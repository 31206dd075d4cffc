"""A derivation as code: the equations that it numbers, lowered once and emitted for a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from pullback.emit import lower
from pullback.emit.target import jax, numba, torch
from pullback.emit.target import numpy as readable
from pullback.emit.target.statements import Task
from pullback.errors import unknown
from pullback.ir import Input, Named, Node, Parameter

Leaf = Input | Parameter
TARGETS: dict[str, ModuleType] = {"numpy": readable, "numba": numba, "jax": jax, "torch": torch}


@dataclass(frozen=True)
class Roots:
    """What the code computes, and its arguments in order; directions are those of H v."""

    nodes: Mapping[str, Node]
    leaves: tuple[Leaf, ...]
    directions: tuple[Input, ...] = ()


# which function computes which roots; a root's name begins so
_FUNCTIONS = {
    "value_and_grad": ("gradient", "The value and its gradients by name."),
    "hessian": ("hessian", "The blocks of the Hessian, by the names of both variables."),
    "hessian_vector_product": ("hessian_vector_product", "The Hessian times the direction v_…."),
    "jacobian": ("jacobian", "The derivative of every entry of the value, by name."),
}


def emit_code(subject: str, roots: Roots, numbers: Mapping[str, int], target: str) -> str:
    """The source of a module that computes the roots; comments are the equations' numbers.

    Raises UnknownNameError for another target.
    """
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)
    emitter = TARGETS[target]
    tasks = []
    for function, (kind, doc) in _FUNCTIONS.items():
        chosen = {
            name: node for name, node in roots.nodes.items() if name.partition(".")[0] == kind
        }
        if chosen:
            tasks.append(_task(function, doc, roots, chosen, numbers, emitter.RESERVED))
    title = [subject, "", "The numbers in brackets are those of the derivation's equations.", ""]
    source: str = emitter.emit(tasks, title)
    return source


def _task(
    function: str,
    doc: str,
    roots: Roots,
    chosen: Mapping[str, Node],
    numbers: Mapping[str, int],
    reserved: frozenset[str],
) -> Task:
    value = "value" if function == "value_and_grad" else None
    wanted = ({"value": roots.nodes["value"]} if value else {}) | dict(chosen)
    named = {key: _named(key, node) for key, node in wanted.items()}
    along = roots.directions if function == "hessian_vector_product" else ()
    program = lower(named, reserved, (*roots.leaves, *along))
    comments = {
        identifier: f"({numbers[equation]})"
        for identifier, equation in program.equations.items()
        if equation in numbers
    }
    names = [leaf.name for leaf in roots.leaves]
    found = {key.partition(".")[2]: key for key in chosen}
    order = sorted(found, key=lambda name: [names.index(part) for part in _parts(name, names)])
    keys = {name: found[name] for name in order}
    return Task(function, doc, program, keys, value, comments)


def _parts(key: str, names: Sequence[str]) -> list[str]:
    """The variables that a key speaks of: one, or the two of a block of the Hessian."""
    return [key] if key in names else key.split(".")


def _named(key: str, node: Node) -> Named:
    """Every root is an equation; that of a network has its name already."""
    if isinstance(node, Named):
        return node
    return Named(key, node, "gradient" if key.startswith("gradient.") else "value")
