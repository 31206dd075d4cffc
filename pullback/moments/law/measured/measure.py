"""The law of a part that has no other: moments of values and of errors over draws.

Errors are drawn too, by the law of the error that arrives, independent of the values; each block of
draws has weights of its own, and the spread between blocks is the Monte Carlo error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pullback.calculus import cotangents
from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axes, Axis, Contract, Input, Named, Node, Rename, simplify, walk
from pullback.ir.build import spread, sum_over
from pullback.ir.lift import lifted
from pullback.moments.law.measured.drawing import Drawing, drawn_units, moments_of, products_of
from pullback.moments.law.measured.part import NetworkPart
from pullback.moments.law.units import Placed, Units
from pullback.net.program import Compiled, compile_program

_BLOCKS = 16
_ENTRIES = 400_000  # that are drawn, over all blocks and groups of samples


@dataclass(frozen=True)
class MeasuredLaw:
    """Moments that were measured, and the relative standard error of the mean square."""

    law: Placed
    error: float


@dataclass(frozen=True)
class MeasuredPart:
    """A part with the moments of its root, and how it was drawn."""

    part: NetworkPart
    drawing: Drawing
    units: Units
    error: float

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """The errors at what the part reads."""
        found = self.errors(error)
        return [(leaf, found[leaf].law) for leaf in self.part.leaves if leaf in found]

    def errors(self, error: Placed) -> Mapping[Node, MeasuredLaw]:
        """The errors at its leaves and within it."""
        arriving = self.units.with_law(error, gaussian=True)
        return Errors(self.part, self.drawing, arriving).found


def measure(part: NetworkPart, drawing: Drawing) -> MeasuredPart:
    """The law of a part whose root is an equation.

    Raises NotApplicableError where the numbers leave float64.
    """
    root, batch = part.root, drawing.batch
    assert isinstance(root, Named)
    axes = tuple(axis for axis in root.axes if axis != batch)
    units = _places(part, drawing, axes)
    held, (value,) = _held(part, [root])
    program = compile_program(
        {"value": spread(value, _front(root, batch))}, "A part of a network.", leaves=held
    )
    runs = [
        [run["value"] for run in _runs(part, drawing, program, held, block)]
        for block in range(_BLOCKS)
    ]
    found = _measured(runs, drawing, _entries(part), units, list(axes))
    return MeasuredPart(part, drawing, units.with_law(found.law, gaussian=False), found.error)


@dataclass(frozen=True)
class Errors:
    """The errors within a part: of an equation on which one arrives, or of the loss."""

    part: NetworkPart
    drawing: Drawing
    arriving: Units | None = None

    @cached_property
    def found(self) -> Mapping[Node, MeasuredLaw]:
        """At each leaf and each equation within that has a law of its units."""
        drawing, part, batch = self.drawing, self.part, self.drawing.batch
        wanted: list[Node] = [
            node
            for node in (*part.leaves, *part.inner)
            if node in drawing.known and node not in drawing.noise
        ]
        axes: dict[Node, Axes] = {node: _front(node, batch) for node in wanted}
        program, held, arrives = self._program(wanted, axes)
        runs: dict[Node, list[list[Array]]] = {node: [] for node in wanted}
        size = 1.0 if self.arriving is None else _size(self.arriving)
        for block in range(_BLOCKS):
            more = self._cotangents(arrives, block, size)
            several = _runs(part, drawing, program, held, block, more)
            for node in wanted:
                runs[node].append([])
            for run in several:
                for at, node in enumerate(wanted):
                    runs[node][-1].append(run[str(at)])
        entries = _entries(part)
        return {
            node: _scaled(
                _measured(runs[node], drawing, entries, drawing.known[node], list(axes[node][1:])),
                size,
            )
            for node in wanted
        }

    def _program(
        self, wanted: Sequence[Node], axes: Mapping[Node, Axes]
    ) -> tuple[Compiled, list[Input], Input | None]:
        part = self.part
        held, (root, *inner) = _held(part, [part.root, *part.inner])
        arrives = None if self.arriving is None else Input("the error", root.axes)
        product = root if arrives is None else Contract((root, arrives), root.axes)
        total, *nodes = simplify(sum_over(product, product.axes), *inner)
        alive = {node.name: node for node in walk((total,)) if isinstance(node, Named)}
        here: dict[Node, Node] = dict(zip(part.leaves, held, strict=True))
        for old, new in zip(part.inner, nodes, strict=True):
            here[old] = alive.get(old.name, new)
        errors = cotangents(total, [here[node] for node in wanted])
        roots = {str(at): spread(errors[here[node]], axes[node]) for at, node in enumerate(wanted)}
        whole = dict(zip(roots, simplify(*roots.values()), strict=True))
        leaves = [*held, *([] if arrives is None else [arrives])]
        return compile_program(whole, "The errors in a part.", leaves=leaves), held, arrives

    def _cotangents(self, arrives: Input | None, block: int, size: float) -> dict[str, Array]:
        if arrives is None or self.arriving is None:
            return {}
        drawing, units = self.drawing, self.arriving
        rng = drawing.generator("the error", block)
        counts = drawing.counts(_least(drawing, _entries(self.part)))
        axes = [axis for axis in arrives.axes if axis != drawing.batch]
        drawn = [drawn_units(units, at, n, rng, axes, 1)[0] for at, n in enumerate(counts)]
        at = arrives.axes.index(drawing.batch) if drawing.batch in arrives.axes else 0
        return {arrives.name: np.moveaxis(np.concatenate(drawn), 0, at) / size}


def _held(part: NetworkPart, roots: Sequence[Node]) -> tuple[list[Input], tuple[Node, ...]]:
    """The leaves as inputs, and the roots over them."""
    held = [
        Input(f"{leaf.name} drawn", leaf.axes, whole=isinstance(leaf, Input) and leaf.whole)
        for leaf in part.leaves
    ]
    return held, lifted(roots, dict(zip(part.leaves, held, strict=True)))


def _runs(
    part: NetworkPart,
    drawing: Drawing,
    program: Compiled,
    held: Sequence[Input],
    block: int,
    more: Mapping[str, Array] | None = None,
) -> Iterator[Mapping[str, Array]]:
    """The program on the draws of a block: for one sample each, and for a second one if needed."""
    name = part.root.name if isinstance(part.root, Named) else "loss"
    rng = drawing.generator(name, block)
    counts = drawing.counts(_least(drawing, _entries(part)))
    parameters = drawing.parameters(part.parameters, rng)
    for values in drawing.leaves(part.leaves, counts, rng, 1 + drawing.samples.across):
        inputs = {new.name: values[old.name] for old, new in zip(part.leaves, held, strict=True)}
        with np.errstate(all="ignore"):
            yield program(parameters, {**inputs, **(more or {})})


def _entries(part: NetworkPart) -> int:
    """The numbers of a sample that are computed, about."""
    nodes = (part.root, *part.leaves, *part.inner)
    return max(1, sum(int(np.prod([a.size or 1 for a in node.axes])) for node in nodes))


def _least(drawing: Drawing, entries: int) -> int:
    return max(2, _ENTRIES // (_BLOCKS * len(drawing.samples.members) * entries))


def _measured(
    runs: Sequence[Sequence[Array]], drawing: Drawing, entries: int, units: Units, axes: list[Axis]
) -> MeasuredLaw:
    """Moments of values (count of all groups, …) of each block, of one sample or of two."""
    counts = drawing.counts(_least(drawing, entries))
    edges = np.cumsum(counts)[:-1]
    blocks = []
    for run in runs:
        groups = [np.split(values, edges) for values in run]
        by_group = [moments_of(values, units, axes) for values in groups[0]]
        mean, second, pairs = (np.stack(each) for each in zip(*by_group, strict=True))
        together = pairs[None]
        if len(groups) > 1:
            two = [products_of(a, b, units, axes) for a, b in zip(*groups, strict=True)]
            together = np.stack([pairs, np.stack(two)])
        blocks.append((mean, second, together))
    mean, second, together = (np.mean(each, axis=0) for each in zip(*blocks, strict=True))
    if not np.isfinite(second).all():
        raise NotApplicableError("the numbers drawn overflow float64")
    weight = drawing.samples.weight
    sizes = [float(weight @ block[1].reshape(len(weight), -1).mean(axis=1)) for block in blocks]
    size = float(np.mean(sizes))
    error = float(np.std(sizes, ddof=1)) / np.sqrt(len(sizes)) / size if size else 0.0
    followed = together if drawing.samples.pairs else None
    return MeasuredLaw(Placed(units.law.kept, mean, second, followed), float(error))


def _scaled(found: MeasuredLaw, size: float) -> MeasuredLaw:
    law = found.law
    pairs = None if law.pairs is None else size**2 * law.pairs
    return MeasuredLaw(Placed(law.kept, size * law.mean, size**2 * law.second, pairs), found.error)


def _size(units: Units) -> float:
    """The largest root mean square: errors are drawn as multiples of it."""
    size = float(np.sqrt(units.law.second.max(initial=0.0)))
    return size if 0 < size < np.inf else 1.0


def _front(node: Node, batch: Axis | None) -> Axes:
    """Its axes with the samples first."""
    rest = tuple(axis for axis in node.axes if axis != batch)
    return rest if batch is None else (batch, *rest)


def _places(part: NetworkPart, drawing: Drawing, axes: Axes) -> Units:
    """The digits of the root: as its leaves have them; what only weights have is averaged over."""
    known = [drawing.known[leaf] for leaf in part.leaves if leaf in drawing.known]
    renamed = [pair for node in part.nodes if isinstance(node, Rename) for pair in node.names]
    names = {new: old for old, new in renamed if old != new}
    weighed = {axis for leaf in part.parameters for axis in leaf.axes}
    parts: dict[Axis, Axes] = {}
    kept: list[Axis] = []
    for axis in axes:
        old = axis
        while old in names and not any(old in units.parts for units in known):
            old = names[old]
        found = next((units for units in known if old in units.parts), None)
        digits = (axis,) if found is None else found.parts[old]
        parts[axis] = (axis,)
        if len(digits) > 1:
            parts[axis] = tuple(Axis(f"{axis.name}·{n}", d.size) for n, d in enumerate(digits))
        places = {d for units in known for d in units.law.kept}
        stays = [old not in weighed] if found is None else [digit in places for digit in digits]
        kept += [digit for digit, stay in zip(parts[axis], stays, strict=True) if stay]
    origin = frozenset({part.root}).union(*(units.origin for units in known))
    empty = np.zeros((1, *(axis.size or 1 for axis in kept)))
    return Units(Placed(tuple(kept), empty, empty), parts, origin)
