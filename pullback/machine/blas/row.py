"""One sample times a layer's weights, whose rows lie side by side: sums in the lanes of vectors.

A product of many samples copies the weights into the order in which it reads them; for one sample
that would take longer than to multiply. Each weight is read once, where it lies, and the sum over
the depth is that of as many sums as a vector has lanes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from pullback.machine.blas.writer import WHOLE, Value, Writer, whole

_TOGETHER = 8  # sums: enough that none waits for itself


def row(module: ir.Module, real: Any, lanes: int) -> ir.Function:
    """The function (columns, depth, a, B, b_column, c): c ← a B, where steps of the depth are 1."""
    place = real.as_pointer()
    kinds = [WHOLE, WHOLE, place, place, WHOLE, place]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "row")
    made.linkage = "internal"
    made.attributes.add("noinline")
    n, depth, a, b, b_column, c = made.args
    w = Writer(made, real, lanes)
    totals = [w.alloca(w.vector) for _ in range(_TOGETHER)]
    full, last = w.and_(depth, whole(-lanes)), w.sub(n, whole(1))
    mask = w.lanes_below(w.sub(depth, full))
    with w.loop(whole(0), n, _TOGETHER) as j:
        # a column that is not there repeats the last one
        columns = [w.smaller(w.add(j, whole(number)), last) for number in range(_TOGETHER)]
        lines = [w.at(b, (column, b_column)) for column in columns]
        for total in totals:
            w.store(w.zeros(), total)

        def add(k: Value, mask: Value | None = None, lines: list[Value] = lines) -> None:
            x = w.read(w.at(a, k), mask)
            for line, total in zip(lines, totals, strict=True):
                w.store(w.fma(x, w.read(w.at(line, k), mask), w.load(total)), total)

        with w.loop(whole(0), full, lanes) as k:
            add(k)
        add(full, mask)
        with w.first(w.sub(n, j), _TOGETHER) as present:
            for number in present:
                w.store(
                    w.all_lanes(w.load(totals[number]), "sum"), w.at(c, w.add(j, whole(number)))
                )
    w.ret_void()
    return made
