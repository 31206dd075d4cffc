"""The laws of any network: a state of moments that flows through its equations, there and back.

Each form of equation has a law of its own; what has none is measured in draws of what it reads, and
the law goes on behind it. All is at infinite width, with weights that are independent of each other
and of the errors they carry back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Input, Named, Node
from pullback.ir.linear import LinearTerm, terms
from pullback.moments.law.attention.attended import Attended, Silent
from pullback.moments.law.equation import LawOfForm
from pullback.moments.law.errors import Backward
from pullback.moments.law.given import (
    DataGroups,
    is_statistic,
    samples_of,
    settled,
    units_of,
    values_of,
    wide_axes,
)
from pullback.moments.law.linear import Total
from pullback.moments.law.measured.drawing import Drawing
from pullback.moments.law.measured.measure import Errors, MeasuredLaw, MeasuredPart, measure
from pullback.moments.law.measured.part import NetworkPart, part_of, reads
from pullback.moments.law.passed import Bent, Passed
from pullback.moments.law.two_time.looped import Looped
from pullback.moments.law.units import Placed, Units
from pullback.moments.law.uses import (
    Uses,
    check_not_repeated,
    check_not_transposed,
    several,
    uses_of,
)
from pullback.moments.law.weighing import Weighing
from pullback.net.network import Network
from pullback.nn import NoiseLaw, NormalNoise, init


@dataclass
class _Forward:
    """The laws of the units, while they are found."""

    known: dict[Node, Units]
    passed: dict[Named, Passed] = field(default_factory=dict)
    reasons: dict[Named, str] = field(default_factory=dict)  # of what is measured, or has none
    silent: set[Node] = field(default_factory=set)  # no error goes back from it by itself


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
        found = [f"the uses of {n} are taken as drawn one by one" for n in several(self._uses)]
        passed = self.passed.values()
        if bent := [n.name for n, w in self.passed.items() if isinstance(w, Bent) and w.rough]:
            found.append(f"units in front of {', '.join(bent)} are taken as Gaussian")
        if any(isinstance(n, Total) and n.is_rough for n in passed):
            found.append("two places are taken as uncorrelated, apart from their means")
        sequences = [n for n in passed if isinstance(n, (Attended, Looped))]
        found += dict.fromkeys(each.assumption for each in sequences)
        if parts := [n for n, law in self.passed.items() if isinstance(law, MeasuredPart)]:
            why = ", ".join(self.without[n] for n in parts)
            found.append(
                f"no law is known for a part ({why}): it is measured in draws of what it reads, "
                "and the laws go on before and behind it"
            )
        return tuple(found)

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
        return wide_axes(self._terms, self._given, self.batch)

    @cached_property
    def weigh(self) -> Weighing:
        """The means and variances of weights."""
        return Weighing(self.net, self.scheme, self.fixed, self.held)

    @cached_property
    def _uses(self) -> Uses:
        return uses_of(self._terms, self.fixed)

    @property
    def passed(self) -> dict[Named, Passed]:
        """Every equation with a law that data and weights both have a say in, with that law."""
        return self._forward.passed

    @property
    def known(self) -> dict[Node, Units]:
        """The law of the units of all of them, and of what the data settle."""
        return self._forward.known

    @property
    def without(self) -> dict[Named, str]:
        """The equations that no law is known for, each with the reason; most are measured."""
        return self._forward.reasons

    @cached_property
    def _forward(self) -> _Forward:
        found = _Forward(self._leaves())
        rest = self.net.built_graph, self.inputs, self.samples, self.weigh, self._terms, self.seed
        law_of_form = LawOfForm(*rest)
        for equation in self.net.built_graph.equations:
            if equation in self._values or equation.role == "stat":  # which a norm's law has in it
                continue
            read = reads(equation)
            try:
                if lacking := [n for n in read if n not in found.known and not is_statistic(n)]:
                    raise NotApplicableError(f"no law is known of {lacking[0]!r}")
                law = law_of_form(equation, found.known, found.passed)
            except NotApplicableError as reason:
                found.reasons[equation] = f"{equation.name}: {reason}"
                try:
                    law = measure(self._part(equation, found), self._drawing(found.known))
                except NotApplicableError:
                    continue
            found.passed[equation], found.known[equation] = law, law.units
            hands_on = isinstance(law, (Attended, MeasuredPart))
            if isinstance(law, Silent) or (not hands_on and found.silent & {*read}):
                found.silent.add(equation)
        return found

    def _leaves(self) -> dict[Node, Units]:
        """The laws of data and noise."""
        known: dict[Node, Units] = {
            node: units_of(node, values, self._wide, self.batch, self.samples)
            for node, values in self._values.items()
            if node.axes[:1] == (self.batch,)  # else it is a statistic over the data
        }
        for each in self.net.noise.values():
            known[each.leaf] = self._noise(each.leaf, each.law)
        return known

    def _noise(self, leaf: Input, law: NoiseLaw) -> Units:
        ones = np.ones(len(self.samples.members))
        mean, square, pairs = law.mean * ones, law.square * ones, None
        if self.samples.pairs:
            pairs = square[None]
            if self.samples.across:
                pairs = np.stack([square, law.mean * mean])
        parts = {axis: (axis,) for axis in leaf.axes if axis != self.batch}
        gaussian = isinstance(law, NormalNoise)
        return Units(Placed((), mean, square, pairs), parts, frozenset({leaf}), gaussian)

    @cached_property
    def _numbers(self) -> dict[Node, Array]:
        return {**self._values, self.net.target: self.data["target"]}

    def _drawing(self, known: Mapping[Node, Units]) -> Drawing:
        noise: dict[Node, NoiseLaw] = {n.leaf: n.law for n in self.net.noise.values()}
        rest = self.samples, self.seed, noise
        return Drawing(self.net, self.scheme, self.fixed, self._numbers, known, *rest)

    def _part(self, root: Node, found: _Forward) -> NetworkPart:
        is_silent = found.silent.__contains__
        return part_of(root, self.net.built_graph, found.known, self._numbers, is_silent)

    @cached_property
    def _backward(self) -> Backward:
        check_not_transposed(self._uses)
        found, graph = self._forward, self.net.built_graph
        check_not_repeated(self._uses, graph.equations)
        loss = self.net.criterion.of_sample(self.net.built, self.net.target)

        def opens(node: Node) -> bool:
            """The error starts where units are Gaussian, if nothing behind them is drawn."""
            if node in found.silent:
                return True
            if found.known[node].gaussian or not isinstance(node, Named):
                return False
            parameters = NetworkPart(node, reads(node), ()).parameters
            return all(leaf.name in self.fixed for leaf in parameters)

        part = part_of(loss, graph, found.known, self._numbers, opens)
        start = Errors(part, self._drawing(found.known)).found
        is_drawn = any(leaf.name not in self.fixed for leaf in part.parameters)
        sweep = Backward(self.passed, self.known, self._drawing(found.known), graph)
        return sweep.run(part, start, is_drawn)

    @property
    def errors(self) -> dict[Node, Placed]:
        """The error of every equation, from that of the output."""
        return self._backward.errors

    @property
    def measured(self) -> Mapping[Node, float]:
        """The relative Monte Carlo error of E δ² at the equations where it was measured."""
        return self._backward.measured

    def behind(self, at: Named, error: Placed) -> dict[Node, Placed]:
        """The error of every equation in front of one, from that one's."""
        found = self._forward
        drawing = self._drawing(found.known)
        sweep = Backward(self.passed, self.known, drawing, self.net.built_graph)
        start: dict[Node, MeasuredLaw] = {at: MeasuredLaw(error, 0.0)}
        return sweep.run(NetworkPart(at, (at,), ()), start, is_drawn=False).errors

    def average(self, values: Array) -> Array:
        """The mean over the data of values (cases, …)."""
        weight = self.samples.weight
        return np.tensordot(weight, np.broadcast_to(values, (len(weight), *values.shape[1:])), 1)
