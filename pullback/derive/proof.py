"""Derivatives compared with complex steps through the slow interpreter, at random points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

import numpy as np

from pullback.derive.roots import Roots
from pullback.errors import PullbackError, SingularError
from pullback.ir import Axis, Input, Node, Rename, Stack, walk
from pullback.ir.evaluate import evaluate_all
from pullback.ir.language.parse import Structure
from pullback.ir.sizes import made_of
from pullback.net.structure import Symmetric

Array = np.ndarray[Any, np.dtype[Any]]
POINTS, STEP = 3, 1e-30
LEAST = 1e-13  # a smaller error is rounding alone
ROUNDED = 1e-6  # a slope that is 0 differs by the rounding of what is added up, 1e-16 of it
WRONG = 1e-8
_BEFORE = {"gradient": "value", "jacobian": "value", "hessian": "gradient", "second": "jacobian"}
_BEFORE["third"] = "hessian"


@dataclass(frozen=True)
class Proof:
    """The largest relative error of all derivatives at some random points, or why there is none."""

    error: float = 0.0
    points: int = 0
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Do all derivatives agree with the complex steps?"""
        return bool(self.points) and self.error < WRONG

    def text(self) -> str:
        """One line."""
        if not self.points:
            return f"Not checked: {self.reason}."
        if not self.ok:
            return f"WRONG at random points: a relative error of {self.error:.1e}."
        bound = max(LEAST, 10.0 ** ceil(log10(max(self.error, 1e-300))))
        return (
            f"Checked at {self.points} random points against a complex step: relative error below "
            f"{bound:.0e}."
        )


def prove(roots: Roots, structures: Mapping[str, Structure], symmetric: Symmetric) -> Proof:
    """Compare every derivative with the complex step of what it is the derivative of.

    Where it is one by a structured matrix, the step is such a matrix as well.
    """
    leaves = [leaf for leaf in roots.leaves if isinstance(leaf, Input)]
    worst, points = 0.0, 0
    try:
        for seed in range(8 * POINTS):
            try:
                found = _at(roots, leaves, structures, symmetric, seed)
            except SingularError:  # as of XᵀX, where X has more columns than rows
                continue
            if np.isfinite(found):  # elsewhere the expression has no value
                worst, points = max(worst, found), points + 1
            if points == POINTS:
                return Proof(worst, points)
    except (PullbackError, MemoryError) as fault:
        return Proof(reason=str(fault).partition("\n")[0].rstrip("."))
    return Proof(reason="the expression has no finite value at random points")


def _at(
    roots: Roots,
    leaves: list[Input],
    structures: Mapping[str, Structure],
    symmetric: Symmetric,
    seed: int,
) -> float:
    """The largest error at one point; every other one has positive numbers only."""
    rng = np.random.default_rng(seed)
    nodes = [*roots.measures, *walk(roots.nodes.values())]
    sizes = _sizes(leaves, nodes, rising=seed % 4 > 1)
    values, steps = dict[str, Array](), dict[str, Array]()
    for leaf in leaves:
        shape = [sizes[axis.unprimed] for axis in leaf.axes]
        drawn = rng.normal(size=shape) if seed % 2 else rng.uniform(0.3, 1.3, shape)
        values[leaf.name] = _of_structure(drawn, structures.get(leaf.name, ""))
        along = rng.normal(size=shape)
        steps[leaf.name] = _of_structure(along, structures.get(leaf.name, ""))
    worst = 0.0
    with np.errstate(all="ignore"):
        for of, name, node in _pairs(roots):
            step = steps[name]
            moved, parts = (
                evaluate_all((of, *leaves, *roots.measures), {**values, name: at})
                for at in (values[name] + STEP * 1j * step, values[name])
            )
            here = parts[of]
            if not np.isfinite(here).all():
                return np.inf
            expected = np.imag(moved[of]) / STEP
            if structures.get(name) == "sym" and symmetric == "entries":
                step = np.triu(step)  # an entry and its mirror image are one
            slope = evaluate_all((node, *leaves, *roots.measures), values)[node]
            found = np.tensordot(slope, step, np.ndim(step))
            # a slope may be 0 because it is a difference of what is not
            inside = (_largest(parts[part]) for part in walk((of,)))
            rounded = ROUNDED * max(each for each in inside if np.isfinite(each))
            scale = max(_largest(found), _largest(expected), rounded, 1e-300)
            worst = max(worst, _largest(found - expected) / scale)
            if not np.isfinite(scale):
                return np.inf
    return worst


def _largest(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))


def _pairs(roots: Roots) -> list[tuple[Node, str, Node]]:
    """What each derivative is of, by which variable, and the derivative itself."""
    found: list[tuple[Node, str, Node]] = []
    for kind, several in roots.derivatives.items():
        before = _BEFORE.get(kind)
        for by, node in several.items() if before else ():
            known = roots.derivatives.get(before or "", {})
            of = roots.value if before == "value" else known.get(by[:-1])
            if of is None and kind == "third":
                of = roots.derivatives.get("second", {}).get(by[:-1])
            if of is not None:
                found.append((of, by[-1], node))
    return found


def _sizes(leaves: list[Input], nodes: list[Node], rising: bool) -> dict[Axis, int]:
    """Another length for each axis that has none: 4, 3, 2, or the other way round."""
    made = {node.whole.unprimed for node in nodes if isinstance(node, Stack)}
    alike = _alike(nodes)
    axes = dict.fromkeys(axis.unprimed for leaf in leaves for axis in leaf.axes)
    first = {axis: alike.get(axis, axis) for axis in axes if axis not in made}
    open_axes = [*dict.fromkeys(each for each in first.values() if each.size is None)]
    lengths = (2, 3, 4) if rising else (4, 3, 2)
    found = {axis: each.size or lengths[open_axes.index(each) % 3] for axis, each in first.items()}
    known = {leaf.name: tuple(found[axis.unprimed] for axis in leaf.axes)
             for leaf in leaves if not made & {axis.unprimed for axis in leaf.axes}}  # fmt: skip
    return found | made_of(nodes, known) if made else found


def _alike(nodes: list[Node]) -> dict[Axis, Axis]:
    """For each of the axes that are as long as another one the first of these."""
    groups: list[list[Axis]] = []
    pairs = (pair for node in nodes if isinstance(node, Rename) for pair in node.names)
    for pair in pairs:
        axes = dict.fromkeys(axis.unprimed for axis in pair)
        met = [group for group in groups if {*group} & {*axes}]
        groups = [group for group in groups if group not in met]
        groups.append([*dict.fromkeys([*(axis for group in met for axis in group), *axes])])
    # a length that is known is that of all
    return {axis: min(group, key=lambda a: a.size is None) for group in groups for axis in group}


def _of_structure(array: Array, structure: Structure) -> Array:
    if structure == "sym":
        return array + array.T
    if structure == "sign":
        return np.where(array > np.median(array), 1.0, -1.0)
    return np.diag(np.diag(array)) if structure == "diag" else array
