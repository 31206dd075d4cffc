"""What the workers of a crew do in compiled code: share rows out, and wait for one another."""

from __future__ import annotations

from llvmlite import ir

from pullback.machine.blas.writer import INT, WHOLE, Value, Writer, whole

PATIENCE = 2000  # looks at the others before the processor is offered to somebody else
_UNIT = 16  # rows, which are whole vectors of processors


def share(w: Writer, n: Value, worker: Value, workers: Value, unit: int = 1) -> tuple[Value, Value]:
    """Code for between which rows of n a worker's lie; long shares are whole vectors.

    Rows come in units of so many, of which no two workers have parts.
    """
    long = w.icmp_signed(">=", n, w.mul(workers, whole(2 * _UNIT)))
    rows = w.select(long, whole(max(_UNIT, unit)), whole(unit))
    units = w.udiv(n, rows)
    begin, end = (
        w.mul(w.udiv(w.mul(units, each), workers), rows)
        for each in (worker, w.add(worker, whole(1)))
    )
    last = w.icmp_signed("==", worker, w.sub(workers, whole(1)))
    return begin, w.select(last, n, end)


def write_meet(module: ir.Module) -> ir.Function:
    """Add the function (counter, workers) in which each waits until all are there."""
    kind = ir.FunctionType(ir.VoidType(), [WHOLE.as_pointer(), WHOLE])
    made = ir.Function(module, kind, "meet")
    made.linkage = "internal"
    made.attributes.add("noinline")
    counter, workers = made.args
    w = Writer(made, ir.FloatType(), 1)
    with w.if_then(w.icmp_signed("==", workers, whole(1))):
        w.ret_void()
    arrived = w.atomic_rmw("add", counter, whole(1), "seq_cst")
    everybody = w.mul(w.add(w.udiv(arrived, workers), whole(1)), workers)
    before, look, patient, after = (
        w.block, *(w.append_basic_block(name) for name in ("look", "patient", "after"))
    )  # fmt: skip
    w.branch(look)
    w.position_at_end(look)
    looks = w.phi(WHOLE)
    looks.add_incoming(whole(0), before)
    there = w.load_atomic(counter, "acquire", 8)
    w.cbranch(w.icmp_signed(">=", there, everybody), after, patient)
    w.position_at_end(patient)
    with w.if_then(w.icmp_signed(">", looks, whole(PATIENCE))):
        w.call(ir.Function(module, ir.FunctionType(INT, []), "sched_yield"), [])
    looks.add_incoming(w.add(looks, whole(1)), w.block)
    w.branch(look)
    w.position_at_end(after)
    w.ret_void()
    return made
