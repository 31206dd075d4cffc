"""Expectations of monomials: Isserlis' (Wick's) pairings, Stein's lemma, independence.

Where a Gaussian G meets others, E[G R] = E[G] E[R] + Σ Cov(G, Gᵢ) E[R without Gᵢ] + Σ Cov(G, u)
E[R with f′(u) for f(u)]: the first sum is Isserlis' (Biometrika 12, 1918), the second Stein's
(Annals of Statistics 9, 1981); where f jumps, G is regressed on u. What is left are functions
alone, integrals over few Gaussians.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from numpy.polynomial import hermite_e

from pullback.derive.expectation.behaviour import jumps
from pullback.derive.expectation.expansion import (
    DRAW,
    MOST_FACTORS,
    MOST_FUNCTIONS,
    Expansion,
    groups,
)
from pullback.derive.expectation.law import fresh
from pullback.derive.expectation.monomial import (
    FunctionEntry,
    Monomial,
    RandomFactor,
    TensorEntry,
    carried,
    collected,
    node_of,
)
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Constant, Node, Scalar, symbol
from pullback.ir.build import scalar_map

_MOST_SECOND = 6  # Gaussians that are paired off by second moments
Pair = frozenset[Axis]
Integral = Callable[[list[RandomFactor]], list[Monomial]]


class NoPairingError(Exception):
    """A Gaussian meets something that is neither Gaussian nor a function of affine ones."""


class Average:
    """Expectations over the laws of an expansion."""

    def __init__(self, expansion: Expansion) -> None:
        self.expansion = expansion
        self._seconds: dict[tuple[Node, Node], Node | None] = {}

    def paired(self, monomials: Iterable[Monomial]) -> list[Monomial]:
        """The Gaussians averaged: what is left are functions, and what has no closed form.

        One Gaussian of each term after the other, like terms collected in between: there are far
        fewer of these than pairings.
        """
        waiting, done = list(monomials), list[Monomial]()
        while waiting:
            more: list[Monomial] = []
            for each in waiting:
                parts = self._without_one(each)
                if parts is None:
                    done.append(each)
                else:
                    more += parts
            waiting = collected(each.settled() for each in more)
        return collected(each.settled() for each in done)

    def by_second_moments(self, monomials: Iterable[Monomial]) -> list[Monomial] | None:
        """The same as ``paired`` by E[G H] in the place of Cov(G, H); None where nothing is gained.

        E of a product is the sum over all ways to pair some factors off, a second moment for each
        pair, a mean for each of the k that are left, and Heₖ(1): the exponential of m t + ½ v t² is
        that of ½ (v + m²) t² times that of m t − ½ (m t)², which generates Hermite's polynomials.
        """
        found: list[Monomial] = []
        gained = False
        for each in monomials:
            terms = [replace(each, random=())]
            for group in groups(self.expansion, each.random):
                if len(group) > _MOST_SECOND or not all(map(self.expansion.is_gaussian, group)):
                    return None
                parts = self._by_second_moments([g for g in group if isinstance(g, TensorEntry)])
                terms = [term.times(self.apart(part)) for term in terms for part in parts]
                gained = gained or len(group) > 3
            found += terms
        return collected(each.settled() for each in found) if gained else None

    def _by_second_moments(self, factors: list[TensorEntry]) -> list[Monomial]:
        found = []
        for pairs, single in _pairings(factors):
            number = float(hermite_e.hermeval(1.0, [0.0] * len(single) + [1.0]))
            means = [self._mean_of(each) for each in single]
            term = Monomial(number)
            for part in (*means, *(self._second(*pair) for pair in pairs)):
                term = replace(term, number=0.0) if part is None else term.times(self.apart(part))
            found += [term] if term.number else []
        return found

    def _second(self, one: TensorEntry, other: TensorEntry) -> Monomial | None:
        """E of a product of two entries as one tensor, Cov + m mᵀ; None where it is 0."""
        first, second = sorted((one, other), key=lambda each: each.kind)
        axes = first.node.axes
        again = fresh(second.node.axes, (*axes, *second.node.axes))
        key = first.node, second.node
        if key not in self._seconds:
            a, b = replace(first, at=axes), replace(second, at=again)
            means = self._mean_of(a), self._mean_of(b)
            terms = self.covariance(a, b)
            if means[0] is not None and means[1] is not None:
                terms = [*terms, means[0].times(self.apart(means[1]))]
            self._seconds[key] = node_of(terms, (*axes, *again)) if terms else None
        node = self._seconds[key]
        if node is None:
            return None
        turns = first.node is second.node and len(node.axes) == 2
        return Monomial(entries=(TensorEntry(node, (*first.at, *second.at), turns),))

    def integrated(self, monomials: Iterable[Monomial], integral: Integral) -> list[Monomial]:
        """The functions averaged: independent ones apart, the rest by ``integral``."""
        found = [done for each in monomials for done in self._integrated(each, integral)]
        return collected(each.settled() for each in found)

    def covariance(self, one: TensorEntry, other: TensorEntry) -> list[Monomial]:
        """The covariance of two entries that are affine in the Gaussians."""
        left, right = self.expansion.affine(one), self.expansion.affine(other)
        if left is None or right is None:
            raise NoPairingError
        found = []
        for a in left:
            for b in right:
                for first, second in [(g, h) for g in a.random for h in b.random]:
                    assert isinstance(first, TensorEntry)
                    assert isinstance(second, TensorEntry)
                    if first.node is second.node:
                        law = self.expansion.laws[first.node]
                        both = replace(a, random=()).times(replace(b, random=()))
                        found.append(both.times(law.covariance(first.at, second.at)))
        return collected(each.settled() for each in found)

    def mean(self, entry: TensorEntry) -> list[Monomial]:
        """The mean of an entry that is affine in the Gaussians, multiplied out."""
        terms = self.expansion.affine(entry)
        if terms is None:
            raise NoPairingError
        return self.paired(terms)

    def _mean_of(self, entry: TensorEntry) -> Monomial | None:
        """The mean of a Gaussian, a sum as a whole; None where that is 0."""
        law = self.expansion.laws.get(entry.node)
        if law is not None:
            return law.mean_at(entry.at)
        mean = self.expansion.mean(entry.node) if self.mean(entry) else Constant(0.0)
        if isinstance(mean, Constant):
            return Monomial(mean.value) if mean.value else None
        return Monomial(entries=(TensorEntry(mean, entry.at),))

    def apart(self, monomial: Monomial) -> Monomial:
        """The same with bound indices that nothing else has."""
        names = {axis: self.expansion.fresh(axis) for axis in monomial.bound}
        return monomial.moved(names) if names else monomial

    def _without_one(self, monomial: Monomial) -> list[Monomial] | None:
        """The terms that averaging over one Gaussian leaves; None where none can be averaged."""
        for group in groups(self.expansion, monomial.random):
            gaussians = [each for each in group if self.expansion.is_gaussian(each)]
            if len(gaussians) > MOST_FACTORS:
                raise NotApplicableError(
                    f"a product of {len(gaussians)} Gaussian factors, and {MOST_FACTORS} is the "
                    f"limit of what is paired off: {DRAW}"
                )
            if gaussians and all(map(self._is_affine, group)):
                first = gaussians[0]
                assert isinstance(first, TensorEntry)
                return self._without(first, monomial, group)
        return None

    def _is_affine(self, factor: RandomFactor) -> bool:
        """Is it a Gaussian, or a function of Gaussians?"""
        if isinstance(factor, TensorEntry):
            return self.expansion.is_gaussian(factor)
        return all(map(self.expansion.is_affine, factor.nodes))

    def _without(
        self, first: TensorEntry, monomial: Monomial, group: list[RandomFactor]
    ) -> list[Monomial]:
        rest = list(monomial.random)
        rest.remove(first)
        absorbed = self._absorbed(first, rest)
        if absorbed is not None:
            return [replace(monomial, random=tuple(absorbed))]
        plain = replace(monomial, random=tuple(rest))
        mean = self._mean_of(first)
        found = [] if mean is None else [plain.times(mean)]
        if self.jumps_beside(first, group):
            return [*found, *self._regressed(first, plain, group)]
        for at, other in enumerate(rest):
            others = (*rest[:at], *rest[at + 1 :])
            if other not in group:
                continue
            if isinstance(other, TensorEntry):
                left = replace(plain, random=others)
                found += [left.times(self.apart(p)) for p in self.covariance(first, other)]
            else:
                for met, slope in self._met(first, other):
                    found.append(replace(plain, random=(*others, slope)).times(met))
        return found

    def jumps_beside(self, first: TensorEntry, group: Sequence[RandomFactor]) -> bool:
        """Does a function jump where an argument passes some place that covaries with this one?"""
        return all(map(self._is_affine, group)) and any(
            jumps(each.function, place)
            for each in group
            if isinstance(each, FunctionEntry)
            for place, arg in enumerate(each.args)
            if self.expansion.reads(first) & self.expansion.random(arg.node)
            and self.covariance(first, arg)
        )

    def _regressed(
        self, first: TensorEntry, plain: Monomial, group: list[RandomFactor]
    ) -> list[Monomial]:
        """What Cov(G, u) adds where all functions are of one u, and have no slope.

        G is E[G] + β (u − E[u]) and a rest that does not depend on u, with β = Cov(G, u) / Var(u).
        """
        functions = [each for each in group if isinstance(each, FunctionEntry)]
        args = {arg for f in functions for arg in f.args if self.expansion.random(arg.node)}
        if len(args) > 1:
            told = next(f for f in functions for at in range(len(f.args)) if jumps(f.function, at))
            raise NotApplicableError(
                f"{printed(told.function)} jumps, so it has no slope for Stein's lemma, by which "
                "functions that meet another Gaussian are averaged: write a smooth function in "
                f"its place, or {DRAW}"
            )
        (u,) = args
        variance = self.covariance(u, u)
        axes = tuple(sorted(carried(variance)))
        under = scalar_map(1 / symbol(0), node_of(variance, axes))
        over = Monomial(entries=(TensorEntry(under, axes),))
        slopes = [self.apart(each).times(over) for each in self.covariance(first, u)]
        others = [each for each in plain.random if each != functions[0]]
        place = functions[0].args.index(u)
        raised = Scalar.of(symbol(place) * functions[0].function.expr, len(functions[0].args))
        terms = [replace(plain, random=(*others, replace(functions[0], function=raised)))]
        terms += [_less(plain.times(self.apart(each))) for each in self.mean(u)]
        gaussians = list(filter(self.expansion.is_gaussian, plain.random))
        found = []
        for other in gaussians:
            if other not in group:
                continue
            assert isinstance(other, TensorEntry)
            random = list(plain.random)
            random.remove(other)
            left = replace(plain, random=tuple(random))
            found += [left.times(self.apart(each)) for each in self.covariance(first, other)]
            terms += [_less(left.times(self.apart(p))) for p in self.covariance(u, other)]
        return [*found, *(each.times(self.apart(slope)) for each in terms for slope in slopes)]

    def _met(
        self, first: TensorEntry, other: FunctionEntry
    ) -> list[tuple[Monomial, FunctionEntry]]:
        """Stein's lemma: the covariance with each argument, and the slope by it."""
        found = []
        for place, arg in enumerate(other.args):
            if not self.expansion.reads(first) & self.expansion.random(arg.node):
                continue
            for covariance in self.covariance(first, arg):
                slope = FunctionEntry(other.function.partial(place), other.args)
                found.append((self.apart(covariance), slope))
        return found

    def _absorbed(
        self, first: TensorEntry, rest: Sequence[RandomFactor]
    ) -> list[RandomFactor] | None:
        """x f(x) as one function of x where f jumps: it has an integral, and no slope."""
        for at, other in enumerate(rest):
            if isinstance(other, FunctionEntry) and first in other.args:
                place = other.args.index(first)
                if jumps(other.function, place):
                    expr = symbol(place) * other.function.expr
                    merged = FunctionEntry(Scalar.of(expr, len(other.args)), other.args)
                    return [*rest[:at], merged, *rest[at + 1 :]]
        return None

    def _integrated(self, monomial: Monomial, integral: Integral) -> list[Monomial]:
        found = [replace(monomial, random=())]
        for group in groups(self.expansion, monomial.random):
            if len(group) > MOST_FUNCTIONS:
                raise NotApplicableError(
                    f"a product of {len(group)} functions of Gaussians, and {MOST_FUNCTIONS} is "
                    f"the limit: {DRAW}"
                )
            parts = self._split(group, frozenset(), integral)
            found = [each.times(self.apart(part)) for each in found for part in parts]
        return found

    def _split(
        self, factors: list[RandomFactor], unequal: frozenset[Pair], integral: Integral
    ) -> list[Monomial]:
        """A product of functions, told apart by whether indices are equal.

        E[f(zᵢ) g(zⱼ)] with Cov(zᵢ, zⱼ) = v δᵢⱼ is δᵢⱼ E[f(zᵢ) g(zᵢ)] + (1 − δᵢⱼ) E[f] E[g].
        ``unequal`` holds pairs of indices that are known to differ.
        """
        linked: list[tuple[int, int]] = []
        for (i, one), (j, other) in combinations(enumerate(factors), 2):
            terms = self._coupling(one, other, unequal)
            if terms is None:
                linked.append((i, j))
                continue
            if not terms:
                continue
            common = set(terms[0].deltas).intersection(*(set(each.deltas) for each in terms))
            if not common:
                linked.append((i, j))
                continue
            a, b = min(common)
            same = self._split([each.moved({b: a}) for each in factors], unequal, integral)
            apart = self._split(factors, unequal | {frozenset((a, b))}, integral)
            delta = Monomial(deltas=((a, b),))
            return [
                *(each.times(delta) for each in same),
                *apart,
                *(replace(each.times(delta), number=-each.number) for each in apart),
            ]
        found = [Monomial()]
        for members in _components(len(factors), linked):
            parts = integral([factors[at] for at in members])
            found = [each.times(part) for each in found for part in parts]
        return found

    def _coupling(
        self, one: RandomFactor, other: RandomFactor, unequal: frozenset[Pair]
    ) -> list[Monomial] | None:
        """The covariances of the arguments of two functions; None where they are one whole."""
        if not self.expansion.reads(one) & self.expansion.reads(other):
            return []
        if isinstance(one, TensorEntry) or isinstance(other, TensorEntry):
            return None
        if set(one.args) & {arg for arg in other.args if self.expansion.random(arg.node)}:
            return None
        found: list[Monomial] = []
        for a in one.args:
            for b in other.args:
                if self.expansion.random(a.node) & self.expansion.random(b.node):
                    try:
                        found += self.covariance(a, b)
                    except NoPairingError:
                        return None
        return [each for each in found if not {frozenset(d) for d in each.deltas} & unequal]


def _pairings(
    items: list[TensorEntry],
) -> Iterator[tuple[list[tuple[TensorEntry, TensorEntry]], list[TensorEntry]]]:
    """All ways to pair some items off: the pairs, and what is left."""
    if not items:
        yield [], []
        return
    first, *rest = items
    for pairs, single in _pairings(rest):
        yield pairs, [first, *single]
    for at, other in enumerate(rest):
        for pairs, single in _pairings([*rest[:at], *rest[at + 1 :]]):
            yield [(first, other), *pairs], single


def _less(monomial: Monomial) -> Monomial:
    return replace(monomial, number=-monomial.number)


def printed(function: Scalar) -> str:
    """A function of x, or of x₁ and more, for a message."""
    names = "x" if function.arity == 1 else ""
    text = str(function.expr)
    return text.replace("x0", "x") if names else text


def _components(count: int, linked: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The numbers below ``count`` in groups that are linked."""
    root = list(range(count))
    for i, j in linked:
        old, new = root[j], root[i]
        root = [new if each == old else each for each in root]
    return [[at for at in range(count) if root[at] == each] for each in dict.fromkeys(root)]
