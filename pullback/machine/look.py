"""Code that looks at arrays of NumPy: are they what is expected, and where do their numbers lie?"""

from __future__ import annotations

from llvmlite import ir

from pullback.machine.arrays import (
    ARRAYS,
    DATA,
    DTYPE,
    FIRST,
    FLAGS,
    HEAD,
    ITEMS,
    KIND,
    NUMBER,
    ORDER,
    RANK,
    READY,
    ROWS,
    SHAPE,
)
from pullback.machine.blas.writer import INT, WHOLE, Value, Writer, whole

_BYTE = ir.IntType(8)


def table_of(w: Writer, given: Value) -> Value:
    """Code for where the numbers of the table lie, which is the first item of a tuple."""
    return w.inttoptr(_load(w, _load(w, given, ITEMS), DATA), WHOLE.as_pointer())


def _load(w: Writer, address: Value, offset: int, kind: ir.Type = WHOLE) -> Value:
    return w.load(w.inttoptr(w.add(address, whole(offset)), kind.as_pointer()))


def write_look(module: ir.Module) -> ir.Function:
    """Add the function (tuple, table) of a tuple that holds the table and then arrays.

    Are they what the table expects? Then it writes into the table where their numbers lie, and
    gives back how many rows the first of them has; else -1.
    """
    made = ir.Function(module, ir.FunctionType(WHOLE, [WHOLE, WHOLE.as_pointer()]), "look")
    made.linkage = "internal"
    made.attributes.add("noinline")
    w = Writer(made, ir.FloatType(), 1)
    no = w.append_basic_block("no")

    def load(address: Value, offset: int, kind: ir.Type = WHOLE) -> Value:
        return _load(w, address, offset, kind)

    def demand(holds: Value) -> None:
        yes = w.append_basic_block("yes")
        w.cbranch(holds, yes, no)
        w.position_at_end(yes)

    def same(one: Value, other: Value) -> Value:
        return w.icmp_signed("==", one, other)

    given, table = made.args
    items = w.add(given, whole(ITEMS))
    count, kind = (w.load(w.gep(table, [whole(at)])) for at in (ARRAYS, KIND))
    rows, expected = w.alloca(WHOLE), w.alloca(WHOLE)  # and how far in the table that is
    w.store(load(load(load(items, 8), SHAPE), 0), rows)
    w.store(w.add(whole(FIRST), count), expected)
    with w.loop(whole(0), count, 1) as number:
        array = load(w.add(items, w.mul(number, whole(8))), 8)
        demand(same(load(array, HEAD - 8), kind))
        dtype, at = load(array, DTYPE), w.load(expected)
        wanted, rank = (w.load(w.gep(table, [w.add(at, whole(n))])) for n in (0, 1))
        demand(same(w.sext(load(dtype, NUMBER, INT), WHOLE), wanted))
        demand(same(load(dtype, ORDER, _BYTE), ir.Constant(_BYTE, ord("="))))
        demand(same(w.sext(load(array, RANK, INT), WHOLE), rank))
        flags = w.and_(load(array, FLAGS, INT), ir.Constant(INT, READY))
        demand(same(flags, ir.Constant(INT, READY)))
        shape, sizes = load(array, SHAPE), w.add(at, whole(2))
        with w.loop(whole(0), rank, 1) as axis:
            size = w.load(w.gep(table, [w.add(sizes, axis)]))
            size = w.select(same(size, whole(ROWS)), w.load(rows), size)
            demand(same(load(w.add(shape, w.mul(axis, whole(8))), 0), size))
        w.store(w.add(sizes, rank), expected)
        w.store(load(array, DATA), w.gep(table, [w.add(number, whole(FIRST))]))
    w.ret(w.load(rows))
    w.position_at_end(no)
    w.ret(whole(-1))
    return made
