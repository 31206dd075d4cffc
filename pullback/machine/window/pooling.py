"""The largest entry, or the sum, of each window as machine code, and both carried back.

Each lane is a sample of its own. Of equal entries the first takes the whole cotangent, in the order
of the taps, the last axis fastest. A NaN among the entries is the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from llvmlite import ir

from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.window.convolution import Finish
from pullback.machine.window.geometry import Fields
from pullback.machine.window.table import TableReader

_ENDS = ("places", "place", "positions", "position", "tap", "runs")
Run = tuple[Value, Value]  # where it begins in x, and how often it goes on


def layout(rank: int) -> Fields:
    """What the functions of so many axes read; strides and steps count numbers.

    x has places, y has positions. ``runs`` of each position begin at a place; a tap further is
    ``tap`` numbers on. ``overlap`` is 1 where windows share places, ``bare`` where a place is in
    none.
    """
    strides = [
        "overlap",
        "bare",
        "samples",
        "vectors",
        "x_vector",
        "y_vector",
        "x_channel",
        "y_channel",
    ]
    return Fields((*strides, *(f"{name}{at}" for at in range(rank) for name in _ENDS)))


class _Pool:
    """What the functions have in common: channels, positions, vectors of samples, taps."""

    def __init__(self, made: ir.Function, real: ir.Type, lanes: int, rank: int) -> None:
        self.rank, self.lanes = rank, lanes
        self.w = Writer(made, real, lanes)
        self.n = TableReader(self.w, made.args[0], layout(rank))
        last = self.w.mul(self.w.sub(self.n["vectors"], whole(1)), whole(lanes))
        self._partial = self.w.lanes_below(self.w.sub(self.n["samples"], last))
        self._full = ir.Constant(self._partial.type, [1] * lanes)

    def vectors(self, each: Callable[[Value, Value, Value], None], x: Value, y: Value) -> None:
        """``each`` of (x, y, mask) for all vectors of samples at one place."""
        w, n = self.w, self.n
        steps = n["x_vector"], n["y_vector"]
        with w.stepping(n["vectors"], (whole(0), whole(0)), steps) as (left, x_at, y_at):
            mask = w.select(w.is_one(left), self._partial, self._full)
            each(w.at(x, x_at), w.at(y, y_at), mask)

    def positions(
        self, each: Callable[[Value, Value, Sequence[Run]], None], x: Value, y: Value,
        runs: Sequence[Run] = (),
    ) -> None:  # fmt: skip
        """``each`` of (x, y, runs) for all positions, y there."""
        w, n, axis = self.w, self.n, len(runs)
        if axis == self.rank:
            each(x, y, runs)
            return
        with w.loop(whole(0), n[f"positions{axis}"], 1) as at:
            place, _, count = n.run(f"runs{axis}", at)
            run = (w.mul(place, n[f"place{axis}"]), count)
            self.positions(each, x, w.at(y, (at, n[f"position{axis}"])), (*runs, run))

    def taps(self, each: Callable[[Value], None], x: Value, runs: Sequence[Run]) -> None:
        """``each`` of the places in x that a position sees, in order."""
        (begin, count), *rest = runs
        step = self.n[f"tap{self.rank - len(runs)}"]
        with self.w.stepping(count, (begin,), (step,)) as (_, at):
            here = self.w.at(x, at)
            if rest:
                self.taps(each, here, rest)
            else:
                each(here)

    def largest(self, best: Value, x: Value, runs: Sequence[Run], mask: Value) -> None:
        """Store the largest entry of a window."""
        w = self.w
        w.store(ir.Constant(w.vector, [float("-inf")] * self.lanes), best)

        def tap(place: Value) -> None:
            entry, so_far = w.read(place, mask), w.load(best)
            more = w.fcmp_ordered(">", entry, so_far)
            more = w.or_(more, w.fcmp_unordered("uno", entry, entry))
            w.store(w.select(more, entry, so_far), best)

        self.taps(tap, x, runs)

    def total(self, total: Value, x: Value, runs: Sequence[Run], mask: Value) -> None:
        """Store the sum of a window."""
        w = self.w
        w.store(w.zeros(), total)
        self.taps(lambda at: w.store(w.fadd(w.load(total), w.read(at, mask)), total), x, runs)

    def cleared(self, x: Value, axis: int = 0) -> None:
        """Zeros at all places of a channel."""
        w, n = self.w, self.n
        if axis == self.rank:
            self.vectors(lambda at, _, mask: w.write(w.zeros(), at, mask), x, x)
            return
        with w.loop(whole(0), n[f"places{axis}"], 1) as at:
            self.cleared(w.at(x, (at, n[f"place{axis}"])), axis + 1)

    def put(self, place: Value, value: Value, mask: Value, adds: bool) -> None:
        """Write to a place, or add to what lies there."""
        self.w.write(self.w.fadd(self.w.read(place, mask), value) if adds else value, place, mask)


def write_pool(
    module: ir.Module, name: str, real: ir.Type, lanes: int, rank: int, largest: bool,
    finish: Finish,
) -> None:  # fmt: skip
    """Add the C function (numbers, x, y, begin, end) for some channels of y; else sums."""
    place = real.as_pointer()
    kinds = [WHOLE.as_pointer(), place, place, WHOLE, WHOLE]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    _, x, y, begin, end = made.args
    pool = _Pool(made, real, lanes, rank)
    w, n = pool.w, pool.n
    held = w.alloca(w.vector)

    def position(x: Value, y: Value, runs: Sequence[Run]) -> None:
        def vector(x: Value, y: Value, mask: Value) -> None:
            (pool.largest if largest else pool.total)(held, x, runs, mask)
            w.write(finish(w, w.load(held)), y, mask)

        pool.vectors(vector, x, y)

    with w.loop(begin, end, 1) as channel:
        x_at, y_at = w.at(x, (channel, n["x_channel"])), w.at(y, (channel, n["y_channel"]))
        pool.positions(position, x_at, y_at)
    w.ret_void()


def write_pool_back(
    module: ir.Module, name: str, real: ir.Type, lanes: int, rank: int, largest: bool,
    above_zero: bool = False,
) -> None:  # fmt: skip
    """Add the C function (numbers, x, delta, dx, begin, end) for some channels.

    ``delta`` lies as y does and dx as x does. x is read for the largest entries only. Where it is
    ``above_zero``, windows without an entry above 0 pass nothing on: x went through ReLU as well.
    """
    place = real.as_pointer()
    kinds = [WHOLE.as_pointer(), place, place, place, WHOLE, WHOLE]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    _, x, delta, dx, begin, end = made.args
    pool = _Pool(made, real, lanes, rank)
    w, n = pool.w, pool.n
    best, open_ = w.alloca(w.vector), w.alloca(ir.VectorType(ir.IntType(1), lanes))
    apart = w.sub(w.ptrtoint(dx, WHOLE), w.ptrtoint(x, WHOLE))

    def beside(at: Value) -> Value:
        """The place of dx that belongs to one of x."""
        return w.inttoptr(w.add(w.ptrtoint(at, WHOLE), apart), place)

    def vector(x: Value, delta: Value, mask: Value, runs: Sequence[Run], adds: bool) -> None:
        """One vector of samples at one position."""
        cotangent = w.read(delta, mask)
        if not largest:
            pool.taps(lambda at: pool.put(beside(at), cotangent, mask, adds), x, runs)
            return
        pool.largest(best, x, runs, mask)
        top = w.load(best)
        w.store(w.fcmp_ordered(">", top, w.zeros()) if above_zero else mask, open_)

        def tap(at: Value) -> None:
            entry = w.read(at, mask)
            hit = w.fcmp_ordered("==", entry, top)
            hit = w.or_(hit, w.fcmp_unordered("uno", entry, entry))
            hit = w.and_(hit, w.load(open_))
            w.store(w.and_(w.load(open_), w.not_(hit)), open_)
            pool.put(beside(at), w.select(hit, cotangent, w.zeros()), mask, adds)

        pool.taps(tap, x, runs)

    def position(x: Value, delta: Value, runs: Sequence[Run]) -> None:
        with w.if_else(w.is_one(n["overlap"])) as branches:
            for branch, adds in zip(branches, (True, False), strict=True):
                with branch:
                    pool.vectors(partial(vector, runs=runs, adds=adds), x, delta)

    with w.loop(begin, end, 1) as channel:
        x_at, d_at = w.at(x, (channel, n["x_channel"])), w.at(delta, (channel, n["y_channel"]))
        with w.if_then(w.is_one(w.or_(n["overlap"], n["bare"]))):
            pool.cleared(beside(x_at))
        pool.positions(position, x_at, d_at)
    w.ret_void()
