"""The two-time recursion: a loop whose weights are the same at every turn, at infinite width.

A product W a(t) is Gaussian over turns as well as units, with Cov = σ² E[a(t) a(s)], and so is
Wᵀ v(t) on the way back: paths that use W equally often add up. Where a state also goes on by itself
(gates, skips) this is far more than weights drawn anew at each turn would give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir.kinds import Constant, Parameter
from pullback.ir.node import Node
from pullback.ir.scan import Scan
from pullback.ir.source import bare
from pullback.moments.law.two_time.cell import Bias, Given, Term, UnitCell, Wide, cell
from pullback.moments.law.two_time.process import Gaussian, OverTime, mean_of, mirrored, noise

# mean and variance of the entries at an index of a parameter: slices, one for each of its axes
Entries = Callable[[Parameter, tuple[slice, ...]], tuple[float, float]]

_UNITS = 40_000  # in the population, at up to 32 turns
_LEAST = 4096
_LONGEST = 1024


@dataclass(frozen=True)
class LoopErrors:
    """Mean products over turns of the cotangents of a loop.

    ``states`` are those of each state after each turn (turns, turns); ``before`` is E δ² of each
    state before the first one, ``mean_before`` E δ. ``drives`` are of each drive, and ``given`` of
    one entry of what the loop reads.
    """

    states: tuple[OverTime, ...]
    before: tuple[float, ...]
    mean_before: tuple[float, ...]
    drives: tuple[OverTime, ...]
    outside: Mapping[Node, OverTime]
    assumption: str


def measured(params: Mapping[str, Array]) -> Entries:
    """The mean and variance of the entries of parameters as they are, rows by rows."""

    def entries(parameter: Parameter, index: tuple[slice, ...]) -> tuple[float, float]:
        part = params[parameter.name][index]
        return float(part.mean()), float(part.var())

    return entries


class TwoTime:
    """A loop over so many turns, with what it reads and the law of its weights.

    ``given`` holds the law over the turns of one entry of nodes that the loop reads, or of what
    those are a wide product of; ``entries`` the mean and variance of weights and biases. Turns are
    in the order of time, for a loop that runs backward too. Numbers come from a population of units
    of fixed seed; those that are linear in what is drawn are exact.
    Raises NotApplicableError where the body has steps that no law is known for.
    Source: Gaussian conditioning as in Yang 2020, Tensor Programs II and III (tied weights).
    """

    def __init__(
        self,
        loop: Scan,
        turns: int,
        given: Mapping[Node, OverTime],
        entries: Entries,
        seed: int = 0,
    ) -> None:
        if turns > _LONGEST:
            raise NotApplicableError(
                f"a loop of {turns} turns; the two-time recursion is for at most {_LONGEST}"
            )
        self.loop, self.turns, self.entries = loop, turns, entries
        self.given = {n: s.reversed() if loop.backward else s for n, s in given.items()}
        self.cell: UnitCell = cell(loop, given)
        self._rng = np.random.default_rng(seed)
        self._half = int(np.clip(32 * _UNITS // turns, _LEAST, _UNITS)) // 2
        self._run()

    @property
    def width(self) -> int:
        """The smallest number of units that a wide product has."""
        return min((drive.size for drive in self.cell.drives), default=1)

    @property
    def assumption(self) -> str:
        """What the numbers rest on, in one line."""
        share = self.turns**2 / self.width
        text = f"limit of wide layers with the same weights at each of {self.turns} turns"
        if share < 0.1:
            return text
        return (
            f"{text}; at width {self.width} (turns²/width = {share:.2g}) it breaks from about "
            f"{int(np.sqrt(self.width))} turns, where single networks are far apart"
        )

    def _noise(self, processes: int, numbers: int = 0) -> tuple[list[Gaussian], Array]:
        """So many processes over all turns and single draws (numbers, units), all independent."""
        rows = noise(self._rng, processes * self.turns + numbers, self._half)
        over_turns = rows[numbers:].reshape(processes, self.turns, self._half)
        return [Gaussian(each) for each in over_turns], mirrored(rows[:numbers])

    def _empty(self) -> Array:
        return np.zeros((self.turns, 2 * self._half))

    def _run(self) -> None:
        """All turns, forward."""
        drawn, starts = self._noise(len(self.cell.drives), len(self.loop.starts))
        self._args = {node: self._empty() for node in self.cell.inner}
        self._drives = [self._empty() for _ in self.cell.drives]
        self._befores: list[list[Array]] = []
        grams = {node: np.zeros((self.turns, self.turns)) for node in self.cell.inner}
        states = [
            self._start(bare(node), units)
            for node, units in zip(self.loop.starts, starts, strict=True)
        ]
        for t in range(self.turns):
            self._befores.append(states)
            leaves = {f"state.{k}": each for k, each in enumerate(states)}
            for each in self.cell.order:
                if isinstance(each, Node):
                    held = self._args[each]
                    held[t] = self.cell.values[each](leaves)
                    grams[each][t, : t + 1] = held[: t + 1] @ held[t] / len(held[t])
                else:
                    terms = self.cell.drives[each].terms
                    row = sum(self._covariance(term, t, grams) for term in terms)
                    mean = sum(self._mean(term, t) for term in terms)
                    self._drives[each][t] = drawn[each].draw(np.asarray(row), mean)
                    leaves[f"drive.{each}"] = self._drives[each][t]
            states = [self.cell.values[each](leaves) for each in self.cell.nexts]
        self._last = states

    def _start(self, node: Node, units: Array) -> Array:
        if isinstance(node, Constant):
            return np.full(len(units), node.value)
        if isinstance(node, Parameter):
            mean, variance = self.entries(node, (slice(None),) * len(node.axes))
        elif node in self.given:
            series = self.given[node]
            mean, variance = float(series.mean[0]), float(series.covariance[0, 0])
        else:
            raise NotApplicableError(f"the law of {node!r}, where the loop starts, is not known")
        return np.asarray(mean + np.sqrt(variance) * units)

    def _covariance(self, term: Term, t: int, grams: Mapping[Node, Array]) -> Array:
        """With the turns up to t, of the term at t (t + 1,)."""
        if isinstance(term, Given):
            return term.scale**2 * self.given[term.node].covariance[t, : t + 1]
        _, variance = self._law(term)
        if isinstance(term, Bias):
            return np.full(t + 1, term.scale**2 * variance)
        products = grams.get(term.arg)
        if products is None:
            products = self.given[term.arg].product
        return np.asarray(term.scale**2 * term.n_in * variance * products[t, : t + 1])

    def _mean(self, term: Term, t: int) -> float:
        if isinstance(term, Given):
            return term.scale * float(self.given[term.node].mean[t])
        mean, _ = self._law(term)
        if isinstance(term, Bias) or not mean:
            return term.scale * mean
        inner = self._args.get(term.arg)
        each = self.given[term.arg].mean[t] if inner is None else inner[t].mean()
        return term.scale * term.n_in * mean * float(each)

    def _law(self, term: Wide | Bias) -> tuple[float, float]:
        rows = slice(None) if term.rows is None else slice(term.rows.start, term.rows.stop)
        if isinstance(term, Bias):
            return self.entries(term.bias, (rows,))
        index = (rows, slice(None)) if term.axis == 0 else (slice(None), rows)
        return self.entries(term.weight, index)

    @cached_property
    def states(self) -> tuple[OverTime, ...]:
        """Each state after every turn."""
        after = [*self._befores[1:], self._last]
        return tuple(
            self._series(np.array([turn[k] for turn in after])) for k in range(len(self._last))
        )

    @cached_property
    def drives(self) -> tuple[OverTime, ...]:
        """Each drive at every turn."""
        return tuple(map(self._series, self._drives))

    def _series(self, values: Array) -> OverTime:
        found = OverTime(values.mean(axis=1), values @ values.T / values.shape[1])
        return found.reversed() if self.loop.backward else found

    def backward(self, injected: tuple[OverTime, ...]) -> LoopErrors:
        """The cotangents for those that arrive at each state after every turn from outside.

        They are independent of the states, as behind a zero-mean read-out.
        """
        arriving = [each.reversed() if not self.loop.backward else each for each in injected]
        count, inner = len(injected), self.cell.inner
        drawn, _ = self._noise(count + len(inner))
        back = dict(zip(inner, drawn[count:], strict=True))
        # everything here is in the order of the way back
        errors = [self._empty() for _ in self.cell.drives]
        deltas = [self._empty() for _ in injected]
        carried = [np.zeros(2 * self._half) for _ in injected]
        for t in range(self.turns):
            turn = self.turns - 1 - t
            leaves = {f"state.{k}": each for k, each in enumerate(self._befores[turn])}
            leaves |= {f"drive.{k}": each[turn] for k, each in enumerate(self._drives)}
            slopes = self.cell.slopes(leaves)
            arrived: dict[Node, Array] = {}
            for k, node in enumerate(self.cell.nexts):
                series = arriving[k]
                new = drawn[k].draw(series.covariance[t, : t + 1], float(series.mean[t]))
                deltas[k][t] = carried[k] + new
                arrived[node] = arrived.get(node, 0.0) + deltas[k][t]
            for each in reversed(self.cell.order):
                if isinstance(each, Node):
                    row, mean = self._back(each, errors, t)
                    arrived[each] = arrived.get(each, 0.0) + back[each].draw(row, mean)
                else:
                    errors[each][t] = _pulled(slopes, arrived, f"drive.{each}", like=carried[0])
            carried = [
                _pulled(slopes, arrived, f"state.{k}", like=c) for k, c in enumerate(carried)
            ]
        return self._errors(deltas, carried, errors)

    def _back(self, arg: Node, errors: list[Array], t: int) -> tuple[Array, float]:
        """Covariances and mean of Σ Wᵀ v at turn t over the products that read one argument."""
        row, mean = np.zeros(t + 1), 0.0
        for drive, held in zip(self.cell.drives, errors, strict=True):
            for term in drive.terms:
                if isinstance(term, Wide) and term.arg is arg:
                    of_weight, variance = self._law(term)
                    size = term.scale**2 * drive.size * variance
                    row += size * (held[: t + 1] @ held[t]) / held.shape[1]
                    if of_weight:
                        mean += term.scale * drive.size * of_weight * float(held[t].mean())
        return row, mean

    def _errors(self, deltas: list[Array], carried: list[Array], errors: list[Array]) -> LoopErrors:
        states, drives = (
            tuple(self._series(each[::-1]) for each in some) for some in (deltas, errors)
        )
        before = tuple(float(np.mean(each**2)) for each in carried)
        means = tuple(float(np.mean(each)) for each in carried)
        outside = {node: self._outside(node, drives) for node in self._read}
        return LoopErrors(states, before, means, drives, outside, self.assumption)

    @cached_property
    def _read(self) -> tuple[Node, ...]:
        """What is outside: what the loop reads, and the arguments of wide products there."""
        found: dict[Node, None] = {}
        for drive in self.cell.drives:
            for term in drive.terms:
                if isinstance(term, Given):
                    found[term.node] = None
                elif isinstance(term, Wide) and term.read is not None:
                    found |= {term.read: None, term.arg: None}
        return tuple(found)

    def _outside(self, node: Node, drives: tuple[OverTime, ...]) -> OverTime:
        """Cotangent of one entry: its mean over stretches of units, or Σ Wᵀ v over products."""
        parts, total = [], OverTime.none(self.turns)
        for drive, each in zip(self.cell.drives, drives, strict=True):
            for term in drive.terms:
                if node is (term.node if isinstance(term, Given) else term.read):
                    parts.append((drive.size, each.scaled(term.scale)))
                elif isinstance(term, Wide) and term.arg is node:
                    mean, variance = self._law(term)
                    size = term.scale * drive.size
                    around = size * term.scale * variance * each.product
                    total = total.plus(OverTime.around(size * mean * each.mean, around))
        return mean_of(tuple(parts)) if parts else total


def _pulled(
    slopes: Mapping[tuple[Node, str], Array], arrived: Mapping[Node, Array], leaf: str, like: Array
) -> Array:
    """Σ ∂node/∂leaf · cotangent of the node, over the nodes that have one."""
    total = np.zeros_like(like)
    for node, cotangent in arrived.items():
        if (slope := slopes.get((node, leaf))) is not None:
            total += slope * cotangent
    return total
