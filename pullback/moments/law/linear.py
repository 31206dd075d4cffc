"""Laws of what is linear: Linear, convolution, mean pool, residual, concatenation, slice, reshape.

Forward E z² = Σ σ² E a² over what feeds z, backward E δ² = Σ σ² E δ⁺² over what it feeds, each
place by itself: zero padding and stride are an operator over positions. Weights are independent and
new in each sum. Xiao et al. 2018, section 2, for convolutions; pooling and padding follow alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axes, Axis, Named, Node, Pattern
from pullback.ir.linear import LinearTerm
from pullback.ir.source import bare
from pullback.moments.law.units import Placed, Units, outer, own
from pullback.moments.law.wiring import Wiring, wired

Weigh = Callable[[Sequence[Node]], tuple[float, float]]  # mean and variance of a weight
_PART = 1 - 1e-9  # of a unit of the result, that goes back to one term


@dataclass(frozen=True)
class Share:
    """One term with what it reads, its wiring, and the law of its weight.

    ``here`` are, for each digit of its result, those of the whole equation.
    """

    read: Node | None
    units: Units | None
    wiring: Wiring
    mean: float
    variance: float
    out: Axes

    @property
    def is_part(self) -> bool:
        """Is it a part of the units of the result, as in a concatenation?"""
        return self.read is not None and not self.wiring.mixes and self.wiring.fan_in < _PART

    def forward(self, cases: int, pairs: bool) -> Placed:
        """Moments of the term."""
        w = self.wiring
        ones = np.ones(cases)
        law = Placed((), ones, ones, ones[None] if pairs else None)
        if self.units is not None:
            law = self.units.law.renamed(w.into)
        n, m, v = w.fan_in, w.scale * self.mean, w.scale**2 * self.variance
        mean = m * n * w.forward(law.mean, 1)
        spread = _squares(law, w.forward, w.forward_pairs, w.together[0])
        second = v * n * spread
        if not w.mixes:
            flat = w.forward(law.mean, 1)
            # one unit: E w² u²; n units with one weight: variances add, and so do means
            second = second + m**2 * n * (spread - flat**2) if n >= 1 else (v + m**2) * n * spread
        if n >= 1 or w.mixes:
            second = second + mean**2
        if law.pairs is None:
            return Placed(w.out, mean, second)
        both = w.forward_pairs(law.pairs)
        found = v * n * both
        if not w.mixes:
            apart = both - outer(flat, flat)
            found = found + m**2 * n * apart if n >= 1 else (v + m**2) * n * both
        if n >= 1 or w.mixes:
            found = found + outer(mean, mean)
        return Placed(w.out, mean, second, found)

    def backward(self, error: Placed) -> Placed:
        """Moments of the error that comes to what the term reads."""
        w = self.wiring
        error = error.renamed(w.out)
        n, m, v = w.fan_out, w.scale * self.mean, w.scale**2 * self.variance
        mean = m * n * w.backward(error.mean, 1)
        spread = _squares(error, w.backward, w.backward_pairs, w.together[1])
        if w.mixes:
            second = v * n * spread + mean**2
        else:
            second = (v + m**2) * n * spread
        if error.pairs is None:
            return Placed(w.into, mean, second)
        both = (v if w.mixes else v + m**2) * n * w.backward_pairs(error.pairs)
        return Placed(w.into, mean, second, both + (outer(mean, mean) if w.mixes else 0.0))


def _squares(
    law: Placed, add: Callable[[Array, int], Array], pair: Callable[[Array], Array], together: bool
) -> Array:
    """E (Σ u)² at each place: of one place each, or of several that are summed with one weight."""
    if not together:
        return add(law.second, 2)
    if law.pairs is None:
        return np.asarray(add(law.variance, 2) + add(law.mean, 1) ** 2)
    return own(pair(law.pairs)[0])


@dataclass(frozen=True)
class Total:
    """An equation that is linear: its terms, and the law of the whole."""

    shares: tuple[Share, ...]
    units: Units

    @property
    def is_rough(self) -> bool:
        """Does it add up places whose correlations are not followed?"""
        return any(
            s.units is not None and s.units.law.pairs is None and any(s.wiring.together)
            for s in self.shares
        )

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """The error at each of the equations that it reads."""
        found = []
        for share in self.shares:
            if share.read is None or share.units is None:
                continue
            law = share.backward(error.over(share.out))
            found.append((share.read, law.renamed(share.units.law.kept)))
        return found


def linear(
    equation: Named,
    terms: Sequence[LinearTerm],
    known: Mapping[Node, Units],
    batch: Axis | None,
    weigh: Weigh,
) -> Total:
    """The law of an equation with these terms.

    Raises NotApplicableError where it has none.
    """
    over = tuple(axis for axis in equation.axes if axis != batch)
    if any(batch in n.axes and batch not in term.over for term in terms for n in term.read):
        raise NotApplicableError("it sums over samples")
    found: list[tuple[LinearTerm, Node | None, Units | None, Wiring, tuple[float, float]]] = []
    wires: list[Callable[..., Wiring]] = []
    for term in terms:
        read = term.read[0] if term.read else None
        units = None if read is None else _single(known[bare(read)])
        digits = {} if read is None or units is None else _digits(read, units, batch)
        kept = () if units is None else units.law.kept
        spread = replace(term, over=equation.axes)
        wire = partial(wired, spread, read, digits, kept, batch, term.parameters)
        found.append((term, read, units, wire(), weigh(term.parameters)))
        wires.append(wire)
    places = {axis for *_, w, _ in found for axis in over if axis in w.out}
    for at, (term, read, units, wiring, weight) in enumerate(found):
        if any((places - {*wiring.out}) & {*p.axes} for p in term.given if isinstance(p, Pattern)):
            found[at] = term, read, units, wires[at](places), weight
    parts = {axis: _named(axis, [w for *_, w, _ in found]) for axis in over}
    everywhere = tuple(d for axis in over for d in parts[axis])
    shares, kept_by = [], set[Axis]()
    held = {axis for *_, w, _ in found for axis in over if axis not in w.copied}
    for term, read, units, wiring, (mean, variance) in found:
        out = _labelled(wiring, parts)
        spread_out = {d for axis in wiring.copied & held for d in parts[axis]}
        kept_by.update(d for d in out if d not in spread_out)
        whole = replace(wiring, scale=wiring.scale * term.scale)
        node = None if read is None else bare(read)
        shares.append(Share(node, units, whole, mean, variance, out))
    kept = tuple(d for d in everywhere if d in kept_by or d.size == 1)
    return Total(tuple(shares), _added(equation, shares, kept, parts))


def _single(units: Units) -> Units:
    """The same where what has one place only is a place."""
    more = tuple(d for d in units.wide if d.size == 1)
    return replace(units, law=units.law.along((*units.law.kept, *more))) if more else units


def _digits(read: Node, units: Units, batch: Axis | None) -> dict[Axis, Axes]:
    pairs = zip(bare(read).axes, read.axes, strict=True)
    return {new: units.parts[old] for old, new in pairs if old != batch}


def _named(axis: Axis, wirings: Sequence[Wiring]) -> Axes:
    """The digits of an axis of the result: as many as any term tells apart."""
    digits = max((w.parts[axis] for w in wirings), key=len)
    if len(digits) == 1:
        return (Axis(axis.name, digits[0].size),)
    return tuple(Axis(f"{axis.name}·{n}", digit.size) for n, digit in enumerate(digits))


def _labelled(wiring: Wiring, parts: Mapping[Axis, Axes]) -> Axes:
    """The kept digits of a term by their names in the whole equation."""
    names: dict[Axis, Axes] = {}
    for axis, digits in wiring.parts.items():
        own, wanted = _long(digits), _long(parts[axis])
        if [d.size for d in own] == [d.size for d in wanted]:
            names |= {old: (new,) for old, new in zip(own, wanted, strict=True)}
        elif len(own) == 1 and (own[0] not in wiring.out or own[0] in wiring.copied):
            names[own[0]] = wanted
        else:
            raise NotApplicableError("its terms put the same axis together in different ways")
    return tuple(new for digit in wiring.out for new in names.get(digit, ()))


def _long(digits: Axes) -> Axes:
    """Those with more places than one."""
    return tuple(digit for digit in digits if digit.size != 1)


def _added(
    equation: Named, shares: Sequence[Share], kept: Axes, parts: Mapping[Axis, Axes]
) -> Units:
    cases = max((len(s.units.law.mean) for s in shares if s.units), default=1)
    pairs = all(s.units.law.pairs is not None for s in shares if s.units)
    laws = []
    for share in shares:
        law = share.forward(cases, pairs)
        laws.append(law.renamed(share.out).over(kept))
    origin: set[Node] = set()
    fresh = False
    for at, share in enumerate(shares):
        some = share.wiring.fan_out < _PART  # of the units only, as one of several heads
        fresh |= share.wiring.mixes or share.variance > 0 or some
        if share.units is None or share.wiring.mixes or some or not share.mean:
            continue
        alone = share.is_part or all(_apart(share, other) for other in shares[:at])
        if origin & share.units.origin and not alone:
            raise NotApplicableError(f"{equation.name} adds units to units that depend on them")
        origin |= share.units.origin
    gaussian = all(
        s.units is None or s.wiring.mixes or s.units.gaussian or s.wiring.fan_in > 1 for s in shares
    )
    mixture = any(share.is_part for share in shares)
    if mixture:  # of Gaussians of one variance it is one
        sizes = [s.units.law.second.mean() for s in shares if s.units is not None]
        gaussian &= bool(np.ptp(sizes) <= 1e-9 * np.max(sizes))
    total = sum_of(laws, kept, mixture)
    if total.pairs is not None:
        for at, share in enumerate(shares):
            for other in shares[:at]:
                total = _met(total, share, other, kept)
    return Units(total, parts, frozenset({*origin, equation} if fresh else origin), gaussian)


def _apart(one: Share, other: Share) -> bool:
    """Do two terms that read the same have no place in common, as what is padded in a circle?"""
    if one.read is not other.read or one.out != other.out or other.wiring.mixes:
        return one.units is None or other.units is None or other.wiring.mixes
    ones = [np.ones((1, *(a.size or 1 for a in s.wiring.into))) for s in (one, other)]
    both = one.wiring.forward(ones[0], 1) * other.wiring.forward(ones[1], 1)
    return not both.any()


def _met(total: Placed, one: Share, other: Share, kept: Axes) -> Placed:
    """With what two terms that read the same have in common at two places."""
    units, same = one.units, one.read is other.read and one.out == other.out
    if units is None or not same or one.wiring.mixes or other.wiring.mixes or one.out != kept:
        return total
    law = units.law.renamed(one.wiring.into)
    assert law.covariances is not None
    assert total.pairs is not None
    size = one.wiring.scale * one.mean * other.wiring.scale * other.mean
    found = size * one.wiring.across(law.covariances, other.wiring)
    n = len(kept)
    turned = np.moveaxis(found, range(2, 2 + n), range(2 + n, 2 + 2 * n))
    both = (found + turned).reshape(total.pairs.shape)
    return replace(total, pairs=total.pairs + both)


def sum_of(laws: Sequence[Placed], kept: Axes, mixture: bool = False) -> Placed:
    """Independent terms, added; of a mixture each is what a part of the units is."""
    mean = np.asarray(sum(law.mean for law in laws))
    if mixture:
        second = np.asarray(sum(law.second for law in laws))
    else:
        second = np.asarray(sum(law.second - law.mean**2 for law in laws)) + mean**2
    if any(law.pairs is None for law in laws):
        return Placed(kept, mean, second)
    if mixture:
        return Placed(kept, mean, second, np.asarray(sum(law.pairs for law in laws)))  # type: ignore[misc]
    spread = np.asarray(sum(law.covariances for law in laws))  # type: ignore[misc]
    return Placed(kept, mean, second, spread + outer(mean, mean))
