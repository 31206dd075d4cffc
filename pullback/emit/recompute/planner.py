"""The cheapest plan that is found for a limit: searched exactly where that ends, else by rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pullback.emit.recompute.blocks import ForwardBlocks
from pullback.emit.recompute.computation import RunOrder, in_order
from pullback.emit.recompute.eviction import Eviction, EvictionRule
from pullback.emit.recompute.exact import SetSearch
from pullback.emit.recompute.placed import PlacedBuffers, arranged
from pullback.emit.recompute.program import ProgramWork
from pullback.emit.recompute.spare import spared
from pullback.emit.values import Lowered

_POWERS = (0.3, 0.5, 0.7, 1.0), (0.0, 0.5, 1.0, 2.0)
RULES = tuple(EvictionRule(work, time) for work in _POWERS[0] for time in _POWERS[1])
CLOSE = 0.99  # of what there is: then no more is tried
_BEST = 3  # of the orders that rules find, which are looked at more closely
_PARTS = 20  # of a limit: so many amounts of kept bytes are tried
_PLAIN = EvictionRule()
_TRIES = 10
_FEW = 40  # jobs up to which the exact search is tried
_MOVES = 20_000
_OBJECT = 512  # bytes that Python and NumPy keep for an array
_CALL = 8192  # and for a call


@dataclass(frozen=True)
class Arrangement:
    """Runs in an order, as a program with its arrays in one arena; ``fixed`` bytes are besides.

    It is ``proven`` where no order under its limit costs less.
    """

    order: RunOrder
    program: Lowered
    buffers: PlacedBuffers
    fixed: int
    proven: bool = False

    @property
    def peak(self) -> int:
        """The most bytes at a time."""
        held = len(self.buffers.axes) + len(self.buffers.inner)
        return self.buffers.total + self.fixed + _CALL + _OBJECT * held


class Planner:
    """Plans for the steps of a program under one limit after the other."""

    def __init__(self, work: ProgramWork) -> None:
        self.work, self._found = work, dict[tuple[int, bool], Arrangement | None]()

    @cached_property
    def full(self) -> Arrangement:
        """Nothing is run again."""
        return self._arranged(in_order(self.work.computation), proven=True)

    @cached_property
    def least(self) -> Arrangement:
        """The plan that is found to need the fewest bytes."""
        low, high, best = 0, self.full.buffers.total, self.full
        while high - low > high // 200:
            middle = (low + high) // 2
            found = self._under(middle, closely=False)
            if found is None:
                low = middle
            else:
                best = min(best, found, key=lambda each: each.peak)
                high = middle
        return best

    def within(self, limit: int) -> Arrangement | None:
        """The cheapest plan that is found for a limit; None where there is none."""
        if self.full.peak <= limit:
            return self.full
        if self.least.peak > limit:
            return None
        good = self.least.buffers.total
        bad = target = limit - self.least.peak + self.least.buffers.total
        for _ in range(_TRIES):
            found = self._under(target)
            if found is not None and found.peak <= limit:
                if target == bad or found.peak >= CLOSE * limit:
                    break
                good = target
            else:
                bad = target
            target = (good + bad) // 2
        known = [self.least, *(each for each in self._found.values() if each is not None)]
        fitting = [each for each in known if each.peak <= limit]
        return min(fitting, key=lambda each: (each.order.work, -each.peak))

    def _under(self, budget: int, closely: bool = True) -> Arrangement | None:
        """The cheapest plan of those whose values have so many bytes at a time."""
        key = (budget, closely)
        if key not in self._found:
            self._found[key] = self._searched(budget, closely)
        return self._found[key]

    @cached_property
    def blocks(self) -> ForwardBlocks:
        """What may be kept, block by block."""
        return ForwardBlocks(self.work.computation)

    def _searched(self, budget: int, closely: bool) -> Arrangement | None:
        computation = self.work.computation
        if closely and len(computation.jobs) <= _FEW:
            search = SetSearch(computation, budget, _MOVES)
            exact = search.cheapest()
            if search.ended:
                return None if exact is None else self._arranged(exact, proven=True)
        passes = [Eviction(computation, budget, rule).order() for rule in RULES]
        if closely:
            drops = [
                self.blocks.dropped(budget * part // _PARTS)
                for part in range(_PARTS // 4, _PARTS * 5 // 4)
            ]
            passes += [
                Eviction(computation, budget, _PLAIN, dropped).order()
                for dropped in drops
                if dropped is not None
            ]
        orders = [each for each in passes if each is not None]
        if not orders:
            return None
        best = sorted(orders, key=lambda each: each.work)[: _BEST if closely else 1]
        if closely:
            best = [spared(each, budget) for each in best]
        return self._arranged(min(best, key=lambda each: each.work))

    def _arranged(self, order: RunOrder, proven: bool = False) -> Arrangement:
        program, buffers = arranged(self.work, order)
        return Arrangement(order, program, buffers, self.work.fixed, proven)
