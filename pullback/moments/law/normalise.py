"""The law of a norm: LayerNorm, RMSNorm, GroupNorm, InstanceNorm; batch norm in training.

Forward the units are centred and of mean square 1. Backward δ = (g − mean g − x̂ mean(g x̂))/σ: with
n units in a group and a g of its own in each, E δ² = E g² (n − 2)/n · E 1/σ², which is a law for
fixed x. For Gaussian units of variance q, E 1/σ² = n/(q(n − 3)); without the mean it is (n − 1)/n
and n/(q(n − 2)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axes, Axis, Map, Named, Node
from pullback.ir.linear import LinearTerm
from pullback.ir.source import bare
from pullback.moments.law.activation import evaluator
from pullback.moments.law.units import Placed, Units, outer


@dataclass(frozen=True)
class NormForm:
    """(x − mean) · factor along ``axes``, of which both are statistics; then what is linear in it.

    ``terms`` are those of the equation with the norm as what they read: gain, bias, an order.
    """

    arg: Node
    axes: Axes
    factor: Named
    mean: Named | None
    terms: tuple[LinearTerm, ...]


def norm_of(terms: Sequence[LinearTerm]) -> NormForm | None:
    """The norm that an equation with these terms is, if it is one."""
    whole, rest, mean = None, [], None
    for term in terms:
        stats = [n for n in map(bare, term.read) if isinstance(n, Named) and n.role == "stat"]
        if not term.read:
            rest.append(term)
        elif len(term.read) == 2 and len(stats) == 1 and whole is None:
            whole = term, stats[0]
        elif len(term.read) == 2 and len(stats) == 2 and mean is None:
            mean = term
        else:
            return None
    if whole is None:
        return None
    term, factor = whole
    (read,) = (n for n in term.read if bare(n) is not factor)
    arg, taken = bare(read), None
    if mean is not None:
        other = [n for n in map(bare, mean.read) if n is not factor]
        alike = mean.scale == -term.scale and mean.parameters == term.parameters
        if len(other) != 1 or not alike or not isinstance(other[0], Named):
            return None
        taken = other[0]
    axes = tuple(axis for axis in arg.axes if axis not in factor.axes)
    return NormForm(arg, axes, factor, taken, (*rest, replace(term, read=(read,))))


@dataclass(frozen=True)
class Normalised:
    """What a norm divides by, and what is left of the errors' squares."""

    read: Node
    units: Units
    factor: Array
    share: float
    group: _Group
    samples: int  # that the group is over, 0 where each sample is made alike by itself

    @property
    def batch(self) -> int:
        """How many samples it is over, where it is over samples alone; else 0."""
        return 0 if self.units.law.kept and self.units.law.mean[0].size > 1 else self.samples

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """The error in front of it; what it takes off them leaves no mean."""
        if self.samples and error.pairs is not None:
            error = _less_own(error, error.pairs, self.group, self.samples)
        f, pairs = self.factor, error.pairs
        if pairs is not None:
            pairs = self.share * outer(f, f) * pairs
        found = Placed(error.kept, 0 * error.mean, self.share * f**2 * error.second, pairs)
        return [(self.read, found)]


def normalise(
    norm: NormForm,
    units: Units,
    batch: Axis | None,
    weight: Array,
    samples: int,
) -> Normalised:
    """The law of a norm over features, places or samples, without what it is rescaled by.

    ``weight`` is that of each case.
    """
    law, across = units.law, batch in norm.axes
    digits = tuple(d for axis in norm.axes if axis != batch for d in units.parts[axis])
    wide = any(d not in law.kept for d in digits)
    size = prod(d.size or 1 for d in digits) * (samples if across else 1)
    group = _Group(law.kept, {*digits}, weight if across else None)
    if norm.mean is None:
        centred = law
    elif wide or law.pairs is None:
        centred = _less(law, group.average(law.mean))
    else:
        centred = _less_own(law, law.pairs, group, samples if across else 1)
    variance = group.average(centred.second)
    factor = _factor(norm, variance)
    lost = 2 if norm.mean is not None else 1
    if size < lost + 2:
        what = ("batch norm", "samples") if across else ("a norm", "numbers")
        raise NotApplicableError(
            f"E 1/σ² of {what[0]} is infinite for fewer than {lost + 2} {what[1]}"
        )
    share = (size - lost) / (size - lost - 1) if units.gaussian else 1.0
    pairs = centred.pairs
    if pairs is not None:
        pairs = outer(factor, factor) * pairs
    found = Placed(law.kept, factor * centred.mean, factor**2 * centred.second, pairs)
    made = units.with_law(found, units.gaussian)
    return Normalised(norm.arg, made, factor, share, group, samples if across else 0)


@dataclass(frozen=True)
class _Group:
    """The places that are made alike, and the weight of each case where samples are too."""

    kept: Axes
    digits: set[Axis]
    weight: Array | None

    def average(self, values: Array) -> Array:
        """Over the group, of values (cases, *kept); put at each of its places."""
        where = tuple(1 + at for at, axis in enumerate(self.kept) if axis in self.digits)
        found = values.mean(axis=where, keepdims=True)
        if self.weight is not None:
            found = np.tensordot(self.weight, found, 1)[None]
        return np.asarray(np.broadcast_to(found, values.shape))

    def rows(self, pairs: Array, samples: int) -> Array:
        """The mean of pairs over the second place in the group, (cases, *kept)."""
        n = len(self.kept)
        names, primed = list(range(n)), [k + n for k in range(n)]
        size = prod(pairs.shape[2 + k] for k in range(n) if self.kept[k] in self.digits)
        second = [p if self.kept[k] in self.digits else k for k, p in enumerate(primed)]
        found = np.einsum(pairs, [50, 51, *names, *second], [50, 51, *names]) / size
        if self.weight is None:
            return np.asarray(found[0])
        same, other = (np.tensordot(self.weight, v, 1)[None] for v in (found[0], found[-1]))
        return np.asarray(
            np.broadcast_to(same / samples + (1 - 1 / samples) * other, found[0].shape)
        )


def _less(law: Placed, mean: Array) -> Placed:
    """The units with a number taken off at each place."""
    pairs = law.pairs
    if pairs is not None:
        pairs = pairs - outer(law.mean, mean) - outer(mean, law.mean) + outer(mean, mean)
    second = law.second - 2 * mean * law.mean + mean**2
    return Placed(law.kept, law.mean - mean, second, pairs)


def _less_own(law: Placed, pairs: Array, group: _Group, samples: int) -> Placed:
    """The units with the mean of their own over the group taken off."""
    rows = group.rows(pairs, samples)
    total = group.average(rows)
    ones = np.ones_like(rows)
    second = np.maximum(law.second - 2 * rows + total, 0.0)
    left = pairs - outer(rows, ones) - outer(ones, rows) + outer(total, ones)
    return Placed(law.kept, law.mean - group.average(law.mean), second, left)


def _factor(norm: NormForm, variance: Array) -> Array:
    """What the norm multiplies by where its units have this variance."""
    node = norm.factor.arg
    if isinstance(node, Map) and len(node.args) == 1:
        return evaluator(node.function)(variance)[0]
    with np.errstate(divide="ignore"):
        return np.asarray(1 / np.sqrt(variance))
