"""Values of what a part reads, drawn by its laws: data as they are, noise, units, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.interop.measured import owners
from pullback.ir import Axis, Input, Named, Node, Parameter
from pullback.ir.sizes import Sizes
from pullback.moments.law.given import DataGroups
from pullback.moments.law.units import Units
from pullback.net.network import Network
from pullback.nn import NoiseLaw, init

_MEMBERS = 16  # samples of each group, at most
_PLACES = 512  # between which correlations are drawn


@dataclass(frozen=True)
class Drawing:
    """How leaves and parameters are drawn; ``given`` are the numbers of the data."""

    net: Network
    scheme: init.Scheme
    fixed: Mapping[str, Array]
    given: Mapping[Node, Array]
    known: Mapping[Node, Units]
    samples: DataGroups
    seed: int
    noise: Mapping[Node, NoiseLaw] = field(default_factory=dict)

    @property
    def batch(self) -> Axis | None:
        """The axis of the samples."""
        return self.net.built_graph.batch

    def generator(self, name: str, block: int) -> np.random.Generator:
        """Random numbers of one part, the same whenever it is drawn."""
        return np.random.default_rng([self.seed, 41, block, *name.encode()])

    def counts(self, least: int) -> tuple[int, ...]:
        """How many values of each group: a multiple of the samples that it shows."""
        shown = [min(len(members), _MEMBERS) for members in self.samples.members]
        return tuple(n * max(1, -(-least // n)) for n in shown)

    def leaves(
        self,
        leaves: Sequence[Named | Input],
        counts: Sequence[int],
        rng: np.random.Generator,
        samples: int = 1,
    ) -> list[dict[str, Array]]:
        """Values (count of all groups, …) of each leaf by name, for one or two samples each."""
        rows = [self._rows(counts, rng) for _ in range(samples)]
        found: list[dict[str, Array]] = [{} for _ in rows]
        for leaf in leaves:
            if leaf in self.given:
                value = self.given[leaf]
                several = [value[r] if leaf.axes[:1] == (self.batch,) else value for r in rows]
            elif leaf in self.noise:
                shape = (sum(counts), *map(self._sizes.of, leaf.axes[1:]))
                several = [self.noise[leaf].draw(shape, rng, float) for _ in rows]
            else:
                several = self._units(leaf, counts, rng, samples)
            for held, values in zip(found, several, strict=True):
                held[leaf.name] = values
        return found

    def parameters(
        self, parameters: Sequence[Parameter], rng: np.random.Generator
    ) -> dict[str, Array]:
        """The parameters of one network, those that are fixed as they are."""
        specs, owner = {spec.name: spec for spec in self.net.specs}, owners(self.net)
        found = {}
        for leaf in sorted(parameters, key=lambda leaf: leaf.name):
            held = self.fixed.get(leaf.name)
            if held is None:
                spec = specs[leaf.name]
                held = self.scheme.of_layer(owner[leaf.name]).draw(spec, rng)
            found[leaf.name] = np.asarray(held, float)
        return found

    @property
    def _sizes(self) -> Sizes:
        sizes = Sizes()
        for leaf in self.net.xs.values():
            sizes.update(zip(leaf.axes[1:], self.given[leaf].shape[1:], strict=True))
        return sizes

    def _rows(self, counts: Sequence[int], rng: np.random.Generator) -> Array:
        rows = []
        for members, count in zip(self.samples.members, counts, strict=True):
            shown = np.linspace(0, len(members) - 1, min(len(members), _MEMBERS)).astype(int)
            rows.append(rng.permutation(np.resize(members[shown], count)))
        return np.concatenate(rows)

    def _units(
        self, leaf: Node, counts: Sequence[int], rng: np.random.Generator, samples: int
    ) -> list[Array]:
        units, axes = self.known[leaf], [axis for axis in leaf.axes if axis != self.batch]
        before, source = units, units.source
        if source is not None:  # a function of units that are Gaussian
            before = source.before
        drawn = [drawn_units(before, at, n, rng, axes, samples) for at, n in enumerate(counts)]
        found = [np.concatenate([case[k] for case in drawn]) for k in range(samples)]
        values = found if source is None else [source.function(each) for each in found]
        at = leaf.axes.index(self.batch) if self.batch in leaf.axes else 0
        return [np.moveaxis(np.asarray(each, float), 0, at) for each in values]


def drawn_units(
    units: Units, case: int, count: int, rng: np.random.Generator, axes: list[Axis], samples: int
) -> list[Array]:
    """Values (count, *axes) of Gaussian units; of two samples with what they have in common."""
    law = units.law
    case = min(case, len(law.mean) - 1)
    places = int(np.prod(law.mean.shape[1:]))
    shape = (count, *(d.size or 1 for d in units.wide), places)
    covariances = law.covariances if places <= _PLACES else None
    if covariances is None:
        roots = [np.sqrt(law.variance[case].ravel())]
        drawn = [rng.standard_normal(shape) * roots[0] for _ in range(samples)]
    else:
        own = covariances[0, case].reshape(places, places)
        if samples == 1 or len(covariances) == 1:
            drawn = [rng.standard_normal(shape) @ _root(own) for _ in range(samples)]
        else:
            both = covariances[1, case].reshape(places, places)
            shared = rng.standard_normal(shape) @ _root(both)
            apart = _root(own - both)
            drawn = [shared + rng.standard_normal(shape) @ apart for _ in range(samples)]
    have = [*units.wide, *law.kept]
    order = [1 + have.index(d) for axis in axes for d in units.parts[axis]]
    lengths = [int(np.prod([d.size or 1 for d in units.parts[axis]])) for axis in axes]
    found = []
    for each in drawn:
        values = (each + law.mean[case].ravel()).reshape(*shape[:-1], *law.mean.shape[1:])
        turned = np.transpose(values, (0, *order))
        found.append(np.ascontiguousarray(turned.reshape(count, *lengths)))
    return found


def _root(covariance: Array) -> Array:
    """R with Rᵀ R = covariance; what rounding left below 0 is 0."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))).T)


def moments_of(values: Array, units: Units, axes: list[Axis]) -> tuple[Array, Array, Array]:
    """Mean, mean square and products at pairs of places of values (count, *axes)."""
    flat = _by_place(values, units, axes)
    return flat.mean(axis=0), (flat**2).mean(axis=0), _products(flat, flat)


def products_of(one: Array, other: Array, units: Units, axes: list[Axis]) -> Array:
    """Mean products at pairs of places of two samples' values."""
    return _products(_by_place(one, units, axes), _by_place(other, units, axes))


def _by_place(values: Array, units: Units, axes: list[Axis]) -> Array:
    """Values (count and wide axes, *kept)."""
    digits = [d for axis in axes for d in units.parts[axis]]
    x = values.reshape(len(values), *(d.size or 1 for d in digits))
    order = [1 + digits.index(d) for d in (*units.wide, *units.law.kept)]
    places = [d.size or 1 for d in units.law.kept]
    return np.transpose(x, (0, *order)).reshape((-1, *places))


def _products(one: Array, other: Array) -> Array:
    places = one.shape[1:]
    left, right = one.reshape(len(one), -1), other.reshape(len(other), -1)
    return np.asarray((left.T @ right / len(left)).reshape((*places, *places)))
