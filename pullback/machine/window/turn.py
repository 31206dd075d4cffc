"""A batch turned round: samples one after the other, or side by side in vectors, and back.

As many samples as a vector has lanes are read a vector at a time, turned round in registers, and
written. Which sample comes where, an order says; so reading a shuffled batch is no step of its own.
"""

from __future__ import annotations

from llvmlite import ir

from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.window.geometry import Fields
from pullback.machine.window.table import TableReader


def layout() -> Fields:
    """What both functions read; strides count numbers.

    Outermost, a sample's ``entries`` lie one behind the other, and samples ``sample`` apart.
    Innermost, vectors of samples lie ``vector`` apart, and of each the entries ``entry`` apart;
    ``room`` is for how many samples there are lanes: those without a sample are set to 0.
    """
    return Fields(("samples", "room", "entries", "sample", "vector", "entry"))


class _Turn:
    """What both have in common: for one vector of samples, where each lies and which are there."""

    def __init__(self, made: ir.Function, real: ir.Type, lanes: int) -> None:
        self.w, self.lanes = Writer(made, real, lanes), lanes
        self.n = TableReader(self.w, made.args[0], layout())

    def samples(self, vector: Value, order: Value, start: Value) -> tuple[list[Value], list[Value]]:
        """Where the samples of a vector begin, and whether each is one of the batch."""
        w, n, places, there = self.w, self.n, [], []
        for lane in range(self.lanes):
            number = w.add(w.mul(vector, whole(self.lanes)), whole(lane))
            there.append(w.icmp_signed("<", number, n["samples"]))
            known = w.smaller(number, w.sub(n["samples"], whole(1)))
            places.append(w.at(start, (w.load(w.at(order, known)), n["sample"])))
        return places, there

    def where(self, condition: Value, mask: Value) -> Value:
        """The mask, or one of nothing."""
        return self.w.select(condition, mask, ir.Constant(mask.type, [0] * self.lanes))


def write_inward(module: ir.Module, name: str, real: ir.Type, lanes: int) -> None:
    """Add the C function (numbers, outermost, order, innermost, begin, end) for some vectors."""
    made = _function(module, name, real)
    _, source, order, target, begin, end = made.args
    turn = _Turn(made, real, lanes)
    w, n = turn.w, turn.n
    with w.loop(begin, end, 1) as vector:
        places, there = turn.samples(vector, order, source)
        written = w.lanes_below(w.sub(n["room"], w.mul(vector, whole(lanes))))
        with w.loop(whole(0), n["entries"], lanes) as entry:
            left = w.sub(n["entries"], entry)
            mask = w.lanes_below(left)
            pairs = zip(places, there, strict=True)
            rows = [w.read(w.at(place, entry), turn.where(is_, mask)) for place, is_ in pairs]
            columns, into = w.transposed(rows), w.at(target, (vector, n["vector"]))
            with w.first(left, lanes) as numbers:
                for at in numbers:
                    here = w.at(into, (w.add(entry, whole(at)), n["entry"]))
                    w.write(columns[at], here, written)
    w.ret_void()


def write_outward(module: ir.Module, name: str, real: ir.Type, lanes: int) -> None:
    """Add the C function (numbers, outermost, order, innermost, begin, end): the way back."""
    made = _function(module, name, real)
    _, target, order, source, begin, end = made.args
    turn = _Turn(made, real, lanes)
    w, n = turn.w, turn.n
    with w.loop(begin, end, 1) as vector:
        places, there = turn.samples(vector, order, target)
        held = w.lanes_below(w.sub(n["samples"], w.mul(vector, whole(lanes))))
        start = w.at(source, (vector, n["vector"]))
        with w.loop(whole(0), n["entries"], lanes) as entry:
            mask = w.lanes_below(w.sub(n["entries"], entry))
            last = w.sub(n["entries"], whole(1))
            known = [w.smaller(w.add(entry, whole(at)), last) for at in range(lanes)]
            columns = [w.read(w.at(start, (at, n["entry"])), held) for at in known]
            for row, place, is_ in zip(w.transposed(columns), places, there, strict=True):
                w.write(row, w.at(place, entry), turn.where(is_, mask))
    w.ret_void()


def _function(module: ir.Module, name: str, real: ir.Type) -> ir.Function:
    place, numbers = real.as_pointer(), WHOLE.as_pointer()
    kinds = [numbers, place, numbers, place, WHOLE, WHOLE]
    return ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
