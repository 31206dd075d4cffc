"""What the workers of a thread pool do in compiled code: share rows, and wait for one another."""

from __future__ import annotations

import platform

from llvmlite import ir

from pullback.machine.blas.writer import INT, WHOLE, Value, Writer, whole

# Looks at the others before a worker sleeps, some 100 µs: to sleep and be woken takes 20
PATIENCE = 10_000
HERE = f"{platform.system()} {platform.machine()}"
_UNIT = 16  # rows, which are whole vectors of processors
_LINE = 16  # numbers: no two workers write to one line of the cache
SLEEPERS, _WHERE = _LINE, 2 * _LINE  # in the room of a meeting, behind the counter
# By system: the number of the system call futex(2), and what tells a processor that it waits
FUTEX = {"Linux x86_64": 202, "Linux aarch64": 98, "Linux riscv64": 98}
_WAIT, _WAKE, _EVERYBODY = 128, 129, 2**31 - 1  # FUTEX_PRIVATE_FLAG is 128
_PAUSE = {
    "x86_64": ("llvm.x86.sse2.pause", []),
    "aarch64": ("llvm.aarch64.isb", [ir.Constant(INT, 15)]),
    "arm64": ("llvm.aarch64.isb", [ir.Constant(INT, 15)]),
}


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


def meeting_room(workers: int) -> int:
    """How many whole numbers, 0 at first, a meeting needs."""
    return _WHERE + workers * _LINE


def write_meet(module: ir.Module, system: str = HERE) -> ir.Function:
    """Add the function (room, worker, workers) in which each waits until all are there.

    A worker looks for a while and then sleeps, at once where another has the same processor: that
    one cannot come while this one looks. It never yields: a scheduler that keeps deadlines, as
    Linux has since 6.6, lets the others of that processor have a slice for each ``sched_yield``, so
    beside one busy process a step of 10 µs took 4 ms. Systems without futex(2) have nothing better.
    """
    kind = ir.FunctionType(ir.VoidType(), [WHOLE.as_pointer(), WHOLE, WHOLE])
    made = ir.Function(module, kind, "meet")
    made.linkage = "internal"
    made.attributes.add("noinline")
    room, worker, workers = made.args
    w = Writer(made, ir.FloatType(), 1)
    bed = _Bed(w, room, FUTEX[system]) if system in FUTEX else None
    with w.if_then(w.icmp_signed("==", workers, whole(1))):
        w.ret_void()
    if bed is not None:
        bed.say_where(worker)
    arrived = w.atomic_rmw("add", room, whole(1), "seq_cst")
    everybody = w.mul(w.add(w.udiv(arrived, workers), whole(1)), workers)
    patience: Value = whole(PATIENCE)
    if bed is not None:
        with w.if_then(w.icmp_signed("==", w.add(arrived, whole(1)), everybody)):
            bed.wake()
            w.ret_void()
        patience = w.select(bed.is_shared(worker, workers), whole(0), patience)
    before, look, again, after = (
        w.block, *(w.append_basic_block(name) for name in ("look", "again", "after"))
    )  # fmt: skip
    w.branch(look)
    w.position_at_end(look)
    looks = w.phi(WHOLE)
    looks.add_incoming(whole(0), before)
    there = w.load_atomic(room, "acquire", 8)
    w.cbranch(w.icmp_signed(">=", there, everybody), after, again)
    w.position_at_end(again)
    with w.if_else(w.icmp_signed("<", looks, patience)) as (patient, weary):
        with patient:
            name, given = _PAUSE.get(system.split()[-1], ("", []))
            if name:
                _call(w, name, ir.VoidType(), given)
        with weary:
            if bed is not None:
                bed.sleep(there)
            else:
                _call(w, "sched_yield", INT, [])
    looks.add_incoming(w.add(looks, whole(1)), w.block)
    w.branch(look)
    w.position_at_end(after)
    w.ret_void()
    return made


class _Bed:
    """Where workers sleep until the last one comes; writes the code."""

    def __init__(self, w: Writer, room: Value, number: int) -> None:
        self._w, self._room, self._number = w, room, number
        self._sleepers = w.gep(room, [whole(SLEEPERS)])

    def say_where(self, worker: Value) -> None:
        """Note on which processor a worker is."""
        w = self._w
        w.store_atomic(self._processor(), self._place(worker), "monotonic", 8)

    def is_shared(self, worker: Value, workers: Value) -> Value:
        """Was another worker on this processor when it last said where it is?"""
        w, here = self._w, self._processor()
        with w.goto_entry_block():
            found = w.alloca(ir.IntType(1))
        w.store(ir.Constant(ir.IntType(1), 0), found)
        with w.loop(whole(0), workers, 1) as other:
            there = w.load_atomic(self._place(other), "monotonic", 8)
            same = w.and_(w.icmp_signed("==", there, here), w.icmp_signed("!=", other, worker))
            w.store(w.or_(w.load(found), same), found)
        return w.load(found)

    def sleep(self, seen: Value) -> None:
        """Until the counter is no longer what was seen there."""
        self._count("add")
        self._futex(_WAIT, self._w.and_(seen, whole(2**32 - 1)))  # it compares the lower half
        self._count("sub")

    def wake(self) -> None:
        """Whoever comes to bed from here on sees that the counter has changed."""
        w = self._w
        asleep = w.load_atomic(self._sleepers, "seq_cst", 8)
        with w.if_then(w.icmp_signed("!=", asleep, whole(0))):
            self._futex(_WAKE, whole(_EVERYBODY))

    def _count(self, change: str) -> None:
        self._w.atomic_rmw(change, self._sleepers, whole(1), "seq_cst")

    def _place(self, worker: Value) -> Value:
        return self._w.at(self._room, whole(_WHERE), (worker, whole(_LINE)))

    def _processor(self) -> Value:
        w = self._w  # numbered from 1: 0 is nowhere yet
        return w.add(w.sext(_call(w, "sched_getcpu", INT, []), WHOLE), whole(1))

    def _futex(self, what: int, value: Value) -> None:
        given = [whole(self._number), self._room, whole(what), value, whole(0)]
        _call(self._w, "syscall", WHOLE, given)


def _call(w: Writer, name: str, kind: ir.Type, given: list[Value]) -> Value:
    """The result of a function that the processor or the C library has."""
    known = w.module.globals.get(name)
    signature = ir.FunctionType(kind, [each.type for each in given])
    return w.call(known or ir.Function(w.module, signature, name), given)
