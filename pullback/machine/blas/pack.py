"""B's panel, and a tile's rows of A, copied to where a tile reads them from one end to the other.

The copy of B holds strips as wide as a tile, one after the other; a strip holds its steps one after
the other. Without it each step would read from another page of memory. Columns that a last strip
lacks hold anything: they reach sums that are never written.
"""

from __future__ import annotations

from llvmlite import ir

from pullback.machine.blas.tile import Tiling, function
from pullback.machine.blas.writer import WHOLE, Writer, whole


def pack(module: ir.Module, tiling: Tiling) -> ir.Function:
    """The function (B, b_step, b_column, columns, depth, copy); the strides count numbers."""
    place = tiling.real.as_pointer()
    rows, columns = _pack_rows(module, tiling), _pack_columns(module, tiling)
    made = function(module, "pack", [place, WHOLE, WHOLE, WHOLE, WHOLE, place])
    b, step, column, n, depth, copy = made.args
    w = Writer(made, tiling.real, tiling.lanes)
    with w.if_else(w.is_one(column)) as (side_by_side, otherwise):
        with side_by_side:
            w.call(rows, [b, step, n, depth, copy])
        with otherwise, w.if_else(w.is_one(step)) as (one_below_the_other, scattered):
            with one_below_the_other:
                w.call(columns, [b, column, n, depth, copy])
            with scattered, w.loop(whole(0), n, 1) as j:
                strip = w.mul(w.sdiv(j, whole(tiling.width)), whole(tiling.width))
                target = w.at(copy, (strip, depth), w.sub(j, strip))
                with w.loop(whole(0), depth, 1) as k:
                    number = w.load(w.at(b, (k, step), (j, column)))
                    w.store(number, w.at(target, (k, whole(tiling.width))))
    w.ret_void()
    return made


def pack_left(module: ir.Module, tiling: Tiling) -> ir.Function:
    """The function (A, a_step, rows, depth, copy), of an A whose rows lie side by side.

    A step of the copy has ``tiling.padded`` rows; those that are not there are 0.
    """
    place = tiling.real.as_pointer()
    made = function(module, "pack_left", [place, WHOLE, WHOLE, WHOLE, place])
    a, step, rows, depth, copy = made.args
    w = Writer(made, tiling.real, tiling.lanes)
    begins = range(0, tiling.padded, tiling.lanes)
    masks = [w.lanes_below(rows, begin) for begin in begins]
    with w.loop(whole(0), depth, 1) as k:
        for begin, mask in zip(begins, masks, strict=True):
            vector = w.read(w.at(a, (k, step), whole(begin)), mask)
            w.write(vector, w.at(copy, (k, whole(tiling.padded)), whole(begin)))
    w.ret_void()
    return made


def _pack_rows(module: ir.Module, tiling: Tiling) -> ir.Function:
    """From a B whose rows lie side by side: (B, b_step, columns, depth, copy)."""
    place, width = tiling.real.as_pointer(), tiling.width
    made = function(module, "pack_rows", [place, WHOLE, WHOLE, WHOLE, place])
    b, step, n, depth, copy = made.args
    w = Writer(made, tiling.real, tiling.lanes)
    with w.loop(whole(0), n, width) as j:
        strip, left = w.at(copy, (j, depth)), w.sub(n, j)
        with w.if_else(w.icmp_signed(">=", left, whole(width))) as branches:
            for branch, partial in zip(branches, (False, True), strict=True):
                with branch:
                    begins = range(0, width, tiling.lanes)
                    masks = [w.lanes_below(left, begin) if partial else None for begin in begins]
                    with w.loop(whole(0), depth, 1) as k:
                        for begin, mask in zip(begins, masks, strict=True):
                            vector = w.read(w.at(b, (k, step), j, whole(begin)), mask)
                            w.write(vector, w.at(strip, (k, whole(width)), whole(begin)))
    w.ret_void()
    return made


def _pack_columns(module: ir.Module, tiling: Tiling) -> ir.Function:
    """From a B whose columns lie side by side: (B, b_column, columns, depth, copy)."""
    place, width, lanes = tiling.real.as_pointer(), tiling.width, tiling.lanes
    made = function(module, "pack_columns", [place, WHOLE, WHOLE, WHOLE, place])
    b, column, n, depth, copy = made.args
    w = Writer(made, tiling.real, lanes)
    last, whole_vectors = w.sub(n, whole(1)), w.and_(depth, whole(-lanes))
    with w.loop(whole(0), n, lanes) as j:
        strip = w.mul(w.sdiv(j, whole(width)), whole(width))
        target = w.at(copy, (strip, depth), w.sub(j, strip))
        # a column that is not there repeats the last one
        columns = [w.smaller(w.add(j, whole(lane)), last) for lane in range(lanes)]
        lines = [w.at(b, (number, column)) for number in columns]
        with w.loop(whole(0), whole_vectors, lanes) as k:
            steps = w.transposed([w.read(w.at(line, k)) for line in lines])
            for number, vector in enumerate(steps):
                w.write(vector, w.at(target, (w.add(k, whole(number)), whole(width))))
        left = w.sub(depth, whole_vectors)
        mask = w.lanes_below(left)
        steps = w.transposed([w.read(w.at(line, whole_vectors), mask) for line in lines])
        with w.first(left, lanes) as present:
            for number in present:
                at = w.add(whole_vectors, whole(number))
                w.write(steps[number], w.at(target, (at, whole(width))))
    w.ret_void()
    return made
