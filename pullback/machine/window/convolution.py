"""The direct convolution as machine code: towards its positions, or back towards its places.

The samples of a batch lie side by side, so that a vector holds one place of as many samples; each
weight is spread over a vector and meets them all at once (as in cuda-convnet's layout CHWN). A tile
holds up to 8 output channels of 2 vectors of samples in registers, and goes through all channels
and taps: the innermost part of a product of matrices, whose second factor is read where it lies.
Nothing is copied, and no border is a special case: each position says where its taps begin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from pullback.machine.blas.tile import function
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.window.geometry import Fields
from pullback.machine.window.table import TableReader

ROWS, VECTORS = (8, 6, 4, 2, 1), 2
Finish = Callable[[Writer, Value], Value]
_ENDS = ("target", "tap_source", "tap_weight", "source", "weight", "runs", "count")


def layout(rank: int) -> Fields:
    """What the function of so many axes reads; strides and steps count numbers.

    ``source`` is what is read at taps, ``target`` what is written. Along each axis the target has
    ``count`` entries, whose ``runs`` begin at an entry of the source and at a tap of the weight;
    a tap further are ``tap_source`` and ``tap_weight``.
    """
    sizes = ["samples", "vectors", "groups", "outputs", "inputs"]
    strides = ["source_vector", "target_vector", "source_group", "target_group", "weight_group"]
    strides += ["target_output", "weight_output", "source_input", "weight_input"]
    return Fields((*sizes, *strides, *(f"{name}{at}" for at in range(rank) for name in _ENDS)))


def write_convolution(
    module: ir.Module, name: str, real: ir.Type, lanes: int, rank: int, finish: Finish
) -> None:
    """Add the C function (numbers, source, weight, bias, target, begin, end).

    ``bias`` may be null. ``finish`` writes what is done with each sum before it is stored. Of the
    work it does the parts from ``begin`` to ``end``: each is a pair of vectors, a group and up to
    8 outputs; sums have one order, whoever computes them.
    """
    place = real.as_pointer()
    kinds = [WHOLE.as_pointer(), place, place, place, place, WHOLE, WHOLE]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    tiles = {
        (rows, vectors): _tile(module, name, real, lanes, rank, rows, vectors, finish)
        for rows in ROWS
        for vectors in range(1, VECTORS + 1)
    }
    table, source, weight, bias, target, begin, end = made.args
    w = Writer(made, real, lanes)
    n = TableReader(w, table, layout(rank))
    has_bias = w.icmp_unsigned("!=", w.ptrtoint(bias, WHOLE), whole(0))
    each = w.udiv(w.add(n["outputs"], whole(ROWS[0] - 1)), whole(ROWS[0]))
    in_pair = w.mul(n["groups"], each)
    with w.loop(begin, end, 1) as part:
        first = w.mul(w.udiv(part, in_pair), whole(VECTORS))
        group = w.udiv(w.urem(part, in_pair), each)
        output = w.mul(w.urem(part, each), whole(ROWS[0]))
        two = w.icmp_signed("<", w.add(first, whole(1)), n["vectors"])
        samples = w.sub(n["samples"], w.mul(first, whole(lanes)))
        left = w.smaller(whole(ROWS[0]), w.sub(n["outputs"], output))
        x = w.at(source, (first, n["source_vector"]), (group, n["source_group"]))
        y = w.at(target, (first, n["target_vector"]), (group, n["target_group"]))
        weights = w.at(weight, (group, n["weight_group"]))
        biases = w.at(bias, (group, n["outputs"]))
        for rows in ROWS:  # each size at most once: 7 = 6 + 1
            enough = w.icmp_signed(">=", left, whole(rows))
            with w.if_then(enough):
                call = w.select(two, tiles[rows, 2], tiles[rows, 1])
                w_at = w.at(weights, (output, n["weight_output"]))
                b_at = w.select(has_bias, w.at(biases, output), bias)
                w.call(call, [table, x, w_at, b_at, w.at(y, (output, n["target_output"])), samples])
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
    vectors: int,
    finish: Finish,
) -> ir.Function:
    """The function (numbers, source, weight, bias, target, samples): a few outputs, everywhere."""
    place = real.as_pointer()
    kinds = [WHOLE.as_pointer(), place, place, place, place, WHOLE]
    made = function(module, f"{name}_{rows}_{vectors}", kinds)
    table, source, weight, bias, target, samples = made.args
    w = Writer(made, real, lanes)
    n = TableReader(w, table, layout(rank))
    masks = [w.lanes_below(samples, v * lanes) for v in range(vectors)]
    sums = [[w.alloca(w.vector) for _ in range(vectors)] for _ in range(rows)]
    starts = [[w.alloca(w.vector)] for _ in range(rows)]
    weights = [w.at(weight, (whole(r), n["weight_output"])) for r in range(rows)]
    has_bias = w.icmp_unsigned("!=", w.ptrtoint(bias, WHOLE), whole(0))
    with w.if_else(has_bias) as branches:
        for branch, known in zip(branches, (True, False), strict=True):
            with branch:
                for r, (start,) in enumerate(starts):
                    w.store(w.splat(w.load(w.at(bias, whole(r)))) if known else w.zeros(), start)

    def entry(axis: int, runs: Sequence[tuple[Value, Value, Value]], y: Value) -> None:
        """All entries of the target from an axis on."""
        if axis < rank:
            with w.loop(whole(0), n[f"count{axis}"], 1) as at:
                first, tap, count = n.run(f"runs{axis}", at)
                x_at, w_at = w.mul(first, n[f"source{axis}"]), w.mul(tap, n[f"weight{axis}"])
                y_at = w.at(y, (at, n[f"target{axis}"]))
                entry(axis + 1, (*runs, (x_at, w_at, count)), y_at)
            return
        for row, (start,) in zip(sums, starts, strict=True):
            for total in row:
                w.store(w.load(start), total)
        with w.loop(whole(0), n["inputs"], 1) as channel:
            x_at, w_at = w.mul(channel, n["source_input"]), w.mul(channel, n["weight_input"])
            taps(0, runs, x_at, w_at)
        for r, row in enumerate(sums):
            for v, total in enumerate(row):
                where = w.at(y, (whole(r), n["target_output"]), (whole(v), n["target_vector"]))
                w.write(finish(w, w.load(total)), where, masks[v])

    def taps(
        axis: int, runs: Sequence[tuple[Value, Value, Value]], x_at: Value, w_at: Value
    ) -> None:
        """All taps from an axis on."""
        x_run, w_run, count = runs[axis]
        x_at, w_at = w.add(x_at, x_run), w.add(w_at, w_run)
        steps = n[f"tap_source{axis}"], n[f"tap_weight{axis}"]
        with w.stepping(count, (x_at, w_at), steps) as (_, x_now, w_now):
            if axis + 1 < rank:
                taps(axis + 1, runs, x_now, w_now)
                return
            read = [
                w.read(w.at(source, x_now, (whole(v), n["source_vector"])), masks[v])
                for v in range(vectors)
            ]
            for first, row in zip(weights, sums, strict=True):
                spread = w.splat(w.load(w.at(first, w_now)))
                for x, total in zip(read, row, strict=True):
                    w.store(w.fma(spread, x, w.load(total)), total)

    entry(0, (), target)
    w.ret_void()
    return made
