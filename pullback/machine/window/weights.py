"""The gradient of a convolution with respect to its weights, as machine code.

Each weight is a sum over samples and positions. A tile of up to 8 outputs and 2 inputs is summed
for one tap at a time in registers, each lane for samples of its own; a few rows of positions are
gone through for all taps before the next ones, so that they stay in the first cache; where there
are more, what a tap's lanes have summed waits for them in memory. Lanes are added up at the end. So
sums have one order, however the weights are shared out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llvmlite import ir

from pullback.machine.blas.tile import function
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.window.geometry import Fields
from pullback.machine.window.table import TableReader

ROWS, COLUMNS = (8, 6, 4, 2, 1), 2
TOGETHER = 4  # vectors of samples that are gone through before the next position
Run = tuple[Value, Value, Value]  # where it begins in x and in y, and how often it goes on
_ENDS = ("taps", "weight", "place", "step_place", "position", "positions", "chunk", "runs")


class _Part(NamedTuple):
    """A few vectors of samples, and where a chunk of positions begins; is it the first or last?"""

    vectors: Run
    begins: tuple[Value, ...]
    first: Value
    last: Value


def layout(rank: int) -> Fields:
    """What the function of so many axes reads; strides and steps count numbers.

    x has places, y has positions. ``runs`` of each tap begin at a place and a position; a position
    further is ``step_place`` numbers on in x. ``chunk`` positions are taken at a time.
    """
    sizes = ["samples", "vectors", "groups", "outputs", "inputs"]
    strides = ["x_vector", "y_vector", "x_group", "y_group", "weight_group"]
    strides += ["y_output", "weight_output", "x_input", "weight_input"]
    return Fields((*sizes, *strides, *(f"{name}{at}" for at in range(rank) for name in _ENDS)))


def write_weights(module: ir.Module, name: str, real: ir.Type, lanes: int, rank: int) -> None:
    """Add the C function (numbers, x, y, weight, scratch, begin, end).

    ``scratch`` has room for 8 · 2 vectors a tap. Of the work it does the parts from ``begin`` to
    ``end``: each is a group, up to 8 outputs and up to 2 inputs.
    """
    place = real.as_pointer()
    kinds = [WHOLE.as_pointer(), place, place, place, place, WHOLE, WHOLE]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    tiles = {
        (rows, columns): _tile(module, name, real, lanes, rank, rows, columns)
        for rows in ROWS
        for columns in range(1, COLUMNS + 1)
    }
    table, x, y, weight, scratch, begin, end = made.args
    w = Writer(made, real, lanes)
    n = TableReader(w, table, layout(rank))
    each = w.udiv(w.add(n["outputs"], whole(ROWS[0] - 1)), whole(ROWS[0]))
    pairs = w.udiv(w.add(n["inputs"], whole(COLUMNS - 1)), whole(COLUMNS))
    in_group = w.mul(each, pairs)
    with w.loop(begin, end, 1) as part:
        group = w.udiv(part, in_group)
        output = w.mul(w.udiv(w.urem(part, in_group), pairs), whole(ROWS[0]))
        channel = w.mul(w.urem(part, pairs), whole(COLUMNS))
        two = w.icmp_signed("<", w.add(channel, whole(1)), n["inputs"])
        left = w.smaller(whole(ROWS[0]), w.sub(n["outputs"], output))
        x_at = w.at(x, (group, n["x_group"]), (channel, n["x_input"]))
        y_at = w.at(y, (group, n["y_group"]))
        w_at = w.at(weight, (group, n["weight_group"]), (channel, n["weight_input"]))
        for rows in ROWS:
            enough = w.icmp_signed(">=", left, whole(rows))
            with w.if_then(enough):
                call = w.select(two, tiles[rows, 2], tiles[rows, 1])
                delta, into = (
                    w.at(start, (output, n[f"{kind}_output"]))
                    for start, kind in ((y_at, "y"), (w_at, "weight"))
                )
                w.call(call, [table, x_at, delta, into, scratch])
            done = w.select(enough, whole(rows), whole(0))
            output, left = w.add(output, done), w.sub(left, done)
    w.ret_void()


def _tile(
    module: ir.Module,
    name: str,
    real: ir.Type,
    lanes: int,
    rank: int,
    rows: int,
    columns: int,
) -> ir.Function:
    """The function (numbers, x, y, weight, scratch): the weights between a few channels."""
    place = real.as_pointer()
    kinds = [WHOLE.as_pointer(), place, place, place, place]
    made = function(module, f"{name}_{rows}_{columns}", kinds)
    table, x, y, weight, scratch = made.args
    w = Writer(made, real, lanes)
    n = TableReader(w, table, layout(rank))
    sums = [[w.alloca(w.vector) for _ in range(columns)] for _ in range(rows)]
    flat = [total for row in sums for total in row]
    deltas = [(whole(r), n["y_output"]) for r in range(rows)]
    inputs = [(whole(c), n["x_input"]) for c in range(columns)]
    behind_last = w.mul(w.sub(n["vectors"], whole(1)), whole(lanes))
    partial = w.lanes_below(w.sub(n["samples"], behind_last))
    size = len(flat) * lanes

    def positions(axis: int, runs: Sequence[Run], x_at: Value, y_at: Value, vectors: Run) -> None:
        """The sums of one tap over positions from an axis on, then over a few vectors."""
        x_run, y_run, count = (*runs, vectors)[axis]
        steps = (*((n[f"step_place{at}"], n[f"position{at}"]) for at in range(rank)),
                 (n["x_vector"], n["y_vector"]))[axis]  # fmt: skip
        starts = w.add(x_at, x_run), w.add(y_at, y_run)
        with w.stepping(count, starts, steps) as (_, x_now, y_now):
            if axis < rank:
                positions(axis + 1, runs, x_now, y_now, vectors)
            else:
                vector(x_now, y_now, None)
        if axis == rank:
            with w.if_then(is_broken):
                behind = [w.add(at, w.mul(count, by)) for at, by in zip(starts, steps, strict=True)]
                vector(behind[0], behind[1], partial)

    def vector(x_at: Value, y_at: Value, mask: Value | None) -> None:
        """What one vector of samples adds at one position."""
        seen = [w.read(w.at(w.at(x, step), x_at), mask) for step in inputs]
        for step, row in zip(deltas, sums, strict=True):
            delta = w.read(w.at(w.at(y, step), y_at), mask)
            for each, total in zip(seen, row, strict=True):
                w.store(w.fma(delta, each, w.load(total)), total)

    def taps(axis: int, number: Value, into: Value, runs: Sequence[Run], part: _Part) -> None:
        """All taps from an axis on, for a part of samples and positions."""
        if axis == rank:
            one_tap(number, into, runs, part)
            return
        with w.loop(whole(0), n[f"taps{axis}"], 1) as tap:
            place, first, count = n.run(f"runs{axis}", tap)
            chunk = part.begins[axis]
            begin = w.larger(first, chunk)  # what of it lies in the chunk
            end = w.smaller(w.add(first, count), w.add(chunk, n[f"chunk{axis}"]))
            x_run = w.mul(place, n[f"place{axis}"])
            x_run = w.add(x_run, w.mul(w.sub(begin, first), n[f"step_place{axis}"]))
            run = (x_run, w.mul(begin, n[f"position{axis}"]), w.sub(end, begin))
            behind = w.add(w.mul(number, n[f"taps{axis}"]), tap)
            taps(axis + 1, behind, w.at(into, (tap, n[f"weight{axis}"])), (*runs, run), part)

    def one_tap(number: Value, into: Value, runs: Sequence[Run], part: _Part) -> None:
        """The sums of a tap begin, or go on, and are written or kept for the next part."""
        held = w.at(scratch, (number, whole(size)))
        places = [w.at(held, whole(at * lanes)) for at in range(len(flat))]
        with w.if_else(part.first) as branches:
            for branch, begins in zip(branches, (True, False), strict=True):
                with branch:
                    for place, total in zip(places, flat, strict=True):
                        w.store(w.zeros() if begins else w.read(place), total)
        positions(0, runs, whole(0), whole(0), part.vectors)
        with w.if_else(part.last) as (over, going_on):
            with over:
                written(into)
            with going_on:
                for place, total in zip(places, flat, strict=True):
                    w.write(w.load(total), place)

    def written(into: Value) -> None:
        """The sums of a tap over the lanes, in their places."""
        targets = [
            w.at(into, (whole(r), n["weight_output"]), (whole(c), n["weight_input"]))
            for r in range(rows)
            for c in range(columns)
        ]
        for target, total in zip(targets, w.totals([w.load(each) for each in flat]), strict=True):
            w.store(total, target)

    def chunks(part: _Part) -> None:
        """All chunks of positions."""
        if (axis := len(part.begins)) == rank:
            taps(0, whole(0), weight, (), part)
            return
        count, chunk = n[f"positions{axis}"], n[f"chunk{axis}"]
        with w.loop(whole(0), count, chunk) as begin:
            is_first = w.icmp_signed("==", begin, whole(0))
            is_last = w.icmp_signed(">=", w.add(begin, chunk), count)
            first, last = w.and_(part.first, is_first), w.and_(part.last, is_last)
            chunks(_Part(part.vectors, (*part.begins, begin), first, last))

    broken = w.icmp_signed("!=", w.urem(n["samples"], whole(lanes)), whole(0))
    # once where there is no sample
    with w.loop(whole(0), w.larger(n["vectors"], whole(1)), TOGETHER) as start:
        count = w.smaller(whole(TOGETHER), w.sub(n["vectors"], start))
        last = w.icmp_signed("==", w.add(start, count), n["vectors"])
        is_broken = w.and_(last, broken)  # the last vector is masked, and no other
        count = w.sub(count, w.zext(is_broken, WHOLE))
        vectors = w.mul(start, n["x_vector"]), w.mul(start, n["y_vector"]), count
        chunks(_Part(vectors, (), w.icmp_signed("==", start, whole(0)), last))
    w.ret_void()
    return made
