"""The dynamic programme over (interval, form): the cheapest way to hold every part of a chain.

Factors are numbered from the input: the product is F_q … F_1. For each interval the programme
takes the cheapest of: two held parts multiplied at any cut; a held part swept on through the
factors after it (tangent), or back through those before it (adjoint). Matrix-free sweeps follow
Naumann, "Optimization of generalized Jacobian chain products without memory constraints" (2020).
The form of an interval (identity, diagonal, dense) follows from its factors. Costs add up, so the
optimum is exact; under a memory limit each interval keeps the Pareto front of cost against bytes.
"""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate

from pullback.plan.chain.cost import Costs, Link, Shape, entries, product
from pullback.plan.chain.piece import Piece, Pieces, front


class Programme:
    """Every interval of a chain with its cheapest pieces."""

    def __init__(self, links: tuple[Link, ...], costs: Costs) -> None:
        self.links, self.costs = links, costs
        self.pieces = Pieces(links, costs)
        self.limited = costs.memory is not None
        self._work = [0, *accumulate(link.work for link in links)]
        self._operators = [0, *accumulate(link.edges is not None for link in links)]
        self._tape = [
            0, *accumulate(link.work if link.edges is not None else 0 for link in links)
        ]  # fmt: skip

    @property
    def length(self) -> int:
        return len(self.links)

    @cached_property
    def table(self) -> dict[tuple[int, int], list[Piece]]:
        """The pieces worth keeping of each interval (first, last), cheapest first."""
        table: dict[tuple[int, int], list[Piece]] = {}
        for at, link in enumerate(self.links):
            alone = [self.pieces.given(at)] if link.edges is None else self.pieces.build(at)
            table[at, at] = front(alone, self.limited)
        for span in range(1, self.length):
            for first in range(self.length - span):
                last = first + span
                table[first, last] = self._interval(table, first, last)
        return table

    def best(self, first: int, last: int) -> list[Piece]:
        """The pieces of one interval."""
        return self.table[first, last]

    def _interval(
        self, table: dict[tuple[int, int], list[Piece]], first: int, last: int
    ) -> list[Piece]:
        if self.limited:
            every = [
                self.multiply(left, right)
                for cut in range(first, last)
                for left in table[cut + 1, last]
                for right in table[first, cut]
            ]
            for cut in range(first, last):
                every += [p for part in table[first, cut] for p in self.sweep_up(part, last)]
                every += [p for part in table[cut + 1, last] for p in self.sweep_down(part, first)]
            return front(every, True)
        # only numbers are compared; one piece is made
        ranked = [
            (self._rank_of_product(table[cut + 1, last][0], table[first, cut][0]), cut)
            for cut in range(first, last)
        ]
        cut = min(ranked)[1]
        chosen = [self.multiply(table[cut + 1, last][0], table[first, cut][0])]
        for cut in range(first, last):
            chosen += self.sweep_up(table[first, cut][0], last)
            chosen += self.sweep_down(table[cut + 1, last][0], first)
        return front(chosen, False)

    def _rank_of_product(self, left: Piece, right: Piece) -> float:
        if left.form == "identity" or right.form == "identity":
            return left.rank + right.rank
        fma, form, batch = product(left.shape, right.shape)
        size = entries(left.rows, right.cols, form, batch) * self.costs.itemsize
        return left.rank + right.rank + self.costs.rank(fma, size)

    def multiply(self, left: Piece, right: Piece) -> Piece:
        """Two neighbours, multiplied."""
        fma, form, batch = product(left.shape, right.shape)
        shape: Shape = (left.rows, right.cols, form, batch)
        return self.pieces.make("multiply", right.first, left.last, shape, (left, right), fma)

    def sweep_up(self, part: Piece, last: int) -> list[Piece]:
        """The part's columns carried on by products with vectors, if any factor is matrix-free."""
        first = part.last + 1
        if self._operators[last + 1] == self._operators[first]:
            return []
        batch = max(link.batch for link in self.links[part.first : last + 1])
        fma = part.cols * (self._work[last + 1] - self._work[first])
        shape: Shape = (self.links[last].rows, part.cols, "dense", batch)
        return [self.pieces.make("tangent", part.first, last, shape, (part,), fma)]

    def sweep_down(self, part: Piece, first: int) -> list[Piece]:
        """The part's rows carried back; the factors' tape is kept meanwhile."""
        last = part.first
        if self._operators[last] == self._operators[first]:
            return []
        batch = max(link.batch for link in self.links[first : part.last + 1])
        fma = part.rows * (self._work[last] - self._work[first])
        tape = (self._tape[last] - self._tape[first]) * self.costs.itemsize
        shape: Shape = (part.rows, self.links[first].cols, "dense", batch)
        return [self.pieces.make("adjoint", first, part.last, shape, (part,), fma, tape)]

    def fold(self, forward: bool) -> Piece:
        """Forward mode (from the input) or reverse mode (from the output), whatever it costs."""
        if any(link.edges is not None for link in self.links):
            return self._homogeneous(forward)
        order = range(self.length) if forward else reversed(range(self.length))
        result: Piece | None = None
        for at in order:
            here = self.pieces.given(at)
            if result is None:
                result = here
            else:
                result = self.multiply(here, result) if forward else self.multiply(result, here)
        assert result is not None
        return result

    def _homogeneous(self, forward: bool) -> Piece:
        """One sweep from an identity through every factor."""
        first, last = 0, self.length - 1
        rows, cols = self.links[last].rows, self.links[first].cols
        batch = max(link.batch for link in self.links)
        shape: Shape = (rows, cols, "dense", batch)
        if forward:
            return self.pieces.make("tangent", first, last, shape, (), cols * self._work[-1])
        tape = self._tape[-1] * self.costs.itemsize
        return self.pieces.make("adjoint", first, last, shape, (), rows * self._work[-1], tape)
