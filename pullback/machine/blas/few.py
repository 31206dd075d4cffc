"""A few samples times a layer's weights, whose rows lie side by side: sums in the lanes of vectors.

A product of many samples copies the weights into the order in which it reads them; for a few that
would take longer than to multiply. Each weight is read once, where it lies, and meets all samples;
the sum over the depth is that of as many sums as a vector has lanes. Which samples come together
changes no bit of it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from pullback.machine.blas.tile import function
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.object.processor import optimised_code, vector_bytes

FEW = 16  # rows up to which it is faster, whatever the sizes
# columns of a tile of several rows, or of one alone: sums enough that none waits for itself
_COLUMNS, _ALONE = 4, 8


def symbol_of_few(dtype: str) -> str:
    """The name by which compiled code calls it.

    >>> symbol_of_few("float32")
    'pullback_few_float32'
    """
    return f"pullback_few_{dtype}"


def few_code(dtype: str) -> bytes:
    """Object code with the C function that ``symbol_of_few`` names.

    It takes (m, n, depth, A, a_row, B, b_column, C, c_row), the strides in numbers, and does
    C ← A B, where the steps of the depth and the columns of C lie side by side.
    """
    module = ir.Module(symbol_of_few(dtype))
    real: Any = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    size = 4 if dtype == "float32" else 8
    write_few(module, symbol_of_few(dtype), real, vector_bytes() // size)
    return optimised_code(module)


def write_few(module: ir.Module, name: str, real: Any, lanes: int) -> None:
    """Add the function that ``few_code`` describes."""
    place = real.as_pointer()
    kinds = [WHOLE, WHOLE, WHOLE, place, WHOLE, place, WHOLE, place, WHOLE]
    size = 4 if isinstance(real, ir.FloatType) else 8
    tall = 4 if lanes * size == 64 else 2  # rows for which there are registers
    tiles = {rows: _tile(module, real, lanes, rows, _COLUMNS) for rows in range(tall, 0, -1)}
    alone = _tile(module, real, lanes, 1, _ALONE)
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    m, n, depth, a, a_row, b, b_column, c, c_row = made.args
    w = Writer(made, real, lanes)
    with w.if_then(w.is_one(m)):
        with w.loop(whole(0), n, _ALONE) as j:
            columns = w.at(b, (j, b_column))
            w.call(alone, [w.sub(n, j), depth, a, a_row, columns, b_column, w.at(c, j), c_row])
        w.ret_void()
    full = w.and_(m, whole(-tall))
    with w.loop(whole(0), n, _COLUMNS) as j:  # these columns stay near while all rows meet them
        columns, here = w.at(b, (j, b_column)), w.at(c, j)
        given = [columns, b_column]

        def multiply(rows: int, i: Value) -> None:
            a_at, c_at = w.at(a, (i, a_row)), w.at(here, (i, c_row))
            w.call(tiles[rows], [w.sub(n, j), depth, a_at, a_row, *given, c_at, c_row])

        with w.loop(whole(0), full, tall) as i:
            multiply(tall, i)
        for rows in range(1, tall):
            with w.if_then(w.icmp_signed("==", w.sub(m, full), whole(rows))):
                multiply(rows, full)
    w.ret_void()


def _tile(module: ir.Module, real: Any, lanes: int, rows: int, columns: int) -> ir.Function:
    """The function (columns there, depth, A, a_row, B, b_column, C, c_row) of some rows."""
    place = real.as_pointer()
    kinds = [WHOLE, WHOLE, place, WHOLE, place, WHOLE, place, WHOLE]
    made = function(module, f"few_{rows}_{columns}", kinds)
    there, depth, a, a_row, b, b_column, c, c_row = made.args
    w = Writer(made, real, lanes)
    totals = [[w.alloca(w.vector) for _ in range(columns)] for _ in range(rows)]
    full, last = w.and_(depth, whole(-lanes)), w.sub(there, whole(1))
    mask = w.lanes_below(w.sub(depth, full))
    samples = [w.at(a, (whole(number), a_row)) for number in range(rows)]
    # a column that is not there repeats the last one
    numbers = [w.smaller(whole(number), last) for number in range(columns)]
    weights = [w.at(b, (number, b_column)) for number in numbers]
    for row in totals:
        for total in row:
            w.store(w.zeros(), total)

    def add(k: Value, mask: Value | None = None) -> None:
        ys = [w.read(w.at(line, k), mask) for line in weights]
        for line, row in zip(samples, totals, strict=True):
            x = w.read(w.at(line, k), mask)
            for y, total in zip(ys, row, strict=True):
                w.store(w.fma(x, y, w.load(total)), total)

    with w.loop(whole(0), full, lanes) as k:
        add(k)
    with w.if_then(w.icmp_signed("<", full, depth)):
        add(full, mask)
    sums = iter(w.totals([w.load(total) for row in totals for total in row]))
    found = [[next(sums) for _ in row] for row in totals]
    with w.first(there, columns) as present:
        for column in present:
            for number, row in enumerate(found):
                w.store(row[column], w.at(c, (whole(number), c_row), whole(column)))
    w.ret_void()
    return made
