"""How many of some rows are classified right, as compiled code; the rule is ``metrics.hits``'s."""

from __future__ import annotations

from llvmlite import ir

from pullback.machine.blas.writer import WHOLE, Value, Writer, whole


def write_hits(module: ir.Module, real: ir.Type, lanes: int, inside: int = 0) -> ir.Function:
    """Add the function (output, target, rows, columns, threshold), whose arrays have these rows.

    Where the samples of the output lie in blocks of so many lanes, each has rows ``inside`` it.
    """
    place = real.as_pointer()
    kind = ir.FunctionType(WHOLE, [place, place, WHOLE, WHOLE, real])
    made = ir.Function(module, kind, "hits")
    made.linkage = "internal"
    made.attributes.add("noinline")
    output, target, rows, columns, threshold = made.args
    w = Writer(made, real, 1)
    zero, half = ir.Constant(real, 0.0), ir.Constant(real, 0.5)
    right, best, wanted, ones, wrong = (w.alloca(WHOLE) for _ in range(5))
    w.store(whole(0), right)

    def count(place: Value, holds: Value) -> None:
        w.store(w.add(w.load(place), w.zext(holds, WHOLE)), place)

    with w.loop(whole(0), rows, 1) as i:
        for number in (best, wanted, ones, wrong):
            w.store(whole(0), number)
        aim, out, step = w.at(target, (i, columns)), w.at(output, (i, columns)), whole(1)
        if inside:
            sample, row = w.udiv(i, whole(inside)), w.urem(i, whole(inside))
            lane, step = w.and_(sample, whole(lanes - 1)), whole(lanes)
            begin = w.mul(w.sub(sample, lane), w.mul(whole(inside), columns))
            out = w.at(output, lane, begin, (w.mul(row, columns), step))
        with w.loop(whole(0), columns, 1) as j:
            given, hoped = w.load(w.at(out, (j, step))), w.load(w.at(aim, j))
            lines = ((best, out, step, given), (wanted, aim, whole(1), hoped))
            for place, line, far, value in lines:
                largest = w.load(place)
                higher = w.fcmp_ordered(">", value, w.load(w.at(line, (largest, far))))
                w.store(w.select(higher, j, largest), place)
            count(ones, w.fcmp_ordered(">", hoped, zero))
            said, true = (
                w.fcmp_ordered(">", *pair) for pair in ((given, threshold), (hoped, half))
            )
            count(wrong, w.xor(said, true))
        one = w.and_(w.icmp_signed(">", columns, whole(1)), w.is_one(w.load(ones)))
        by_largest = w.or_(w.fcmp_unordered("uno", threshold, threshold), one)
        same = w.icmp_signed("==", w.load(best), w.load(wanted))
        count(right, w.select(by_largest, same, w.icmp_signed("==", w.load(wrong), whole(0))))
    w.ret(w.load(right))
    return made
