"""The laws of any network: a state of moments that flows through its equations, there and back.

Each form of equation has a law of its own; a network of forms that have one has one. All is at
infinite width, with weights that are independent of each other and of the errors they carry back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from pullback.errors import NotApplicableError
from pullback.ir import Axis, Input, Named, Node, Parameter, Scalar, symbol
from pullback.ir.axis import show
from pullback.ir.flow import form
from pullback.ir.forms import Lookup, Softmax
from pullback.ir.linear import LinearTerm, terms
from pullback.ir.normal.regions import Region, is_elementwise
from pullback.ir.scan import Scan
from pullback.ir.source import bare, is_read, is_source, sources
from pullback.ir.window import Window
from pullback.moments.law.attention.attended import Attended, Attending, is_product
from pullback.moments.law.batch_norm import BatchBend, batch_moments
from pullback.moments.law.gate import gate, join
from pullback.moments.law.given import (
    DataGroups,
    samples_of,
    settled,
    units_of,
    values_of,
    wide_axes,
)
from pullback.moments.law.linear import Total, linear, sum_of
from pullback.moments.law.lookup import lookup
from pullback.moments.law.normalise import Normalised, norm_of, normalise
from pullback.moments.law.pointwise import Bend, pointwise
from pullback.moments.law.pooling import max_pool
from pullback.moments.law.quadrature import Array
from pullback.moments.law.start import last_gaussian, output_error
from pullback.moments.law.two_time.looped import Looped, looped
from pullback.moments.law.units import Placed, Units
from pullback.moments.law.weighing import Weighing
from pullback.net.network import Network
from pullback.nn import Bernoulli, init


class Passed(Protocol):
    """An equation with its law: the units forward, and what it does to an error."""

    @property
    def units(self) -> Units: ...
    def backward(self, error: Placed) -> list[tuple[Node, Placed]]: ...


@dataclass(frozen=True)
class Picked:
    """What nothing goes back from: rows of a table."""

    units: Units

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """Nothing: an index has no error."""
        return []


@dataclass(frozen=True)
class Bent:
    """An activation."""

    side: Total
    units: Units
    slopes: Bend | BatchBend

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """φ′(z) δ."""
        return self.side.backward(self.slopes.backward(error))

    @property
    def rough(self) -> bool:
        """Is it a bend of units that are not Gaussian?"""
        return not self.side.units.gaussian and self.slopes.bends


@dataclass(frozen=True)
class Rescaled:
    """A norm, and what is linear behind it."""

    norm: Normalised
    outer: Total

    @property
    def units(self) -> Units:
        """Those of the whole."""
        return self.outer.units

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """Through both."""
        return [found for _, e in self.outer.backward(error) for found in self.norm.backward(e)]


@dataclass(frozen=True)
class Flow:
    """The law of every equation of a network, in order; ``data`` are its inputs and targets."""

    net: Network
    scheme: init.Scheme
    fixed: Mapping[str, Array]
    data: Mapping[str, Array]
    seed: int = 0
    held: Mapping[str, Array] = field(default_factory=dict)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is taken for granted, beside infinite width and independent weights."""
        several = [n for n, uses in self._uses.items() if len(uses) > len({r for _, r in uses})]
        found = [f"the uses of {name} are taken as drawn one by one" for name in several]
        if bent := [
            n.name for n, law in self.passed.items() if isinstance(law, Bent) and law.rough
        ]:
            found.append(f"units in front of {', '.join(bent)} are taken as Gaussian")
        if any(isinstance(n, Total) and n.is_rough for n in self.passed.values()):
            found.append("two places are taken as uncorrelated, apart from their means")
        sequences = [n for n in self.passed.values() if isinstance(n, (Attended, Looped))]
        return (*found, *dict.fromkeys(each.assumption for each in sequences))

    @property
    def inputs(self) -> dict[str, Array]:
        """The data that go in."""
        return {name: self.data[name] for name in self.net.xs}

    @cached_property
    def samples(self) -> DataGroups:
        """The data in groups."""
        places = 1
        for equation in (*self._given, *self.net.built_graph.equations):
            known = [a.size or 1 for a in equation.axes if a != self.batch and a not in self._wide]
            if isinstance(equation, (Input, Named)) and equation in self._given:
                places = max(places, int(np.prod(known)))
        return samples_of(self._values, places, pairs=True, across=bool(self.net.several))

    @property
    def batch(self) -> Axis | None:
        """The axis of the samples."""
        return self.net.built_graph.batch

    @cached_property
    def _given(self) -> tuple[Node, ...]:
        return settled(self.net.built_graph, self.fixed, self.inputs)

    @cached_property
    def _values(self) -> dict[Node, Array]:
        return values_of(self._given, self.fixed, self.inputs)

    @cached_property
    def _terms(self) -> dict[Named, tuple[LinearTerm, ...] | None]:
        return {each: terms(each.arg) for each in self.net.built_graph.equations}

    @cached_property
    def _wide(self) -> set[Axis]:
        every = [term for found in self._terms.values() for term in found or ()]
        return wide_axes(every, self._given, self.batch)

    @cached_property
    def weigh(self) -> Weighing:
        """The means and variances of weights."""
        return Weighing(self.net, self.scheme, self.fixed, self.held)

    @property
    def _attending(self) -> Attending:
        return Attending(self.net.built_graph, self.samples, self.inputs)

    @property
    def passed(self) -> dict[Named, Passed]:
        """Every equation with a law that data and weights both have a say in, with that law."""
        return self._passed[0]

    @property
    def known(self) -> dict[Node, Units]:
        """The law of the units of all of them, and of what the data settle."""
        return self._passed[2]

    @property
    def without(self) -> dict[Named, str]:
        """The equations without a law, each with the reason; those that need them are left out."""
        return self._passed[1]

    @cached_property
    def _passed(self) -> tuple[dict[Named, Passed], dict[Named, str], dict[Node, Units]]:
        known: dict[Node, Units] = {}
        for node, values in self._values.items():
            if node.axes[:1] != (self.batch,):
                continue  # a statistic over the data
            known[node] = units_of(node, values, self._wide, self.batch, self.samples)
        for noise in self.net.noise.values():
            if isinstance(noise.law, Bernoulli):  # what is added to values has no law yet
                known[noise.leaf] = self._noise(noise.leaf, noise.law.mean)
        found: dict[Named, Passed] = {}
        why: dict[Named, str] = {}
        for equation in self.net.built_graph.equations:
            if equation in self._values or equation.role == "stat":  # which a norm's law has in it
                continue
            reads = [n for n in self.net.built_graph.reads(equation) if is_source(n)]
            if any(n not in known and not _is_statistic(n) for n in reads):
                continue
            try:
                found[equation] = law = self._law(equation, known, found)
            except NotApplicableError as reason:
                why[equation] = f"{equation.name}: {reason}"
            else:
                known[equation] = law.units
        return found, why, known

    def _noise(self, leaf: Input, mean: float) -> Units:
        ones = np.ones(len(self.samples.members))
        pairs = None
        if self.samples.pairs:
            pairs = mean * np.ones((1, len(ones)))
            if self.samples.across:
                pairs = np.stack([pairs[0], mean * pairs[0]])
        parts = {axis: (axis,) for axis in leaf.axes if axis != self.batch}
        return Units(Placed((), mean * ones, mean * ones, pairs), parts, frozenset({leaf}))

    def _law(
        self, equation: Named, known: Mapping[Node, Units], laws: Mapping[Named, Passed]
    ) -> Passed:
        if unknown := [a for a in equation.axes if not a.size and a != self.batch]:
            raise NotApplicableError(
                f"the length of {show(tuple(unknown))} is not known before the network runs; say "
                "the input's sizes, as in Network(…, x='features=8')"
            )
        found, what = self._terms[equation], form(equation)
        if isinstance(what, Lookup) and isinstance(what.index, Input):
            index, weight = self.inputs[what.index.name], self.weigh((what.table,))
            return Picked(lookup(equation, what, index, weight, self.batch, self.samples))
        if isinstance(what, Window) and what.kind == "max":
            return max_pool(equation, what, known[what.arg], self.batch)
        if isinstance(what, Softmax) and not what.is_log and known[what.arg].gaussian:
            return self._attending.softmax(equation, what, known)
        if isinstance(equation.arg, Scan):
            rest = self.net.built_graph, self.weigh.entries, self.samples.weight, self.seed
            return looped(equation, equation.arg, known, *rest)
        if found is not None:
            if is_product(found):
                return self._attending.product(equation, found[0], known)
            if (norm := norm_of(found)) is not None:
                s = self.samples
                inner = normalise(norm, known[norm.arg], self.batch, s.weight, s.count)
                here = {**known, norm.arg: inner.units}
                return Rescaled(inner, linear(equation, norm.terms, here, self.batch, self.weigh))
            if all(len(term.read) <= 1 and _have(term.read, known) for term in found):
                return linear(equation, found, known, self.batch, self.weigh)
        return self._elementwise(equation, known, laws)

    def _elementwise(
        self, equation: Named, known: Mapping[Node, Units], laws: Mapping[Named, Passed]
    ) -> Passed:
        """The law of a function of what the equation reads, unit by unit."""
        function, reads = self._function(equation)
        if not _have(reads, known):
            raise NotApplicableError("no law is known for it")
        sides = [
            linear(equation, [LinearTerm((n,), (), (), 1.0, equation.axes)], known, self.batch,
                   self.weigh)
            for n in reads
        ]  # fmt: skip
        if len(sides) == 1:
            if (samples := _behind_batch_norm(reads[0], laws)) > 0:
                return _over_batch(function, sides[0], samples)
            units, slopes = pointwise(function, sides[0].units)
            return Bent(sides[0], units, slopes)
        try:
            return gate(function, sides)
        except NotApplicableError:
            return join(function, sides)

    def _function(self, equation: Named) -> tuple[Scalar, list[Node]]:
        """A right side as a function of what it reads, with its parameters as they start."""
        node = equation.arg
        if not is_elementwise(node):
            raise NotApplicableError("no law is known for it")
        region = Region(node, stop=is_source)
        reads = [leaf for leaf in region.leaves if is_read(leaf)]
        expr = region.expr
        for leaf, place in region.leaves.items():
            if leaf in reads:
                continue
            if sources(leaf):
                raise NotApplicableError("no law is known for it")
            mean, variance = self.weigh((leaf,))
            if variance:
                raise NotApplicableError(f"{leaf!r} is drawn, and enters in a way of its own")
            expr = expr.subs(place, mean)
        if not reads or len(set(map(bare, reads))) < len(reads):
            raise NotApplicableError("no law is known for it")
        places = {region.leaves[leaf]: symbol(at) for at, leaf in enumerate(reads)}
        return Scalar.of(expr.xreplace(places), len(reads)), reads

    @cached_property
    def errors(self) -> dict[Node, Placed]:
        """The error of every equation, from that of the output."""
        self._check_shared()
        at = last_gaussian(self.net, self.passed)
        units = self.passed[at].units
        rest = self.fixed, self.data, self.samples, self.seed
        return self.behind(at, output_error(self.net, at, units, *rest))

    def _check_shared(self) -> None:
        """Raises NotApplicableError where a weight and its transpose are both used."""
        for name, uses in self._uses.items():
            if len({summed for summed, _ in uses if summed}) > 1:
                raise NotApplicableError(f"{name} is used as it is and transposed")

    @cached_property
    def _uses(self) -> dict[str, list[tuple[frozenset[Axis], frozenset[Node]]]]:
        """For each weight that is drawn, and each equation: what of its axes that sums over, and
        which of its rows it takes.
        """
        found: dict[str, list[tuple[frozenset[Axis], frozenset[Node]]]] = {}
        for equation, several in self._terms.items():
            here: dict[str, tuple[frozenset[Axis], frozenset[Node]]] = {}
            for term in several or ():
                for node in term.parameters:
                    leaf = bare(node)
                    if isinstance(leaf, Parameter) and leaf.name not in self.fixed:
                        pairs = zip(leaf.axes, node.axes, strict=True)
                        gone = frozenset(old for old, new in pairs if new not in equation.axes)
                        rows = frozenset(p for p in term.given if {*p.axes} & {*node.axes})
                        here[leaf.name] = (gone if term.read else frozenset(), rows)
            for name, use in here.items():
                found.setdefault(name, []).append(use)
        return found

    def average(self, values: Array) -> Array:
        """The mean over the data of values (cases, …)."""
        weight = self.samples.weight
        return np.tensordot(weight, np.broadcast_to(values, (len(weight), *values.shape[1:])), 1)

    def behind(self, at: Named, error: Placed) -> dict[Node, Placed]:
        """The error of every equation in front of one, from that one's."""
        found: dict[Node, list[Placed]] = {at: [error]}
        done: dict[Node, Placed] = {}
        for equation, law in reversed(self.passed.items()):
            if equation not in found:
                continue
            kept = law.units.law.kept
            done[equation] = total = sum_of([e.over(kept) for e in found[equation]], kept)
            for node, back in law.backward(total):
                found.setdefault(node, []).append(back)
        for node, errors in found.items():
            if node not in done:  # what the data settle
                kept = self.known[node].law.kept
                done[node] = sum_of([e.over(kept) for e in errors], kept)
        return done


def _is_statistic(node: Node) -> bool:
    return isinstance(node, Named) and node.role == "stat"


def _have(reads: Sequence[Node], known: Mapping[Node, Units]) -> bool:
    return all(is_read(n) and bare(n) in known for n in reads)


def _behind_batch_norm(node: Node, laws: Mapping[Named, Passed]) -> int:
    """Over how many samples an equation is normalised, with a gain of 1 and a bias of 0; else 0."""
    node = bare(node)
    while isinstance(node, Named):
        law = laws.get(node)
        outer = law.outer if isinstance(law, Rescaled) else law
        if not isinstance(outer, Total):
            return 0
        (first, *rest) = sorted(outer.shares, key=lambda share: share.read is None)
        plain = not first.wiring.mixes and abs(first.wiring.scale * first.mean) == 1
        if (
            first.read is None
            or not plain
            or first.variance
            or any(s.mean or s.variance for s in rest)
        ):
            return 0
        if isinstance(law, Rescaled):
            return law.norm.batch
        node = first.read
    return 0


def _over_batch(function: Scalar, side: Total, samples: int) -> Bent:
    """An activation of units that are normalised over the batch."""
    found, law = batch_moments(function, samples), side.units.law
    ones = np.ones_like(law.mean)
    pairs = None
    if law.pairs is not None:
        both = np.ones(law.pairs.shape[1:])
        pairs = np.stack([found.second * both, found.product * both])
    units = side.units.with_law(
        Placed(law.kept, found.mean * ones, found.second * ones, pairs), False
    )
    return Bent(side, units, BatchBend(found, samples))
